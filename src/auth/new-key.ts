import { stringify } from 'yaml';
import { sha256Hex } from './client-keys.ts';

/** Labels a Secret as a client key, for the gateway's default `apiKeySelector`. */
export const API_KEY_LABEL = 'fairlead.dev/api-key';

const MIN_RANDOM_BYTES = 24;

/**
 * Makes a client key of random bytes (at least 24; 32 are right). `key` is shown once and stored nowhere; `sha256` is what the
 * Secret keeps.
 */
export function createKey(random: Uint8Array): { readonly key: string; readonly sha256: string } {
  if (random.length < MIN_RANDOM_BYTES) {
    throw new RangeError(`a client key needs at least ${MIN_RANDOM_BYTES} random bytes, not ${random.length}`);
  }
  const key = `fl-${Buffer.from(random).toString('base64url')}`;
  return { key, sha256: sha256Hex(key) };
}

export interface KeySecret {
  readonly name: string;
  readonly namespace: string;
  readonly sha256: string;
  /** Only heeded in the gateway's namespace; elsewhere the tenant is the namespace. */
  readonly tenant?: string;
  /** Model names the key may use, exact or with one trailing `*`. */
  readonly models?: readonly string[];
  /** RFC 3339. */
  readonly expires?: string;
}

/** The Secret of a client key, as YAML to apply. Values are plain text: `models` joined by `,`. */
export function keySecretYaml({ name, namespace, sha256, tenant, models, expires }: KeySecret): string {
  const stringData: Record<string, string> = { sha256 };
  if (tenant !== undefined) stringData['tenant'] = tenant;
  if (models !== undefined) stringData['models'] = models.join(',');
  if (expires !== undefined) stringData['expires'] = expires;
  return stringify(
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, namespace, labels: { [API_KEY_LABEL]: 'true' } },
      type: 'Opaque',
      stringData,
    },
    // YAML 1.1, which kubectl reads, has more words and numbers that are no strings: what is a string is quoted.
    { defaultStringType: 'QUOTE_DOUBLE', defaultKeyType: 'PLAIN', lineWidth: 0 },
  );
}
