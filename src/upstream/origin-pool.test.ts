import { once } from 'node:events';
import http from 'node:http';
import type net from 'node:net';

import { afterEach, describe, expect, it } from '@jest/globals';
import { type Clock, ManualClock, systemClock } from '../lib/clock.ts';
import type { CallController } from './http1/connection.ts';
import { OriginPool, type PooledHandler, type Queued } from './origin-pool.ts';
import { disposeAll, OK, serve, type TestServer, untilTestEnds } from './testing.ts';
import { NO_FIXED_HEADERS } from './http1/fixed-headers.ts';

/** A call that is over when it says so; releases its connection as `UpstreamCall` does. */
class Call implements PooledHandler {
  connection: PooledHandler['connection'] = null;
  controller: CallController | null = null;
  outcome = '';
  readonly over: Promise<void>;
  readonly #pool: OriginPool;
  readonly #end: () => void;

  constructor(pool: OriginPool) {
    this.#pool = pool;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.over = promise;
    this.#end = resolve;
  }

  start(): Queued | null {
    return this.#pool.dispatch({ method: 'GET', path: '/', fixed: NO_FIXED_HEADERS, headers: [], body: null }, this);
  }

  onRequestStart(controller: CallController): void {
    this.controller = controller;
  }
  onResponseStart(): void {}
  onResponseData(): void {}

  onResponseEnd(): void {
    this.outcome = 'ok';
    this.#pool.release(this, true);
    this.#end();
  }

  onResponseError(_controller: CallController | null, error: Error): void {
    this.outcome = error.message;
    this.#pool.release(this, false);
    this.#end();
  }
}

function poolOf(server: TestServer | string, maxConnections = 10, clock: Clock = systemClock): OriginPool {
  return new OriginPool(typeof server === 'string' ? server : server.origin, {
    maxConnections,
    keepAliveMs: 60_000,
    connect: {},
    clock,
  });
}

const answer = (socket: net.Socket): unknown => socket.write(OK);
const disconnected = async (server: TestServer): Promise<void> => {
  await Promise.all([...server.sockets].map((socket) => once(socket, 'close')));
};

async function finished(pool: OriginPool): Promise<Call> {
  const call = new Call(pool);
  call.start();
  await call.over;
  return call;
}

afterEach(disposeAll);

describe('OriginPool', () => {
  it('uses the last connection that became free, so that surplus ones age out', async () => {
    const server = untilTestEnds(await serve(answer));
    const pool = poolOf(server);
    const calls = [new Call(pool), new Call(pool), new Call(pool)];
    for (const call of calls) expect(call.start()).toBeNull();
    await Promise.all(calls.map(({ over }) => over));
    expect(pool.connections).toBe(3);
    const used = new Set<unknown>();
    for (let turn = 0; turn < 5; turn++) {
      const call = new Call(pool);
      call.start();
      used.add(call.connection);
      await call.over;
      expect(call.outcome).toBe('ok');
    }
    expect(used.size).toBe(1);
    expect(server.accepted()).toBe(3);
    await pool.destroy();
  });

  it('makes at most so many connections; further calls wait in order, and those that are cancelled never start', async () => {
    const waiting: net.Socket[] = [];
    const server = untilTestEnds(await serve((socket) => waiting.push(socket)));
    const pool = poolOf(server, 1);
    const order: number[] = [];
    const calls = Array.from({ length: 5 }, () => new Call(pool));
    const queued = calls.map((call, index) => {
      void call.over.then(() => order.push(index));
      return call.start();
    });
    expect(queued.map((place) => place !== null)).toEqual([false, true, true, true, true]);
    expect(pool).toMatchObject({ connections: 1, queued: 4 });
    queued[2]?.cancel();
    queued[2]?.cancel();
    expect(pool.queued).toBe(3);
    for (const index of [0, 1, 3, 4]) {
      while (waiting.length === 0) await new Promise((resolve) => setImmediate(resolve));
      waiting.shift()?.write(OK);
      await calls[index]?.over;
    }
    expect(order).toEqual([0, 1, 3, 4]);
    expect(calls[2]?.outcome).toBe('');
    expect(server.accepted()).toBe(1);
    await pool.destroy();
  });

  it('has one connection more than several calls need, which the next one finds made, and closes it where none comes', async () => {
    const server = untilTestEnds(await serve(() => {}));
    const clock = new ManualClock();
    const pool = poolOf(server, 10, clock);
    const until = async (condition: () => boolean): Promise<void> => {
      while (!condition()) await new Promise((resolve) => setImmediate(resolve));
    };
    const start = (): Call => {
      const call = new Call(pool);
      call.start();
      return call;
    };
    for (let calls = 0; calls < 4; calls++) start();
    expect(pool.connections).toBe(4);
    await until(() => server.accepted() === 5);
    const fifth = start();
    expect(pool.connections).toBe(5);
    await until(() => fifth.controller !== null);
    await until(() => server.accepted() === 6);
    expect(pool.connections).toBe(6);
    clock.advance(3_001);
    await until(() => server.sockets.size === 5);
    expect(pool.connections).toBe(5);
    await pool.destroy();
  });

  it('has none more than it may', async () => {
    const server = untilTestEnds(await serve(answer));
    const pool = poolOf(server, 4);
    for (let round = 0; round < 50; round++) {
      const calls = Array.from({ length: 4 }, () => new Call(pool));
      for (const call of calls) call.start();
      await Promise.all(calls.map(({ over }) => over));
    }
    expect(server.accepted()).toBe(4);
    await pool.destroy();
  });

  it('gives the place of a connection that broke to the next call that waits', async () => {
    let answers = 0;
    const server = untilTestEnds(await serve((socket) => (answers++ === 0 ? socket.destroy() : socket.write(OK))));
    const pool = poolOf(server, 1);
    const [first, second] = [new Call(pool), new Call(pool)];
    first.start();
    second.start();
    await Promise.all([first.over, second.over]);
    expect(first.outcome).not.toBe('ok');
    expect(second.outcome).toBe('ok');
    expect(pool.connections).toBe(1);
    await pool.destroy();
  });

  it('does not use a connection again whose call was aborted', async () => {
    const server: TestServer = untilTestEnds(await serve((socket) => (server.accepted() === 1 ? undefined : socket.write(OK))));
    const pool = poolOf(server);
    const call = new Call(pool);
    call.start();
    const { connection } = call;
    while (call.controller === null) await new Promise((resolve) => setImmediate(resolve));
    call.controller.abort(new Error('enough'));
    await call.over;
    expect(pool.connections).toBe(0);
    const next = new Call(pool);
    next.start();
    expect(next.connection).not.toBe(connection);
    await next.over;
    expect(next.outcome).toBe('ok');
    await pool.destroy();
  });

  it('gives the place of a call up that is released before its connection stands', async () => {
    // 192.0.2.0/24 is for documentation: nothing answers there, or there is no way to it at all.
    const pool = poolOf('http://192.0.2.1', 1);
    const [first, second] = [new Call(pool), new Call(pool)];
    first.start();
    second.start();
    pool.release(first, false);
    expect(second.connection).not.toBeNull();
    expect(pool).toMatchObject({ connections: 1, queued: 0 });
    await pool.destroy();
  });

  it('forgets connections that the upstream closed', async () => {
    const server = untilTestEnds(await serve(answer));
    const pool = poolOf(server, 20);
    const calls = Array.from({ length: 20 }, () => new Call(pool));
    for (const call of calls) call.start();
    await Promise.all(calls.map(({ over }) => over));
    expect(pool.connections).toBe(20);
    const gone = disconnected(server);
    for (const socket of server.sockets) socket.end();
    await gone;
    for (let turn = 0; turn < 1_000 && pool.connections > 0; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(pool.connections).toBe(0);
    expect((await finished(pool)).outcome).toBe('ok');
    await pool.destroy();
  });

  it('does not use a connection again on which something came that nobody asked for', async () => {
    const server = untilTestEnds(await serve(answer));
    const pool = poolOf(server);
    expect((await finished(pool)).outcome).toBe('ok');
    for (const socket of server.sockets) socket.write(OK);
    for (let turn = 0; turn < 1_000 && pool.connections > 0; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(pool.connections).toBe(0);
    expect((await finished(pool)).outcome).toBe('ok');
    expect(server.accepted()).toBe(2);
    await pool.destroy();
  });

  it.each([
    ['as long as the gateway keeps it', OK, 59_999, 60_001],
    ['less long where the upstream says so', OK.replace('\r\n', '\r\nkeep-alive: timeout=5\r\n'), 3_999, 4_001],
    ['not at all where the upstream says so', OK.replace('\r\n', '\r\nkeep-alive: timeout=1\r\n'), null, 0],
  ])('an idle connection serves %s', async (_name, said, usedAfterMs, droppedAfterMs) => {
    const server = untilTestEnds(await serve((socket) => socket.write(said)));
    const clock = new ManualClock();
    const pool = poolOf(server, 10, clock);
    await finished(pool);
    if (usedAfterMs !== null) {
      clock.advance(usedAfterMs);
      await finished(pool);
      expect(server.accepted()).toBe(1);
    }
    clock.advance(droppedAfterMs);
    await finished(pool);
    expect(server.accepted()).toBe(2);
    expect(pool.connections).toBe(1);
    await pool.destroy();
  });

  it('does not use a connection again whose request was answered before it was sent', async () => {
    const server = untilTestEnds(
      await serve((socket) => {
        socket.pause();
        socket.write(OK);
      }),
    );
    const pool = poolOf(server);
    const call = new Call(pool);
    pool.dispatch(
      { method: 'POST', path: '/', fixed: NO_FIXED_HEADERS, headers: [], body: Buffer.alloc(64 * 1024 * 1024) },
      call,
    );
    await call.over;
    expect(call.outcome).toBe('ok');
    expect(pool.connections).toBe(0);
    await pool.destroy();
  });

  it.each([10, 10_000, 100_000])('sends a body of three times %d bytes in its pieces', async (size) => {
    let received = '';
    const server = http.createServer((request, response) => {
      request.setEncoding('latin1').on('data', (text: string) => (received += text));
      request.on('end', () => response.end());
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the server does not listen');
    const pool = poolOf(`http://127.0.0.1:${address.port}`);
    const call = new Call(pool);
    const body = ['a', 'b', 'c'].map((letter) => Buffer.from(letter.repeat(size)));
    pool.dispatch({ method: 'POST', path: '/', fixed: NO_FIXED_HEADERS, headers: ['x-a', 'b'], body }, call);
    await call.over;
    expect(call.outcome).toBe('ok');
    expect(received).toBe(Buffer.concat(body).toString());
    await pool.destroy();
    server.close();
  });

  it('closed: lets calls under way end, keeps no connection, and still serves those that know it', async () => {
    const waiting: net.Socket[] = [];
    const server = untilTestEnds(await serve((socket) => waiting.push(socket)));
    const pool = poolOf(server);
    const call = new Call(pool);
    call.start();
    while (waiting.length === 0) await new Promise((resolve) => setImmediate(resolve));
    pool.close();
    const late = new Call(pool);
    late.start();
    while (waiting.length < 2) await new Promise((resolve) => setImmediate(resolve));
    const gone = disconnected(server);
    for (const socket of waiting) socket.write(OK);
    await Promise.all([call.over, late.over]);
    expect([call.outcome, late.outcome]).toEqual(['ok', 'ok']);
    expect(pool.connections).toBe(0);
    await gone;
  });

  it('destroyed: tells calls under way and calls that wait, however many, and takes no more', async () => {
    const server = untilTestEnds(await serve(() => {}));
    const pool = poolOf(server, 1);
    const calls = Array.from({ length: 20_000 }, () => new Call(pool));
    for (const call of calls) call.start();
    await pool.destroy();
    await Promise.all(calls.map(({ over }) => over));
    expect(calls.filter(({ outcome }) => outcome === '' || outcome === 'ok')).toHaveLength(0);
    expect(pool).toMatchObject({ connections: 0, queued: 0 });
    expect(() => new Call(pool).start()).toThrow('the gateway is ending');
    await pool.destroy();
  });

  it('an origin that refuses leaves nothing behind', async () => {
    const server = untilTestEnds(await serve(answer));
    const { origin } = server;
    await server[Symbol.asyncDispose]();
    const pool = poolOf(origin);
    const outcomes = await Promise.all(Array.from({ length: 20 }, async () => (await finished(pool)).outcome));
    for (const outcome of outcomes) expect(outcome).toContain('ECONNREFUSED');
    expect(pool).toMatchObject({ connections: 0, queued: 0 });
    await pool.destroy();
  });
});
