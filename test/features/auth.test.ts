import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../src/lib/clock.ts';
import { type Answer, request, type RequestOptions } from './support/client.ts';
import { chat } from './support/dialects.ts';
import { startGateway, type TestGateway, type TestGatewayOptions } from './support/gateway.ts';
import { clientKeyYaml, documents, gatewayYaml } from './support/secrets.ts';
import { FakeUpstream } from './support/upstream.ts';

/** Who may call what: keys of the platform's namespace and of two teams', and routes that admit some of them. */

const KEYS = {
  platform: 'fl-platform-key-000000000000000',
  acme: 'fl-acme-key-0000000000000000000',
  teamA: 'fl-team-a-key-00000000000000000',
  teamB: 'fl-team-b-key-00000000000000000',
  expired: 'fl-expired-key-0000000000000000',
  limited: 'fl-limited-key-0000000000000000',
} as const;

const SECRETS = documents(
  clientKeyYaml(KEYS.platform, { name: 'platform', namespace: 'platform' }),
  clientKeyYaml(KEYS.acme, { name: 'acme', namespace: 'platform', tenant: 'acme' }),
  clientKeyYaml(KEYS.teamA, { name: 'key', namespace: 'team-a' }),
  // That it claims another's tenant has no effect.
  clientKeyYaml(KEYS.teamB, { name: 'key', namespace: 'team-b', tenant: 'team-a' }),
  clientKeyYaml(KEYS.expired, { name: 'expired', namespace: 'team-a', expires: '2026-01-01T00:00:10Z' }),
  clientKeyYaml(KEYS.limited, { name: 'limited', namespace: 'team-a', models: ['chat', 'open-*', 'gpt-4*', 'nowhere'] }),
);

function route(id: string, modelNames: string, url: string, access = ''): string {
  const [namespace = '', name = ''] = id.split('/');
  return `
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: ${name}, namespace: ${namespace}}
spec:
  modelNames: [${modelNames}]
  ${access}
  models:
  - name: m
    provider: {type: OpenAICompatible, openAICompatible: {model: ${namespace}.${name}, baseURL: "${url}"}}
    auth: {type: None}
  rules: [{name: default, targets: [{model: m}]}]
`;
}

interface Setting {
  readonly gateway: TestGateway;
  readonly upstream: FakeUpstream;
}

async function start(options?: TestGatewayOptions): Promise<Setting> {
  const upstream = await FakeUpstream.start((call) => call.answer(200, chat.whole('Hello')));
  const { url } = upstream;
  const gateway = await startGateway(
    documents(
      gatewayYaml(),
      SECRETS,
      route('platform/shared', 'chat, "gpt-*"', url),
      route('platform/internal', 'internal', url, 'access: {from: Same}'),
      route('platform/acme', 'acme-only', url, 'access: {from: Tenants, tenants: [acme]}'),
      route('team-a/own', 'chat, own-a, gpt-4o', url),
      route('team-b/own', 'own-b', url),
      route('team-b/open', 'open-b, chat', url, 'access: {from: All}'),
      route('team-b/for-a', 'for-a', url, 'access: {from: Tenants, tenants: [team-a]}'),
      route('team-b/everything', '"*"', url),
    ),
    options,
  );
  return { gateway, upstream };
}

const bearer = (key: string): Readonly<Record<string, string>> => ({ authorization: `Bearer ${key}` });
const asking = (model: string, headers: Readonly<Record<string, string>>): RequestOptions => ({
  body: { model, messages: [] },
  headers,
});

function codeOf({ text }: Answer): string {
  return (JSON.parse(text) as { error: { code: string } }).error.code;
}

describe('a client key', () => {
  it.each([
    ['Authorization: Bearer', { authorization: `Bearer ${KEYS.platform}` }],
    ['Authorization: bearer, with more spaces', { authorization: `bearer   ${KEYS.platform} ` }],
    ['api-key', { 'api-key': KEYS.platform }],
    ['x-api-key', { 'x-api-key': KEYS.platform }],
    ['api-key beside a proxy’s own Authorization', { 'api-key': KEYS.platform, authorization: 'Basic dXNlcjpwYXNz' }],
  ])('is taken from %s', async (_how, headers) => {
    const { gateway } = await start();
    expect((await request(gateway.port, asking('internal', headers))).status).toBe(200);
    expect(gateway.requests[0]).toMatchObject({ keyId: 'platform/platform', tenant: 'platform' });
  });

  it.each([
    ['none', {}, 'missing_api_key', /No API key was sent.*Bearer <key>.*api-key.*x-api-key/],
    [
      'another scheme',
      { authorization: 'Basic dXNlcjpwYXNz' },
      'invalid_api_key',
      /not an API key: write `Authorization: Bearer <key>`/,
    ],
    ['an empty one', { authorization: 'Bearer ' }, 'invalid_api_key', /not an API key/],
    ['one that is far too long', { 'api-key': 'k'.repeat(5_000) }, 'invalid_api_key', /1 to 512 characters/],
    ['one that is not known', bearer('fl-unknown'), 'invalid_api_key', /is not known here/],
    ['the hash of one', bearer('0'.repeat(64)), 'invalid_api_key', /is not known here/],
    ['two in one header', { 'api-key': `${KEYS.platform}, ${KEYS.teamA}` }, 'invalid_api_key', /is not known here/],
  ])('%s: refused', async (_what, headers, code, message) => {
    const { gateway, upstream } = await start();
    const refused = await request(gateway.port, asking('chat', headers));
    expect(refused.status).toBe(401);
    expect(codeOf(refused)).toBe(code);
    expect(refused.text).toMatch(message);
    expect(refused.headers['www-authenticate']).toBe('Bearer');
    expect(refused.headers['x-should-retry']).toBe('false');
    for (const path of ['/v1/models', '/v1/models/chat', '/v1/nothing']) {
      expect((await request(gateway.port, { path, headers })).status).toBe(401);
    }
    expect(upstream.calls).toHaveLength(0);
  });

  it('expires', async () => {
    const clock = new ManualClock(Date.UTC(2026, 0, 1));
    clock.advance(1);
    const { gateway } = await start({ clock });
    expect((await request(gateway.port, asking('own-a', bearer(KEYS.expired)))).status).toBe(200);
    clock.advance(10_000);
    const refused = await request(gateway.port, asking('own-a', bearer(KEYS.expired)));
    expect(refused.status).toBe(401);
    expect(codeOf(refused)).toBe('expired_api_key');
  });

  it('that is limited to models is told so for others, and sees only those', async () => {
    const { gateway } = await start();
    expect((await request(gateway.port, asking('open-b', bearer(KEYS.limited)))).status).toBe(200);
    const refused = await request(gateway.port, asking('own-a', bearer(KEYS.limited)));
    expect(refused.status).toBe(403);
    expect(JSON.parse(refused.text)).toMatchObject({
      error: { code: 'model_not_allowed', type: 'permission_error', param: 'model', message: expect.stringContaining('"own-a"') },
    });
    expect((await request(gateway.port, { path: '/v1/models/own-a', headers: bearer(KEYS.limited) })).status).toBe(404);
    expect(await listed(gateway, KEYS.limited)).toEqual(['chat', 'gpt-4*', 'gpt-4o', 'open-b']);
  });

  it('is known from the moment its Secret is applied until it is gone', async () => {
    const { gateway, upstream } = await start();
    const yaml = (key: string): string =>
      documents(
        gatewayYaml(),
        clientKeyYaml(key, { name: 'new', namespace: 'platform' }),
        route('platform/shared', 'chat', upstream.url),
      );
    gateway.apply(yaml('fl-new-key'));
    expect((await request(gateway.port, asking('chat', bearer('fl-new-key')))).status).toBe(200);
    expect((await request(gateway.port, asking('chat', bearer(KEYS.platform)))).status).toBe(401);
    gateway.apply(yaml('fl-newer-key'));
    expect((await request(gateway.port, asking('chat', bearer('fl-new-key')))).status).toBe(401);
  });
});

async function listed(gateway: TestGateway, key: string): Promise<readonly string[]> {
  const { text } = await request(gateway.port, { path: '/v1/models', headers: bearer(key) });
  return (JSON.parse(text) as { data: { id: string }[] }).data.map(({ id }) => id);
}

describe('a model name', () => {
  const nobody = null;
  /** By key: which route's upstream answers to a name. */
  it.each([
    // One's own namespace first, then the platform's, then what others open.
    ['teamA', 'chat', 'team-a.own'],
    ['teamB', 'chat', 'team-b.open'],
    ['platform', 'chat', 'platform.shared'],
    ['acme', 'chat', 'platform.shared'],
    // In each, the exact name before a prefix.
    ['teamA', 'gpt-4o', 'team-a.own'],
    ['platform', 'gpt-4o', 'platform.shared'],
    // Same: one's own namespace, and platform keys.
    ['teamA', 'internal', nobody],
    ['platform', 'internal', 'platform.internal'],
    ['teamA', 'own-b', nobody],
    ['teamB', 'own-b', 'team-b.own'],
    ['platform', 'own-b', 'team-b.own'],
    // All.
    ['teamA', 'open-b', 'team-b.open'],
    ['acme', 'open-b', 'team-b.open'],
    // Tenants; that team-b says it were team-a does not help it, but it owns the route's namespace.
    ['teamA', 'for-a', 'team-b.for-a'],
    ['acme', 'acme-only', 'platform.acme'],
    ['teamA', 'acme-only', nobody],
    // A team's own * takes its own requests only.
    ['teamB', 'whatever', 'team-b.everything'],
    ['teamA', 'whatever', nobody],
    // For team-b its own * goes before the platform's prefix.
    ['teamB', 'gpt-9', 'team-b.everything'],
    ['teamA', 'gpt-9', 'platform.shared'],
  ] as const)('as %s, %s is %s', async (who, model, upstreamModel) => {
    const { gateway, upstream } = await start();
    const answer = await request(gateway.port, asking(model, bearer(KEYS[who])));
    if (upstreamModel === null) {
      expect(answer.status).toBe(404);
      expect(codeOf(answer)).toBe('model_not_found');
      expect(upstream.calls).toHaveLength(0);
    } else {
      expect(upstream.calls.map((call) => call.json())).toEqual([{ model: upstreamModel, messages: [] }]);
    }
    const one = await request(gateway.port, { path: `/v1/models/${model}`, headers: bearer(KEYS[who]) });
    expect(one.status).toBe(upstreamModel === null ? 404 : 200);
  });

  it('is listed for those who may use it', async () => {
    const { gateway } = await start();
    expect(await listed(gateway, KEYS.teamA)).toEqual(['chat', 'for-a', 'gpt-*', 'gpt-4o', 'open-b', 'own-a']);
    expect(await listed(gateway, KEYS.teamB)).toEqual(['*', 'chat', 'open-b', 'own-b']);
    expect(await listed(gateway, KEYS.acme)).toContain('acme-only');
    expect(await listed(gateway, KEYS.platform)).toContain('internal');
  });

  it('with slashes and other signs is found by its encoded name', async () => {
    const { upstream } = await start();
    const gateway = await startGateway(
      documents(gatewayYaml('clientAuth: {type: None}'), route('platform/odd', '"meta/llama-3?%x"', upstream.url)),
    );
    const path = `/v1/models/${encodeURIComponent('meta/llama-3?%x')}`;
    expect((await request(gateway.port, { path })).text).toContain('meta/llama-3?%x');
    const azure = `/openai/deployments/${encodeURIComponent('meta/llama-3?%x')}/chat/completions?api-version=2024-10-21`;
    expect((await request(gateway.port, { path: azure, body: { messages: [] } })).status).toBe(200);
  });
});
