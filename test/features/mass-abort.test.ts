// Promise: 2,000 streams aborted at once leave no socket, no upstream request and no memory behind.
import net from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { request } from './support/client.ts';
import { chat } from './support/dialects.ts';
import { serve } from './support/faults.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { usedBytes } from './support/memory.ts';
import { FakeUpstream, type ReceivedCall } from './support/upstream.ts';
import { routeYaml } from './support/yaml.ts';

const MIB = 1024 * 1024;
/** So large that a request which is kept by mistake is seen in the memory. */
const BODY = JSON.stringify({ ...chat.body, stream: true, messages: [{ role: 'user', content: 'p'.repeat(32 * 1024) }] });
const REQUEST = `POST ${chat.path} HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\ncontent-length: ${BODY.length}\r\n\r\n${BODY}`;

interface Phase {
  readonly streams: number;
  readonly respond: (call: ReceivedCall) => void;
}

const PHASES: Readonly<Record<string, Phase>> = {
  'before their answer': { streams: 500, respond: () => {} },
  'while their frames are held': {
    streams: 500,
    respond: (call) => {
      call.open();
      for (const part of chat.preamble) call.chunk(part);
    },
  },
  'in their midst': {
    streams: 2_000,
    respond: (call) => {
      call.open();
      call.chunk(chat.text('one'));
    },
  },
  // Fewer: each fills the buffers of the kernel.
  'while they are paused': {
    streams: 100,
    respond: (call) => {
      call.open();
      for (let part = 0; part < 64; part++) call.chunk(chat.text('x'.repeat(64 * 1024)));
    },
  },
};

/** Opens so many streams, none of which reads, and waits until each has reached the upstream. */
async function openStreams(count: number, gateway: TestGateway, upstream: FakeUpstream): Promise<net.Socket[]> {
  const sockets = Array.from({ length: count }, () => {
    const socket = net.connect({ port: gateway.port, host: '127.0.0.1' }).pause();
    socket.on('error', () => socket.destroy());
    socket.write(REQUEST);
    return socket;
  });
  await upstream.until(() => upstream.calls.length === count);
  return sockets;
}

async function abortAll(sockets: readonly net.Socket[], gateway: TestGateway, upstream: FakeUpstream): Promise<void> {
  const logged = gateway.requests.length;
  for (const socket of sockets) socket.destroy();
  await upstream.until(() => upstream.connections === 0);
  await gateway.until(() => gateway.requests.length === logged + sockets.length);
  upstream.calls.length = 0;
}

describe('thousands of streams that are aborted at once', () => {
  it.each(Object.entries(PHASES))(
    '%s: nothing of them is left',
    async (_name, { streams, respond }) => {
      const upstream = await FakeUpstream.start(respond);
      const yaml = routeYaml(
        { first: upstream.url },
        '    failover: {timeouts: {connect: 1h, firstToken: 1h, idle: 1h, total: 1h}}',
        `  rateLimits: [{name: inflight, per: [Route], unit: Concurrency, limit: ${streams}}]`,
      );
      const gateway = await startGateway(yaml);
      await abortAll(await openStreams(streams / 10, gateway, upstream), gateway, upstream);
      const before = await usedBytes();

      const sockets = await openStreams(streams, gateway, upstream);
      expect(gateway.gateway.running.size).toBe(streams);
      expect((await request(gateway.port, { body: chat.body })).status).toBe(429);
      await abortAll(sockets, gateway, upstream);

      expect(gateway.gateway.running.size).toBe(0);
      expect(gateway.gateway.budget.usedBytes).toBe(0);
      expect(gateway.gateway.upstreamConnections()).toEqual({ connections: 0, queued: 0 });
      expect(gateway.requests.filter(({ errorCode }) => errorCode === 'client_gone')).toHaveLength(streams + streams / 10);
      expect((await usedBytes()) - before).toBeLessThan(8 * MIB);
      upstream.respond(serve(chat, 'well'));
      expect((await request(gateway.port, { body: chat.body })).status).toBe(200);
    },
    120_000,
  );
});
