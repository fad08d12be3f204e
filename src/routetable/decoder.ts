/**
 * Small decoders: each turns one `unknown` into a value of its type or throws `Refused`. The throw never leaves `attempt`, which
 * is where an entry begins; inside, it keeps the shapes in codec.ts readable. Members that a shape does not know are left out,
 * because formats grow by addition; enum values it does not know are refused.
 */
import { err, ok, type Result } from '../lib/result.ts';

export type Decoder<T> = (value: unknown) => T;

/** `path` grows from the inside out while the throw passes the shapes around it. */
class Refused extends Error {
  path = '';
}

/**
 * Runs a decoder; the error reads `rules[0].strategy: "Utility" is not known here, only Weighted, …`. Where the decoder itself fails,
 * its entry is refused too: others came over the same stream.
 */
export function attempt<T>(decode: Decoder<T>, value: unknown): Result<T, string> {
  try {
    return ok(decode(value));
  } catch (thrown) {
    if (!(thrown instanceof Refused))
      return err(`it could not be read: ${thrown instanceof Error ? thrown.name : 'unknown fault'}`);
    return err(thrown.path === '' ? thrown.message : `${thrown.path}: ${thrown.message}`);
  }
}

export function refuse(message: string, path = ''): never {
  const refused = new Refused(message);
  refused.path = path;
  throw refused;
}

function shown(value: unknown): string {
  return value === undefined
    ? 'it is missing'
    : `it is ${Array.isArray(value) ? 'an array' : value === null ? 'null' : `a ${typeof value}`}`;
}

function within(step: string, thrown: unknown): never {
  if (thrown instanceof Refused)
    thrown.path = thrown.path === '' || thrown.path.startsWith('[') ? step + thrown.path : `${step}.${thrown.path}`;
  throw thrown;
}

export const text: Decoder<string> = (value) =>
  typeof value === 'string' ? value : refuse(`a string is needed, ${shown(value)}`);

/** At least one character, none of them a control character: safe as a header's value, a metric's label, a log's field. */
export const line: Decoder<string> = (value) => {
  const found = text(value);
  for (let i = 0; i < found.length; i++) {
    const code = found.charCodeAt(i);
    if (code < 0x20 || code === 0x7f) return refuse('it contains a control character');
  }
  return found === '' ? refuse('it is empty') : found;
};

export const hexDigest: Decoder<string> = (value) =>
  /^[0-9a-f]{64}$/.test(text(value)) ? text(value) : refuse('64 lower-case hex digits are needed');

/** RFC 9110's token, in lower case: what may be a header's name. */
export const headerName: Decoder<string> = (value) =>
  /^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(text(value))
    ? text(value)
    : refuse(`${JSON.stringify(value)} is not a lower-case header name`);

export const headerValue: Decoder<string> = (value) => (value === '' ? '' : line(value));

export const bool: Decoder<boolean> = (value) =>
  typeof value === 'boolean' ? value : refuse(`true or false is needed, ${shown(value)}`);

/** A finite number of at least `min`. */
export function number(min: number): Decoder<number> {
  return (value) =>
    typeof value === 'number' && Number.isFinite(value) && value >= min
      ? value
      : refuse(`a number of at least ${min} is needed, ${typeof value === 'number' ? `it is ${value}` : shown(value)}`);
}

/** A safe integer of at least `min` and at most `max`. */
export function integer(min: number, max = Number.MAX_SAFE_INTEGER): Decoder<number> {
  const decode = number(min);
  return (value) => {
    const found = decode(value);
    if (!Number.isSafeInteger(found)) return refuse(`a whole number is needed, it is ${found}`);
    return found <= max ? found : refuse(`a number of at most ${max} is needed, it is ${found}`);
  };
}

export function oneOf<const T extends string | number>(...known: readonly T[]): Decoder<T> {
  const set: ReadonlySet<unknown> = new Set(known);
  return (value) =>
    set.has(value) ? (value as T) : refuse(`${JSON.stringify(value) ?? 'nothing'} is not known here, only ${known.join(', ')}`);
}

export function nullable<T>(decode: Decoder<T>): Decoder<T | null> {
  return (value) => (value === null ? null : decode(value));
}

/** For a member that older writers leave out. */
export function orElse<T>(decode: Decoder<T>, absent: T): Decoder<T> {
  return (value) => (value === undefined ? absent : decode(value));
}

/** For a member that readers of an older version do not know. */
export function optional<T>(decode: Decoder<T>): Decoder<T | undefined> {
  return (value) => (value === undefined ? undefined : decode(value));
}

const NOTHING: readonly never[] = [];

export function list<T>(decode: Decoder<T>): Decoder<readonly T[]> {
  return (value) => {
    if (!Array.isArray(value)) return refuse(`a list is needed, ${shown(value)}`);
    if (value.length === 0) return NOTHING;
    const items: T[] = [];
    for (let i = 0; i < value.length; i++) {
      try {
        items.push(decode(value[i] as unknown));
      } catch (thrown) {
        within(`[${i}]`, thrown);
      }
    }
    // V8 keeps room for seventeen where one was pushed; the copy has no room to spare.
    return items.slice();
  };
}

/** Values that many entries have alike: forgotten all at once beyond so many. */
const MAX_SHARED = 500;

/**
 * The same value for equal input: thousands of routes have the same prices, deadlines and capabilities, and what is decoded is
 * never changed. For what holds no credential, since the input is kept as text.
 */
export function shared<T>(decode: Decoder<T>): Decoder<T> {
  const known = new Map<string, T>();
  return (value) => {
    const input = JSON.stringify(value);
    if (input === undefined) return decode(value);
    const found = known.get(input);
    if (found !== undefined) return found;
    const decoded = decode(value);
    if (known.size >= MAX_SHARED) known.clear();
    known.set(input, decoded);
    return decoded;
  };
}

export function pair<A, B>(first: Decoder<A>, second: Decoder<B>): Decoder<readonly [A, B]> {
  return (value) =>
    Array.isArray(value) && value.length === 2 ? ([first(value[0]), second(value[1])] as const) : refuse('a pair is needed');
}

/** One decoder for each member of T: a member that is added to the type and forgotten here does not compile. */
export function object<T extends object>(shape: { readonly [K in keyof T]-?: Decoder<T[K]> }): Decoder<T> {
  const members = Object.entries<Decoder<unknown>>(shape);
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return refuse(`an object is needed, ${shown(value)}`);
    const given = value as Readonly<Record<string, unknown>>;
    const made: Record<string, unknown> = {};
    for (const [key, decode] of members) {
      try {
        const decoded = decode(Object.hasOwn(given, key) ? given[key] : undefined);
        if (decoded !== undefined) made[key] = decoded;
      } catch (thrown) {
        within(key, thrown);
      }
    }
    return made as T;
  };
}
