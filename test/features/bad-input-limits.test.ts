import { describe, expect, it } from '@jest/globals';
import type { Condition } from '../../src/compile/status.ts';
import { formatIssue } from '../../src/lib/issue.ts';
import { request } from './support/client.ts';
import { chat } from './support/dialects.ts';
import { type Compiled, compileYaml, startGateway } from './support/gateway.ts';
import { documents, gatewayYaml, secretYaml } from './support/secrets.ts';
import { FakeUpstream } from './support/upstream.ts';

/** Limits that are none, and a Redis that is none: each is told by name, and everything else serves on. */

const WRONG: readonly (readonly [what: string, limit: string, says: string])[] = [
  ['a limit of 0', 'unit: Requests, limit: 0, window: 1m', '.limit: 0 is out of range; it must be at least 1'],
  [
    'a budget of 0',
    'unit: USD, limit: "0.00", window: 1h',
    '.limit: a limit of 0 USD admits nothing: write an amount above 0 like "0.25"',
  ],
  [
    'USD with five decimals',
    'unit: USD, limit: "0.12345", window: 1h',
    '.limit: "0.12345" is not an amount like "500" or "0.25": up to four decimals, below 8 million',
  ],
  [
    'a window of 31 days',
    'unit: Requests, limit: 5, window: 744h',
    '.window: must be at most 720h; calendar counts by the month or year',
  ],
  ['a window of a millisecond', 'unit: Requests, limit: 5, window: 1ms', '.window: must be at least 1s'],
  [
    'days',
    'unit: Requests, limit: 5, window: 7d',
    '.window: "7d" is not a duration like 500ms, 30s, 10m or 24h (there is no unit for days)',
  ],
  [
    'a unit of one’s own',
    'unit: Token, limit: 5, window: 1m',
    '.unit: "Token" is not supported; it must be one of Requests, Tokens, Concurrency or USD; did you mean Tokens?',
  ],
];

function route(name: string, url: string, spec = ''): string {
  return `
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: ${name}, namespace: platform}
spec:
  modelNames: [${name}]
  models: [{name: a, provider: {type: OpenAICompatible, openAICompatible: {model: m, baseURL: "${url}"}}, auth: {type: None}}]
  rules: [{name: default, targets: [{model: a}]}]
  ${spec}
`;
}

function quota(name: string, limits: string, targets = '{kind: LLMGateway, name: default}'): string {
  return `
apiVersion: fairlead.dev/v1alpha1
kind: LLMQuota
metadata: {name: ${name}, namespace: platform}
spec: {targetRefs: [${targets}], limits: [${limits}]}
`;
}

interface Served {
  readonly compiled: Compiled;
  /** Statuses of so many answers of the route `good`, which stands beside what is wrong. */
  readonly ask: (model: string, times?: number) => Promise<readonly number[]>;
}

async function serve(more: string, gateway = ''): Promise<Served> {
  const upstream = await FakeUpstream.start((call) => call.answer(200, chat.whole('Hello')));
  const wrong = more.replaceAll('UPSTREAM', upstream.url);
  const yaml = documents(gatewayYaml(`clientAuth: {type: None}${gateway}`), route('good', upstream.url), wrong);
  const compiled = compileYaml(yaml);
  if (compiled.table === null) throw new Error('nothing is served');
  const running = await startGateway(documents(gatewayYaml('clientAuth: {type: None}'), route('good', upstream.url)));
  running.gateway.apply(compiled.table);
  return {
    compiled,
    ask: async (model, times = 1) => {
      const statuses: number[] = [];
      for (let asked = 0; asked < times; asked++) {
        statuses.push((await request(running.port, { body: { ...chat.body, model } })).status);
      }
      return statuses;
    },
  };
}

function condition({ statuses }: Compiled, object: string, type: Condition['type']): Condition | undefined {
  return statuses.get(object)?.conditions.find((one) => one.type === type);
}

describe.each(WRONG)('%s', (_, limit, says) => {
  it('in a route: that route is refused, by name', async () => {
    const { compiled, ask } = await serve(route('bad', 'UPSTREAM', `rateLimits: [{name: wrong, ${limit}}]`));
    expect(compiled.issues.map(formatIssue)).toEqual([`spec.rateLimits[0]${says}`]);
    expect([await ask('good'), await ask('bad')]).toEqual([[200], [404]]);
  });

  it('in a quota: that quota is refused, by name', async () => {
    const sound = quota('sound', '{name: all, unit: Requests, limit: 2, window: 1h}');
    const { compiled, ask } = await serve(documents(quota('bad', `{name: wrong, ${limit}}`), sound));
    expect(compiled.issues.map(formatIssue)).toEqual([`spec.limits[0]${says}`]);
    expect(await ask('good', 3)).toEqual([200, 200, 429]);
  });
});

describe('a quota', () => {
  it('with two limits of one name is refused', async () => {
    const limit = '{name: twice, unit: Requests, limit: 1, window: 1h}';
    const { compiled, ask } = await serve(quota('bad', `${limit}, ${limit}`));
    expect(compiled.issues.map(formatIssue)).toEqual([
      'spec.limits[1].name: Duplicate value: "twice"; each name of this list may occur once',
    ]);
    expect(await ask('good', 2)).toEqual([200, 200]);
  });

  it('with a limit that nobody could hold holds its others', async () => {
    const calendar = 'calendar: {period: Day, timeZone: Europe/Roma}';
    const limits = `{name: day, unit: Requests, limit: 1, ${calendar}}, {name: hour, unit: Requests, limit: 2, window: 1h}`;
    const { compiled, ask } = await serve(quota('bad', limits));
    expect(condition(compiled, 'LLMQuota/platform/bad', 'Accepted')).toMatchObject({
      status: 'False',
      reason: 'InvalidSpec',
      message: expect.stringMatching(/^spec\.limits\[0\]\.calendar\.timeZone: "Europe\/Roma" is no time zone/),
    });
    expect(await ask('good', 3)).toEqual([200, 200, 429]);
  });

  it('over what is not there limits the rest', async () => {
    const targets = '{kind: LLMRoute, name: gone}, {kind: LLMRoute, name: good}';
    const { compiled, ask } = await serve(quota('half', '{name: all, unit: Requests, limit: 1, window: 1h}', targets));
    expect(condition(compiled, 'LLMQuota/platform/half', 'ResolvedRefs')).toMatchObject({
      status: 'False',
      reason: 'TargetNotFound',
      message: 'spec.targetRefs[0]: LLMRoute platform/gone is not found',
    });
    expect(await ask('good', 2)).toEqual([200, 429]);
  });
});

/** What only a running Redis tells (it speaks no TLS, a command is forbidden) is in test/limits/redis-modes.test.ts. */
describe('a Redis', () => {
  const redis = (url: string): string => secretYaml('redis', 'platform', { url });
  const told = ({ compiled }: Served): Condition | undefined =>
    condition(compiled, 'LLMGateway/platform/default', 'ResolvedRefs');

  it('whose URL is none is named without what it is, and each pod counts for itself', async () => {
    const limited = route('limited', 'UPSTREAM', 'rateLimits: [{name: all, unit: Requests, limit: 1, window: 1h}]');
    const served = await serve(documents(redis('http://:hunter2@redis'), limited), ', redis: {addressRef: {name: redis}}');
    expect(told(served)).toMatchObject({
      status: 'False',
      reason: 'ArtifactInvalid',
      message: expect.stringMatching(
        /^spec\.redis\.addressRef: .*begins with http:\/\/ and must begin with redis:\/\/ or, for TLS/,
      ),
    });
    expect(told(served)?.message).not.toContain('hunter2');
    expect([await served.ask('good'), await served.ask('limited', 2)]).toEqual([[200], [200, 429]]);
  });

  it('that is to speak TLS and has no URL for it', async () => {
    const tls = 'tls: {serverName: redis.example.com}';
    const served = await serve(redis('redis://redis'), `, redis: {addressRef: {name: redis}, ${tls}}`);
    expect(told(served)).toMatchObject({
      status: 'False',
      reason: 'InvalidSpec',
      message: expect.stringMatching(/^spec\.redis\.tls: .*begins with redis:\/\/, without TLS: write rediss:\/\/$/),
    });
    expect(await served.ask('good')).toEqual([200]);
  });

  it('whose Secret is not there', async () => {
    const served = await serve('', ', redis: {addressRef: {name: redis}}');
    expect(told(served)).toMatchObject({ status: 'False', reason: 'SecretNotFound' });
    expect(await served.ask('good')).toEqual([200]);
  });
});
