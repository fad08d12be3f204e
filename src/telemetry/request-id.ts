import { randomFillSync } from 'node:crypto';

const PREFIX = 'req_';
const RANDOM_BYTES = 12;
const ID_CHARS = PREFIX.length + 2 * RANDOM_BYTES;
const IDS_A_FILL = 512;

/** So many become text at a time: what that takes is in the caches then, and most requests find theirs made. */
const IDS_AT_ONCE = 16;

/** The characters of ids, side by side: the strings made of them keep no larger one alive. */
const pool = Buffer.alloc(ID_CHARS * IDS_A_FILL, PREFIX.padEnd(ID_CHARS), 'latin1');
const random = Buffer.alloc(RANDOM_BYTES * IDS_A_FILL);
let next = pool.length;
const ready: string[] = [];

/** `req_` and 24 hex digits, unique by 96 random bits. */
export function newRequestId(): string {
  return ready.pop() ?? makeIds();
}

function makeIds(): string {
  if (next === pool.length) fill();
  const end = next + ID_CHARS * IDS_AT_ONCE;
  while (next < end - ID_CHARS) ready.push(takeId());
  return takeId();
}

function takeId(): string {
  const id = pool.toString('latin1', next, next + ID_CHARS);
  next += ID_CHARS;
  return id;
}

const ACCEPTED = /^[A-Za-z0-9._-]{1,128}$/;

/** The client's own `x-request-id` where it is plain enough for a header and a log line, else a new one. */
export function acceptRequestId(header: string | readonly string[] | undefined): string {
  return typeof header === 'string' && ACCEPTED.test(header) ? header : newRequestId();
}

/** Writes new digits over the old; the prefixes stay. */
function fill(): void {
  randomFillSync(random);
  for (let i = 0; i < random.length; i++) {
    const place = Math.floor(i / RANDOM_BYTES) * ID_CHARS + PREFIX.length + 2 * (i % RANDOM_BYTES);
    const byte = random[i] ?? 0;
    pool[place] = hexDigit(byte >> 4);
    pool[place + 1] = hexDigit(byte & 15);
  }
  next = 0;
}

/** The character code of a digit, 0 to 15. */
function hexDigit(value: number): number {
  return value < 10 ? 0x30 + value : 0x57 + value;
}
