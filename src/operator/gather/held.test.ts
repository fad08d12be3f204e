import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { parseObject } from '../../api/parse.ts';
import type { LLMRoute } from '../../api/v1alpha1/llmroute.ts';
import { HeldList } from './held.ts';
import type { Wanted } from './named-reader.ts';

function route(name: string, version: number, secret: string): LLMRoute {
  const parsed = parseObject({
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'LLMRoute',
    metadata: { name, namespace: 'a', uid: `${name}-${version % 3}`, generation: version },
    spec: {
      modelNames: [name],
      models: [
        { name: 'main', provider: { type: 'OpenAI' }, auth: { type: 'APIKey', apiKey: { secretKeyRef: { name: secret } } } },
      ],
      rules: [{ name: 'default', targets: [{ model: 'main' }] }],
    },
  });
  if (!parsed.ok || parsed.value.kind !== 'LLMRoute') throw new Error('the route is not valid');
  return parsed.value;
}

type Step =
  | { readonly do: 'set'; readonly name: string; readonly secret: string }
  | { readonly do: 'remove'; readonly name: string }
  | { readonly do: 'read'; readonly secret: string }
  | { readonly do: 'list' };

describe('HeldList', () => {
  it('lists, after whatever came, went and was read in between, each object as it was last released', () => {
    const name = fc.constantFrom('r1', 'r2', 'r3', 'r4');
    const secret = fc.constantFrom('s1', 's2', 's3');
    const step: fc.Arbitrary<Step> = fc.oneof(
      fc.record({ do: fc.constant('set' as const), name, secret }),
      fc.record({ do: fc.constant('remove' as const), name }),
      fc.record({ do: fc.constant('read' as const), secret }),
      fc.record({ do: fc.constant('list' as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const read = new Set<string>();
        const wanted = new Map<string, number>();
        const count = (by: number) => (one: Wanted) => wanted.set(one.name, (wanted.get(one.name) ?? 0) + by);
        const held = new HeldList<LLMRoute>({ isKnown: (one) => read.has(one.name), acquire: count(1), release: count(-1) });
        // The same, said simply: what is released, and what waits for which Secret.
        const released = new Map<string, LLMRoute>();
        const waiting = new Map<string, { readonly object: LLMRoute; readonly secret: string }>();
        let given: readonly LLMRoute[] | null = null;
        for (const [version, what] of steps.entries()) {
          if (what.do === 'read') read.add(what.secret);
          if (what.do === 'remove') {
            held.set(`a/${what.name}`, null);
            released.delete(what.name);
            waiting.delete(what.name);
          }
          if (what.do === 'set') {
            const object = route(what.name, version, what.secret);
            held.set(`a/${what.name}`, object);
            if (released.get(what.name)?.metadata.uid !== object.metadata.uid) released.delete(what.name);
            waiting.set(what.name, { object, secret: what.secret });
          }
          if (what.do !== 'list') continue;
          const before = given === null ? null : [...given];
          const list = held.list();
          for (const [id, { object, secret: needs }] of waiting) {
            if (!read.has(needs)) continue;
            released.set(id, object);
            waiting.delete(id);
          }
          expect(new Set(list)).toEqual(new Set(released.values()));
          expect(list).toHaveLength(released.size);
          // Who was given a list has it as it was.
          if (given !== null) expect(given).toEqual(before);
          given = list;
          expect(held.list()).toBe(list);
        }
        for (const id of ['r1', 'r2', 'r3', 'r4']) held.set(`a/${id}`, null);
        expect([...wanted.values()].every((uses) => uses === 0)).toBe(true);
        expect(held.list()).toEqual([]);
      }),
    );
  });
});
