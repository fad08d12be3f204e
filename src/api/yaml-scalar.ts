/**
 * Reads a YAML scalar as kubectl does. kubectl goes through sigs.k8s.io/yaml to goyaml.v2, whose `resolve.go` is followed here:
 * YAML 1.1 with octal `010`, `y`/`on` as booleans and `_` in numbers, but neither base 60 (`1:30`) nor dates, and with whatever
 * Go's strconv takes (`0o17`). `yaml.test.ts` holds this against a real kubectl.
 */
import { err, ok, type Result } from '../lib/result.ts';

export type ScalarValue = null | boolean | number | string;

const WORDS: ReadonlyMap<string, ScalarValue> = new Map<string, ScalarValue>([
  ...['y', 'Y', 'yes', 'Yes', 'YES', 'true', 'True', 'TRUE', 'on', 'On', 'ON'].map((word) => [word, true] as const),
  ...['n', 'N', 'no', 'No', 'NO', 'false', 'False', 'FALSE', 'off', 'Off', 'OFF'].map((word) => [word, false] as const),
  ...['', '~', 'null', 'Null', 'NULL'].map((word) => [word, null] as const),
  ...['.nan', '.NaN', '.NAN'].map((word) => [word, Number.NaN] as const),
  ...['.inf', '.Inf', '.INF', '+.inf', '+.Inf', '+.INF'].map((word) => [word, Number.POSITIVE_INFINITY] as const),
  ...['-.inf', '-.Inf', '-.INF'].map((word) => [word, Number.NEGATIVE_INFINITY] as const),
]);

const INT_MIN = -(2n ** 63n);
const UINT_MAX = 2n ** 64n - 1n;
/** strconv.ParseInt with base 0, after the underscores are gone. */
const INTEGER = /^([+-]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))$/;
/** goyaml's own second try at binary: a sign behind the prefix. */
const SIGNED_BINARY = /^0b([+-])([01]+)$/;
const FLOAT = /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/;
/** Go's own syntax, where a single `_` may stand between digits; goyaml does not take them out here. */
const POINT_FLOAT = /^\.[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+(?:_[0-9]+)*)?$/;

/** A plain (unquoted, untagged) scalar. NaN and infinities come out as numbers: JSON, and so kubectl, refuses them later. */
export function resolvePlain(source: string): ScalarValue {
  const word = WORDS.get(source);
  if (word !== undefined) return word;
  const first = source.charAt(0);
  if (first === '.') return POINT_FLOAT.test(source) ? finiteOr(source.replaceAll('_', ''), source) : source;
  if (!/^[-+0-9]/.test(first)) return source;
  const plain = source.replaceAll('_', '');
  const integer = parseInteger(plain);
  if (integer !== undefined) return integer;
  return FLOAT.test(plain) ? finiteOr(plain, source) : source;
}

function parseInteger(plain: string): number | undefined {
  const parts = INTEGER.exec(plain);
  if (parts === null) {
    const signed = SIGNED_BINARY.exec(plain);
    return signed === null ? undefined : inRange(BigInt(`0b${signed[2] ?? ''}`), signed[1] ?? '');
  }
  const [, sign = '', hex, binary, octal, decimal] = parts;
  const digits =
    hex !== undefined ? `0x${hex}` : binary !== undefined ? `0b${binary}` : octal !== undefined ? `0o${octal}` : (decimal ?? '');
  return inRange(BigInt(digits), sign);
}

/** 64 bits with a sign, or without one where none is written. */
function inRange(magnitude: bigint, sign: string): number | undefined {
  const value = sign === '-' ? -magnitude : magnitude;
  const largest = sign === '' ? UINT_MAX : -INT_MIN - 1n;
  return value >= INT_MIN && value <= largest ? Number(value) : undefined;
}

/** Go refuses a float that overflows, and goyaml then takes the text. */
function finiteOr(number: string, source: string): ScalarValue {
  const value = Number(number);
  return Number.isFinite(value) ? value + 0 : source;
}

const CORE = 'tag:yaml.org,2002:';

/** A scalar with an explicit tag, quoted or not. The error says what the value is not. */
export function resolveTagged(tag: string, source: string): Result<ScalarValue, string> {
  const resolved = resolvePlain(source);
  // Without the value, which may be a password.
  const refused = err(`the value is not a ${tag.replace(CORE, '!!')}`);
  switch (tag) {
    case `${CORE}int`:
      return typeof resolved === 'number' && Number.isInteger(resolved) && !/[.eE]/.test(hexless(source))
        ? ok(resolved)
        : refused;
    case `${CORE}float`:
      return typeof resolved === 'number' ? ok(resolved) : refused;
    case `${CORE}bool`:
      return typeof resolved === 'boolean' ? ok(resolved) : refused;
    case `${CORE}null`:
      return resolved === null ? ok(null) : refused;
    case `${CORE}binary`:
      return ok(Buffer.from(source.replace(/\s+/g, ''), 'base64').toString('utf8'));
    default:
      return ok(source);
  }
}

/** `e` is a digit in hexadecimal and a sign of a float elsewhere. */
function hexless(source: string): string {
  return /^[+-]?0[xX]/.test(source) ? '' : source;
}
