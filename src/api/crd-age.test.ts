import { describe, expect, it } from '@jest/globals';

import { customResourceDefinition, KINDS, type KindDefinition } from './crd.ts';
import { lacksOf } from './crd-age.ts';

/** A copy to take something away from. */
function installed(kind: string): { readonly definition: KindDefinition; readonly crd: unknown; drop(pattern: string): void } {
  const definition = KINDS.find((candidate) => candidate.kind === kind);
  if (definition === undefined) throw new Error(kind);
  const crd: unknown = JSON.parse(JSON.stringify(customResourceDefinition(definition)));
  return {
    definition,
    crd,
    drop(path) {
      const steps = ['spec', 'versions', '0', 'schema', 'openAPIV3Schema', ...path.split('.')];
      let at = crd as Record<string, unknown>;
      for (const step of steps.slice(0, -1)) at = at[step] as Record<string, unknown>;
      if (Array.isArray(at)) at.splice(Number(steps.at(-1)), 1);
      else delete at[steps.at(-1) ?? ''];
    },
  };
}

describe('lacksOf', () => {
  it.each(KINDS)('finds nothing in the $kind of this build', (definition) => {
    expect(lacksOf(definition, customResourceDefinition(definition))).toEqual([]);
  });

  it('names a field, one inside a list, and a value', () => {
    const gateway = installed('LLMGateway');
    gateway.drop('properties.spec.properties.listener.properties.maxConnectionAge');
    gateway.drop('properties.spec.properties.redis.properties.mode.enum.2');
    expect(lacksOf(gateway.definition, gateway.crd)).toEqual(['spec.listener.maxConnectionAge', 'spec.redis.mode: Cluster']);
    const route = installed('LLMRoute');
    route.drop('properties.spec.properties.rules.items.properties.failover.properties.hedge');
    expect(lacksOf(route.definition, route.crd)).toEqual(['spec.rules[].failover.hedge']);
  });

  it('takes a newer one, which has more', () => {
    const { definition, crd } = installed('LLMGateway');
    const text = JSON.stringify(crd).replace('"paused":', '"novelty":{"type":"string"},"paused":');
    expect(text).toContain('novelty');
    expect(lacksOf(definition, JSON.parse(text))).toEqual([]);
  });

  it.each([[null], [{}], [{ spec: { versions: [{ name: 'v1', schema: {} }] } }], ['garbage']])(
    'says of %j that the version is not there',
    (crd) => {
      const { definition } = installed('LLMGateway');
      expect(lacksOf(definition, crd)).toEqual(['version v1alpha1']);
    },
  );
});
