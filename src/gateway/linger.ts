import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** How much of a refused request is read on, and for how long, before its connection is cut. */
const LINGER_MAX_BYTES = 64 * 1024 * 1024;
const LINGER_MAX_MS = 30_000;

const lingering = new WeakSet<Socket>();

/** Its answer is out and only the rest of its request is read. */
export function isLingering(socket: Socket): boolean {
  return lingering.has(socket);
}

/**
 * Ends an answer whose last byte is written. Where the client is still sending its request, the connection stays until it has
 * sent it all: closed under a client that writes, it would be reset, and the answer lost before it is read (RFC 9112, section 9.6).
 */
export function endWhenRead(response: ServerResponse): void {
  const { req: request } = response;
  if (request.complete) {
    response.end();
    return;
  }
  const { socket } = request;
  lingering.add(socket);
  let bytes = 0;
  const timer = setTimeout(() => request.destroy(), LINGER_MAX_MS);
  const end = (): void => {
    clearTimeout(timer);
    lingering.delete(socket);
    response.end();
  };
  request.once('end', end).once('close', end);
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > LINGER_MAX_BYTES) request.destroy();
  });
}
