// Promise: the first output commits a stream to its target; everything before it is held, so that a failure among it is hidden, and
// held frames never become a silence that a proxy would cut.
import { describe, expect, it } from '@jest/globals';
import { type Answer, request, send } from './support/client.ts';
import { chat, CHAT_USAGE, completions, DIALECTS, type Dialect, frame, responses, streamOf, USAGE } from './support/dialects.ts';
import { serve } from './support/faults.ts';
import { startGateway, type TestGateway, type TestGatewayOptions } from './support/gateway.ts';
import { FakeUpstream, type ReceivedCall } from './support/upstream.ts';
import { routeYaml } from './support/yaml.ts';

const MIB = 1024 * 1024;
const streaming = (dialect: Dialect): { path: string; body: object } => ({
  path: dialect.path,
  body: { ...dialect.body, stream: true },
});

async function setUp(
  respond: (call: ReceivedCall) => unknown,
  dialect: Dialect,
  options: TestGatewayOptions = {},
): Promise<{ gateway: TestGateway; first: FakeUpstream; second: FakeUpstream }> {
  const first = await FakeUpstream.start(respond);
  const second = await FakeUpstream.start(serve(dialect, 'second'));
  return { gateway: await startGateway(routeYaml({ first: first.url, second: second.url }), options), first, second };
}

/** Sends these frames, then breaks; says whether the request stayed with the first target. */
async function breakAfter(frames: readonly string[], dialect: Dialect): Promise<{ answer: Answer; committed: boolean }> {
  const { gateway, second } = await setUp((call) => {
    call.open();
    for (const part of frames) call.chunk(part);
    call.cut();
  }, dialect);
  const answer = await request(gateway.port, streaming(dialect));
  expect(gateway.gateway.budget.usedBytes).toBe(0);
  return { answer, committed: second.calls.length === 0 };
}

const delta = (value: object): string =>
  frame({ id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, delta: value, finish_reason: null }] });
const event = (type: string, members: object): string => frame({ type, sequence_number: 5, ...members }, type);

describe('what commits', () => {
  const outputs: readonly (readonly [string, Dialect, string])[] = [
    ['text', chat, delta({ content: 'a' })],
    ['white space', chat, delta({ content: ' ' })],
    ['a refusal', chat, delta({ refusal: 'I' })],
    ['reasoning', chat, delta({ reasoning_content: 'so' })],
    [
      "a tool's name",
      chat,
      delta({ tool_calls: [{ index: 0, id: 't', type: 'function', function: { name: 'f', arguments: '' } }] }),
    ],
    ["a tool's arguments", chat, delta({ tool_calls: [{ index: 0, function: { arguments: '{' } }] })],
    ["the older form of a tool's name", chat, delta({ function_call: { name: 'f', arguments: '' } })],
    ['audio', chat, delta({ audio: { id: 'a', data: 'AAAA' } })],
    ['text of completions', completions, completions.text('a')],
    ['text of responses', responses, responses.text('a')],
    ['a refusal of responses', responses, event('response.refusal.delta', { delta: 'I' })],
    ["a tool's arguments of responses", responses, event('response.function_call_arguments.delta', { delta: '{' })],
    ['reasoning of responses', responses, event('response.reasoning_summary_text.delta', { delta: 'so' })],
  ];

  it.each(outputs)('%s', async (_name, dialect, output) => {
    const { answer, committed } = await breakAfter([...dialect.preamble, output], dialect);
    expect(committed).toBe(true);
    expect(answer.headers).toMatchObject({
      'x-fairlead-model': 'first',
      'x-fairlead-attempts': '1',
      'x-fairlead-reason': 'only',
    });
    expect(answer.text.startsWith(dialect.preamble.join('') + output)).toBe(true);
    expect(answer.text).toContain('stream_interrupted');
  });

  it('more than 1 MiB of frames without output', async () => {
    const padding = delta({ content: '', padding: 'x'.repeat(MIB / 4) });
    const { answer, committed } = await breakAfter([padding, padding, padding, padding], chat);
    expect(committed).toBe(true);
    expect(answer.text.startsWith(padding.repeat(4))).toBe(true);
  });
});

describe('what is held', () => {
  const nothings: readonly (readonly [string, Dialect, readonly string[]])[] = [
    ['the preamble of chat: prompt filter results, role, empty delta', chat, chat.preamble],
    ['the preamble of completions', completions, completions.preamble],
    ['the preamble of responses: created, in progress, item and part added', responses, responses.preamble],
    ['comments', chat, [': processing\n\n', ': still\n\n']],
    [
      'a tool call without a name or arguments',
      chat,
      [delta({ tool_calls: [{ index: 0, id: 't', type: 'function', function: {} }] })],
    ],
    ['up to 1 MiB', chat, Array.from({ length: 4 }, () => delta({ content: '', padding: 'x'.repeat(MIB / 4 - 200) }))],
  ];

  it.each(nothings)('%s', async (_name, dialect, frames) => {
    const { answer, committed } = await breakAfter(frames, dialect);
    expect(committed).toBe(false);
    expect(answer.text).toBe(streamOf(dialect, 'second').join(''));
    expect(answer.headers).toMatchObject({ 'x-fairlead-model': 'second', 'x-fairlead-reason': 'failover:StreamBroken(first)' });
  });

  it('is bounded by what the gateway may buffer in all: beyond it the stream commits, and nothing is lost', async () => {
    const padding = delta({ content: '', padding: 'x'.repeat(MIB / 4) });
    const frames = [padding, padding, ...streamOf(chat, 'first')];
    const { gateway } = await setUp((call) => call.stream(frames), chat, { maxBufferedBytes: MIB / 3 });
    expect((await request(gateway.port, streaming(chat))).text).toBe(frames.join(''));
    expect(gateway.gateway.budget.usedBytes).toBe(0);
  });

  it('reaches the client with the first output, in order, however the frames were cut into chunks', async () => {
    const whole = Buffer.from(streamOf(chat, 'Grüße', ' und ', '🚀').join(''));
    const { gateway, first } = await setUp(() => {}, chat);
    for (const size of [1, 2, 3, 7, 64, 1024]) {
      first.respond((call) => {
        call.open();
        for (let at = 0; at < whole.length; at += size) call.chunk(whole.subarray(at, at + size));
        call.end();
      });
      expect((await request(gateway.port, streaming(chat))).text).toBe(whole.toString());
    }
  });

  it('a stream without any output, but with a finish reason, is an answer', async () => {
    const frames = streamOf(chat);
    const { gateway } = await setUp((call) => call.stream(frames), chat);
    expect((await request(gateway.port, streaming(chat))).text).toBe(frames.join(''));
  });

  it('ends of line of every kind and a last frame without its blank line', async () => {
    const [last = '', ...before] = streamOf(chat, 'a', 'b').reverse();
    const text = before.reverse().join('').replaceAll('\n\n', '\r\n\r\n') + last.trimEnd();
    const { gateway } = await setUp((call) => call.stream([text]), chat);
    const answer = await request(gateway.port, streaming(chat));
    expect(answer.text.trimEnd()).toBe(text);
    expect(answer.complete).toBe(true);
  });
});

describe('usage', () => {
  const [end = '', done = ''] = chat.ending;
  const before = [...chat.preamble, chat.text('a')];
  const withUsage = [...before, end, CHAT_USAGE, done];

  it('is asked for, and its chunk taken out again where the client did not ask', async () => {
    const { gateway, first } = await setUp((call) => call.stream(withUsage), chat);
    const answer = await request(gateway.port, streaming(chat));
    expect(first.calls[0]?.json()).toMatchObject({ stream_options: { include_usage: true } });
    expect(answer.text).toBe([...before, end, done].join(''));
    expect(gateway.requests).toMatchObject([{ usage: { inputTokens: 11, outputTokens: 7, estimated: false } }]);
  });

  it('reaches the client who asked for it', async () => {
    const { gateway } = await setUp((call) => call.stream(withUsage), chat);
    const answer = await request(gateway.port, { body: { ...chat.body, stream: true, stream_options: { include_usage: true } } });
    expect(answer.text).toBe(withUsage.join(''));
  });

  it('is estimated where the provider gives none, and marked so', async () => {
    const { gateway } = await setUp((call) => call.stream(streamOf(chat, 'x'.repeat(400))), chat);
    await request(gateway.port, streaming(chat));
    expect(gateway.requests).toMatchObject([{ usage: { outputTokens: 100, estimated: true } }]);
  });

  describe('with x-fairlead-include-cost', () => {
    const pricing = 'pricing: {unit: USDPerMillionTokens, input: "2", output: "10"}';
    const headers = { 'x-fairlead-include-cost': 'true' };
    const cost = (11 * 2 + 7 * 10) / 1e6;

    async function priced(respond: (call: ReceivedCall) => unknown): Promise<TestGateway> {
      const upstream = await FakeUpstream.start(respond);
      return startGateway(routeYaml({ first: { url: upstream.url, more: pricing } }));
    }

    it('a whole answer has its cost in a header and in its usage', async () => {
      const gateway = await priced((call) => call.answer(200, chat.whole('a')));
      const answer = await request(gateway.port, { body: chat.body, headers });
      expect(Number(answer.headers['x-fairlead-cost'])).toBeCloseTo(cost, 9);
      expect(JSON.parse(answer.text)).toEqual({ ...JSON.parse(chat.whole('a')), usage: { ...USAGE, cost } });
      const plain = await request(gateway.port, { body: chat.body });
      expect(plain.text).toBe(chat.whole('a'));
    });

    it("a stream has it in its usage chunk, where the client asked for one; every other byte is the upstream's", async () => {
      const gateway = await priced((call) => call.stream(withUsage));
      const asked = { ...chat.body, stream: true, stream_options: { include_usage: true } };
      const answer = await request(gateway.port, { body: asked, headers });
      const costly = CHAT_USAGE.replace('"usage":{', `"usage":{"cost":${cost},`);
      expect(answer.text).toBe([...before, end, costly, done].join(''));
      expect((await request(gateway.port, { ...streaming(chat), headers })).text).toBe([...before, end, done].join(''));
    });

    it('a stream of responses has it in its last event', async () => {
      const frames = streamOf(responses, 'a');
      const gateway = await priced((call) => call.stream(frames));
      const answer = await request(gateway.port, { ...streaming(responses), headers });
      const costly = frames.map((part) => part.replace('"usage":{', `"usage":{"cost":${cost},`));
      expect(answer.text).toBe(costly.join(''));
    });
  });
});

describe.each(Object.entries(DIALECTS))('%s: silence before the first output', (_name, dialect) => {
  const KEEP_ALIVE = ': keep-alive\n\n';
  const SOON = { keepAliveAfterMs: 20 };

  it('is filled with comments; then the answer follows', async () => {
    const { gateway, first } = await setUp(
      (call) => {
        call.open();
        for (const part of dialect.preamble) call.chunk(part);
      },
      dialect,
      SOON,
    );
    const sent = send(gateway.port, streaming(dialect));
    await sent.waitFor(KEEP_ALIVE.repeat(2));
    const call = await first.nextCall();
    for (const part of [dialect.text('a'), ...dialect.ending]) call.chunk(part);
    call.end();
    const answer = await sent.answer;
    expect(answer).toMatchObject({ status: 200, complete: true });
    expect(answer.headers['content-type']).toBe('text/event-stream; charset=utf-8');
    expect(answer.text.replaceAll(KEEP_ALIVE, '')).toBe(streamOf(dialect, 'a').join(''));
  });

  it('does not end failover', async () => {
    const { gateway, first } = await setUp(() => {}, dialect, SOON);
    const sent = send(gateway.port, streaming(dialect));
    await sent.waitFor(KEEP_ALIVE);
    (await first.nextCall()).answer(500, 'LEAK');
    const answer = await sent.answer;
    expect(answer.text.replaceAll(KEEP_ALIVE, '')).toBe(streamOf(dialect, 'second').join(''));
    expect(gateway.requests).toMatchObject([{ reason: 'failover:ServerError(first)' }]);
  });

  it('ends with an error event where every target failed', async () => {
    const first = await FakeUpstream.start();
    const gateway = await startGateway(routeYaml({ first: first.url }), SOON);
    const sent = send(gateway.port, streaming(dialect));
    await sent.waitFor(KEEP_ALIVE);
    (await first.nextCall()).answer(401, '{"error":{"message":"LEAK"}}');
    const answer = await sent.answer;
    const told = answer.text.replaceAll(KEEP_ALIVE, '');
    expect(answer.complete).toBe(true);
    expect(told).toMatch(
      dialect === responses
        ? /^event: error\ndata: \{"type":"error",.*"sequence_number":0\}\n\n$/
        : /^data: \{"error":\{.*\}\}\n\n$/,
    );
    expect(told).toContain('"code":"upstream_failed"');
    expect(told).toContain('first: auth');
    expect(told).not.toContain('LEAK');
  });

  it('ends with an error event where the provider refuses in a form that no stream has', async () => {
    const first = await FakeUpstream.start();
    const gateway = await startGateway(routeYaml({ first: first.url }), SOON);
    const sent = send(gateway.port, streaming(dialect));
    await sent.waitFor(KEEP_ALIVE);
    (await first.nextCall()).answer(400, '{"error":{"message":"filtered","code":"content_filter"}}');
    const told = (await sent.answer).text.replaceAll(KEEP_ALIVE, '');
    expect(told).toContain('"code":"content_filter"');
    expect(told).toMatch(/^(event: error\n)?data: \{.*\}\n\n$/);
  });
});
