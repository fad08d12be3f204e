import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../src/lib/clock.ts';
import { type Answer, request } from './support/client.ts';
import { chat } from './support/dialects.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { clientKeyYaml, documents, gatewayYaml } from './support/secrets.ts';
import { FakeUpstream } from './support/upstream.ts';

/** What a platform allows over all routes of a gateway, beside what each route allows. */

const KEYS = { a: 'fl-team-a-key', b: 'fl-team-b-key' } as const;

async function start(
  limits: string,
  ofGateway = gatewayYaml,
): Promise<{ readonly gateway: TestGateway; readonly yaml: (limits: string) => string }> {
  const upstream = await FakeUpstream.start((call) => call.answer(200, chat.whole('Hello')));
  const route = (name: string, more = ''): string => `
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: ${name}, namespace: platform}
spec:
  modelNames: [${name}]
  models: [{name: m, provider: {type: OpenAICompatible, openAICompatible: {model: m, baseURL: "${upstream.url}"}}, auth: {type: None}}]
  rules: [{name: default, targets: [{model: m}]}]
${more}`;
  const yaml = (given: string): string =>
    documents(
      ofGateway(),
      clientKeyYaml(KEYS.a, { name: 'key', namespace: 'team-a' }),
      clientKeyYaml(KEYS.b, { name: 'key', namespace: 'team-b' }),
      route('one', '  rateLimits: [{name: own, per: [Tenant], unit: Requests, limit: 2, window: 1h}]'),
      route('two'),
      `
apiVersion: fairlead.dev/v1alpha1
kind: LLMQuota
metadata: {name: fair, namespace: platform}
spec:
  targetRefs: [{kind: LLMGateway, name: default}]
  limits: [${given}]
`,
    );
  const clock = new ManualClock();
  clock.advance(1_000_000);
  return { gateway: await startGateway(yaml(limits), { clock }), yaml };
}

async function ask({ port }: TestGateway, model: string, key: keyof typeof KEYS = 'a'): Promise<Answer> {
  return request(port, { body: { ...chat.body, model }, headers: { 'api-key': KEYS[key] } });
}

it('a file without a gateway has its quotas at the one that stands in', async () => {
  const { gateway } = await start('{name: all, unit: Requests, limit: 1, window: 1h}', () => '');
  expect((await request(gateway.port, { body: { ...chat.body, model: 'one' } })).status).toBe(200);
  expect((await request(gateway.port, { body: { ...chat.body, model: 'two' } })).status).toBe(429);
});

describe('a quota over a gateway', () => {
  it('counts its routes together, for each tenant, and says its name', async () => {
    const { gateway } = await start('{name: tenant, per: [Tenant], unit: Requests, limit: 3, window: 1h}');
    const left = [await ask(gateway, 'two'), await ask(gateway, 'one'), await ask(gateway, 'two')];
    expect(left.map(({ headers }) => headers['x-ratelimit-remaining-requests'])).toEqual(['2', '1', '0']);
    for (const model of ['one', 'two']) {
      const refused = await ask(gateway, model);
      expect([refused.status, refused.headers['x-fairlead-limit']]).toEqual([429, 'platform/fair/tenant']);
    }
    expect((await ask(gateway, 'one', 'b')).status).toBe(200);
  });

  it('is told once to who asks for what is left, as the quota’s, or route by route', async () => {
    const { gateway } = await start(
      '{name: tenant, per: [Tenant], unit: Requests, limit: 3, window: 1h}, {name: each, per: [Route], unit: Requests, limit: 9, window: 1h}',
    );
    await ask(gateway, 'one');
    await ask(gateway, 'two');
    const { text } = await request(gateway.port, { method: 'GET', path: '/v1/usage', headers: { 'api-key': KEYS.a } });
    const { limits } = JSON.parse(text) as {
      readonly limits: readonly { name: string; quota?: string; route?: string; used: number }[];
    };
    expect(limits.map(({ name, quota, route, used }) => [name, quota, route, used])).toEqual([
      ['own', undefined, 'platform/one', 1],
      ['platform/fair/each', 'platform/fair', 'platform/one', 1],
      ['platform/fair/tenant', 'platform/fair', undefined, 2],
      ['platform/fair/each', 'platform/fair', 'platform/two', 1],
    ]);
  });

  it('is beside what a route itself allows', async () => {
    const { gateway } = await start('{name: tenant, per: [Tenant], unit: Requests, limit: 3, window: 1h}');
    expect([(await ask(gateway, 'one')).status, (await ask(gateway, 'one')).status]).toEqual([200, 200]);
    const refused = await ask(gateway, 'one');
    expect([refused.status, refused.headers['x-fairlead-limit']]).toEqual([429, 'own']);
    // What the route refused was not counted for the quota.
    expect((await ask(gateway, 'two')).headers['x-ratelimit-remaining-requests']).toBe('0');
  });

  it('counts routes apart where it says so', async () => {
    const { gateway } = await start('{name: each, per: [Route], unit: Requests, limit: 1, window: 1h}');
    expect([(await ask(gateway, 'one')).status, (await ask(gateway, 'two', 'b')).status]).toEqual([200, 200]);
    expect([(await ask(gateway, 'one', 'b')).status, (await ask(gateway, 'two')).status]).toEqual([429, 429]);
  });

  it('holds from the next request on when it is changed, with what was counted', async () => {
    const { gateway, yaml } = await start('{name: all, unit: Requests, limit: 2, window: 1h}');
    expect([(await ask(gateway, 'one')).status, (await ask(gateway, 'two')).status]).toEqual([200, 200]);
    expect((await ask(gateway, 'two')).status).toBe(429);
    gateway.apply(yaml('{name: all, unit: Requests, limit: 3, window: 1h}'));
    expect([(await ask(gateway, 'two')).status, (await ask(gateway, 'two')).status]).toEqual([200, 429]);
  });
});
