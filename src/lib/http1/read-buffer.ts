/**
 * What sockets read into. A read is told within the same turn, and whoever is told copies what it keeps: node would make a buffer of
 * 64 KiB for each read instead, and a request is 1 KB, a stream's event 200 bytes.
 */
export const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);
