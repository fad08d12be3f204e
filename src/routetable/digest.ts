/** Digests: equal digests mean equal meaning, on every machine and whatever order the input came in. */
import { hash } from 'node:crypto';

import { SecretValue } from '../lib/secret.ts';

/**
 * JSON without white space, members sorted by UTF-16 code unit, members that are `undefined` left out: equal values give equal
 * bytes. `secret` decides what stands for a credential. Throws on what JSON cannot carry (NaN, functions): an invariant, since
 * only compiled values come here.
 */
export function canonicalJson(value: unknown, secret: (value: SecretValue) => string): string {
  if (value === null) return 'null';
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value);
    case 'boolean':
      return value ? 'true' : 'false';
    case 'number':
      if (!Number.isFinite(value)) throw new Error(`not a JSON number: ${value}`);
      return JSON.stringify(value);
    case 'object':
      break;
    default:
      throw new Error(`not a JSON value: ${typeof value}`);
  }
  if (value instanceof SecretValue) return JSON.stringify(secret(value));
  if (Array.isArray(value)) {
    if (value.length === 0) return '[]';
    let text = '[';
    for (const item of value as readonly unknown[]) text += canonicalJson(item, secret) + ',';
    return `${text.slice(0, -1)}]`;
  }
  const members = value as Readonly<Record<string, unknown>>;
  let text = '{';
  for (const key of sortedKeys(members)) {
    const member = members[key];
    if (member !== undefined) text += quotedKey(key) + canonicalJson(member, secret) + ',';
  }
  return text === '{' ? '{}' : `${text.slice(0, -1)}}`;
}

/** By insertion where there are a dozen, as in our own types: `sort()` costs several times as much. */
function sortedKeys(members: object): readonly string[] {
  const keys = Object.keys(members);
  if (keys.length > 32) return keys.sort();
  for (let end = 1; end < keys.length; end++) {
    const key = keys[end] ?? '';
    let at = end;
    for (let before = keys[at - 1] ?? ''; at > 0 && before > key; before = keys[--at - 1] ?? '') keys[at] = before;
    keys[at] = key;
  }
  return keys;
}

/** The members of our own types, quoted once; a user's keys beyond that many are quoted each time. */
const QUOTED = new Map<string, string>();
const MAX_QUOTED = 500;

function quotedKey(key: string): string {
  const known = QUOTED.get(key);
  if (known !== undefined) return known;
  const quoted = `${JSON.stringify(key)}:`;
  if (QUOTED.size < MAX_QUOTED) QUOTED.set(key, quoted);
  return quoted;
}

/**
 * What stands for a credential in digests and ids: 64 hex digits that differ from the SHA-256 of the bare value, so that one
 * seen in a log matches nothing that a key's owner has published (client keys are stored by their bare SHA-256).
 */
export function secretDigest(value: SecretValue): string {
  return hash('sha256', `fairlead credential\0${value.reveal()}`, 'hex');
}

/** SHA-256, lower-case hex, of the canonical JSON; credentials enter by `secretDigest`. */
export function digestOf(value: unknown): string {
  return hash('sha256', canonicalJson(value, secretDigest), 'hex');
}
