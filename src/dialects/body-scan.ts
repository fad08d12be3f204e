/**
 * What has to be known of a request's bytes beside the values that JSON.parse makes of them: where the model is, whether a member that
 * matters is there twice, how deep it nests. A loop over the bytes says all of it. To search the text for each took two and a half times
 * as many instructions where a body has 1 KB (42,000), and some 300 lines of cache more.
 */
import { duplicateMember, scanObject, skipSpace } from './json-span.ts';

/** Members whose meaning the gateway depends on, so no two parsers may read them differently. Each is of another length. */
export const UNIQUE_MEMBERS: readonly string[] = [
  'model',
  'stream',
  'stream_options',
  'previous_response_id',
  'conversation',
  'input_file_id',
];
const MODEL_LENGTH = 'model'.length;
const STREAM_LENGTH = 'stream'.length;
const OPTIONS_LENGTH = 'stream_options'.length;
const MAX_LENGTH = 31;

/** One after another, for fewer lines of cache: where each of `UNIQUE_MEMBERS` begins, by its length, and then what names files. */
const NAMES = Buffer.from(`${UNIQUE_MEMBERS.join('')}file_ids`);
const OFFSETS = new Int8Array(MAX_LENGTH + 1).fill(-1);
let next = 0;
for (const { length } of UNIQUE_MEMBERS) {
  OFFSETS[length] = next;
  next += length;
}
const FILE_IDS_LENGTH = 'file_ids'.length;
const FILE_IDS_OFFSET = next;

const QUOTE = 0x22;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const DELETE = 0x7f;
/** Turns each square bracket into the curly one. */
const CURLY_BIT = 0x20;
const OPEN_ARRAY = 0x5b;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * A small body is looked at byte by byte: a call costs more than some hundred of them, where it was not made just before. Of a large one
 * strings are searched for their end, but for short ones, and numbers are looked at four bytes at a time.
 */
const LARGE_BYTES = 2_048;
const NEAR_BYTES_OF_SMALL = 1_024;
const NEAR_BYTES = 64;
const NO_WORDS = new Int32Array(0);

export interface BodyScan {
  /** It nests deeper than it may; nothing else counts then. */
  tooDeep: boolean;
  /** Some member, wherever it is, has a name that is written with an escape: JSON.parse may have read names wrong. */
  escapedName: boolean;
  /** False: no name at the top has a letter that becomes another one, or an ASCII one, where case does not matter. */
  foldableName: boolean;
  /** False: no member, wherever it is, is called `file_id` or `file_ids`. */
  namesFiles: boolean;
  /** One of `UNIQUE_MEMBERS` that the top has more than once. */
  twice: string | null;
  /** Where the value of the top's `model` begins; -1: it has none. */
  modelStart: number;
  /** Where it ends, if it is a string of ASCII without escapes and control characters; -1: it is none. */
  plainModelEnd: number;
  hasStream: boolean;
  hasStreamOptions: boolean;
}

/** Of an object that JSON.parse takes. `maxDepth`: its own level counted. Linear, without recursion. */
export function scanBody(bytes: Buffer, maxDepth: number): BodyScan {
  const found: BodyScan = {
    tooDeep: false,
    escapedName: false,
    foldableName: false,
    namesFiles: false,
    twice: null,
    modelStart: -1,
    plainModelEnd: -1,
    hasStream: false,
    hasStreamOptions: false,
  };
  const size = bytes.length;
  const isLarge = size >= LARGE_BYTES;
  const nearBytes = isLarge ? NEAR_BYTES : NEAR_BYTES_OF_SMALL;
  const before = bytes.byteOffset & 3;
  const words = isLarge ? new Int32Array(bytes.buffer, bytes.byteOffset - before, (before + size) >> 2) : NO_WORDS;
  let depth = 0;
  /** A bit for each length. */
  let seen = 0;
  for (let at = 0; at < size; at++) {
    const byte = bytes[at] ?? 0;
    if (byte !== QUOTE) {
      if (byte < OPEN_ARRAY) {
        let word = (at + before) >> 2;
        if (((at + before) & 3) === 0 && word < words.length && isNumbers(words[word] ?? 0)) {
          while (++word < words.length && isNumbers(words[word] ?? 0));
          at = (word << 2) - before - 1;
        }
        continue;
      }
      const bracket = byte | CURLY_BIT;
      if (bracket === CLOSE_OBJECT) depth--;
      else if (bracket === OPEN_OBJECT && ++depth > maxDepth) {
        found.tooDeep = true;
        return found;
      }
      continue;
    }
    const start = at + 1;
    at = closingQuote(bytes, start, nearBytes);
    const colon = skipSpace(bytes, at + 1);
    if (bytes[colon] !== COLON) continue;
    const length = at - start;
    for (let i = start; i < at; i++) {
      const letter = bytes[i] ?? 0;
      if (letter === BACKSLASH) found.escapedName = true;
      else if (depth === 1 && (letter > DELETE || (letter >= 0x41 && letter <= 0x5a))) found.foldableName = true;
    }
    if (length === FILE_IDS_LENGTH || length === FILE_IDS_LENGTH - 1)
      found.namesFiles ||= isName(bytes, start, length, FILE_IDS_OFFSET);
    at = colon;
    if (depth !== 1 || length > MAX_LENGTH) continue;
    const offset = OFFSETS[length] ?? -1;
    if (offset === -1 || !isName(bytes, start, length, offset)) continue;
    const bit = 1 << length;
    if ((seen & bit) !== 0) found.twice ??= bytes.toString('latin1', start, start + length);
    seen |= bit;
    if (length === STREAM_LENGTH) found.hasStream = true;
    else if (length === OPTIONS_LENGTH) found.hasStreamOptions = true;
    else if (length === MODEL_LENGTH) {
      // Of several the last one is what JSON.parse takes.
      found.modelStart = skipSpace(bytes, colon + 1);
      found.plainModelEnd = plainEnd(bytes, found.modelStart);
    }
  }
  return found.escapedName ? decoded(bytes, found) : found;
}

/** The same where names have to be decoded to know them. */
function decoded(bytes: Buffer, found: BodyScan): BodyScan {
  const spans = scanObject(bytes, UNIQUE_MEMBERS);
  if (!spans.ok) throw new Error(`invariant: parsed JSON cannot be scanned: ${spans.error}`);
  const last = (name: string): number => spans.value.members.findLast((member) => member.name === name)?.start ?? -1;
  return {
    ...found,
    foldableName: true,
    namesFiles: true,
    twice: duplicateMember(spans.value),
    modelStart: last('model'),
    plainModelEnd: -1,
    hasStream: last('stream') !== -1,
    hasStreamOptions: last('stream_options') !== -1,
  };
}

/** Outside of strings: none of the four bytes is a bracket or a quote; nor a letter. */
function isNumbers(word: number): boolean {
  const zeroed = word ^ 0x22222222;
  // The top bit of those from `[` on, and of quotes.
  return (((word + 0x25252525) | ((zeroed - 0x01010101) & ~zeroed)) & 0x80808080) === 0;
}

/** Of the string whose text begins at `start`. */
function closingQuote(bytes: Buffer, start: number, nearBytes: number): number {
  for (let at = start; ;) {
    for (const near = Math.min(at + nearBytes, bytes.length); at < near; at++) {
      const byte = bytes[at] ?? 0;
      // Most are lower-case letters.
      if (byte > BACKSLASH) continue;
      if (byte === QUOTE) return at;
      if (byte === BACKSLASH) at++;
    }
    const quote = bytes.indexOf(QUOTE, at);
    if (quote === -1) throw new Error('invariant: a string of parsed JSON has no end');
    // An odd run of backslashes escapes it.
    let run = quote;
    while (run > at && bytes[run - 1] === BACKSLASH) run--;
    if ((quote - run) % 2 === 0) return quote;
    at = quote + 1;
  }
}

function isName(bytes: Buffer, start: number, length: number, offset: number): boolean {
  for (let i = 0; i < length; i++) if (bytes[start + i] !== NAMES[offset + i]) return false;
  return true;
}

/** After the string at `start`; -1: it is none, or has something else in it than what ASCII can show. */
function plainEnd(bytes: Buffer, start: number): number {
  if (bytes[start] !== QUOTE) return -1;
  for (let at = start + 1; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === QUOTE) return at + 1;
    if (byte < 0x20 || byte >= DELETE || byte === BACKSLASH) return -1;
  }
  return -1;
}
