import { parseJsonOrThrow } from '../lib/json-parse.ts';

/** What is kept of an answer, and how it is written down. */

export interface CachedAnswer {
  /** Flat: name, value, …; what is the same whenever it is sent. */
  readonly headers: readonly string[];
  readonly body: Buffer;
  /** The body is an event stream. */
  readonly stream: boolean;
  /** Wall clock of the pod that stored it. */
  readonly storedAtMs: number;
}

/** Larger ones are not kept. */
export const MAX_ANSWER_BYTES = 1024 * 1024;
const VERSION = 1;
const NEWLINE = 0x0a;

/** A line of JSON, then the body's bytes. */
export function encodeAnswer({ headers, body, stream, storedAtMs }: CachedAnswer): Buffer {
  const head = JSON.stringify({ version: VERSION, headers, stream, storedAtMs, bytes: body.length });
  return Buffer.concat([Buffer.from(`${head}\n`), body]);
}

/** null for anything else than the whole of what `encodeAnswer` wrote. */
export function decodeAnswer(bytes: Buffer): CachedAnswer | null {
  const end = bytes.indexOf(NEWLINE);
  if (end === -1) return null;
  try {
    const head = parseJsonOrThrow(bytes.toString('utf8', 0, end)) as Readonly<Record<string, unknown>>;
    const { version, headers, stream, storedAtMs, bytes: length } = head;
    const body = bytes.subarray(end + 1);
    if (version !== VERSION || typeof stream !== 'boolean' || typeof storedAtMs !== 'number' || length !== body.length)
      return null;
    if (!Array.isArray(headers) || headers.length % 2 !== 0 || !headers.every((text) => typeof text === 'string')) return null;
    return { headers, body, stream, storedAtMs };
  } catch {
    return null;
  }
}
