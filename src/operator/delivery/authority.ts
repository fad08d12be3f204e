/**
 * The operator's own certificate authority: which one signs, which ones pods shall trust, and when that changes. A new one is
 * published in the bundle first, and signs only once every pod has had the time to read it.
 */
import type { SecretValue } from '../../lib/secret.ts';

export interface Authority {
  readonly certificatePem: string;
  readonly privateKeyPem: SecretValue;
}

/** What the Secret keeps. */
export interface AuthorityState {
  readonly current: Authority;
  /** Published, and not signing yet. */
  readonly next: (Authority & { readonly publishedAtMs: number }) | null;
  /** Signed before; trusted until the certificates that it signed have run out. */
  readonly previousPem: string | null;
}

export interface AuthorityPlan {
  readonly state: AuthorityState;
  /** The Secret is written (bound to its resourceVersion) before anything else is done with the plan. */
  readonly changed: boolean;
  /** For the ConfigMap, under `CA_BUNDLE_KEY`. */
  readonly bundlePem: string;
  /** When to plan again. */
  readonly againInMs: number;
}

export const CA_BUNDLE_KEY = 'ca.crt';
