import net, { type Socket } from 'node:net';
import { type OnRead, READ_BUFFER } from '../../lib/http1/read-buffer.ts';

/**
 * Tells what comes on an accepted socket from a buffer that all share, as `onread` does for sockets that connect: a server has no such
 * option. By events, with a buffer made for each read, a request waits for 500 cache lines more until its first byte is looked at.
 *
 * Node keeps `onread` under keys of its own, which a socket that was given one shows. Where they are not to be found, or the socket is
 * not a plain one (TLS) or has read already, its events are told.
 */
export function readShared(socket: Socket, onRead: OnRead): void {
  const handle = KEYS === null || socket.constructor !== net.Socket || socket.readableLength > 0 ? null : handleOf(socket);
  if (KEYS === null || handle === null) {
    socket.on('data', (bytes: Buffer) => onRead(bytes, bytes.length));
    return;
  }
  const own = socket as unknown as Record<PropertyKey, unknown>;
  own[KEYS.buffer] = READ_BUFFER;
  own[KEYS.callback] = (bytes: number): boolean => {
    onRead(READ_BUFFER, bytes);
    // Reading goes on until the socket is paused.
    return true;
  };
  handle.useUserBuffer(READ_BUFFER);
}

function handleOf(socket: Socket): ReadingHandle | null {
  const { _handle: handle } = socket as Socket & { readonly _handle?: Partial<ReadingHandle> | null };
  return handle?.useUserBuffer === undefined ? null : (handle as ReadingHandle);
}

interface ReadingHandle {
  useUserBuffer(buffer: Buffer): void;
}

interface Keys {
  readonly buffer: PropertyKey;
  readonly callback: PropertyKey;
}

const KEYS = findKeys();

function findKeys(): Keys | null {
  const callback = (): boolean => true;
  const sample = new net.Socket({ onread: { buffer: READ_BUFFER, callback } });
  const keys = Reflect.ownKeys(sample);
  const keyOf = (value: unknown): PropertyKey | undefined => keys.find((key) => Reflect.get(sample, key) === value);
  const found = { buffer: keyOf(READ_BUFFER), callback: keyOf(callback) };
  sample.destroy();
  return found.buffer === undefined || found.callback === undefined ? null : { buffer: found.buffer, callback: found.callback };
}
