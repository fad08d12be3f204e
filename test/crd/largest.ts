/** Objects as large as the schemas allow: what every bound stands for, and what the rules cost at most when they run. */
import { objectSchema, KINDS } from '../../src/api/crd.ts';
import { fullBackend, fullGateway, fullQuota, fullRoute, type Draft } from '../../src/api/testdata/fixtures.ts';
import type { StructuralSchema } from '../../src/api/structural.ts';

/** What we promise to a user; etcd takes 1.5 MB with everything that the API server adds. */
export const LARGEST_BYTES = 900_000;

/** A name of the greatest length that its list can have `index` of. */
const name = (index: number, length = 63): string => `n${String(index).padStart(length - 1, '0')}`;
const times = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, index) => make(index));

/** The greatest number of entries or characters at a path like `spec.models[].name`. */
function most(kind: string, path: string): number {
  const definition = KINDS.find((candidate) => candidate.kind === kind);
  let at: StructuralSchema | undefined = definition === undefined ? undefined : objectSchema(definition);
  for (const segment of path.split(/\.|(?=\[)|(?=\{)/)) {
    at = segment === '[]' ? at?.items : segment === '{}' ? at?.additionalProperties : at?.properties?.[segment];
  }
  const bound = at?.maxItems ?? at?.maxProperties ?? at?.maxLength;
  if (bound === undefined) throw new Error(`${kind}.${path} has no bound`);
  return bound;
}

/** Filled up with request parameters, the one part that has no bound of its own. */
function filled(draft: Draft, holder: Draft): Draft {
  holder['defaults'] = { filler: '' };
  holder['defaults'] = { filler: 'x'.repeat(LARGEST_BYTES - JSON.stringify(draft).length) };
  return draft;
}

export function largestBackend(): Draft {
  const draft = fullBackend();
  return filled(draft, draft['spec'] as Draft);
}

export function largestGateway(): Draft {
  const draft = fullGateway();
  const spec = draft['spec'] as Draft;
  const annotations = Object.fromEntries(
    times(most('LLMGateway', 'spec.service.annotations'), (index) => [
      `example.com/${name(index)}`,
      'a'.repeat(most('LLMGateway', 'spec.service.annotations.{}')),
    ]),
  );
  draft['spec'] = {
    ...spec,
    upstreams: { allow: times(most('LLMGateway', 'spec.upstreams.allow'), (index) => `${name(index)}.example.com`) },
    service: { annotations },
    podTemplate: {
      annotations,
      serviceAccountAnnotations: annotations,
      tolerations: times(most('LLMGateway', 'spec.podTemplate.tolerations'), () => ({ key: 'gpu', operator: 'Exists' })),
    },
  };
  return draft;
}

/** Smaller than the others by far: it has nothing in it whose length a user chooses but names. */
export function largestQuota(): Draft {
  const draft = fullQuota();
  const spec = draft['spec'] as Draft;
  const [, , limit = {}] = spec['limits'] as Draft[];
  draft['spec'] = {
    targetRefs: times(most('LLMQuota', 'spec.targetRefs'), (index) => ({
      kind: 'LLMRoute',
      name: name(index, most('LLMQuota', 'spec.targetRefs[].name')),
      namespace: name(index),
    })),
    limits: times(most('LLMQuota', 'spec.limits'), (index) => ({ ...limit, name: name(index) })),
  };
  return draft;
}

/** Every list of names at its longest, every reference to the entry that is found last. */
export function largestRoute(): Draft {
  const count = (path: string): number => most('LLMRoute', `spec.${path}`);
  const draft = fullRoute();
  const spec = draft['spec'] as Draft;
  const [model = {}] = spec['models'] as Draft[];
  const [rule = {}, fallback = {}] = spec['rules'] as Draft[];
  const [limit = {}] = spec['rateLimits'] as Draft[];
  const models = times(count('models'), (index) => ({
    ...model,
    name: name(index),
    headers: times(count('models[].headers'), (entry) => ({ name: name(entry), value: 'v'.repeat(64) })),
  }));
  const last = name(models.length - 1);
  const failoverTargets = (path: string): string[] =>
    times(count(`rules[].failover.${path}.targets`), (index) => name(models.length - 1 - index));
  const targets = times(count('rules[].targets'), (index) => ({ model: name(models.length - 1 - index), weight: 1 }));
  const learned = (fallback['selection'] as Draft)['learned'] as Draft;
  const shared = {
    ...rule,
    targets,
    selection: {
      strategy: 'Learned',
      learned: {
        ...learned,
        objective: {
          type: 'Bands',
          bands: times(count('rules[].selection.learned.objective.bands'), () => ({ upTo: '1', model: last })),
        },
        onError: { use: last },
      },
    },
    failover: {
      contentFilter: { mode: 'Failover', targets: failoverTargets('contentFilter') },
      contextOverflow: { mode: 'Failover', targets: failoverTargets('contextOverflow') },
    },
    mirror: { model: last, percent: 1 },
  };
  const matches = times(count('rules[].matches'), () => ({
    headers: times(count('rules[].matches[].headers'), (index) => ({ name: name(index), value: 'v'.repeat(64) })),
  }));
  const rules = times(count('rules'), (index) => ({ ...shared, name: name(index), matches }));
  const { matches: _, ...lastRule } = rules.pop() ?? { ...shared, name: '', matches };
  draft['spec'] = {
    ...spec,
    modelNames: times(count('modelNames'), (index) => name(index, count('modelNames[]'))),
    access: { from: 'Tenants', tenants: times(count('access.tenants'), (index) => name(index)) },
    models,
    rules: [...rules, lastRule],
    rateLimits: times(count('rateLimits'), (index) => ({
      ...limit,
      name: name(index),
      onExceeded: { action: 'Downgrade', to: last },
    })),
  };
  return filled(draft, models[0] as Draft);
}
