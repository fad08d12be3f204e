import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../src/lib/clock.ts';
import { type Answer, request } from './support/client.ts';
import { chat, responses } from './support/dialects.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { clientKeyYaml, documents, gatewayYaml } from './support/secrets.ts';
import { FakeUpstream, type ReceivedCall } from './support/upstream.ts';

/** Budgets in USD: what a request can cost is reserved, what it did cost is counted. A token of `dear` is a tenth of a cent. */

const KEY = 'fl-team-a-key';

interface Body {
  readonly model: string;
  readonly max_tokens?: number;
  readonly max_completion_tokens?: number;
  readonly max_output_tokens?: number;
}

const asked = (call: ReceivedCall): Body => call.json() as Body;

/** Says as much as it may, and tells so. */
function talkative(call: ReceivedCall): void {
  const { max_tokens: bound = 10 } = asked(call);
  if (call.path === responses.path) {
    call.answer(200, responses.whole('Hello'));
    return;
  }
  call.answer(
    200,
    JSON.stringify({
      ...(JSON.parse(chat.whole('Hello')) as object),
      usage: { prompt_tokens: 0, completion_tokens: bound, total_tokens: bound },
    }),
  );
}

interface Setting {
  readonly gateway: TestGateway;
  readonly upstream: FakeUpstream;
  readonly clock: ManualClock;
  readonly ask: (body?: object, path?: string) => Promise<Answer>;
}

async function start(
  limits: string,
  { targets = 'dear', wallMs = Date.parse('2026-11-24T12:00:00Z'), respond = talkative } = {},
): Promise<Setting> {
  const upstream = await FakeUpstream.start(respond);
  const clock = new ManualClock(wallMs);
  const model = (name: string, pricing: string): string =>
    `{name: ${name}, provider: {type: OpenAICompatible, openAICompatible: {model: ${name}, baseURL: "${upstream.url}"}}, auth: {type: None}${pricing}}`;
  const price = (input: string, output: string): string =>
    `, pricing: {unit: USDPerMillionTokens, input: "${input}", output: "${output}"}`;
  const gateway = await startGateway(
    documents(
      gatewayYaml(),
      clientKeyYaml(KEY, { name: 'one', namespace: 'team-a' }),
      `
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat, namespace: platform}
spec:
  modelNames: [chat]
  models:
  - ${model('dear', price('0', '1000'))}
  - ${model('cheap', price('0', '1'))}
  - ${model('free', price('0', '0'))}
  - ${model('unpriced', '')}
  rules: [{name: default, targets: [${targets
    .split(' ')
    .map((name) => `{model: ${name}}`)
    .join(', ')}], failover: {maxAttempts: 1}}]
  rateLimits: [${limits}]
`,
    ),
    { clock },
  );
  const ask: Setting['ask'] = async (body = {}, path = chat.path) =>
    request(gateway.port, { path, body: { ...chat.body, ...body }, headers: { 'api-key': KEY } });
  return { gateway, upstream, clock, ask };
}

const errorOf = ({ text }: Answer): { readonly code: string; readonly message: string } =>
  (JSON.parse(text) as { error: { code: string; message: string } }).error;

const DAY = (usd: string, more = ''): string =>
  `{name: day-usd, per: [Tenant], unit: USD, limit: "${usd}", calendar: {period: Day, timeZone: Europe/Rome}${more}}`;

/** A route of one model with an edit of its own, whose every thousand tokens cost a USD, and a budget of so many USD a day. */
const editedRoute = (upstream: FakeUpstream, kind: string, member: string, edit: string, usd: string, native = false): string => `
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat, namespace: platform}
spec:
  modelNames: [chat]
  models:
  - name: m
    provider: {type: ${kind}, ${member}, baseURL: "${native ? upstream.url.replace(/v1$/, 'api') : upstream.url}"}}
    auth: {type: None}
    pricing: {unit: USDPerMillionTokens, input: "0", output: "1000"}
    ${edit}
  rules: [{name: default, targets: [{model: m}], failover: {maxAttempts: 1}}]
  rateLimits: [${DAY(usd)}]
`;

/** Of the body of the first call. */
function memberAt(upstream: FakeUpstream, path: readonly string[]): unknown {
  let value: unknown = upstream.calls[0]?.json();
  for (const name of path) value = (value as Readonly<Record<string, unknown>>)[name];
  return value;
}

describe('a budget', () => {
  it('with money for 10 of 500 requests at the same moment admits 10, and no race overruns it', async () => {
    const { ask, upstream } = await start(DAY('0.64'));
    const answers = await Promise.all(Array.from({ length: 500 }, async () => ask({ max_tokens: 64 })));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(10);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(490);
    expect(upstream.calls).toHaveLength(10);
  });

  it('is counted by what was used: what was reserved beyond it goes back', async () => {
    const { ask } = await start(DAY('0.1'), {
      respond: (call) => {
        call.answer(200, chat.whole('Hello'));
      },
    });
    // 7 tokens each; 14 of them are 0.098 USD. Then there is not enough for 64.
    for (let i = 0; i < 6; i++) expect((await ask({ max_tokens: 64 })).status).toBe(200);
    const refused = await ask({ max_tokens: 64 });
    expect(refused.status).toBe(429);
    expect(refused.headers['x-fairlead-limit']).toBe('day-usd');
    expect(errorOf(refused)).toMatchObject({
      code: 'rate_limit_exceeded',
      message: expect.stringContaining('(0.1 USD per Tenant)'),
    });
  });

  it('begins anew at midnight in its time zone, and says when', async () => {
    const { ask, clock } = await start(DAY('0.064'), { wallMs: Date.parse('2026-10-24T22:00:00Z') });
    expect((await ask({ max_tokens: 64 })).status).toBe(200);
    clock.advance(1_000);
    const refused = await ask({ max_tokens: 64 });
    // The night in which clocks go back: 25 hours.
    expect(refused.headers['retry-after']).toBe(String(25 * 3600 - 1));
    clock.advance(25 * 3_600_000 - 1_000);
    expect((await ask({ max_tokens: 64 })).status).toBe(200);
  });

  it.each([
    ['chat', '/v1/chat/completions', 'max_tokens', {}],
    ['chat, whose client bounds it', '/v1/chat/completions', 'max_completion_tokens', { max_completion_tokens: 5_000 }],
    ['chat, whose client gives what some take for no bound', '/v1/chat/completions', 'max_tokens', { max_tokens: -1 }],
    ['chat, with a bound in quotes', '/v1/chat/completions', 'max_completion_tokens', { max_completion_tokens: '5000' }],
    ['chat with two answers', '/v1/chat/completions', 'max_tokens', { n: 2, max_tokens: 500 }],
    ['responses', '/v1/responses', 'max_output_tokens', { messages: undefined, input: 'Say something.' }],
    ['completions', '/v1/completions', 'max_tokens', { messages: undefined, prompt: 'Say' }],
    ['messages', '/v1/messages', 'max_tokens', { max_tokens: 4_000 }],
  ])('lets %s have the answer that what is left pays for, and says so', async (_, path, member, body) => {
    const { ask, upstream } = await start(DAY('0.2'));
    const answer = await ask(body, path);
    const tokens = 'n' in body ? 100 : 200;
    expect(answer.headers['x-fairlead-max-tokens-clamped']).toBe(String(tokens));
    const sent = (upstream.calls[0] as ReceivedCall).json() as Record<string, unknown>;
    expect(sent[member]).toBe(tokens);
  });

  /** In the dialect of the upstream, which is not the client's. */
  const OVERRIDES: readonly (readonly [string, string, string, string, readonly string[]])[] = [
    [
      'Gemini',
      chat.path,
      'gemini: {model: m',
      '{generationConfig: {maxOutputTokens: 5000, topK: 3}}',
      ['generationConfig', 'maxOutputTokens'],
    ],
    [
      'VertexAI',
      chat.path,
      'vertexAI: {project: p, location: l, model: gemini-x',
      '{generationConfig: {maxOutputTokens: 5000}}',
      ['generationConfig', 'maxOutputTokens'],
    ],
    ['VertexAI', '/v1/messages', 'vertexAI: {project: p, location: l, model: claude-x', '{max_tokens: 5000}', ['max_tokens']],
    [
      'Bedrock',
      chat.path,
      'bedrock: {region: eu-west-1, model: m',
      '{inferenceConfig: {maxTokens: 5000}}',
      ['inferenceConfig', 'maxTokens'],
    ],
    ['Bedrock', '/v1/messages', 'bedrock: {region: eu-west-1, model: anthropic.claude-x', '{max_tokens: 5000}', ['max_tokens']],
    ['Anthropic', chat.path, 'anthropic: {model: m', '{max_tokens: 5000}', ['max_tokens']],
    ['Cohere', chat.path, 'cohere: {model: m', '{max_tokens: 5000}', ['max_tokens']],
    ['OpenAI', '/v1/messages', 'openAI: {model: m', '{max_completion_tokens: 5000}', ['max_completion_tokens']],
    ['OpenAI', '/v1/messages', 'openAI: {model: m', '{max_tokens: 5000}', ['max_tokens']],
    ['OpenAICompatible', chat.path, 'openAICompatible: {model: m', '{options: {num_predict: 5000}}', ['options', 'num_predict']],
    // It takes the place of what the client said, and says nothing itself.
    ['Gemini', chat.path, 'gemini: {model: m', '{generationConfig: {topK: 3}}', ['generationConfig', 'maxOutputTokens']],
    // Passed, not translated.
    ['OpenAI', chat.path, 'openAI: {model: m', '{max_completion_tokens: 5000}', ['max_completion_tokens']],
    ['Mistral', chat.path, 'mistral: {model: m', '{max_tokens: 5000}', ['max_tokens']],
  ];

  it.each(OVERRIDES)(
    'bounds what %s writes for %s, whatever the target’s override says (%s, %s)',
    async (kind, path, member, override, at) => {
      const upstream = await FakeUpstream.start((call) => call.answer(500, '{}'));
      const gateway = await startGateway(
        documents(
          gatewayYaml(),
          clientKeyYaml(KEY, { name: 'one', namespace: 'team-a' }),
          editedRoute(upstream, kind, member, `override: ${override}`, '0.2', at[0] === 'options'),
        ),
      );
      const answer = await request(gateway.port, { path, body: { ...chat.body, max_tokens: 100 }, headers: { 'api-key': KEY } });
      expect(answer.headers).toMatchObject({ 'x-fairlead-attempts': '1' });
      expect(memberAt(upstream, at)).toBe(200);
    },
  );

  /** Target's edit, and where its upstream reads the bound of each answer. */
  const SEVERAL: readonly (readonly [string, string, string, string, readonly string[]])[] = [
    [
      'Gemini',
      chat.path,
      'gemini: {model: m',
      'override: {generationConfig: {candidateCount: 4}}',
      ['generationConfig', 'maxOutputTokens'],
    ],
    [
      'VertexAI',
      chat.path,
      'vertexAI: {project: p, location: l, model: gemini-x',
      'override: {generationConfig: {candidateCount: 4}}',
      ['generationConfig', 'maxOutputTokens'],
    ],
    ['OpenAI', '/v1/messages', 'openAI: {model: m', 'override: {"n": 4}', ['max_completion_tokens']],
    ['OpenAI', '/v1/messages', 'openAI: {model: m', 'defaults: {"n": 4}', ['max_completion_tokens']],
    ['Mistral', '/v1/messages', 'mistral: {model: m', 'override: {"n": 4}', ['max_tokens']],
    // Passed, not translated.
    ['OpenAI', chat.path, 'openAI: {model: m', 'override: {"n": 4}', ['max_tokens']],
    ['OpenAI', chat.path, 'openAI: {model: m', 'defaults: {"n": 4}', ['max_tokens']],
    ['Mistral', chat.path, 'mistral: {model: m', 'override: {"n": 4}', ['max_tokens']],
    ['OpenAICompatible', chat.path, 'openAICompatible: {model: m', 'override: {"n": "4"}', ['max_tokens']],
    ['OpenAICompatible', '/v1/completions', 'openAICompatible: {model: m', 'override: {best_of: 4}', ['max_tokens']],
    ['OpenAICompatible', '/v1/completions', 'openAICompatible: {model: m', 'override: {prompt: [a, b, c, d]}', ['max_tokens']],
  ];

  it.each(SEVERAL)(
    'counts each answer that %s writes for %s, where the target’s own edit asks for several (%s, %s)',
    async (...row) => {
      const [kind, path, member, edit, at] = row;
      const upstream = await FakeUpstream.start((call) => call.answer(500, '{}'));
      const gateway = await startGateway(
        documents(
          gatewayYaml(),
          clientKeyYaml(KEY, { name: 'one', namespace: 'team-a' }),
          editedRoute(upstream, kind, member, edit, '0.4'),
        ),
      );
      const body = {
        ...chat.body,
        ...(path === '/v1/completions' ? { messages: undefined, prompt: 'Say' } : {}),
        max_tokens: 200,
      };
      const answer = await request(gateway.port, { path, body, headers: { 'api-key': KEY } });
      expect(answer.headers).toMatchObject({ 'x-fairlead-attempts': '1' });
      expect(memberAt(upstream, at)).toBe(100);
    },
  );

  it.each([
    ['responses', 'OpenAI', 'openAI: {model: m', 'override: {instructions: TEXT}'],
    ['responses', 'OpenAI', 'openAI: {model: m', 'defaults: {instructions: TEXT}'],
    ['chat', 'Anthropic', 'anthropic: {model: m', 'override: {system: TEXT}'],
  ])('counts the prompt that a target’s own edit writes (%s at %s: %s, %s)', async (operation, kind, member, edit) => {
    const upstream = await FakeUpstream.start((call) => call.answer(500, '{}'));
    const route = editedRoute(upstream, kind, member, edit.replace('TEXT', 'x'.repeat(2_000)), '2');
    const gateway = await startGateway(
      documents(
        gatewayYaml(),
        clientKeyYaml(KEY, { name: 'one', namespace: 'team-a' }),
        route.replace('input: "0", output: "1000"', 'input: "1000", output: "0"'),
      ),
    );
    const { path, body } = operation === 'chat' ? chat : responses;
    expect((await request(gateway.port, { path, body, headers: { 'api-key': KEY } })).status).toBe(429);
    expect(upstream.calls).toHaveLength(0);
  });

  it('counts one answer where a target’s own edit takes back the several that its client asks for', async () => {
    const upstream = await FakeUpstream.start((call) => call.answer(500, '{}'));
    const gateway = await startGateway(
      documents(
        gatewayYaml(),
        clientKeyYaml(KEY, { name: 'one', namespace: 'team-a' }),
        editedRoute(upstream, 'OpenAI', 'openAI: {model: m', 'override: {"n": 1}', '0.4'),
      ),
    );
    await request(gateway.port, { path: chat.path, body: { ...chat.body, n: 4, max_tokens: 200 }, headers: { 'api-key': KEY } });
    expect(memberAt(upstream, ['max_tokens'])).toBe(200);
  });

  it('shows how much of it is used, and says once a window that nothing is left', async () => {
    const { ask, gateway, clock } = await start(DAY('0.2'));
    const shown = async (line: string): Promise<void> => {
      const { text } = await gateway.gateway.renderMetrics();
      expect(text.split('\n')).toContain(line);
    };
    const exhausted = (): readonly unknown[] => gateway.gateway.exhaustedBudgets;
    await ask({ max_tokens: 100 });
    await shown('fairlead_budget_used_ratio{route="platform/chat",limit="day-usd"} 0.5');
    expect((await ask()).headers['x-fairlead-max-tokens-clamped']).toBe('100');
    await shown('fairlead_max_tokens_clamped_total{route="platform/chat"} 1');
    expect(exhausted()).toEqual([]);
    for (let i = 0; i < 3; i++) expect((await ask({ max_tokens: 32 })).status).toBe(429);
    await shown('fairlead_budget_used_ratio{route="platform/chat",limit="day-usd"} 1');
    const midnight = Date.parse('2026-11-24T23:00:00Z');
    const first = { route: 'platform/chat', quota: null, limit: 'day-usd', tenant: 'team-a' };
    expect(exhausted()).toEqual([{ ...first, sinceMs: Date.parse('2026-11-24T12:00:00Z'), untilMs: midnight }]);
    const told = (): number => gateway.lines.filter((line) => line.includes('a limit in USD is used up')).length;
    expect(told()).toBe(1);
    clock.advance(midnight - clock.wallMs());
    expect(exhausted()).toEqual([]);
    await ask({ max_tokens: 200 });
    await ask({ max_tokens: 100 });
    expect([exhausted().length, told()]).toEqual([1, 2]);
  });

  it('is not used up by one request that is larger than what is left', async () => {
    const { ask, gateway } = await start(DAY('0.1'), { respond: (call) => call.answer(200, chat.whole('Hello')) });
    for (let i = 0; i < 7; i++) await ask({ max_tokens: 64 });
    await gateway.until(() => gateway.requests.at(-1)?.errorCode === 'rate_limit_exceeded');
    expect(gateway.gateway.exhaustedBudgets).toEqual([]);
  });

  it('leaves an answer alone that it can pay for', async () => {
    const { ask, upstream } = await start(DAY('0.2'));
    const answer = await ask({ max_tokens: 100 });
    expect(answer.headers).not.toHaveProperty('x-fairlead-max-tokens-clamped');
    expect(asked(upstream.calls[0] as ReceivedCall).max_tokens).toBe(100);
    expect((await ask({ max_tokens: 500 })).headers['x-fairlead-max-tokens-clamped']).toBe('100');
    expect((await ask({ max_tokens: 500 })).status).toBe(429);
  });

  it('bounds what asks for more than a number can hold', async () => {
    const { gateway, upstream } = await start(DAY('0.1'));
    const body = JSON.stringify({ ...chat.body, max_tokens: 0 }).replace('"max_tokens":0', '"max_tokens":1e999');
    const answer = await request(gateway.port, { path: chat.path, body, headers: { 'api-key': KEY } });
    expect(answer.headers['x-fairlead-max-tokens-clamped']).toBe('100');
    expect(asked(upstream.calls[0] as ReceivedCall).max_tokens).toBe(100);
  });

  it('refuses what its whole could not pay for', async () => {
    const { ask } = await start(DAY('0.01'));
    const answer = await ask({ max_tokens: 64 });
    expect(answer.status).toBe(429);
    expect(errorOf(answer).code).toBe('request_exceeds_limit');
    expect(answer.headers['x-should-retry']).toBe('false');
  });

  it('keeps a model out whose price is not known, and names it', async () => {
    const alone = await start(DAY('5'), { targets: 'unpriced' });
    const refused = await alone.ask();
    expect(refused.status).toBe(400);
    expect(errorOf(refused).message).toContain('unpriced: a limit counts USD, and the price of this model is not known');
    const { ask } = await start(DAY('5'), { targets: 'unpriced free' });
    for (let i = 0; i < 5; i++) expect((await ask()).headers['x-fairlead-model']).toBe('free');
  });

  it('refuses what costs no man knows what', async () => {
    const { ask } = await start(DAY('5'));
    const refused = await ask({ prompt: 'a boat' }, '/v1/images/generations');
    expect(refused.status).toBe(400);
    expect(errorOf(refused).message).toContain('what images_generations costs is not known before');
  });
});

describe('a request beyond a limit that downgrades', () => {
  it('is answered by the model that the limit names, and says so', async () => {
    const { ask, upstream, gateway } = await start(DAY('0.064', ', onExceeded: {action: Downgrade, to: free}'));
    expect((await ask({ max_tokens: 64 })).headers['x-fairlead-model']).toBe('dear');
    const answer = await ask({ max_tokens: 5_000 });
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({
      'x-fairlead-model': 'free',
      'x-fairlead-reason': 'downgraded',
      'x-fairlead-downgraded': 'day-usd',
    });
    expect(answer.headers).not.toHaveProperty('x-fairlead-max-tokens-clamped');
    expect(upstream.calls.map((call) => asked(call).model)).toEqual(['dear', 'free']);
    const metrics = await request(gateway.adminPort, { path: '/metrics' });
    expect(metrics.text).toContain('fairlead_downgraded_total{route="platform/chat",limit="day-usd"} 1');
  });

  it('costs its budget what the other model costs, until nothing is left', async () => {
    const { ask } = await start(DAY('0.0641', ', onExceeded: {action: Downgrade, to: cheap}'));
    await ask({ max_tokens: 64 });
    // 0.0001 USD are left: 100 tokens of the cheap one.
    expect((await ask({ max_tokens: 70 })).headers['x-fairlead-model']).toBe('cheap');
    expect((await ask({ max_tokens: 70 })).status).toBe(429);
  });

  it('still counts for every other limit', async () => {
    const { ask } = await start(
      '{name: one, unit: Requests, limit: 1, window: 1m, onExceeded: {action: Downgrade, to: cheap}}, {name: three, unit: Requests, limit: 3, window: 1m}',
    );
    const models = [];
    for (let i = 0; i < 4; i++) {
      const answer = await ask({ max_tokens: 64 });
      models.push(answer.headers['x-fairlead-model'] ?? answer.headers['x-fairlead-limit']);
    }
    expect(models.slice(0, 3)).toEqual(['dear', 'cheap', 'cheap']);
    expect(models[3]).toMatch(/^one$|^three$/);
  });

  it('is refused where another limit refuses it too', async () => {
    const { ask } = await start(
      '{name: one, unit: Requests, limit: 1, window: 1m, onExceeded: {action: Downgrade, to: cheap}}, {name: same, unit: Requests, limit: 1, window: 1m}',
    );
    await ask({ max_tokens: 64 });
    expect((await ask({ max_tokens: 64 })).status).toBe(429);
  });
});

describe('GET /v1/usage', () => {
  const LIMITS = `${DAY('0.5')}, {name: rpm, per: [APIKey], unit: Requests, limit: 3, window: 1m}, {name: by-model, per: [Model], unit: Tokens, limit: 1000, window: 1h}, {name: slots, unit: Concurrency, limit: 2}`;

  it('tells the key what it has used and has left, and counts nothing', async () => {
    const { ask, gateway } = await start(LIMITS);
    await ask({ max_tokens: 100 });
    for (let i = 0; i < 10; i++) {
      const answer = await request(gateway.port, { method: 'GET', path: '/v1/usage', headers: { 'api-key': KEY } });
      expect(answer.status).toBe(200);
      const { limits } = JSON.parse(answer.text) as { limits: { name: string }[] };
      expect(limits).toHaveLength(4);
      expect(Object.fromEntries(limits.map((limit) => [limit.name, limit]))).toMatchObject({
        'day-usd': {
          route: 'platform/chat',
          scope: ['Tenant'],
          unit: 'USD',
          calendar: { period: 'Day', timeZone: 'Europe/Rome' },
          limit: '0.5',
          used: '0.1',
          remaining: '0.4',
          resetsAt: '2026-11-24T23:00:00.000Z',
        },
        rpm: { unit: 'Requests', window: '1m', limit: 3, used: 1, remaining: 2, resetsAt: expect.any(String) },
        'by-model': { model: 'chat', scope: ['Model'], used: 100, remaining: 900 },
        slots: { unit: 'Concurrency', used: 0, remaining: 2, resetsAt: null },
      });
    }
  });

  it('is nobody else’s to ask', async () => {
    const { gateway } = await start(LIMITS);
    expect((await request(gateway.port, { method: 'GET', path: '/v1/usage' })).status).toBe(401);
    const posted = await request(gateway.port, { path: '/v1/usage', body: {}, headers: { 'api-key': KEY } });
    expect(posted.status).toBe(405);
    expect(posted.headers['allow']).toBe('GET');
  });
});
