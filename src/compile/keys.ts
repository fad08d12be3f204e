/** Client keys: labelled Secrets that hold hashes → the table's keys. A Secret that cannot be read as one is named, its content never. */
import type { Secret } from '../api/core.ts';
import type { LLMGateway } from '../api/v1alpha1/llmgateway.ts';
import { issue, type Issue } from '../lib/issue.ts';
import { digestOf } from '../routetable/digest.ts';
import { byText } from '../routetable/order.ts';
import type { ClientKey, ModelName } from '../routetable/types.ts';
import { modelNames } from './names.ts';
import { selects } from './selector.ts';
import { byAge, objectId } from './snapshot.ts';
import { parseTimestampMs } from './timestamp.ts';

export interface ClientKeys {
  /** Sorted by `sha256`. */
  readonly keys: readonly ClientKey[];
  /** Sorted by Secret. */
  readonly warnings: readonly Issue[];
}

/** What one Secret gives one gateway. */
interface KeySecret {
  readonly secret: Secret;
  /** A key of the gateway's own namespace. */
  readonly platform: boolean;
  readonly keys: readonly ClientKey[];
  readonly warnings: readonly Issue[];
}

/** Remembers each Secret's keys for one gateway, so that one changed Secret among thousands is read alone. */
export class KeyMemo {
  readonly read = new WeakMap<Secret, KeySecret>();
}

/** All keys that the gateway knows. Two Secrets with one hash: the gateway's own namespace wins, then the older. */
export function clientKeys(gateway: LLMGateway, secrets: Iterable<Secret>, memo: KeyMemo): ClientKeys {
  const { apiKeySelector } = gateway.spec.clientAuth;
  const found: KeySecret[] = [];
  for (const secret of secrets) {
    if (!selects(apiKeySelector, secret.metadata.labels)) continue;
    const known = memo.read.get(secret) ?? readSecret(secret, secret.metadata.namespace === gateway.metadata.namespace);
    memo.read.set(secret, known);
    found.push(known);
  }
  const byHash = new Map<string, Holder[]>();
  for (const { secret, platform, keys } of found) {
    for (const key of keys) {
      const holders = byHash.get(key.sha256);
      if (holders === undefined) byHash.set(key.sha256, [{ secret, platform, key }]);
      else holders.push({ secret, platform, key });
    }
  }
  const winners: ClientKey[] = [];
  const doubles: Issue[] = [];
  for (const holders of byHash.values()) {
    const [winner, ...losers] = holders.length === 1 ? holders : holders.sort(byRight);
    if (winner === undefined) continue;
    winners.push(winner.key);
    for (const { key } of losers) doubles.push(keyIssue(key.id, `holds the same key as Secret ${winner.key.id}, which counts`));
  }
  const warnings = [...found.flatMap((from) => from.warnings), ...doubles];
  return {
    keys: winners.sort((a, b) => byText(a.sha256, b.sha256)),
    warnings: warnings.sort((a, b) => byText(a.message, b.message)),
  };
}

/** One of the Secrets that hold a key. */
interface Holder {
  readonly secret: Secret;
  readonly platform: boolean;
  readonly key: ClientKey;
}

/** The gateway's own namespace first, then the older. */
function byRight(a: Holder, b: Holder): number {
  return a.platform === b.platform ? byAge(a.secret, b.secret) : a.platform ? -1 : 1;
}

/** When the keys of a Secret end, null: never; `Malformed`: no gateway reads a key in it. */
export function clientKeyExpiry(secret: Secret): { readonly expiresAtMs: number | null } | 'Malformed' {
  const [key] = readSecret(secret, false).keys;
  return key === undefined ? 'Malformed' : { expiresAtMs: key.expiresAtMs };
}

function readSecret(secret: Secret, platform: boolean): KeySecret {
  const id = objectId(secret);
  const { namespace } = secret.metadata;
  const field = (name: string): string | null =>
    Object.hasOwn(secret.data, name) ? (secret.data[name]?.reveal().trim() ?? null) : null;
  const refuse = (why: string): KeySecret => ({ secret, platform, keys: [], warnings: [keyIssue(id, why)] });

  const hashes = new Set(
    (field('sha256') ?? '')
      .split(/\s+/)
      .filter((text) => text !== '')
      .map((text) => text.toLowerCase()),
  );
  if (hashes.size === 0) return refuse('has no sha256: the SHA-256 of the key, as 64 hex digits, is needed');
  for (const hash of hashes)
    if (!/^[0-9a-f]{64}$/.test(hash))
      return refuse('has a sha256 that is not 64 hex digits (for a rotation, several on lines of their own)');

  const models = readModels(field('models'));
  if (models === 'malformed')
    return refuse('has models that are not names, exact or with one trailing *, separated by commas or lines');
  const expires = field('expires');
  const endsMs = expires === null ? null : parseTimestampMs(expires);
  if (expires !== null && endsMs === null) return refuse('has an expires that is not a time like 2027-01-31T00:00:00Z');
  // Before 1970 is as good as 1970, and pods take no negative time.
  const expiresAtMs = endsMs === null ? null : Math.max(0, endsMs);
  const claimed = field('tenant');
  if (platform && claimed !== null && !/^[!-~]{1,253}$/.test(claimed))
    return refuse('has a tenant that is not a name of up to 253 visible ASCII characters');

  const ignored = !platform && claimed !== null && claimed !== namespace;
  const warnings = ignored
    ? [keyIssue(id, `names a tenant, which only a key of the gateway's namespace may: its tenant is ${namespace}`)]
    : [];
  const shared = { id, namespace, tenant: platform ? (claimed ?? namespace) : namespace, platform, models, expiresAtMs };
  const keys = [...hashes].map((sha256) => {
    const unhashed = { sha256, ...shared };
    return { digest: digestOf(unhashed), ...unhashed };
  });
  return { secret, platform, keys, warnings };
}

/** null: all. */
function readModels(text: string | null): readonly ModelName[] | null | 'malformed' {
  if (text === null) return null;
  const names = text
    .split(/[,\n]/)
    .map((name) => name.trim())
    .filter((name) => name !== '');
  return names.length > 0 && names.every((name) => /^[!-)+-~]*[!-~]$/.test(name)) ? modelNames(names) : 'malformed';
}

function keyIssue(secretId: string, what: string): Issue {
  return issue('', 'InvalidClientKey', `Secret ${secretId} ${what}`);
}
