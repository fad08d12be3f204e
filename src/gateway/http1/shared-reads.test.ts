import { once } from 'node:events';
import net from 'node:net';
import { Duplex } from 'node:stream';
import { afterEach, describe, expect, it } from '@jest/globals';
import { READ_BUFFER } from '../../lib/http1/read-buffer.ts';
import { readShared } from './shared-reads.ts';

const ends: { destroy(): unknown }[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end.destroy();
});

/** Both ends of a connection, with what the accepting one was told. */
class Reading {
  told = '';
  readonly buffers = new Set<Buffer>();

  onRead = (bytes: Buffer, to: number): void => {
    this.told += bytes.toString('latin1', 0, to);
    this.buffers.add(bytes);
  };

  async until(told: string): Promise<void> {
    while (this.told !== told) await new Promise((resolve) => setImmediate(resolve));
  }
}

async function connected(reading: Reading): Promise<{ client: net.Socket; socket: net.Socket; server: net.Server }> {
  let accepted: net.Socket | null = null;
  const server = net.createServer({ noDelay: true }, (socket) => {
    accepted = socket;
    readShared(socket, reading.onRead);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server does not listen');
  const client = net.connect(address.port, '127.0.0.1');
  client.write('first');
  await reading.until('first');
  if (accepted === null) throw new Error('nothing was accepted');
  ends.push(client, accepted);
  return { client, socket: accepted, server };
}

describe('what comes on accepted sockets', () => {
  it('is told from one buffer, for all of them', async () => {
    const [one, other] = [new Reading(), new Reading()];
    const [first, second] = [await connected(one), await connected(other)];
    first.client.write(' of one');
    second.client.write(' of another');
    await Promise.all([one.until('first of one'), other.until('first of another')]);
    // Where this fails, node keeps it elsewhere: then all is as it was, but requests wait for longer.
    expect([...one.buffers, ...other.buffers]).toEqual([READ_BUFFER, READ_BUFFER]);
    for (const { server } of [first, second]) server.close();
  });

  it('is more than the buffer holds, and stays where it is while the socket is paused', async () => {
    const reading = new Reading();
    const { client, socket, server } = await connected(reading);
    socket.pause();
    const text = 'x'.repeat(300_000);
    client.write(text);
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
    expect(reading.told).toBe('first');
    socket.resume();
    await reading.until(`first${text}`);
    server.close();
  });

  it('ends as it did by events: the socket closes, and the server counts it no more', async () => {
    const { client, socket, server } = await connected(new Reading());
    const closed = once(socket, 'close');
    const serverClosed = new Promise((resolve) => server.close(resolve));
    client.end();
    await closed;
    await serverClosed;
  });

  it('is told by events where the stream is not a socket of node, or has read before', async () => {
    const reading = new Reading();
    const stream = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
    readShared(stream as net.Socket, reading.onRead);
    stream.push('a');
    await reading.until('a');
    expect(reading.buffers.has(READ_BUFFER)).toBe(false);
  });
});
