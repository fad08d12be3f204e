import { expect, it } from '@jest/globals';
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Replica } from '../../routetable/replica.ts';
import { messageLine } from '../../routetable/stream-messages.ts';
import { GATEWAY } from '../../routetable/testdata/tables.ts';
import { readStream } from './table-stream.ts';

const HELLO = messageLine({ type: 'hello', version: 1, epoch: 1, gateway: GATEWAY, heartbeatMs: 10, readyPods: 3 });

it('ends a stream that stays open and says nothing for three heartbeats', async () => {
  const server = createServer((_request, response: ServerResponse) => response.write(HELLO));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = server.address() as AddressInfo;
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      get({ host: '127.0.0.1', port }, resolve).on('error', reject);
    });
    const epochs: number[] = [];
    const readyPods: number[] = [];
    const events = {
      onHello: (epoch: number) => void epochs.push(epoch),
      onReadyPods: (count: number) => void readyPods.push(count),
      onCommit: () => {},
      onCurrent: () => {},
    };
    const end = await readStream(response, new Replica(), events);
    expect(end).toEqual({ planned: false, why: 'no sign of life for 30 ms' });
    expect([epochs, readyPods]).toEqual([[1], [3]]);
    expect(response.destroyed).toBe(true);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
