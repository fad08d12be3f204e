// Promise: once output has reached the client, whatever goes wrong is told by an explicit error event; a stream never ends cleanly
// without a finish reason.
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { type Answer, readToEnd, request } from './support/client.ts';
import { chat, DIALECTS, type Dialect, DONE, frame, streamOf } from './support/dialects.ts';
import { serve } from './support/faults.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { FakeUpstream, type ReceivedCall } from './support/upstream.ts';
import { routeYaml } from './support/yaml.ts';

const dialects = Object.entries(DIALECTS).map(([name, dialect]) => ({ name, dialect }));
const streaming = (dialect: Dialect): { path: string; body: object } => ({
  path: dialect.path,
  body: { ...dialect.body, stream: true },
});

/** `second` would answer, were it asked. */
async function setUp(
  respond: (call: ReceivedCall) => unknown,
  dialect: Dialect,
  rule = '',
): Promise<{ gateway: TestGateway; second: FakeUpstream }> {
  const first = await FakeUpstream.start(respond);
  const second = await FakeUpstream.start(serve(dialect, 'never'));
  return { gateway: await startGateway(routeYaml({ first: first.url, second: second.url }, rule)), second };
}

/** Up to and including the first output, one chunk a frame. */
function begin(call: ReceivedCall, dialect: Dialect, ...words: readonly string[]): void {
  call.open();
  for (const part of [...dialect.preamble, ...words.map((word, index) => dialect.text(word, index))]) call.chunk(part);
}

/** What the client was sent is the upstream's, then one error event, and the connection's proper end. */
function expectInterrupted(answer: Answer, sent: string, dialect: Dialect, why: RegExp): void {
  expect(answer).toMatchObject({ status: 200, complete: true });
  expect(answer.text.slice(0, sent.length)).toBe(sent);
  const rest = answer.text.slice(sent.length);
  expect(rest).not.toContain('[DONE]');
  const [, event, data] = /^(?:event: (.*)\n)?data: (.*)\n\n$/.exec(rest) ?? [];
  const told = JSON.parse(data ?? 'null') as Record<string, unknown>;
  if (dialect === DIALECTS.responses) {
    expect(event).toBe('error');
    expect(told).toEqual({
      type: 'error',
      code: 'stream_interrupted',
      message: expect.stringMatching(why),
      param: null,
      sequence_number: 6,
    });
  } else {
    expect(event).toBeUndefined();
    expect(told).toEqual({
      error: { message: expect.stringMatching(why), type: 'upstream_error', param: null, code: 'stream_interrupted' },
    });
  }
}

describe.each(dialects)('$name: a stream that breaks after its first output', ({ dialect }) => {
  const sent = [...dialect.preamble, dialect.text('one', 0), dialect.text('two', 1)].join('');
  const breaks: Readonly<Record<string, { respond: (call: ReceivedCall) => unknown; why: RegExp }>> = {
    'is cut': { respond: (call) => call.cut(), why: /stream_broken/ },
    'is reset': {
      respond: async (call) => {
        await call.drained();
        call.reset();
      },
      why: /stream_broken/,
    },
    'is cut within a frame': {
      respond: (call) => {
        call.chunk(dialect.text('LEAK', 2).slice(0, -1));
        call.cut();
      },
      why: /stream_broken/,
    },
    'ends without a finish reason': { respond: (call) => call.end(), why: /without a finish reason/ },
    'says [DONE] without a finish reason': {
      respond: (call) => {
        call.chunk(DONE);
        call.end();
      },
      why: /without a finish reason/,
    },
    'sends an error': {
      respond: (call) =>
        call.chunk(frame({ type: 'error', error: { message: 'LEAK', type: 'server_error' }, message: 'LEAK' }, 'error')),
      why: /server_error/,
    },
    'sends something that is not JSON': { respond: (call) => call.chunk('data: LEAK\n\n'), why: /malformed/ },
    'breaks HTTP': { respond: (call) => call.raw('LEAK\r\n'), why: /malformed|not an HTTP answer/ },
    'is filtered by an error': {
      respond: (call) =>
        call.chunk(
          frame(
            { type: 'error', error: { message: 'LEAK', code: 'content_filter', type: null }, code: 'content_filter' },
            'error',
          ),
        ),
      why: /content_filtered in the mid_stream/,
    },
  };

  it.each(Object.entries(breaks))('%s: an error event, no failover', async (_name, { respond, why }) => {
    const { gateway, second } = await setUp((call) => {
      begin(call, dialect, 'one', 'two');
      void respond(call);
    }, dialect);
    const answer = await request(gateway.port, streaming(dialect));
    expectInterrupted(answer, sent, dialect, why);
    expect(answer.text).not.toContain('LEAK');
    expect(second.calls).toHaveLength(0);
    expect(gateway.requests).toMatchObject([{ status: 200, errorCode: 'stream_interrupted', target: 'first' }]);
    expect(await metric(gateway, 'fairlead_streams_broken_total{route="default/chat"}')).toBe(1);
  });

  it('stalls longer than its idle deadline: an error event', async () => {
    const { gateway } = await setUp(
      (call) => begin(call, dialect, 'one', 'two'),
      dialect,
      '    failover: {timeouts: {idle: 50ms}}',
    );
    expectInterrupted(await request(gateway.port, streaming(dialect)), sent, dialect, /timeout/);
  });

  it("is filtered: the provider's own finish reason reaches the client, and counts as a filter, not as a fault", async () => {
    const { gateway, second } = await setUp(
      (call) => {
        begin(call, dialect, 'one', 'two');
        for (const last of dialect.filtered) call.chunk(last);
        call.end();
      },
      dialect,
      '    failover: {contentFilter: {mode: Failover, targets: [second]}}',
    );
    const answer = await request(gateway.port, streaming(dialect));
    expect(answer.text).toBe(sent + dialect.filtered.join(''));
    expect(second.calls).toHaveLength(0);
    expect(gateway.requests).toMatchObject([{ errorCode: null, attempts: [{ target: 'first', outcome: 'content_filtered' }] }]);
  });

  it('breaks after all of it has come: the client lacks nothing and is told nothing', async () => {
    const { gateway } = await setUp(async (call) => {
      begin(call, dialect, 'one', 'two');
      for (const last of dialect.ending) call.chunk(last);
      await call.drained();
      call.reset();
    }, dialect);
    const answer = await request(gateway.port, streaming(dialect));
    expect(answer).toMatchObject({ complete: true, text: sent + dialect.ending.join('') });
    expect(gateway.requests).toMatchObject([{ errorCode: null }]);
  });

  it('ends for the client with its last event, however long the upstream then keeps its connection open', async () => {
    const { gateway } = await setUp((call) => {
      begin(call, dialect, 'one', 'two');
      for (const last of dialect.ending) call.chunk(last);
    }, dialect);
    expect((await request(gateway.port, streaming(dialect))).text).toBe(sent + dialect.ending.join(''));
  });

  it.each([
    ['every now and then', 10, 'idle: 1s'],
    ['as fast as it can', 0, 'idle: 1h'],
  ])('ends for the upstream too, which sends more %s: its connection is closed', async (_, pauseMs, idle) => {
    const first = await FakeUpstream.start(async (call) => {
      begin(call, dialect, 'one', 'two');
      for (const last of dialect.ending) call.chunk(last);
      for (let open = true; open; open = await Promise.race([sleep(pauseMs, true), call.gone.then(() => false)]))
        call.chunk(`: ${'x'.repeat(1_000)}\n\n`);
    });
    const rule = `    failover: {timeouts: {connect: 1h, firstToken: 1h, ${idle}, total: 1h}}`;
    const { port } = await startGateway(routeYaml({ first: first.url }, rule));
    expect((await request(port, streaming(dialect))).text).toBe(sent + dialect.ending.join(''));
    await first.until(() => first.connections === 0);
  });
});

describe('a stream that takes longer than the deadline for a whole answer', () => {
  it('is not cut once it has begun', async () => {
    const { gateway } = await setUp(
      async (call) => {
        begin(call, chat, 'one');
        await sleep(1_100);
        for (const last of chat.ending) call.chunk(last);
        call.end();
      },
      chat,
      '    failover: {timeouts: {total: 1s}}',
    );
    expect((await request(gateway.port, streaming(chat))).text).toBe(streamOf(chat, 'one').join(''));
  });
});

describe('several choices', () => {
  const choice = (index: number, delta: object, finish: string | null = null): string =>
    frame({ id: 'c', object: 'chat.completion.chunk', choices: [{ index, delta, finish_reason: finish }] });
  const frames = [
    choice(0, { content: 'a' }),
    choice(1, { content: 'b' }),
    choice(0, {}, 'content_filter'),
    choice(1, { content: 'c' }),
  ];

  it('a filter that stops one of them lets the others come to their end', async () => {
    const whole = [...frames, choice(1, {}, 'stop'), DONE];
    const { gateway } = await setUp((call) => call.stream(whole), chat);
    expect((await request(gateway.port, streaming(chat))).text).toBe(whole.join(''));
  });

  it('a stream in which one of them has no finish reason is broken', async () => {
    const { gateway } = await setUp((call) => call.stream([...frames, DONE]), chat);
    expectInterrupted(await request(gateway.port, streaming(chat)), frames.join(''), chat, /without a finish reason/);
  });
});

describe('a whole answer that is too large to hold', () => {
  const text = 'x'.repeat(9 * 1024 * 1024);

  it('is passed on with its content intact, and the log says so', async () => {
    const { gateway } = await setUp((call) => call.answer(200, chat.whole(text)), chat);
    const answer = await request(gateway.port, { body: chat.body });
    expect(answer.complete).toBe(true);
    expect(answer.text === chat.whole(text)).toBe(true);
    expect(gateway.lines.some((line) => line.includes('too large to hold'))).toBe(true);
    expect(gateway.requests[0]?.usage?.outputTokens).toBeGreaterThan(2_000_000);
    expect(gateway.gateway.budget.usedBytes).toBe(0);
  });

  it('breaks: the connection is cut, never ended as if the answer were whole', async () => {
    const { gateway } = await setUp(async (call) => {
      call.answer(200, chat.whole(text), { 'content-length': String(text.length * 2) });
      await call.drained();
      call.cut();
    }, chat);
    const answer = await request(gateway.port, { body: chat.body });
    expect(answer.complete).toBe(false);
    expect(gateway.requests).toMatchObject([{ errorCode: 'stream_interrupted' }]);
  });

  it('breaks for a client of HTTP/1.0, which knows the end of an answer by the end of its connection: it is reset', async () => {
    const { gateway } = await setUp(async (call) => {
      call.answer(200, chat.whole(text), { 'content-length': String(text.length * 2) });
      await call.drained();
      call.cut();
    }, chat);
    const body = JSON.stringify(chat.body);
    await expect(
      readToEnd(gateway.port, `POST ${chat.path} HTTP/1.0\r\ncontent-length: ${body.length}\r\n\r\n${body}`),
    ).rejects.toThrow('ECONNRESET');
  });

  it('is an error: it fails over like a small one', async () => {
    const { gateway, second } = await setUp((call) => call.answer(500, text), chat);
    expect((await request(gateway.port, { body: chat.body })).headers['x-fairlead-reason']).toBe('failover:ServerError(first)');
    expect(second.calls).toHaveLength(1);
  });
});

async function metric(gateway: TestGateway, name: string): Promise<number> {
  const { text } = await gateway.gateway.renderMetrics();
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? 0);
}
