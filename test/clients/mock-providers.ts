/** One server in the place of every provider. It calls a tool where it is given one, and speaks when it has the result. */
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Heard, type Json, type Said, speakerAt, type Turn } from './speakers.ts';

export interface MockProviders {
  readonly origin: string;
  /** What was not asked as a provider documents it, since the start. */
  readonly strays: readonly string[];
  close(): Promise<void>;
}

/** `play`: what to say to a request. */
export async function startMockProviders(play: (heard: Heard, body: Json) => Turn): Promise<MockProviders> {
  const strays: string[] = [];
  const server = http.createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const path = request.url ?? '';
      const body = JSON.parse(Buffer.concat(pieces).toString()) as Json;
      if (path.split('?')[0]?.endsWith('/messages/count_tokens') === true) {
        response.writeHead(200, { 'content-type': 'application/json' }).end('{"input_tokens":42}');
        return;
      }
      const speaker = speakerAt(path);
      if (speaker === undefined) {
        strays.push(`${request.method} ${path}`);
        response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":{"message":"no such path"}}');
        return;
      }
      const heard = speaker.hear(path, body);
      void write(response, speaker.say(play(heard, body), heard.stream));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    strays,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function write(response: http.ServerResponse, { contentType, chunks }: Said): Promise<void> {
  response.writeHead(200, { 'content-type': contentType });
  for (const chunk of chunks) {
    response.write(chunk);
    // Each in a packet of its own, as far as the kernel lets it.
    await new Promise((resolve) => setImmediate(resolve));
  }
  response.end();
}
