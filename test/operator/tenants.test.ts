/** Every field that could reach from one namespace into another, each tried: nothing is reached without the other side's consent. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';

import { parseObject, type ApiObject } from '../../src/api/parse.ts';
import { compile } from '../../src/compile/compile.ts';
import { MAX_QUOTAS_A_TARGET } from '../../src/compile/quotas-of.ts';
import { snapshotOf } from '../../src/compile/snapshot.ts';
import type { RouteTable, Target } from '../../src/routetable/types.ts';
import { compileNames, type Caller } from '../../src/selection/names.ts';

const GROUP = 'fairlead.dev/v1alpha1';
const OPTIONS = { resolveService: 'Cluster', loopbackAllowed: false } as const;
const SYSTEM = 'fairlead-system';
const SECRET_OF_VICTIM = 'sk-of-the-victim';

type Fields = Readonly<Record<string, unknown>>;

const NONE = { auth: { type: 'None' } };
const OPENAI = { type: 'OpenAI' };
const apiKey = (ref: Fields): Fields => ({ auth: { type: 'APIKey', apiKey: { secretKeyRef: ref } } });

function object(kind: string, namespace: string, name: string, spec: Fields, more: Fields = {}): Fields {
  return {
    apiVersion: GROUP,
    kind,
    metadata: { namespace, name, generation: 1, creationTimestamp: '2026-01-01T00:00:00Z', ...more },
    spec,
  };
}

function route(namespace: string, name: string, models: readonly Fields[], more: Fields = {}): Fields {
  const targets = models.map(({ name: model }) => ({ model }));
  return object('LLMRoute', namespace, name, { modelNames: [name], models, rules: [{ name: 'default', targets }], ...more });
}

function secret(namespace: string, name: string, data: Fields, labels: Fields = {}): Fields {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace, name, labels, creationTimestamp: '2026-01-01T00:00:00Z' },
    stringData: data,
  };
}

function grant(namespace: string, from: Fields, to: Fields): Fields {
  return {
    apiVersion: 'gateway.networking.k8s.io/v1beta1',
    kind: 'ReferenceGrant',
    metadata: { namespace, name: 'grant' },
    spec: { from: [from], to: [to] },
  };
}

const VICTIM: readonly Fields[] = [
  object('LLMGateway', SYSTEM, 'default', {}, { annotations: { 'fairlead.dev/is-default-gateway': 'true' } }),
  object('LLMGateway', SYSTEM, 'closed', { allowedRoutes: { namespaces: { from: 'Same' } } }),
  secret('victim', 'credential', { 'api-key': SECRET_OF_VICTIM, 'ca.crt': `-----BEGIN CERTIFICATE-----\n${SECRET_OF_VICTIM}` }),
  object('LLMBackend', 'victim', 'shared', {
    provider: { type: 'OpenAI', openAI: { model: 'backend-of-the-victim' } },
    ...apiKey({ name: 'credential' }),
  }),
  route('victim', 'chat', [{ name: 'main', provider: OPENAI, ...apiKey({ name: 'credential' }) }]),
];
const VLLM_OF_VICTIM = { metadata: { namespace: 'victim', name: 'vllm' }, type: 'ClusterIP', ports: [8000] };

interface Outcome {
  readonly table: RouteTable | undefined;
  readonly targets: readonly Target[];
  /** Names of limits that the attacker's quotas set to routes of others. */
  readonly limits: readonly string[];
  readonly conditions: string;
  /** Of objects that parse refuses, as the API server does. */
  readonly refused: string;
}

function outcome(...attack: readonly Fields[]): Outcome {
  const objects: ApiObject[] = [];
  const refused: string[] = [];
  for (const value of [...VICTIM, ...attack]) {
    const parsed = parseObject(value);
    if (parsed.ok) objects.push(parsed.value);
    else refused.push(...parsed.error.map(({ path, message }) => `${path}: ${message}`));
  }
  const compiled = compile({ ...snapshotOf(objects), services: [VLLM_OF_VICTIM] }, OPTIONS);
  const table = compiled.tables.get(`${SYSTEM}/default`);
  const conditions = [...compiled.statuses.values()]
    .filter(({ namespace }) => namespace === 'attacker')
    .flatMap((status) => status.conditions.map(({ reason, message }) => `${reason} ${message}`))
    .join('\n');
  const targets = table?.routes.filter(({ namespace }) => namespace === 'attacker').flatMap((each) => each.targets) ?? [];
  const limits = [...compiled.tables.values()].flatMap(({ routes }) =>
    routes
      .filter(({ namespace }) => namespace !== 'attacker')
      .flatMap((each) => each.limits.flatMap(({ name, quota }) => (quota?.startsWith('attacker/') === true ? [name] : []))),
  );
  return { table, targets, limits, conditions, refused: refused.join('\n') };
}

const model = (fields: Fields): Fields => ({ name: 'main', ...fields });
const own = (...fields: readonly Fields[]): Fields => route('attacker', 'chat', fields.map(model));
const compatible = (fields: Fields): Fields => ({ provider: { type: 'OpenAICompatible', openAICompatible: fields }, ...NONE });
const LLM_ROUTE_OF_ATTACKER = { group: 'fairlead.dev', kind: 'LLMRoute', namespace: 'attacker' };
const BACKENDS = { group: 'fairlead.dev', kind: 'LLMBackend' };
const REACH = { backendRef: { name: 'shared', namespace: 'victim' } };

/** The field, how it is tried, and the reason or the refusal that says no. */
const TRIES: readonly (readonly [field: string, how: string, attack: readonly Fields[], says: RegExp])[] = [
  ['models[].backendRef.namespace', 'without a grant', [own(REACH)], /RefNotPermitted/],
  [
    'models[].backendRef.namespace',
    'with a grant of the own namespace',
    [own(REACH), grant('attacker', LLM_ROUTE_OF_ATTACKER, BACKENDS)],
    /RefNotPermitted/,
  ],
  [
    'models[].backendRef.namespace',
    'with a grant for another namespace',
    [own(REACH), grant('victim', { ...LLM_ROUTE_OF_ATTACKER, namespace: 'other' }, BACKENDS)],
    /RefNotPermitted/,
  ],
  [
    'models[].backendRef.namespace',
    'with a grant for another kind',
    [own(REACH), grant('victim', { ...LLM_ROUTE_OF_ATTACKER, kind: 'HTTPRoute' }, BACKENDS)],
    /RefNotPermitted/,
  ],
  [
    'models[].backendRef.namespace',
    'with a grant for another backend',
    [own(REACH), grant('victim', LLM_ROUTE_OF_ATTACKER, { ...BACKENDS, name: 'public' })],
    /RefNotPermitted/,
  ],
  [
    'models[].backendRef.namespace',
    'with a grant for Secrets',
    [own(REACH), grant('victim', LLM_ROUTE_OF_ATTACKER, { group: '', kind: 'Secret' })],
    /RefNotPermitted/,
  ],
  ['models[].backendRef.name', 'as a path', [own({ backendRef: { name: 'victim/shared' } })], /backendRef\.name/],
  [
    'models[].auth.apiKey.secretKeyRef.name',
    'by its name',
    [own({ provider: OPENAI, ...apiKey({ name: 'credential' }) })],
    /SecretNotFound Secret attacker\/credential|SecretNotFound.*attacker\/credential/,
  ],
  [
    'models[].auth.apiKey.secretKeyRef.name',
    'as a path',
    [own({ provider: OPENAI, ...apiKey({ name: 'victim/credential' }) })],
    /secretKeyRef\.name/,
  ],
  [
    'models[].auth.apiKey.secretKeyRef.name',
    'with a namespace',
    [own({ provider: OPENAI, ...apiKey({ name: 'credential', namespace: 'victim' }) })],
    /secretKeyRef\.namespace/,
  ],
  [
    'models[].auth.aws.secretRef.name',
    'by its name',
    [own({ provider: OPENAI, auth: { type: 'AWS', aws: { secretRef: { name: 'credential' } } } })],
    /NotServed|SecretNotFound|InvalidSpec|does not/,
  ],
  [
    'models[].auth.gcp.secretRef.name',
    'by its name',
    [own({ provider: OPENAI, auth: { type: 'GCP', gcp: { secretRef: { name: 'credential' } } } })],
    /NotServed|SecretNotFound|InvalidSpec|does not/,
  ],
  [
    'models[].auth.entra.secretRef.name',
    'by its name',
    [own({ provider: OPENAI, auth: { type: 'Entra', entra: { secretRef: { name: 'credential' } } } })],
    /NotServed|SecretNotFound|InvalidSpec|does not/,
  ],
  [
    'models[].tls.caRef.name',
    'a Secret by its name',
    [own({ provider: OPENAI, ...NONE, tls: { caRef: { kind: 'Secret', name: 'credential' } } })],
    /SecretNotFound.*attacker\/credential/,
  ],
  [
    'models[].tls.caRef.name',
    'with a namespace',
    [own({ provider: OPENAI, ...NONE, tls: { caRef: { name: 'credential', namespace: 'victim' } } })],
    /caRef\.namespace/,
  ],
  [
    'models[].provider.openAICompatible.serviceRef.name',
    'by its name',
    [own(compatible({ serviceRef: { name: 'vllm', port: 8000 } }))],
    /BackendNotFound.*Service attacker\/vllm/,
  ],
  [
    'models[].provider.openAICompatible.serviceRef.name',
    'as a DNS name',
    [own(compatible({ serviceRef: { name: 'vllm.victim', port: 8000 } }))],
    /serviceRef\.name/,
  ],
  [
    'models[].provider.openAICompatible.serviceRef.name',
    'with a namespace',
    [own(compatible({ serviceRef: { name: 'vllm', namespace: 'victim', port: 8000 } }))],
    /serviceRef\.namespace/,
  ],
  [
    'models[].provider.openAICompatible.serviceRef.path',
    'out of the host',
    [own(compatible({ serviceRef: { name: 'vllm', port: 8000, path: '@vllm.victim.svc/' } }))],
    /serviceRef\.path/,
  ],
  [
    'models[].provider.openAICompatible.baseURL',
    'an address',
    [own(compatible({ baseURL: 'http://10.96.0.10/v1' }))],
    /RefNotPermitted/,
  ],
  [
    'models[].provider.openAI.baseURL',
    'the metadata service',
    [own({ provider: { type: 'OpenAI', openAI: { baseURL: 'http://169.254.169.254/latest' } }, ...NONE })],
    /RefNotPermitted/,
  ],
  [
    'models[].provider.azureOpenAI.endpoint',
    'an address',
    [own({ provider: { type: 'AzureOpenAI', azureOpenAI: { endpoint: 'http://[fd00::1]/', deployment: 'x' } }, ...NONE })],
    /RefNotPermitted/,
  ],
  [
    'parentRefs[].namespace',
    'a gateway that takes its own routes only',
    [route('attacker', 'chat', [model({ provider: OPENAI, ...NONE })], { parentRefs: [{ name: 'closed', namespace: SYSTEM }] })],
    /NotAllowedByParent/,
  ],
  [
    'parentRefs[].name',
    'as a path',
    [route('attacker', 'chat', [model({ provider: OPENAI, ...NONE })], { parentRefs: [{ name: `${SYSTEM}/closed` }] })],
    /parentRefs\[0\]\.name/,
  ],
];

const quota = (namespace: string, ...targetRefs: readonly Fields[]): Fields =>
  object('LLMQuota', namespace, 'stop', {
    targetRefs,
    limits: [{ name: 'one', unit: 'Requests', limit: 1, window: '720h' }],
  });
const OF_VICTIM = { kind: 'LLMRoute', name: 'chat', namespace: 'victim' };
/** A gateway of the attacker's own, which a route of the victim does not belong to. */
const OWN_GATEWAY = object('LLMGateway', 'attacker', 'own', {}, { creationTimestamp: '2020-01-01T00:00:00Z' });

/** As above: what an LLMQuota can name. */
const QUOTA_TRIES: typeof TRIES = [
  ['targetRefs[].namespace', 'a route of another', [quota('attacker', OF_VICTIM)], /RefNotPermitted/],
  [
    'targetRefs[].namespace',
    'a route of another, and what is not there says the same',
    [quota('attacker', { ...OF_VICTIM, name: 'nowhere' })],
    /RefNotPermitted spec\.targetRefs\[0\]: LLMRoute victim\/nowhere is served by no LLMGateway of namespace attacker/,
  ],
  [
    'targetRefs[].namespace',
    'a route of another, with a gateway of its own',
    [OWN_GATEWAY, quota('attacker', OF_VICTIM)],
    /RefNotPermitted/,
  ],
  [
    'targetRefs[].namespace',
    'a route of another, with a grant of the own namespace',
    [
      quota('attacker', OF_VICTIM),
      grant('attacker', { ...LLM_ROUTE_OF_ATTACKER, kind: 'LLMQuota' }, { group: 'fairlead.dev', kind: 'LLMRoute' }),
    ],
    /RefNotPermitted/,
  ],
  [
    'targetRefs[].namespace',
    'a gateway of another',
    [quota('attacker', { kind: 'LLMGateway', name: 'default', namespace: SYSTEM })],
    /RefNotPermitted.*only quotas of namespace fairlead-system may limit/,
  ],
  [
    'targetRefs[].namespace',
    'a gateway of another that is not there',
    [quota('attacker', { kind: 'LLMGateway', name: 'nowhere', namespace: SYSTEM })],
    /RefNotPermitted.*only quotas of namespace fairlead-system may limit/,
  ],
  [
    'targetRefs[].name',
    'a route by its name',
    [quota('attacker', { kind: 'LLMRoute', name: 'chat' })],
    /TargetNotFound.*attacker\/chat/,
  ],
  [
    'targetRefs[].name',
    'a gateway by its name',
    [quota('attacker', { kind: 'LLMGateway', name: 'default' })],
    /TargetNotFound.*attacker\/default/,
  ],
  [
    'targetRefs[].name',
    'a route as a path',
    [quota('attacker', { kind: 'LLMRoute', name: 'victim/chat' })],
    /targetRefs\[0\]\.name/,
  ],
  [
    'targetRefs[].name',
    'a gateway as a path',
    [quota('attacker', { kind: 'LLMGateway', name: `${SYSTEM}/default` })],
    /targetRefs\[0\]\.name/,
  ],
];

describe('a quota of one namespace', () => {
  it.each(QUOTA_TRIES)('limits nothing of another by %s, %s', (_, __, attack, says) => {
    const { limits, conditions, refused } = outcome(...attack);
    expect(limits).toEqual([]);
    expect(`${conditions}\n${refused}`).toMatch(says);
  });

  it('limits its own routes at every gateway, and those of others at gateways of its own', () => {
    const { table, limits } = outcome(
      own(compatible({ baseURL: 'https://models.example.com/v1' })),
      quota('attacker', { kind: 'LLMRoute', name: 'chat' }),
      quota(SYSTEM, OF_VICTIM),
    );
    expect(limits).toEqual([]);
    expect(table?.routes.map(({ id, limits: of }) => [id, of.map(({ name }) => name)])).toEqual([
      ['attacker/chat', ['attacker/stop/one']],
      ['victim/chat', [`${SYSTEM}/stop/one`]],
    ]);
  });

  it('limits a route of another that chose to belong to its gateway, and there alone', () => {
    const joined = route('victim', 'joined', [model({ provider: OPENAI, ...NONE })], {
      parentRefs: [
        { name: 'own', namespace: 'attacker' },
        { name: 'default', namespace: SYSTEM },
      ],
    });
    const { table, limits } = outcome(OWN_GATEWAY, joined, quota('attacker', { ...OF_VICTIM, name: 'joined' }));
    expect(limits).toEqual(['attacker/stop/one']);
    expect(table?.routes.flatMap((each) => each.limits)).toEqual([]);
  });

  it('slows nobody down with many: so many a namespace limit one target, the oldest, and the others say so', () => {
    const many = Array.from({ length: 40 }, (_, index) => {
      const each = quota('attacker', { kind: 'LLMRoute', name: 'chat' });
      const metadata = {
        ...(each['metadata'] as Fields),
        name: `q${index}`,
        creationTimestamp: `2026-01-01T00:00:${10 + index}Z`,
      };
      return { ...each, metadata };
    });
    const chat = own(compatible({ baseURL: 'https://models.example.com/v1' }));
    const platform = quota(SYSTEM, { kind: 'LLMRoute', name: 'chat', namespace: 'attacker' });
    const { table, conditions } = outcome(chat, ...many.toReversed(), platform);
    const names = table?.routes.find(({ id }) => id === 'attacker/chat')?.limits.map(({ name }) => name) ?? [];
    expect(names).toHaveLength(MAX_QUOTAS_A_TARGET + 1);
    expect(names).toEqual(
      expect.arrayContaining(['attacker/q0/one', `attacker/q${MAX_QUOTAS_A_TARGET - 1}/one`, `${SYSTEM}/stop/one`]),
    );
    expect(conditions.match(/TargetFull/g)).toHaveLength(40 - MAX_QUOTAS_A_TARGET);
  });
});

describe('a route of one namespace', () => {
  it.each(TRIES)('reaches nothing of another by %s, %s', (_, __, attack, says) => {
    const { targets, conditions, refused } = outcome(...attack);
    expect(targets).toEqual([]);
    expect(`${conditions}\n${refused}`).toMatch(says);
    // What is refused tells nothing of what lies behind it.
    expect(`${conditions}\n${refused}`).not.toContain(SECRET_OF_VICTIM);
  });

  it('calls a name inside of the cluster only as a stranger, whom the address guard refuses', () => {
    const { targets } = outcome(own(compatible({ baseURL: 'http://vllm.victim.svc.cluster.local:8000/v1' })));
    expect(targets.map(({ trusted }) => trusted)).toEqual([false]);
  });

  it('uses the backend of another with its consent, and with that backend the credential, which it never sees', () => {
    const { targets, conditions } = outcome(own(REACH), grant('victim', LLM_ROUTE_OF_ATTACKER, BACKENDS));
    expect(targets.map((target) => target.model)).toEqual(['backend-of-the-victim']);
    expect(conditions).not.toContain(SECRET_OF_VICTIM);
  });

  it('is told of a backend that another may not serve now only the reason, not the name of its Secret', () => {
    const broken = object('LLMBackend', 'victim', 'broken', {
      provider: OPENAI,
      ...apiKey({ name: 'secret-name-of-the-victim' }),
    });
    const { conditions } = outcome(
      own({ backendRef: { name: 'broken', namespace: 'victim' } }),
      broken,
      grant('victim', LLM_ROUTE_OF_ATTACKER, BACKENDS),
    );
    expect(conditions).toContain('SecretNotFound');
    expect(conditions).not.toContain('secret-name-of-the-victim');
  });
});

describe('a model name', () => {
  const caller = (namespace: string): Caller => ({ namespace, tenant: namespace, platform: false, anonymous: false });
  const everything = route('attacker', 'chat', [model({ provider: OPENAI, ...NONE })], {
    modelNames: ['*', 'chat', 'gpt*'],
    access: { from: 'All' },
  });

  it('of another namespace takes no request of a caller who has a route of that name', () => {
    const { table } = outcome(everything, route(SYSTEM, 'gpt-4o', [model({ provider: OPENAI, ...NONE })]));
    const names = compileNames(table ?? { gateway: { namespace: '', name: '' }, routes: [] });
    expect(names.resolve(caller('victim'), 'chat')?.id).toBe('victim/chat');
    expect(names.resolve(caller('victim'), 'gpt-4o')?.id).toBe(`${SYSTEM}/gpt-4o`);
  });

  it('is not taken over by an older route of another namespace, nor by one that claims to admit the tenant', () => {
    const claims = route('attacker', 'chat', [model({ provider: OPENAI, ...NONE })], {
      access: { from: 'Tenants', tenants: ['victim'] },
    });
    const { table } = outcome({
      ...claims,
      metadata: { ...(claims['metadata'] as Fields), creationTimestamp: '2020-01-01T00:00:00Z' },
    });
    expect(
      compileNames(table ?? { gateway: { namespace: '', name: '' }, routes: [] }).resolve(caller('victim'), 'chat')?.id,
    ).toBe('victim/chat');
  });

  it('of a route that admits its own namespace only does not exist for others', () => {
    const { table } = outcome();
    expect(
      compileNames(table ?? { gateway: { namespace: '', name: '' }, routes: [] }).resolve(caller('attacker'), 'chat'),
    ).toBeNull();
  });
});

describe('a client key', () => {
  const LABEL = { 'fairlead.dev/api-key': 'true' };
  const hash = 'a'.repeat(64);

  it('of any namespace but the gateways own speaks for its namespace alone', () => {
    const { table } = outcome(secret('attacker', 'key', { sha256: hash, tenant: 'victim' }, LABEL));
    expect(table?.clientKeys).toMatchObject([{ namespace: 'attacker', tenant: 'attacker', platform: false }]);
  });

  it('that copies the hash of another is not that key', () => {
    const victim = secret('victim', 'key', { sha256: hash }, LABEL);
    const copy = secret('attacker', 'key', { sha256: hash }, LABEL);
    const younger = { ...copy, metadata: { ...(copy['metadata'] as Fields), creationTimestamp: '2026-02-01T00:00:00Z' } };
    expect(outcome(victim, younger).table?.clientKeys).toMatchObject([{ namespace: 'victim', tenant: 'victim' }]);
  });
});

describe('the tables above', () => {
  /** Fields by which something else is named or reached. */
  const REACHES = /(Refs?(\[\])?\.(name|namespace)|serviceRef\.path|baseURL|endpoint|\.url)$/;
  /** Not served yet, or about the namespace of the object alone; each is told as such, or read in its own namespace by name. */
  const ELSEWHERE = /^rules\[\]\.selection\.learned\.|provider\.(anthropic|gemini|vertexAI|bedrock|mistral|cohere)\./;

  it.each([
    ['LLMRoute', 'llmroutes', TRIES, 13],
    ['LLMQuota', 'llmquotas', QUOTA_TRIES, 2],
  ])('has every such field of an %s', (_, plural, tries, atLeast) => {
    const crd = parse(readFileSync(join(import.meta.dirname, `../../crds/fairlead.dev_${plural}.yaml`), 'utf8')) as {
      spec: { versions: { schema: { openAPIV3Schema: { properties: { spec: unknown } } } }[] };
    };
    const fields = leaves(crd.spec.versions[0]?.schema.openAPIV3Schema.properties.spec, '').filter((field) =>
      REACHES.test(field),
    );
    expect(fields.length).toBeGreaterThanOrEqual(atLeast);
    const tried = new Set(tries.map(([field]) => field));
    expect(fields.filter((field) => !tried.has(field) && !ELSEWHERE.test(field))).toEqual([]);
  });
});

function leaves(schema: unknown, at: string): readonly string[] {
  const { properties, items } = (schema ?? {}) as { properties?: Readonly<Record<string, unknown>>; items?: unknown };
  if (properties !== undefined)
    return Object.entries(properties).flatMap(([name, below]) => leaves(below, at === '' ? name : `${at}.${name}`));
  return items === undefined ? [at] : leaves(items, `${at}[]`);
}
