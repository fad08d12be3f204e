import { createHash } from 'node:crypto';
import { inspect } from 'node:util';

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseJsonOrThrow } from '../lib/json-parse.ts';

import { SecretValue } from '../lib/secret.ts';
import { decode, describeTable, encode } from './codec.ts';
import { canonicalJson, digestOf } from './digest.ts';
import { tableDigest } from './parts.ts';
import { endpointsEntry } from './testdata/tables.ts';
import type { ClientKey, Route, RouteTable } from './types.ts';

const KEY = 'sk-very-secret-1';

function route(name: string, key = KEY): Route {
  const body: Omit<Route, 'digest'> = {
    id: `team-a/${name}`,
    namespace: 'team-a',
    name,
    modelNames: [{ value: name, wildcard: false }],
    access: { from: 'Tenants', tenants: ['team-b'] },
    targets: [
      {
        name: 'main',
        provider: 'OpenAI',
        upstreamId: 'https://api.openai.com/v1#gpt-4o',
        credentialId: 'https://api.openai.com/v1#gpt-4o@1',
        baseUrl: 'https://api.openai.com/v1',
        trusted: false,
        model: 'gpt-4o',
        apiVersion: null,
        credential: { header: 'authorization', value: new SecretValue(key) },
        tls: { caPem: 'PEM', serverName: null },
        headers: [['x-team', 'a']],
        defaults: [['temperature', 0.5]],
        override: [['metadata', { nested: [1, null, 'x'] }]],
        unsupported: 'Reject',
        capacity: { requestsPerMinute: 10, tokensPerMinute: null, concurrency: null },
        identity: { kind: 'EntraSecret', tenantId: 't', clientId: 'c', secret: new SecretValue('CLIENT-SECRET') },
        pricing: {
          source: 'Model',
          tiers: [
            {
              fromInputTokens: 0,
              inputPicoUsd: 2_500_000,
              cachedInputPicoUsd: 1_250_000,
              cacheWritePicoUsd: 2_500_000,
              cacheWriteHourPicoUsd: 2_500_000,
              outputPicoUsd: 10_000_000,
              reasoningPicoUsd: 10_000_000,
            },
          ],
          requestNanoUsd: 0,
        },
        capabilities: { tools: true, jsonSchema: null, vision: false, contextTokens: 128000, maxOutputTokens: null },
      },
    ],
    rules: [
      {
        name: 'default',
        matches: [
          {
            headers: [{ name: 'x-tier', value: 'gold' }],
            tenant: null,
            path: null,
            stream: true,
            tools: null,
            jsonSchema: null,
            images: null,
            minPromptTokens: 10,
          },
        ],
        targets: [{ target: 0, priority: 0, weight: 1 }],
        strategy: 'Weighted',
        failover: {
          maxAttempts: 3,
          timeouts: { connectMs: 2000, firstTokenMs: 60000, idleMs: 120000, totalMs: 600000 },
          reasons: ['Timeout'],
          contentFilter: { stages: ['Prompt'], targets: [0] },
          contextOverflow: { targets: [0] },
        },
      },
    ],
    limits: [
      {
        name: 'rpm',
        per: [{ kind: 'Header', name: 'x-user', maxValues: 5 }, { kind: 'Tenant' }],
        unit: 'Requests',
        limit: 5,
        windowMs: 60000,
      },
    ],
  };
  return { digest: digestOf(body), ...body };
}

function table(routes: readonly Route[] = [route('chat'), route('other')]): RouteTable {
  const gateway = { namespace: 'fairlead-system', name: 'default' };
  const settings = {
    digest: 's1',
    prices: [],
    port: 8080,
    maxRequestBytes: 1024,
    tls: { certificatePem: 'CERT', privateKeyPem: new SecretValue('PRIVATE-KEY') },
    clientAuth: 'APIKey',
    upstreamAllow: ['10.0.0.0/8'],
    drainTimeoutMs: 1000,
    maxConnectionAgeMs: 60_000,
    requestLog: 'Metadata',
    redis: {
      mode: 'Sentinel',
      address: {
        nodes: [{ host: 'redis.example.com', port: 26379 }],
        tls: true,
        username: 'fairlead',
        password: new SecretValue('redis-password'),
        db: 1,
      },
      masterName: 'mymaster',
      trust: { caPem: 'CA', serverName: null },
      onUnavailable: 'LocalShare',
    },
  } as const;
  const clientKeys: ClientKey[] = [
    {
      digest: 'k1',
      sha256: 'a'.repeat(64),
      id: 'team-a/k',
      namespace: 'team-a',
      tenant: 'team-a',
      platform: false,
      models: [{ value: 'gpt', wildcard: true }],
      expiresAtMs: 5,
    },
  ];
  const endpoints = [endpointsEntry('team-a/vllm:8000', 2)];
  const digest = tableDigest(gateway, settings, { clientKeys, endpoints, routes });
  return { version: 1, gateway, settings, clientKeys, routes, endpoints, digest };
}

/** The wire form of `table()` with values replaced by path (`routes.0.name`); `undefined` takes the member out. */
function wire(changes: Readonly<Record<string, unknown>>): unknown {
  const value: unknown = JSON.parse(encode(table()));
  for (const [path, replacement] of Object.entries(changes)) {
    const steps = path.split('.');
    const last = steps.pop() ?? '';
    let at = value as Record<string, unknown>;
    for (const step of steps) at = at[step] as Record<string, unknown>;
    if (replacement === undefined) delete at[last];
    else at[last] = replacement;
  }
  return value;
}

function decoded(value: unknown, lastGood: RouteTable | null = null) {
  const result = decode(value, lastGood);
  if (!result.ok) throw new Error(result.error);
  return result.value;
}

describe('the RouteTable on the wire', () => {
  it('comes back as it was sent, credentials included', () => {
    const { table: back, refused } = decoded(JSON.parse(encode(table())));
    expect(refused).toEqual([]);
    expect(encode(back)).toBe(encode(table()));
    expect(back.routes[0]?.targets[0]?.credential?.value.reveal()).toBe(KEY);
    expect(back.settings.tls?.privateKeyPem.reveal()).toBe('PRIVATE-KEY');
  });

  it('shows no credential to a person', () => {
    for (const dump of [describeTable(table()), inspect(table(), { depth: 20 }), String(JSON.stringify(table()))]) {
      expect(dump).toContain('[redacted]');
      expect(dump).not.toContain(KEY);
      expect(dump).not.toContain('PRIVATE-KEY');
    }
    expect(encode(table())).toContain(KEY);
  });

  it.each([
    [
      'an unknown provider',
      'targets.0.provider',
      'Oracle',
      'targets[0].provider: "Oracle" is not known here, only OpenAI, AzureOpenAI, OpenAICompatible',
    ],
    ['an unknown strategy', 'rules.0.strategy', 'Utility', 'rules[0].strategy: "Utility" is not known here'],
    [
      'an unknown failover reason',
      'rules.0.failover.reasons.0',
      'Mood',
      'rules[0].failover.reasons[0]: "Mood" is not known here',
    ],
    ['an unknown unit', 'limits.0.unit', 'EUR', 'limits[0].unit: "EUR" is not known here'],
    ['an unknown scope', 'limits.0.per.0.kind', 'Team', 'limits[0].per[0].kind: "Team" is not known here'],
    ['an unknown access', 'access.from', 'Friends', 'access.from: "Friends" is not known here'],
    [
      'a rule that names a target beyond the pool',
      'rules.0.targets.0.target',
      7,
      'rules[0]: target 7 is not there, the route has 1',
    ],
    [
      'a failover target beyond the pool',
      'rules.0.failover.contextOverflow.targets.0',
      1,
      'rules[0]: target 1 is not there, the route has 1',
    ],
    [
      'a missing member',
      'rules.0.failover.maxAttempts',
      undefined,
      'rules[0].failover.maxAttempts: a number of at least 1 is needed, it is missing',
    ],
    [
      'a credential that would split the header',
      'targets.0.credential.value',
      `${KEY}\r\nx-evil: 1`,
      'targets[0].credential.value: it contains a control character',
    ],
    [
      'a header name that is none',
      'targets.0.headers.0.0',
      'x y',
      'targets[0].headers[0]: "x y" is not a lower-case header name',
    ],
    [
      'a base URL with a user',
      'targets.0.baseUrl',
      'https://u:p@x.example',
      'targets[0].baseUrl: an http or https URL without user',
    ],
    ['a window on concurrency', 'limits.0.unit', 'Concurrency', 'limits[0].windowMs: a limit of Concurrency has no window'],
  ])('refuses a route with %s, and that route only', (_, path, value, reason) => {
    const { table: back, refused } = decoded(wire({ [`routes.0.${path}`]: value }));
    expect(refused).toEqual([{ entry: 'route', id: 'team-a/chat', reason: expect.stringContaining(reason), kept: false }]);
    expect(refused[0]?.reason).not.toContain(KEY);
    expect(back.routes.map((entry) => entry.id)).toEqual(['team-a/other']);
    expect(back.digest).not.toBe(table().digest);
  });

  it('keeps the last good version of what it refuses', () => {
    const lastGood = table();
    const { table: back, refused } = decoded(
      wire({ 'routes.1.rules.0.strategy': 'Utility', 'clientKeys.0.models': 'all', 'settings.clientAuth': 'JWT' }),
      lastGood,
    );
    expect(refused.map(({ entry, id, kept }) => `${entry} ${id} ${kept}`)).toEqual([
      'settings fairlead-system/default true',
      'clientKey team-a/k true',
      'route team-a/other true',
    ]);
    expect(encode(back)).toBe(encode(lastGood));
  });

  it.each(['10.1.0.1', 'vllm.team-a.svc:8000', '10.1.0.1:8000/x', ''])(
    'refuses %j as an address, and those endpoints only',
    (bad) => {
      const { table: back, refused } = decoded(wire({ 'endpoints.0.addresses.1': bad }));
      expect(refused).toEqual([
        {
          entry: 'endpoints',
          id: 'team-a/vllm:8000',
          reason: `addresses[1]: ${JSON.stringify(bad)} is not an address with its port`,
          kept: false,
        },
      ]);
      expect(back.endpoints).toEqual([]);
      expect(back.routes).toHaveLength(2);
    },
  );

  it('is the same to and from a build that knows no endpoints', () => {
    const { table: back, refused } = decoded(wire({ endpoints: undefined }));
    expect(refused).toEqual([]);
    expect(back.endpoints).toEqual([]);
    const { gateway, settings, clientKeys, routes } = table();
    const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
    const parts = Array.from({ length: 16 }, (_, part) => {
      const isIn = (key: string): boolean => Number(`0x${sha256(key).slice(0, 4)}`) % 16 === part;
      const keys = clientKeys.filter((key) => isIn(key.sha256)).map(({ digest }) => `${digest}\n`);
      const own = routes.filter(({ id }) => isIn(id)).map(({ id, digest }) => `${id} ${digest}\n`);
      return `${sha256(`${keys.join('')}\n${own.join('')}`)}\n`;
    });
    expect(tableDigest(gateway, settings, { clientKeys, endpoints: [], routes })).toBe(
      sha256(`${gateway.namespace}/${gateway.name}\n${settings.digest}\n${parts.join('')}`),
    );
  });

  it('does not keep what another gateway had', () => {
    const foreign: RouteTable = { ...table(), gateway: { namespace: 'x', name: 'default' } };
    const { refused } = decoded(wire({ 'routes.0.access': 'no' }), foreign);
    expect(refused[0]?.kept).toBe(false);
  });

  it('refuses the whole table for a version it does not know, settings it cannot read, or no table at all', () => {
    const problems = [
      [wire({ version: 2 }), 'the route table is refused: version: 2 is not known here, only 1'],
      [wire({ settings: null }), 'the route table is refused: settings: an object is needed, it is null'],
      [wire({ routes: undefined }), 'the route table is refused: routes: a list is needed, it is missing'],
      [null, 'the route table is refused: an object is needed, it is null'],
      ['{}', 'the route table is refused: an object is needed, it is a string'],
    ] as const;
    for (const [value, error] of problems) expect(decode(value, null)).toEqual({ ok: false, error });
  });

  it('keeps each of the hashes that one Secret holds', () => {
    const keys = ['a', 'b'].map((digit) => ({ ...table().clientKeys[0], sha256: digit.repeat(64) }));
    const lastGood = decoded(wire({ clientKeys: keys })).table;
    const { table: back, refused } = decoded(
      wire({
        clientKeys: [
          { ...keys[0], tenant: 7 },
          { ...keys[1], tenant: 7 },
        ],
      }),
      lastGood,
    );
    expect(refused.map(({ id, kept }) => `${id} ${kept}`)).toEqual(['team-a/k true', 'team-a/k true']);
    expect(back.clientKeys).toEqual(lastGood.clientKeys);
  });

  it('takes one of two entries with the same identity', () => {
    const { table: back, refused } = decoded(
      wire({ 'routes.2': (JSON.parse(encode(table())) as { routes: unknown[] }).routes[0] }),
    );
    expect(back.routes.map((entry) => entry.id)).toEqual(['team-a/chat', 'team-a/other']);
    expect(refused).toMatchObject([{ id: 'team-a/chat', kept: false }]);
  });

  it('holds once what routes have alike, and no route has what another has not', () => {
    const { routes } = decoded(wire({ 'routes.1.targets.0.capacity.requestsPerMinute': 11 })).table;
    const [[one, other], [rule, otherRule]] = [routes.map(({ targets }) => targets[0]), routes.map(({ rules }) => rules[0])];
    expect(other?.pricing).toBe(one?.pricing);
    expect(otherRule?.failover).toBe(rule?.failover);
    expect([one?.capacity.requestsPerMinute, other?.capacity.requestsPerMinute]).toEqual([10, 11]);
  });

  it('leaves out what a newer sender added', () => {
    const { table: back, refused } = decoded(wire({ 'routes.0.novelty': 1 }));
    expect(refused).toEqual([]);
    expect(encode(back)).toBe(encode(table()));
  });

  it('never throws, whatever it is given', () => {
    fc.assert(
      fc.property(
        fc.jsonValue(),
        fc.jsonValue(),
        fc.constantFrom('settings', 'routes', 'clientKeys', 'gateway', 'digest'),
        (whole, part, member) => {
          decode(whole);
          decode(wire({ [member]: part }));
          decode(wire({ routes: [part] }));
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('digests', () => {
  it('do not depend on the order of members, and do on every value and credential', () => {
    const plain = (value: unknown) => canonicalJson(value, () => '');
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        const reversed = Object.fromEntries(Object.entries(value).reverse());
        expect(digestOf(reversed)).toBe(digestOf(value));
        // Nothing is lost: what was written reads back as it was (-0 is JSON's 0).
        expect(parseJsonOrThrow(plain(value))).toEqual(parseJsonOrThrow(JSON.stringify(value)));
      }),
      { numRuns: 200 },
    );
    expect(route('chat', 'sk-1').digest).not.toBe(route('chat', 'sk-2').digest);
    expect(digestOf({ key: new SecretValue('a') })).toBe(digestOf({ key: new SecretValue('a') }));
    expect(digestOf({ a: 1, b: undefined })).toBe(digestOf({ a: 1 }));
  });

  it('of a table change with any entry', () => {
    expect(table([route('chat')]).digest).not.toBe(table().digest);
    expect(table([route('chat', 'sk-2'), route('other')]).digest).not.toBe(table().digest);
  });
});
