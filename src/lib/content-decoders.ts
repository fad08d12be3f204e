import type { Transform } from 'node:stream';
import zlib from 'node:zlib';

/** The content encodings that are taken off bodies, by their names in lower case (RFC 9110, section 8.4.1; RFC 8878). */
export const CONTENT_DECODERS: ReadonlyMap<string, () => Transform> = new Map<string, () => Transform>([
  ['gzip', () => zlib.createGunzip()],
  ['x-gzip', () => zlib.createGunzip()],
  ['deflate', () => zlib.createInflate()],
  ['br', () => zlib.createBrotliDecompress()],
  ['zstd', () => zlib.createZstdDecompress()],
]);
