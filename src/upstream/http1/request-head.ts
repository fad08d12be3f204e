// By an import: the global is an accessor, which takes 30 cache lines at each use.
import { Buffer } from 'node:buffer';
import { headersSize, lengthSize, writeHeaders, writeLength, writeLineEnd } from '../../lib/http1/write-head.ts';
import { checkName, unsendableValue } from './sendable.ts';

/**
 * A request as it is sent: a head that begins with `beginning`, and this body behind it. `headers` is flat: name, value, …; none of them
 * may say how the body is framed. `length`: of the whole body, in bytes; null: there is none. Throws for what cannot be sent.
 */
export function requestBytes(
  beginning: Buffer,
  headers: readonly string[],
  length: number | null,
  body: readonly Buffer[],
): Buffer {
  let size = beginning.length + headersSize(headers) + (length === null ? 0 : lengthSize(length)) + 2;
  for (let i = 0; i < body.length; i++) size += body[i]?.length ?? 0;
  const bytes = Buffer.allocUnsafe(size);
  bytes.set(beginning);
  let at = writeHeaders(bytes, beginning.length, headers, nameBytes, unsendableValue);
  if (length !== null) at = writeLength(bytes, at, length);
  at = writeLineEnd(bytes, at);
  for (let i = 0; i < body.length; i++) {
    const piece = body[i];
    if (piece === undefined) continue;
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** Of names that were looked at, with what follows them: configuration and a list of ours bound how many there are. */
const names = new Map<string, Buffer>();
const MAX_NAMES = 1_000;

function nameBytes(name: string): Buffer {
  const known = names.get(name);
  if (known !== undefined) return known;
  checkName(name);
  const bytes = Buffer.from(`${name}: `, 'latin1');
  if (names.size < MAX_NAMES) names.set(name, bytes);
  return bytes;
}
