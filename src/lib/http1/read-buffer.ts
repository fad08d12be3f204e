/**
 * What sockets read into. A read is told within the same turn, and whoever is told copies what it keeps: node would make a buffer of
 * 64 KiB for each read instead, and a request is 1 KB, a stream's event 200 bytes.
 */
export const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);

/** Where a socket's bytes are told: up to `to`, in a buffer that may be written over by the next read. */
export type OnRead = (bytes: Buffer, to: number) => void;
