/**
 * Objects that the API server accepts and that somebody made to do harm: long, deep, odd, colliding, in every field that takes text.
 * A seed gives the same objects on every machine.
 */
import type { KubeObject } from '../../../src/kube/objects.ts';

/** [0, 1), mulberry32. */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const WORDS = [
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  'default',
  'null',
  'x'.repeat(63),
  'a-b',
  '0',
  'valueof',
];
const URLS = [
  'http://169.254.169.254/latest/meta-data',
  'http://[::1]:8080/v1',
  'http://localhost/v1',
  'http://0x7f000001/',
  'http://2130706433/',
  'http://127.1/',
  'https://kubernetes.default.svc/api',
  'http://vault.secrets.svc.cluster.local:8200/v1',
  'https://xn--e1afmkfd.example/v1',
  `https://${'a'.repeat(60)}.${'b'.repeat(60)}.example/v1`,
  'https://example.com:0/v1',
  'https://example.com:65535/v1',
  'https://[fe80::1]/v1',
  'https://example.com./v1',
  'https://EXAMPLE.com/V1/../../x',
];
const NAMES = ['gpt*', '*', 'victim', 'victim*', '__proto__', 'a'.repeat(128), '!"#$%&', 'constructor', 'toString*'];
const JSONS: readonly unknown[] = [
  { __proto__x: 1 },
  { constructor: { prototype: { polluted: true } } },
  { model: 'mine' },
  { stream: true },
  { a: { b: { c: { d: [[[[[1e308]]]]] } } } },
  { temperature: '\u0000\u2028\ud83d' },
];
const HEADERS = [
  { name: 'Authorization', value: 'Bearer stolen' },
  { name: 'host', value: 'evil' },
  { name: 'X-Api-Key', value: 'x' },
  { name: 'transfer-encoding', value: 'chunked' },
  { name: '__proto__', value: 'y' },
];

export function hostileObject(seed: number, namespace: string): KubeObject {
  const random = randomFrom(seed);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
  const maybe = <T>(share: number, value: T): T | undefined => (random() < share ? value : undefined);
  const name = (): string =>
    pick(WORDS)
      .toLowerCase()
      .replaceAll(/[^a-z0-9-]/g, 'z')
      .replaceAll(/^-|-$/g, 'z');

  const provider = (): unknown =>
    pick([
      { type: 'OpenAI', openAI: { baseURL: pick(URLS), model: pick(WORDS) } },
      {
        type: 'AzureOpenAI',
        azureOpenAI: { endpoint: pick(URLS), deployment: pick(WORDS), apiVersion: pick(['2024-10-21', 'x', '-']) },
      },
      { type: 'OpenAICompatible', openAICompatible: { baseURL: pick(URLS) } },
      {
        type: 'OpenAICompatible',
        openAICompatible: {
          serviceRef: {
            name: pick(['vllm', 'kubernetes', 'constructor']),
            port: 1 + Math.floor(random() * 65_535),
            path: pick(['/', '/..//../x', '/%00', '/v1']),
          },
        },
      },
      { type: pick(['Anthropic', 'Mistral', 'Cohere', 'Gemini']) },
    ]);
  const auth = (): unknown =>
    pick([
      { type: 'None' },
      {
        type: 'APIKey',
        apiKey: {
          secretKeyRef: {
            name: pick(['victim', 'constructor', 'sa-token']),
            key: pick(['api-key', '__proto__', 'constructor', 'token']),
          },
          header: maybe(0.4, pick(['host', 'cookie', 'X-Key', 'content-length'])),
        },
      },
    ]);
  const settings = (): object => ({
    provider: provider(),
    auth: auth(),
    headers: maybe(0.3, [pick(HEADERS)]),
    defaults: maybe(0.3, pick(JSONS)),
    override: maybe(0.3, pick(JSONS)),
    tls: maybe(0.2, {
      caRef: { kind: pick(['Secret', 'ConfigMap']), name: pick(['victim', 'constructor']), key: pick(['ca.crt', '__proto__']) },
      serverName: pick(['evil', '..', '*.x']),
    }),
    capacity: maybe(0.2, { requestsPerMinute: pick([1, 1_000_000_000_000]) }),
    pricing: maybe(0.2, { input: pick(['0', '999999999', '0.000000001']), output: '1' }),
    unsupported: maybe(0.2, 'Drop'),
  });
  const metadata = {
    namespace,
    name: `h${seed}`,
    uid: `u${seed}`,
    generation: 1 + Math.floor(random() * 3),
    resourceVersion: String(seed),
    creationTimestamp: pick(['1970-01-01T00:00:00Z', '2026-01-01T00:00:00Z', '9999-12-31T23:59:59Z']),
    annotations: { 'fairlead.dev/is-default-gateway': 'true', 'Evil.Example/x': '\u0000' },
  };
  if (random() < 0.15) return plain({ apiVersion: 'fairlead.dev/v1alpha1', kind: 'LLMBackend', metadata, spec: settings() });
  if (random() < 0.1)
    return plain({
      apiVersion: 'fairlead.dev/v1alpha1',
      kind: 'LLMGateway',
      metadata,
      spec: { replicas: pick([0, 1000]), upstreams: { allow: ['0.0.0.0/0', '*.svc', '::/0'] }, clientAuth: { type: 'None' } },
    });
  if (random() < 0.15)
    return plain({
      apiVersion: 'fairlead.dev/v1alpha1',
      kind: 'LLMQuota',
      metadata,
      spec: {
        targetRefs: Array.from({ length: 1 + Math.floor(random() * 16) }, () => ({
          kind: pick(['LLMGateway', 'LLMRoute']),
          name: pick(['default', 'victim', 'shared', 'other', `h${seed - 7}`, 'constructor']),
          namespace: maybe(0.8, pick(['victim', 'fairlead-system', 'kube-system', namespace])),
        })),
        limits: [
          { name: 'least', unit: 'Requests', limit: 1, window: '720h' },
          {
            name: 'constructor',
            per: ['Header'],
            header: { name: '__proto__', maxValues: 100_000 },
            unit: 'Tokens',
            limit: 1,
            window: '1s',
          },
          {
            name: 'l',
            unit: 'USD',
            limit: '0.0001',
            calendar: { period: 'Year', timeZone: pick(['__proto__', 'UTC', '/etc/passwd', 'Etc/GMT+14']) },
          },
        ],
      },
    });
  const count = 1 + Math.floor(random() * 8);
  const models = Array.from({ length: count }, (_, index) =>
    random() < 0.3
      ? {
          name: `m${index}`,
          backendRef: {
            name: pick(['shared', `h${Math.floor(random() * 100)}`, name()]),
            namespace: maybe(0.8, pick(['victim', 'fairlead-system', 'kube-system', namespace])),
          },
        }
      : { name: `m${index}`, ...settings() },
  );
  return plain({
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'LLMRoute',
    metadata,
    spec: {
      parentRefs: maybe(0.4, [
        { name: pick(['default', 'other', `h${seed}`]), namespace: pick(['fairlead-system', namespace, 'victim']) },
        { name: 'default', namespace: 'fairlead-system' },
      ]),
      modelNames: [...new Set([pick(NAMES), pick(NAMES)])],
      access: maybe(0.3, pick([{ from: 'All' }, { from: 'Tenants', tenants: ['victim', '__proto__'] }])),
      models,
      rules: [
        ...(random() < 0.5
          ? [
              {
                name: 'first',
                matches: [{ headers: [{ name: pick(['x', 'Cookie']), value: pick(['~', 'a'.repeat(100), '']) }] }],
                targets: [{ model: 'm0', weight: pick([0, 1_000]) }],
              },
            ]
          : []),
        { name: 'last', targets: models.map(({ name: model }, priority) => ({ model, priority: priority % 4 })) },
      ],
      rateLimits: maybe(0.3, [
        {
          name: 'l',
          per: pick([['APIKey'], ['Tenant', 'Model'], []]),
          unit: pick(['Requests', 'Tokens']),
          limit: 1_000_000_000_000,
          window: '1s',
        },
      ]),
    },
  });
}

/** Nested nearly as deep as the API server takes it, which is 10,000 levels. */
export function deepRoute(): KubeObject {
  const levels = 9_900;
  const deep: unknown = JSON.parse(`${'['.repeat(levels)}1${']'.repeat(levels)}`);
  const models = [{ name: 'main', provider: { type: 'OpenAI' }, auth: { type: 'None' }, override: { x: deep } }];
  return plain({
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'LLMRoute',
    metadata: { name: 'deep', namespace: 'hostile-0', uid: 'deep', generation: 1, resourceVersion: '1' },
    spec: { modelNames: ['deep'], models, rules: [{ name: 'default', targets: [{ model: 'main' }] }] },
  });
}

/** As it comes from the API server: JSON, so that nothing is undefined. */
function plain(object: unknown): KubeObject {
  return JSON.parse(JSON.stringify(object)) as KubeObject;
}
