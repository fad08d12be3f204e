// Promise: a client that keeps its connection is led to new pods in time, and loses nothing by it.
import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../src/lib/clock.ts';
import { startGateway } from './support/gateway.ts';
import { RawConnection } from './support/raw-http.ts';
import { FakeUpstream } from './support/upstream.ts';
import { routeYaml } from './support/yaml.ts';

const GET = 'GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n';
/** The default, and the tenth by which it is spread. */
const AGE_MS = 600_000;
const SPREAD_MS = AGE_MS / 10;

describe('a connection of a client', () => {
  it('is kept until it is old, then closed after an answer that says so', async () => {
    const upstream = await FakeUpstream.start();
    const clock = new ManualClock();
    const gateway = await startGateway(routeYaml({ a: upstream.url }), { clock });
    const connection = await RawConnection.open(gateway.port);
    for (const ms of [0, AGE_MS / 2, AGE_MS / 2 - SPREAD_MS - 1]) {
      clock.advance(ms);
      connection.write(GET);
      expect(await connection.answer()).toMatchObject({ status: 200, headers: { connection: 'keep-alive' } });
    }
    clock.advance(2 * SPREAD_MS + 1);
    connection.write(GET);
    expect(await connection.answer()).toMatchObject({ status: 200, headers: { connection: 'close' } });
    expect(await connection.rest()).toBe('');

    const next = await RawConnection.open(gateway.port);
    next.write(GET);
    expect(await next.answer()).toMatchObject({ status: 200, headers: { connection: 'keep-alive' } });
    next.socket.destroy();
  });

  it('does not become old together with those that came with it', async () => {
    const upstream = await FakeUpstream.start();
    const clock = new ManualClock();
    const gateway = await startGateway(routeYaml({ a: upstream.url }), { clock });
    const connections = await Promise.all(Array.from({ length: 12 }, () => RawConnection.open(gateway.port)));
    const ask = async (): Promise<readonly (string | undefined)[]> => {
      const kept = [];
      for (const connection of connections) {
        connection.write(GET);
        kept.push((await connection.answer())?.headers['connection']);
      }
      return kept;
    };
    expect(new Set(await ask())).toEqual(new Set(['keep-alive']));
    clock.advance(AGE_MS);
    expect(new Set(await ask())).toEqual(new Set(['keep-alive', 'close']));
    for (const { socket } of connections) socket.destroy();
  });
});
