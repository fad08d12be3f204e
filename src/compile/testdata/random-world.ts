/** Random worlds, small enough that everything collides: few namespaces, few names, every kind of reference, good and broken. */
import { parseObject, type ApiObject } from '../../api/parse.ts';
import { parseJsonOrThrow } from '../../lib/json-parse.ts';
import { CERTIFICATE_PEM, PRIVATE_KEY_PEM } from './certificate.ts';

export interface RandomWorld {
  /** Replaces, adds or removes one object. */
  edit(): void;
  readonly objects: readonly ApiObject[];
}

const NAMESPACES = ['platform', 'team-a', 'team-b'];
const HASHES = ['a', 'b', 'c'].map((digit) => digit.repeat(64));

export function randomWorld(random: () => number, size: number): RandomWorld {
  const objects: ApiObject[] = [];
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
  const maybe = <T>(share: number, value: T): T | undefined => (random() < share ? value : undefined);
  const created = (): string | undefined => maybe(0.7, `2026-0${1 + Math.floor(random() * 3)}-01T00:00:00Z`);

  const makers: readonly (() => unknown)[] = [
    () => ({
      apiVersion: 'fairlead.dev/v1alpha1',
      kind: 'LLMGateway',
      metadata: { name: pick(['one', 'two']), namespace: 'platform', creationTimestamp: created(), annotations: maybe(0.6, { 'fairlead.dev/is-default-gateway': 'true' }) },
      spec: {
        allowedRoutes: maybe(0.5, { namespaces: pick([{ from: 'Same' }, { from: 'Selector', selector: { matchLabels: { stage: 'prod' } } }]) }),
        upstreams: maybe(0.3, { allow: ['10.0.0.0/8'] }),
        listener: maybe(0.2, { tls: { secretRef: { name: 'tls' } } }),
        clientAuth: maybe(0.2, { type: 'None' }),
      },
    }),
    ...[route, route, route, route].map((make) => () => make()),
    () => ({ apiVersion: 'fairlead.dev/v1alpha1', kind: 'LLMBackend', metadata: { name: pick(['x', 'y']), namespace: pick(NAMESPACES) }, spec: { provider: provider(), auth: auth() } }),
    () => ({
      apiVersion: 'fairlead.dev/v1alpha1',
      kind: 'LLMQuota',
      metadata: { name: pick(['q1', 'q2']), namespace: pick(NAMESPACES), generation: 1 + Math.floor(random() * 3) },
      spec: {
        targetRefs: [
          { kind: 'LLMGateway', name: pick(['one', 'two', 'three']), namespace: maybe(0.5, pick(NAMESPACES)) },
          { kind: 'LLMRoute', name: pick(['r1', 'r2', 'r3', 'r4']), namespace: maybe(0.5, pick(NAMESPACES)) },
        ].slice(Math.floor(random() * 2)),
        limits: [
          { name: 'a', unit: 'Requests', limit: pick([1, 2]), window: '1m' },
          { name: 'b', unit: 'USD', limit: '5', calendar: { period: 'Day', timeZone: pick(['UTC', 'UTC', 'Nowhere']) } },
        ],
      },
    }),
    () => ({ apiVersion: 'v1', kind: 'Secret', metadata: { name: pick(['openai', 'other']), namespace: pick(NAMESPACES) }, stringData: { [pick(['api-key', 'api-key', 'wrong'])]: pick(['sk-1', 'sk-2']) } }),
    () => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: pick(['k1', 'k2']), namespace: pick(NAMESPACES), creationTimestamp: created(), labels: { 'fairlead.dev/api-key': pick(['true', 'true', 'no']) } },
      stringData: { sha256: pick(HASHES), tenant: pick(['acme', 'team-b']) },
    }),
    () => ({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'tls', namespace: 'platform' }, stringData: { 'tls.crt': CERTIFICATE_PEM, 'tls.key': pick([PRIVATE_KEY_PEM, PRIVATE_KEY_PEM, 'none']) } }),
    () => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'ca', namespace: pick(NAMESPACES) }, data: { 'ca.crt': pick([CERTIFICATE_PEM, '-----BEGIN CERTIFICATE-----\n1', 'none']) } }),
    () => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: pick(NAMESPACES), labels: { stage: pick(['prod', 'dev']) } } }),
    () => ({
      apiVersion: 'gateway.networking.k8s.io/v1beta1',
      kind: 'ReferenceGrant',
      metadata: { name: pick(['g1', 'g2']), namespace: pick(NAMESPACES) },
      spec: { from: [{ group: 'fairlead.dev', kind: 'LLMRoute', namespace: pick(NAMESPACES) }], to: [{ group: 'fairlead.dev', kind: 'LLMBackend', name: maybe(0.5, pick(['x', 'y'])) }] },
    }),
  ];

  function provider(): unknown {
    return pick([
      { type: 'OpenAI' },
      { type: 'Anthropic' },
      { type: 'OpenAICompatible', openAICompatible: { baseURL: pick(['http://10.0.0.1/v1', 'http://127.0.0.1:8000', 'https://llm.example.com/v1']) } },
      { type: 'OpenAICompatible', openAICompatible: { serviceRef: { name: 'vllm', port: 8000 } } },
    ]);
  }

  function auth(): unknown {
    return pick([{ type: 'None' }, { type: 'APIKey', apiKey: { secretKeyRef: { name: pick(['openai', 'other']) } } }]);
  }

  function route(): unknown {
    return {
      apiVersion: 'fairlead.dev/v1alpha1',
      kind: 'LLMRoute',
      metadata: { name: pick(['r1', 'r2', 'r3']), namespace: pick(NAMESPACES), creationTimestamp: created(), generation: 1 + Math.floor(random() * 3) },
      spec: {
        parentRefs: maybe(0.4, [{ name: pick(['one', 'two', 'three']), namespace: 'platform' }, { name: pick(['one', 'two']), namespace: 'platform' }]),
        modelNames: [...new Set([pick(['chat', 'fast', 'gpt*']), pick(['chat', 'slow'])])],
        models: [
          { name: 'a', provider: provider(), auth: auth(), tls: maybe(0.3, { caRef: { name: 'ca' } }) },
          { name: 'b', backendRef: { name: pick(['x', 'y']), namespace: maybe(0.7, pick(NAMESPACES)) } },
        ],
        rules: [{ name: 'default', targets: [{ model: 'a' }, { model: 'b', priority: 1 }] }],
        rateLimits: maybe(0.2, [{ name: 'l', unit: 'Requests', limit: 5, calendar: { period: 'Day', timeZone: 'Nowhere' } }]),
      },
    };
  }

  function made(): ApiObject {
    const parsed = parseObject(parseJsonOrThrow(JSON.stringify(pick(makers)())));
    if (!parsed.ok) throw new Error(`a random object is not valid: ${JSON.stringify(parsed.error)}`);
    return parsed.value;
  }

  for (let i = 0; i < size; i++) objects.push(made());
  return {
    objects,
    edit() {
      const at = Math.floor(random() * objects.length);
      const kind = random();
      if (kind < 0.6) objects[at] = made();
      else if (kind < 0.8) objects.push(made());
      else objects.splice(at, 1);
    },
  };
}
