import type net from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, it } from '@jest/globals';
import { systemClock } from '../lib/clock.ts';
import { type CallTimeouts, UpstreamCall } from './call.ts';
import { OriginPool } from './origin-pool.ts';
import { disposeAll, OK, RecordingSink, serve, untilTestEnds } from './testing.ts';
import { NO_FIXED_HEADERS } from './http1/fixed-headers.ts';

const HOUR_MS = 3_600_000;
const LONG: CallTimeouts = { connectMs: HOUR_MS, firstTokenMs: HOUR_MS, idleMs: HOUR_MS, totalMs: HOUR_MS };
const STREAM = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n';
const CHUNK = '3\r\nabc\r\n';

interface Setting extends AsyncDisposable {
  readonly pool: OriginPool;
  call(timeouts: Partial<CallTimeouts>, stream?: boolean): { call: UpstreamCall; sink: RecordingSink };
}

async function against(respond: (socket: net.Socket) => unknown, maxConnections = 10): Promise<Setting> {
  const server = await serve(respond);
  const pool = new OriginPool(server.origin, { maxConnections, keepAliveMs: 60_000, connect: {}, clock: systemClock });
  return {
    pool,
    call(timeouts, stream = true) {
      const sink = new RecordingSink();
      const call = new UpstreamCall(pool, sink, { ...LONG, ...timeouts }, stream, systemClock);
      call.start({ method: 'POST', path: '/', fixed: NO_FIXED_HEADERS, headers: [], body: Buffer.from('x') });
      return { call, sink };
    },
    async [Symbol.asyncDispose]() {
      await pool.destroy();
      await server[Symbol.asyncDispose]();
    },
  };
}

afterEach(disposeAll);

describe('the deadlines of a call', () => {
  it('connect: a queue for a connection counts', async () => {
    const setting = untilTestEnds(await against(() => {}, 1));
    setting.call({});
    const { sink } = setting.call({ connectMs: 20 });
    await sink.ended;
    expect(sink.failure).toMatchObject({ kind: 'timeout', phase: 'connect', message: 'no connection within 20 ms' });
    expect(setting.pool).toMatchObject({ connections: 1, queued: 0 });
  });

  it('first token: runs on while an answer comes without output', async () => {
    const setting = untilTestEnds(await against((socket) => socket.write(STREAM + CHUNK)));
    const { sink } = setting.call({ firstTokenMs: 500, idleMs: 1 });
    await sink.ended;
    expect(sink.failure).toMatchObject({ kind: 'timeout', phase: 'first_token' });
    expect(sink).toMatchObject({ text: 'abc', told: ['answer 200', 'broken timeout'] });
    expect(setting.pool.connections).toBe(0);
  });

  it('idle: begins with the commit, and anew with every chunk', async () => {
    let chunks = 0;
    const setting = untilTestEnds(
      await against((socket) => {
        socket.write(STREAM + CHUNK);
        const timer = setInterval(() => {
          if (++chunks < 14) socket.write(CHUNK);
          else clearInterval(timer);
        }, 150);
      }),
    );
    const { call, sink } = setting.call({ firstTokenMs: 500, totalMs: 500, idleMs: 1_500 });
    sink.onFirstChunk = () => call.committed();
    await sink.ended;
    // 2 s of chunks outlived the deadlines that the commit ended, and that which began with it.
    expect(sink.chunks.length).toBe(14);
    expect(sink.failure).toMatchObject({ kind: 'timeout', phase: 'idle' });
  });

  it("idle: silence while its reader is behind is the reader's", async () => {
    const setting = untilTestEnds(await against((socket) => socket.write(STREAM + CHUNK)));
    const { call, sink } = setting.call({ idleMs: 30 });
    sink.onFirstChunk = () => {
      call.committed();
      call.pause();
    };
    await sink.ended;
    expect(sink.failure).toMatchObject({ kind: 'client_gone', message: 'the client read nothing for 30 ms' });
  });

  it('enough: a body that then neither ends nor goes on is given up, however long its silence may be', async () => {
    const setting = untilTestEnds(await against((socket) => socket.write(STREAM + CHUNK)));
    const { call, sink } = setting.call({});
    sink.onFirstChunk = () => {
      call.committed();
      call.enough();
    };
    await sink.ended;
    expect(sink.failure).toMatchObject({ kind: 'timeout', phase: 'idle' });
    expect(setting.pool.connections).toBe(0);
  }, 30_000);

  it('enough: the connection of a body that ends by itself is kept', async () => {
    let more = (): void => {};
    const setting = untilTestEnds(
      await against((socket) => {
        socket.write(STREAM + CHUNK);
        more = () => void socket.write(`${CHUNK}0\r\n\r\n`);
      }),
    );
    const { call, sink } = setting.call({});
    sink.onFirstChunk = () => {
      call.committed();
      call.enough();
      more();
    };
    await sink.ended;
    expect(sink).toMatchObject({ failure: null, told: ['answer 200', 'complete'] });
    expect(setting.pool.connections).toBe(1);
  });

  it('total: for a whole answer, and where it is shorter than first token', async () => {
    const setting = untilTestEnds(await against(() => {}));
    for (const [stream, timeouts] of [
      [false, { totalMs: 20, firstTokenMs: 1 }],
      [true, { totalMs: 20, firstTokenMs: 30_000 }],
    ] as const) {
      const { sink } = setting.call(timeouts, stream);
      await sink.ended;
      expect(sink.failure).toMatchObject({ kind: 'timeout', phase: 'total', message: 'no whole answer within 20 ms' });
    }
  });

  it('longer than a timer can be: is not taken for none', async () => {
    const setting = untilTestEnds(await against((socket) => setTimeout(() => socket.write(OK), 20)));
    const { sink } = setting.call({ totalMs: 99_999 * HOUR_MS, connectMs: 99_999 * HOUR_MS, firstTokenMs: 99_999 * HOUR_MS });
    await sink.ended;
    expect(sink.told).toEqual(['answer 200', 'complete']);
  });
});

describe('the end of a call', () => {
  it.each([
    ['before its answer', (socket: net.Socket) => socket.destroy(), { kind: 'network', connecting: false }],
    ['in its body', (socket: net.Socket) => socket.end(STREAM + CHUNK), { kind: 'stream_broken', sentBytes: 0 }],
    [
      'with a reset in its body',
      (socket: net.Socket) => socket.write(STREAM + CHUNK, () => socket.resetAndDestroy()),
      { kind: 'stream_broken' },
    ],
    ['with bytes that are not HTTP', (socket: net.Socket) => socket.write('SMTP\r\n\r\n'), { kind: 'malformed' }],
    [
      'with a switch of protocols',
      (socket: net.Socket) => socket.write('HTTP/1.1 101 X\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
      { kind: 'network' },
    ],
  ])('%s: told once, with what it was', async (_name, respond, failure) => {
    const setting = untilTestEnds(await against(respond));
    const { sink } = setting.call({});
    await sink.ended;
    expect(sink.failure).toMatchObject(failure);
    expect(sink.told.filter((what) => what.startsWith('broken'))).toHaveLength(1);
    expect(setting.pool.connections).toBe(0);
  });

  it('answers before the final one are not told', async () => {
    const setting = untilTestEnds(await against((socket) => socket.write(`HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n${OK}`)));
    const { sink } = setting.call({});
    await sink.ended;
    expect(sink).toMatchObject({ told: ['answer 200', 'complete'], text: 'ok' });
  });

  it('cancelled: nothing more is told and the connection is closed, in every phase', async () => {
    const answers = ['', STREAM, STREAM + CHUNK];
    for (const answer of answers) {
      const arrived = Promise.withResolvers<net.Socket>();
      const setting = untilTestEnds(
        await against((socket) => {
          if (answer !== '') socket.write(answer);
          arrived.resolve(socket);
        }),
      );
      const { call, sink } = setting.call({});
      const socket = await arrived.promise;
      const closed = new Promise((resolve) => socket.once('close', resolve));
      while (answer.includes(CHUNK) && sink.chunks.length === 0) await new Promise((resolve) => setImmediate(resolve));
      const before = sink.told.length;
      call.cancel();
      call.cancel();
      await closed;
      expect(sink.told).toHaveLength(before);
      expect(setting.pool).toMatchObject({ connections: 0, queued: 0 });
    }
  });

  it('cancelled before it has a connection: the place is free at once', async () => {
    const setting = untilTestEnds(await against(() => {}, 1));
    const first = setting.call({});
    const second = setting.call({});
    first.call.cancel();
    expect(setting.pool).toMatchObject({ connections: 1, queued: 0 });
    second.call.cancel();
    expect(setting.pool).toMatchObject({ connections: 0, queued: 0 });
    expect([...first.sink.told, ...second.sink.told]).toEqual([]);
  });

  it('an invalid request is a failure, not an exception', async () => {
    const setting = untilTestEnds(await against((socket) => socket.write(OK)));
    const sink = new RecordingSink();
    new UpstreamCall(setting.pool, sink, LONG, false, systemClock).start({
      method: 'POST',
      path: '/',
      fixed: NO_FIXED_HEADERS,
      headers: ['bad name', 'x'],
      body: null,
    });
    await sink.ended;
    expect(sink.failure).toMatchObject({ kind: 'network', connecting: true });
    expect(setting.pool).toMatchObject({ connections: 0, queued: 0 });
  });

  it('a pool that is destroyed tells its calls, and further ones', async () => {
    const setting = untilTestEnds(await against(() => {}));
    const { sink } = setting.call({});
    await setting.pool.destroy();
    await sink.ended;
    expect(sink.failure?.kind).toBe('network');
    const late = setting.call({});
    await late.sink.ended;
    expect(late.sink.failure).toMatchObject({ kind: 'network', message: expect.stringContaining('the gateway is ending') });
  });
});

it('keeps no body that was sent, be it of a call that had to wait for its connection', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const sockets: net.Socket[] = [];
  const setting = untilTestEnds(await against((socket) => sockets.push(socket), 1));
  const first = setting.call({});
  const sink = new RecordingSink();
  const began = new Promise<void>((resolve) => (sink.onFirstChunk = resolve));
  const call = new UpstreamCall(setting.pool, sink, LONG, true, systemClock);
  const start = (): WeakRef<Buffer> => {
    const body = Buffer.alloc(1_000, 'x');
    expect(call.start({ method: 'POST', path: '/', fixed: NO_FIXED_HEADERS, headers: [], body })).toBe(true);
    return new WeakRef(body);
  };
  const body = start();
  while (sockets.length < 1) await turn();
  first.call.cancel();
  while (sockets.length < 2) await turn();
  sockets[1]?.write(STREAM + CHUNK);
  await began;
  await turn();
  collect();
  expect(body.deref()).toBeUndefined();
  call.cancel();
});
