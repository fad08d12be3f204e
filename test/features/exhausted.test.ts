// Promise: where the gateway cannot answer, the error says what was tried and why, with the status that fits and no invitation to
// retry; what a provider says about the request itself reaches the client as the provider wrote it; the route's policy is obeyed.
import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../src/lib/clock.ts';
import { type Answer, request } from './support/client.ts';
import { chat, responses, streamOf } from './support/dialects.ts';
import { LEAK, serve } from './support/faults.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { FakeUpstream, type ReceivedCall, refusingPort, type Respond } from './support/upstream.ts';
import { routeYaml } from './support/yaml.ts';

interface OpenAIError {
  readonly error: { readonly message: string; readonly type: string; readonly param: string | null; readonly code: string };
}

const errorOf = (answer: Answer): OpenAIError['error'] => (JSON.parse(answer.text) as OpenAIError).error;
const failing =
  (status: number, body: object = { error: { message: LEAK } }, headers: Readonly<Record<string, string>> = {}): Respond =>
  (call) =>
    call.answer(status, JSON.stringify(body), headers);
const filtered = failing(400, {
  error: { message: 'The prompt was filtered.', code: 'content_filter', param: 'prompt', type: null },
});
const tooLong = failing(400, {
  error: { message: "This model's maximum context length is 10 tokens.", code: 'context_length_exceeded' },
});

/** A gateway whose targets a, b, c … do these things, in priority order. */
async function setUp(
  responds: readonly Respond[],
  rule = '',
  options = {},
): Promise<{ gateway: TestGateway; upstreams: FakeUpstream[] }> {
  const upstreams: FakeUpstream[] = [];
  for (const respond of responds) upstreams.push(await FakeUpstream.start(respond));
  const models = Object.fromEntries(upstreams.map(({ url }, index) => ['abcdefgh'.charAt(index), url]));
  return { gateway: await startGateway(routeYaml(models, rule), options), upstreams };
}

const ask = async (gateway: TestGateway, stream = false): Promise<Answer> =>
  request(gateway.port, { body: { ...chat.body, ...(stream ? { stream } : {}) } });
const callsOf = (upstreams: readonly FakeUpstream[]): number[] => upstreams.map(({ calls }) => calls.length);

describe('when every target has failed', () => {
  it.each([false, true])('the error lists what was tried and why (stream: %s)', async (stream) => {
    const { gateway } = await setUp([failing(500), failing(401), (call) => call.cut()]);
    const answer = await ask(gateway, stream);
    expect(answer).toMatchObject({ status: 502, complete: true });
    expect(errorOf(answer)).toEqual({
      message: expect.stringMatching(
        /^No model could answer\. Tried 3: a: server_error \(HTTP 500\); b: auth \(HTTP 401\); c: network \(.*\)\.$/,
      ),
      type: 'upstream_error',
      param: null,
      code: 'upstream_failed',
    });
    expect(answer.headers).toMatchObject({
      'x-should-retry': 'false',
      'x-fairlead-attempts': '3',
      'x-fairlead-reason': 'failed:ServerError(a),Auth(b),ConnectFailure(c)',
      'content-type': 'application/json',
      'x-request-id': expect.any(String),
    });
    expect(answer.headers).not.toHaveProperty('x-fairlead-model');
    expect(answer.text).not.toContain(LEAK);
    expect(gateway.requests).toMatchObject([
      { status: 502, errorCode: 'upstream_failed', attempts: [{ target: 'a' }, { target: 'b' }, { target: 'c' }] },
    ]);
  });

  const limited = (retryAfter: string): Respond =>
    failing(429, { error: { message: LEAK, code: 'rate_limit_exceeded' } }, { 'retry-after': retryAfter });
  const statuses: readonly (readonly [string, readonly Respond[], number, string])[] = [
    ['rate limits', [limited('30'), limited('20')], 429, 'upstream_rate_limited'],
    ['want of money', [failing(429, { error: { message: LEAK, code: 'insufficient_quota' } })], 429, 'insufficient_quota'],
    ['overload', [failing(503)], 502, 'upstream_failed'],
    ["the gateway's own credential", [failing(401)], 502, 'upstream_failed'],
    ['a model that does not exist', [failing(404)], 502, 'upstream_failed'],
    ['a deadline', [failing(504)], 504, 'upstream_timeout'],
    ['an answer that is none', [(call) => call.answer(200, '<html>', { 'content-type': 'text/html' })], 502, 'upstream_failed'],
  ];

  it.each(statuses)('the status fits: %s', async (_what, responds, status, code) => {
    const { gateway } = await setUp(responds);
    const answer = await ask(gateway);
    expect(answer.status).toBe(status);
    expect(errorOf(answer).code).toBe(code);
    expect(answer.headers['x-should-retry']).toBe('false');
  });

  it('an error under 200 about the request reaches the client as one under 400', async () => {
    const { gateway } = await setUp([failing(200, { error: { message: 'no such tool', type: 'invalid_request_error' } })]);
    const answer = await ask(gateway);
    expect(answer.status).toBe(400);
    expect(errorOf(answer)).toMatchObject({ message: 'no such tool', type: 'invalid_request_error' });
  });

  it('the shortest time that an upstream asked for is passed on', async () => {
    const { gateway } = await setUp([limited('30'), limited('20')]);
    expect((await ask(gateway)).headers).toMatchObject({ 'retry-after': '20', 'retry-after-ms': '20000' });
  });

  it('a deadline of our own says which, and for how long it waited', async () => {
    const { gateway } = await setUp([() => {}], '    failover: {timeouts: {firstToken: 30ms, total: 30ms}}');
    expect(errorOf(await ask(gateway, true))).toMatchObject({
      code: 'upstream_timeout',
      message: expect.stringContaining('within 30 ms'),
    });
  });
});

describe('what a provider says about the request itself', () => {
  const body = JSON.stringify({
    error: { message: "Unrecognized request argument: 'x'", type: 'invalid_request_error', param: 'x', code: null },
  });

  it.each([false, true])('reaches the client as it is, after one attempt (stream: %s)', async (stream) => {
    const { gateway, upstreams } = await setUp([(call) => call.answer(400, body, { 'x-internal': LEAK }), serve(chat, 'b')]);
    const answer = await ask(gateway, stream);
    expect(answer).toMatchObject({ status: 400, text: body, complete: true });
    expect(answer.headers).toMatchObject({ 'x-fairlead-model': 'a', 'x-fairlead-attempts': '1', 'x-fairlead-reason': 'only' });
    expect(answer.headers).not.toHaveProperty('x-internal');
    expect(callsOf(upstreams)).toEqual([1, 0]);
  });

  it('does so after a failover, too', async () => {
    const { gateway } = await setUp([failing(500), (call) => call.answer(400, body)]);
    const answer = await ask(gateway);
    expect(answer).toMatchObject({ status: 400, text: body });
    expect(answer.headers).toMatchObject({ 'x-fairlead-model': 'b', 'x-fairlead-reason': 'failover:ServerError(a)' });
  });

  it('never cools its target down', async () => {
    const { gateway, upstreams } = await setUp([(call) => call.answer(400, body), serve(chat, 'b')]);
    for (let round = 0; round < 30; round++) expect((await ask(gateway)).status).toBe(400);
    expect(callsOf(upstreams)).toEqual([30, 0]);
  });
});

describe('a content filter', () => {
  it.each([false, true])("without failover: the provider's own refusal reaches the client (stream: %s)", async (stream) => {
    const { gateway, upstreams } = await setUp([filtered, serve(chat, 'b')]);
    const answer = await ask(gateway, stream);
    expect(answer.status).toBe(400);
    expect(errorOf(answer)).toMatchObject({ message: 'The prompt was filtered.', code: 'content_filter' });
    expect(callsOf(upstreams)).toEqual([1, 0]);
  });

  it('without failover: a filtered completion reaches the client with its finish reason', async () => {
    const whole = chat.whole('').replace('"stop"', '"content_filter"');
    const frames = [...chat.preamble, ...chat.filtered];
    const { gateway } = await setUp([
      (call) => (call.body.includes('"stream":true') ? call.stream(frames) : call.answer(200, whole)),
    ]);
    expect(await ask(gateway)).toMatchObject({ status: 200, text: whole });
    expect(await ask(gateway, true)).toMatchObject({ status: 200, text: frames.join(''), complete: true });
  });

  it('without failover: so does a filtered stream of responses', async () => {
    const frames = [...responses.preamble, ...responses.filtered];
    const { gateway } = await setUp([(call) => call.stream(frames)]);
    const answer = await request(gateway.port, { path: responses.path, body: { ...responses.body, stream: true } });
    expect(answer).toMatchObject({ status: 200, text: frames.join(''), complete: true });
  });

  it('never cools its target down', async () => {
    const { gateway, upstreams } = await setUp(
      [filtered, serve(chat, 'b')],
      '    failover: {contentFilter: {mode: Failover, targets: [b]}}',
    );
    for (let round = 0; round < 30; round++)
      expect((await ask(gateway)).headers['x-fairlead-reason']).toBe('failover:ContentFilter(a)');
    expect(callsOf(upstreams)).toEqual([30, 30]);
  });

  it('goes to the targets that the user lists, in their order, and to no other', async () => {
    const rule = '    failover: {contentFilter: {mode: Failover, targets: [d, b]}}';
    const { gateway, upstreams } = await setUp([filtered, serve(chat, 'b'), serve(chat, 'c'), filtered], rule);
    const answer = await ask(gateway);
    expect(answer.text).toBe(chat.whole('b'));
    expect(answer.headers['x-fairlead-reason']).toBe('failover:ContentFilter(a),ContentFilter(d)');
    expect(callsOf(upstreams)).toEqual([1, 1, 0, 1]);
  });

  it('goes nowhere else afterwards either, whatever happens to those targets', async () => {
    const rule = '    failover: {maxAttempts: 9, contentFilter: {mode: Failover, targets: [b]}}';
    const { gateway, upstreams } = await setUp([filtered, failing(401), serve(chat, 'c')], rule);
    const answer = await ask(gateway);
    expect(answer.status).toBe(502);
    expect(errorOf(answer).message).toContain('a: content_filtered in the prompt');
    expect(callsOf(upstreams)).toEqual([1, 1, 0]);
  });

  it("every allowed target filters: the last one's own refusal", async () => {
    const { gateway } = await setUp([filtered, filtered], '    failover: {contentFilter: {mode: Failover, targets: [b]}}');
    const answer = await ask(gateway);
    expect(answer.status).toBe(400);
    expect(errorOf(answer).code).toBe('content_filter');
    expect(answer.headers['x-fairlead-attempts']).toBe('2');
  });

  it.each([
    ['Prompt', filtered, [1, 1]],
    ['Completion', filtered, [1, 0]],
    ['Completion', (call: ReceivedCall) => call.answer(200, chat.whole('').replace('"stop"', '"content_filter"')), [1, 1]],
    ['Prompt', (call: ReceivedCall) => call.answer(200, chat.whole('').replace('"stop"', '"content_filter"')), [1, 0]],
  ] as const)('fails over in the stages that the user lists (%s)', async (stage, respond, calls) => {
    const rule = `    failover: {contentFilter: {mode: Failover, stages: [${stage}], targets: [b]}}`;
    const { gateway, upstreams } = await setUp([respond, serve(chat, 'b')], rule);
    await ask(gateway);
    expect(callsOf(upstreams)).toEqual(calls);
  });
});

describe('a prompt that is too long for a model', () => {
  it('fails over to the targets for it', async () => {
    const { gateway, upstreams } = await setUp(
      [tooLong, serve(chat, 'b'), serve(chat, 'c')],
      '    failover: {contextOverflow: {mode: Failover, targets: [c]}}',
    );
    const answer = await ask(gateway);
    expect(answer.text).toBe(chat.whole('c'));
    expect(answer.headers['x-fairlead-reason']).toBe('failover:ContextOverflow(a)');
    expect(callsOf(upstreams)).toEqual([1, 0, 1]);
  });

  it("is the client's to hear where the route does not", async () => {
    const { gateway, upstreams } = await setUp([tooLong, serve(chat, 'b')]);
    const answer = await ask(gateway);
    expect(answer.status).toBe(400);
    expect(errorOf(answer).code).toBe('context_length_exceeded');
    expect(callsOf(upstreams)).toEqual([1, 0]);
  });
});

describe("the route's policy", () => {
  it('maxAttempts bounds the calls of a request', async () => {
    const { gateway, upstreams } = await setUp([failing(500), failing(500), serve(chat, 'c')], '    failover: {maxAttempts: 2}');
    expect((await ask(gateway)).status).toBe(502);
    expect(callsOf(upstreams)).toEqual([1, 1, 0]);
  });

  it('only the reasons it lists fail over', async () => {
    const { gateway, upstreams } = await setUp(
      [failing(500), failing(401), serve(chat, 'c')],
      '    failover: {reasons: [ServerError]}',
    );
    const answer = await ask(gateway);
    expect(answer.status).toBe(502);
    expect(answer.headers['x-fairlead-reason']).toBe('failed:ServerError(a),Auth(b)');
    expect(callsOf(upstreams)).toEqual([1, 1, 0]);
  });

  it('an empty list of reasons turns failover off', async () => {
    const { gateway, upstreams } = await setUp([failing(500), serve(chat, 'b')], '    failover: {reasons: []}');
    expect((await ask(gateway)).status).toBe(502);
    expect(callsOf(upstreams)).toEqual([1, 0]);
  });

  it('a single target is retried after a backoff, and the header says so', async () => {
    const { gateway, upstreams } = await setUp([
      (call) => (upstreams[0]?.calls.length === 1 ? call.answer(500, '{}') : serve(chat, 'a')(call)),
    ]);
    const answer = await ask(gateway);
    expect(answer.text).toBe(chat.whole('a'));
    expect(answer.headers).toMatchObject({ 'x-fairlead-reason': 'retry:ServerError(a)', 'x-fairlead-attempts': '2' });
  });
});

describe('retries are budgeted', () => {
  it('when everything fails, upstreams get less than 1.2 calls a request, and a floor of 3 a second', async () => {
    const clock = new ManualClock();
    clock.advance(1);
    const { gateway, upstreams } = await setUp([failing(500), failing(500)], '    failover: {maxAttempts: 4}', { clock });
    const seconds = 20;
    const perSecond = 50;
    for (let second = 0; second < seconds; second++) {
      await Promise.all(Array.from({ length: perSecond }, () => ask(gateway)));
      clock.advance(1_000);
    }
    const requests = seconds * perSecond;
    const floor = 3 * seconds * upstreams.length;
    const calls = callsOf(upstreams).reduce((sum, count) => sum + count, 0);
    expect(calls).toBeGreaterThanOrEqual(requests);
    // Before an ejection a failover to the healthy target is free: 5 failures each.
    expect(calls).toBeLessThan(1.2 * requests + floor + 2 * perSecond);
  });

  it('a connection that is refused costs no more', async () => {
    const port = await refusingPort();
    const clock = new ManualClock();
    clock.advance(1);
    const gateway = await startGateway(routeYaml({ a: `http://127.0.0.1:${port}/v1` }, '    failover: {maxAttempts: 4}'), {
      clock,
    });
    const answers = await Promise.all(Array.from({ length: 100 }, () => ask(gateway)));
    const attempts = answers.reduce((sum, { headers }) => sum + Number(headers['x-fairlead-attempts']), 0);
    expect(attempts).toBeLessThanOrEqual(120 + 3);
    for (const answer of answers)
      expect(errorOf(answer)).toMatchObject({ code: 'upstream_failed', message: expect.stringContaining('ECONNREFUSED') });
  });

  it('the streams of a healthy second target are free', async () => {
    const { gateway } = await setUp([failing(500), serve(chat, 'b')]);
    const answers = await Promise.all(Array.from({ length: 50 }, () => ask(gateway, true)));
    for (const answer of answers) expect(answer.text).toBe(streamOf(chat, 'b').join(''));
  });
});
