// Promise: a client that leaves ends the upstream's work at once, whatever the request was doing, and leaves nothing behind; one
// that reads slowly holds the upstream back, and loses nothing.
import { setTimeout as sleep } from 'node:timers/promises';
import zlib from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { eventually } from './support/clean-up.ts';
import { request, type Sent, send } from './support/client.ts';
import { chat, frame, streamOf } from './support/dialects.ts';
import { serve } from './support/faults.ts';
import { usedBytes } from './support/memory.ts';
import { startGateway, type TestGateway, type TestGatewayOptions } from './support/gateway.ts';
import { FakeUpstream, type ReceivedCall } from './support/upstream.ts';
import { routeYaml } from './support/yaml.ts';

const MIB = 1024 * 1024;
/** Nothing but the client's leaving can end a call within a test. */
const NO_DEADLINES = '    failover: {timeouts: {connect: 1h, firstToken: 1h, idle: 1h, total: 1h}}';
const streaming = { body: { ...chat.body, stream: true } };
const delta = (text: string): string => chat.text(text);

async function setUp(
  respond: (call: ReceivedCall) => unknown,
  options: TestGatewayOptions = {},
): Promise<{ gateway: TestGateway; upstream: FakeUpstream }> {
  const upstream = await FakeUpstream.start(respond);
  return { gateway: await startGateway(routeYaml({ first: upstream.url }, NO_DEADLINES), options), upstream };
}

/** The client leaves; then there is no connection to the upstream, nothing runs and nothing is held. */
async function leave(sent: Sent, gateway: TestGateway, upstream: FakeUpstream): Promise<void> {
  sent.leave();
  await upstream.until(() => upstream.connections === 0);
  await gateway.until(() => gateway.requests.length === 1);
  expect(gateway.requests).toMatchObject([{ status: 499, errorCode: 'client_gone', clientGone: true }]);
  expectNothingLeft(gateway);
}

function expectNothingLeft({ gateway }: TestGateway): void {
  expect(gateway.running.size).toBe(0);
  expect(gateway.budget.usedBytes).toBe(0);
  expect(gateway.upstreamConnections()).toEqual({ connections: 0, queued: 0 });
}

/** Writes until neither the gateway nor the kernel in between takes more, at least until `begun`; returns the bytes taken. */
async function fill(
  call: ReceivedCall,
  chunk: Buffer | string,
  atMostBytes: number,
  begun: Promise<unknown> = Promise.resolve(),
): Promise<number> {
  let bytes = 0;
  while (bytes < atMostBytes) {
    bytes += chunk.length;
    if (call.chunk(chunk)) continue;
    const waited = begun.then(() => sleep(300, true));
    const stuck = await Promise.race([call.drained().then(() => false), call.gone.then(() => true), waited]);
    if (stuck) break;
  }
  return bytes - call.socket.writableLength;
}

/** The upstream always has more to give, so that it is never the one that is idle. */
async function fillUntilGone(call: ReceivedCall, chunk: string): Promise<void> {
  const gone = call.gone.then(() => true);
  for (let over = false; !over;) if (!call.chunk(chunk)) over = await Promise.race([call.drained().then(() => false), gone]);
}

describe('a client that leaves cancels the upstream', () => {
  it('before its answer', async () => {
    const { gateway, upstream } = await setUp(() => {});
    const sent = send(gateway.port, streaming);
    await upstream.nextCall();
    await leave(sent, gateway, upstream);
  });

  it('in the TLS handshake', async () => {
    const upstream = await FakeUpstream.start();
    upstream.onConnection((socket) => socket.pause());
    const gateway = await startGateway(routeYaml({ first: upstream.url.replace('http:', 'https:') }, NO_DEADLINES));
    const sent = send(gateway.port, streaming);
    await upstream.until(() => upstream.connections === 1);
    sent.leave();
    await gateway.until(() => gateway.requests.length === 1);
    expectNothingLeft(gateway);
  });

  it('while frames are held', async () => {
    const { gateway, upstream } = await setUp((call) => {
      call.open();
      for (const part of chat.preamble) call.chunk(part);
    });
    const sent = send(gateway.port, streaming);
    await upstream.nextCall();
    await leave(sent, gateway, upstream);
  });

  it('while comments fill the silence', async () => {
    const { gateway, upstream } = await setUp(() => {}, { keepAliveAfterMs: 10 });
    const sent = send(gateway.port, streaming);
    await sent.waitFor(': keep-alive');
    await leave(sent, gateway, upstream);
  });

  it('in the middle of a stream; what was used until then is settled', async () => {
    const { gateway, upstream } = await setUp((call) => {
      call.open();
      call.chunk(delta('x'.repeat(400)));
    });
    const sent = send(gateway.port, streaming);
    await sent.waitFor('xxx');
    await leave(sent, gateway, upstream);
    expect(gateway.requests).toMatchObject([
      { usage: { outputTokens: 100, estimated: true }, attempts: [{ outcome: 'client_gone' }] },
    ]);
  });

  it('in the middle of a whole answer', async () => {
    const { gateway, upstream } = await setUp((call) =>
      call.raw(`HTTP/1.1 200 OK\r\ncontent-length: ${2 * MIB}\r\n\r\n${'x'.repeat(MIB)}`),
    );
    const sent = send(gateway.port, { body: chat.body });
    await (await upstream.nextCall()).drained();
    await leave(sent, gateway, upstream);
  });

  it.each(['a stream', 'a whole answer'])('while %s is paused because the client does not read', async (what) => {
    const { gateway, upstream } = await setUp(() => {});
    const isStream = what === 'a stream';
    const sent = send(gateway.port, isStream ? streaming : { body: chat.body });
    const call = await upstream.nextCall();
    call.open(200, isStream ? {} : { 'content-type': 'application/json' });
    const paused = sent.head.then((answer) => answer.pause());
    await fill(call, isStream ? delta('x'.repeat(64 * 1024)) : Buffer.alloc(64 * 1024, 'x'), 256 * MIB, paused);
    await leave(sent, gateway, upstream);
  });

  it('while it waits for a connection, without touching the one that has it', async () => {
    const { gateway, upstream } = await setUp(() => {}, { maxConnectionsPerOrigin: 1 });
    const first = send(gateway.port, streaming);
    const call = await upstream.nextCall();
    const second = send(gateway.port, streaming);
    await eventually(() => gateway.gateway.upstreamConnections().queued === 1);
    second.leave();
    await gateway.until(() => gateway.requests.length === 1);
    expect(gateway.gateway.upstreamConnections()).toEqual({ connections: 1, queued: 0 });
    call.stream(streamOf(chat, 'fine'));
    expect((await first.answer).text).toBe(streamOf(chat, 'fine').join(''));
    expect(upstream.calls).toHaveLength(1);
  });

  it('while it sends its own request: no upstream is called', async () => {
    const { gateway, upstream } = await setUp(() => {});
    const sent = send(gateway.port, {
      method: 'POST',
      headers: { 'content-length': '1000', 'content-type': 'application/json' },
    });
    await eventually(() => gateway.gateway.running.size === 1);
    await leave(sent, gateway, upstream);
    expect(upstream.accepted).toBe(0);
  });

  it('in the backoff before a retry: there is none', async () => {
    const { gateway, upstream } = await setUp((call) =>
      call.answer(429, '{"error":{"code":"rate_limit_exceeded"}}', { 'retry-after-ms': '900' }),
    );
    const sent = send(gateway.port, { body: chat.body });
    await gateway.until(() => gateway.lines.some((line) => line.includes('CoolingDown')));
    sent.leave();
    await gateway.until(() => gateway.requests.length === 1);
    expect(gateway.requests).toMatchObject([{ errorCode: 'client_gone' }]);
    expect(gateway.gateway.running.size).toBe(0);
    expect(upstream.calls).toHaveLength(1);
  });

  it("says nothing about the upstream's health", async () => {
    const { gateway, upstream } = await setUp(() => {});
    for (let round = 0; round < 20; round++) {
      const sent = send(gateway.port, streaming);
      await upstream.nextCall();
      sent.leave();
      await upstream.until(() => upstream.connections === 0);
    }
    upstream.respond(serve(chat, 'well'));
    expect((await request(gateway.port, { body: chat.body })).headers['x-fairlead-reason']).toBe('only');
  });
});

describe('a client that reads slowly', () => {
  const encodings: readonly (readonly [string, (text: string) => Buffer])[] = [
    ['plain', (text) => Buffer.from(text)],
    ['gzip', (text) => zlib.gzipSync(text, { level: 0 })],
  ];

  it.each(encodings)('holds the upstream back and loses nothing (%s)', async (encoding, encode) => {
    const { gateway, upstream } = await setUp(() => {}, { keepAliveAfterMs: 3_600_000 });
    const sent = send(gateway.port, streaming);
    const call = await upstream.nextCall();
    const frames = [
      ...chat.preamble,
      ...Array.from({ length: 600 }, (_, index) => delta(`${index} ${'x'.repeat(128 * 1024)}`)),
      ...chat.ending,
    ];
    const bytes = encode(frames.join(''));
    call.open(200, encoding === 'plain' ? {} : { 'content-encoding': encoding });
    (await Promise.race([sent.head, sendAll(call, bytes)]))?.pause();
    const before = await usedBytes();
    await sleep(300);
    // What is not with the upstream any more is with the kernel or with the gateway.
    expect(call.socket.writableLength).toBeGreaterThan(0);
    expect((await usedBytes()) - before).toBeLessThan(8 * MIB);
    sent.resume();
    const answer = await sent.answer;
    expect(answer.complete).toBe(true);
    expect(answer.text === frames.join('')).toBe(true);
  });

  it('and never reads again is let go after the idle deadline; the upstream is not to blame', async () => {
    const upstream = await FakeUpstream.start();
    const gateway = await startGateway(routeYaml({ first: upstream.url }, '    failover: {timeouts: {idle: 2s}}'));
    const sent = send(gateway.port, streaming);
    const call = await upstream.nextCall();
    call.open();
    const filling = fillUntilGone(call, delta('x'.repeat(64 * 1024)));
    (await sent.head).pause();
    await filling;
    await gateway.until(() => gateway.requests.length === 1);
    expect(gateway.requests).toMatchObject([{ status: 499, errorCode: 'client_gone', attempts: [{ outcome: 'client_gone' }] }]);
    await upstream.until(() => upstream.connections === 0);
    expectNothingLeft(gateway);
  });
});

/** All of it in one chunk, so that it is the upstream's socket that has to wait; never resolves to a head. */
async function sendAll(call: ReceivedCall, bytes: Buffer): Promise<undefined> {
  call.chunk(bytes);
  call.end();
  await call.gone;
  return undefined;
}

describe('frames', () => {
  it('of many sizes pass a client that reads in starts and stops', async () => {
    const { gateway, upstream } = await setUp(() => {});
    const sent = send(gateway.port, streaming);
    const call = await upstream.nextCall();
    const frames = [
      ...chat.preamble,
      ...Array.from({ length: 400 }, (_, index) => delta('y'.repeat((index * 7919) % 65_537))),
      frame('[DONE]'),
    ];
    frames.splice(-1, 0, ...chat.ending.slice(0, 1));
    const response = sent.head.then((head) => {
      head.on('data', () => {
        head.pause();
        setImmediate(() => head.resume());
      });
    });
    call.stream(frames);
    await response;
    const answer = await sent.answer;
    expect(answer.text === frames.join('')).toBe(true);
  });
});
