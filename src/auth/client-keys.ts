import { hash } from 'node:crypto';
import type { Clock } from '../lib/clock.ts';
import type { ClientKey, ModelName } from '../routetable/types.ts';

/** Longer credentials are refused unhashed. */
const MAX_KEY_CHARS = 512;

/** Who sent a request, as far as its key tells. */
export interface Caller {
  readonly ok: true;
  /** `namespace/name` of the key's Secret; what logs and limits call it. */
  readonly keyId: string;
  readonly tenant: string;
  readonly namespace: string;
  /** A key of the gateway's own namespace. */
  readonly platform: boolean;
  /** The gateway asks for no keys. */
  readonly anonymous: boolean;
  /** Names it may use; null: all that routes admit it to. */
  readonly models: readonly ModelName[] | null;
}

export interface AuthFailure {
  readonly ok: false;
  readonly reason: 'missing' | 'malformed' | 'unknown' | 'expired';
  /** For the client. Tells nothing that only the key's owner may know. */
  readonly message: string;
}

/**
 * The caller where clientAuth is None. Whoever turns authentication off admits everybody to everything, so it stands where a
 * platform key stands: `access: Same` would otherwise close every route of another namespace.
 */
export const ANONYMOUS: Caller = Object.freeze({
  ok: true,
  keyId: 'anonymous',
  tenant: 'anonymous',
  namespace: '',
  platform: true,
  anonymous: true,
  models: null,
});

const MISSING: AuthFailure = {
  ok: false,
  reason: 'missing',
  message: 'No API key was sent. Send it as `Authorization: Bearer <key>`, `api-key: <key>` or `x-api-key: <key>`.',
};
const MALFORMED: AuthFailure = {
  ok: false,
  reason: 'malformed',
  message: `The credential sent is not an API key: write \`Authorization: Bearer <key>\` with a key of 1 to ${MAX_KEY_CHARS} characters.`,
};
const UNKNOWN: AuthFailure = { ok: false, reason: 'unknown', message: 'The API key sent is not known here.' };
const EXPIRED: AuthFailure = { ok: false, reason: 'expired', message: 'The API key sent has expired.' };

interface KnownKey {
  readonly caller: Caller;
  /** Infinity: never. */
  readonly expiresAtMs: number;
}

/** The keys of one table, by SHA-256. */
export type KeyRing = ReadonlyMap<string, KnownKey>;

/**
 * A key is high in entropy, so its plain SHA-256 is safe to store and, being looked up by hash, tells nothing by timing. Where two
 * Secrets hold the same hash the platform's wins, else the first, so that no namespace can take over a platform key's requests.
 */
export function compileKeys(keys: readonly ClientKey[]): KeyRing {
  const bySha256 = new Map<string, KnownKey>();
  for (const key of keys) {
    const earlier = bySha256.get(key.sha256);
    if (earlier !== undefined && (earlier.caller.platform || !key.platform)) continue;
    const { id, tenant, namespace, platform, models } = key;
    const caller: Caller = { ok: true, keyId: id, tenant, namespace, platform, anonymous: false, models };
    bySha256.set(key.sha256, { caller, expiresAtMs: key.expiresAtMs ?? Infinity });
  }
  return bySha256;
}

/** Keys that were used lately, by the `authorization` that held them; hashing one costs as much as the rest of admission. */
const recent = new Map<string, KnownKey>();
/** The table's keys that `recent` are of: a key that a new table lacks is not known from the old one. */
let recentRing: KeyRing | null = null;
/** Only known keys are remembered, so that no client can fill it with others. */
const MAX_RECENT = 10_000;

/**
 * `authorization`: that header as it came; `apiKey`: `api-key`, or else `x-api-key`. A Bearer token goes before `apiKey`; an
 * `authorization` of another scheme (some proxy's own) matters only where there is no `apiKey`.
 */
export function authenticate(
  keys: KeyRing,
  authorization: string | undefined,
  apiKey: string | undefined,
  clock: Pick<Clock, 'wallMs'>,
): Caller | AuthFailure {
  if (keys !== recentRing) {
    recentRing = keys;
    recent.clear();
  }
  const before = authorization === undefined ? undefined : recent.get(authorization);
  if (before !== undefined) return isValid(before, clock) ? before.caller : EXPIRED;
  const token = (authorization === undefined ? undefined : bearerToken(authorization)) ?? apiKey?.trim();
  if (token === undefined) return authorization === undefined ? MISSING : MALFORMED;
  if (token === '' || token.length > MAX_KEY_CHARS) return MALFORMED;
  const known = keys.get(sha256Hex(token));
  if (known === undefined) return UNKNOWN;
  if (authorization !== undefined && bearerToken(authorization) === token) {
    if (recent.size >= MAX_RECENT) recent.clear();
    recent.set(authorization, known);
  }
  return isValid(known, clock) ? known.caller : EXPIRED;
}

/** The time is asked for only where it matters. */
function isValid({ expiresAtMs }: KnownKey, clock: Pick<Clock, 'wallMs'>): boolean {
  return expiresAtMs === Infinity || clock.wallMs() < expiresAtMs;
}

/** Whether the key's own list of models admits this name; whether the route does is another question. */
export function modelAllowed(caller: Caller, model: string): boolean {
  if (caller.models === null) return true;
  for (const { value, wildcard } of caller.models) {
    if (wildcard ? model.startsWith(value) : model === value) return true;
  }
  return false;
}

/** The part of a name, exact or a prefix, that the key's own list of models admits. */
export function allowedPart(caller: Caller, name: ModelName): readonly ModelName[] {
  if (caller.models === null) return [name];
  if (!name.wildcard) return modelAllowed(caller, name.value) ? [name] : [];
  return caller.models.flatMap((allowed) => {
    if (allowed.value.startsWith(name.value)) return [allowed];
    return allowed.wildcard && name.value.startsWith(allowed.value) ? [name] : [];
  });
}

/** Lower-case hex, as a key's Secret stores it. */
export function sha256Hex(key: string): string {
  return hash('sha256', key, 'hex');
}

/** RFC 6750, section 2.1; the scheme is case-insensitive (RFC 9110, section 11.1). undefined: another scheme. */
function bearerToken(authorization: string): string | undefined {
  const value = authorization.trim();
  if (value.length < 6 || value.slice(0, 6).toLowerCase() !== 'bearer') return undefined;
  if (value.length === 6) return '';
  return value.charCodeAt(6) === 0x20 ? value.slice(7).trim() : undefined;
}
