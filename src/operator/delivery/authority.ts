/**
 * The operator's own certificate authority: which one signs, which ones pods trust, and when that changes. A new one is published
 * in the bundle first, and signs only once every pod has had the time to read it; the old one is trusted until all that it signed
 * has run out. The operator keeps the state in a Secret and the bundle in a ConfigMap; nothing here does I/O.
 */
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { SecretValue } from '../../lib/secret.ts';
import type { ServingCertificate } from './delivery.ts';
import { issueCertificate, newKeyPair } from './x509.ts';

/** The ConfigMap's key. */
export const CA_BUNDLE_KEY = 'ca.crt';

const DAY_MS = 86_400_000;
/** Clocks of nodes differ. */
const BACKDATED_MS = 3_600_000;
export const AUTHORITY_LIFE_MS = 365 * DAY_MS;
/** Before its authority's end: a certificate lives this long at most, and is renewed after two thirds. */
const SERVING_LIFE_MS = 30 * DAY_MS;
/** A successor is published so long before the end. */
const SUCCESSION_MS = 120 * DAY_MS;
/** From the ConfigMap's write until pods trust what is in it: the kubelet takes up to two minutes, pods read the file for each connection. */
export const SPREAD_MS = 3_600_000;

export interface Authority {
  readonly certificatePem: string;
  readonly privateKeyPem: SecretValue;
}

/** What the Secret keeps. */
export interface AuthorityState {
  readonly current: Authority;
  /** Published, and not signing yet. `publishedMs` (wall clock): when the ConfigMap was first seen to have it; null: not yet. */
  readonly next: (Authority & { readonly publishedMs: number | null }) | null;
  /** It signed before; trusted until `untilMs`. */
  readonly previous: { readonly certificatePem: string; readonly untilMs: number } | null;
}

export interface AuthorityPlan {
  readonly state: AuthorityState;
  /** Write the Secret (bound to its resourceVersion: another may have been quicker) before anything else is done with the plan. */
  readonly changed: boolean;
  /** What the ConfigMap shall hold. */
  readonly bundlePem: string;
}

/**
 * To be asked at start, after each change of the ConfigMap, and once an hour. `published`: what the ConfigMap holds now; null: there
 * is none. A pod that has pinned nothing else trusts whatever the bundle says, so a lost Secret is replaced at once.
 */
export function planAuthority(stored: AuthorityState | null, published: string | null, wallMs: number): AuthorityPlan {
  let state = stored ?? { current: newAuthority(wallMs), next: null, previous: null };
  const { next, previous } = state;
  if (previous !== null && wallMs >= previous.untilMs) state = { ...state, previous: null };
  if (next !== null && next.publishedMs === null && published?.includes(next.certificatePem.trim()) === true) {
    state = { ...state, next: { ...next, publishedMs: wallMs } };
  }
  const endsMs = endOf(state.current);
  if (wallMs >= endsMs) {
    // Nobody followed the plan for months: nothing that it signed is valid any more, so nothing is lost.
    state = { current: state.next ?? newAuthority(wallMs), next: null, previous: null };
  } else if (state.next === null && wallMs >= endsMs - SUCCESSION_MS) {
    state = { ...state, next: { ...newAuthority(wallMs), publishedMs: null } };
  } else if (state.next?.publishedMs != null && wallMs >= state.next.publishedMs + SPREAD_MS) {
    const { certificatePem, privateKeyPem } = state.next;
    state = {
      current: { certificatePem, privateKeyPem },
      next: null,
      previous: { certificatePem: state.current.certificatePem, untilMs: Math.min(endsMs, wallMs + SERVING_LIFE_MS) },
    };
  }
  const bundlePem = [state.current, state.next, state.previous].map((ca) => ca?.certificatePem ?? '').join('');
  return { state, changed: state !== stored, bundlePem };
}

/** Whether pods that read this bundle trust what the authority signs: until then nothing is served with it. */
export function trustedBy(bundlePem: string | null, { certificatePem }: Authority): boolean {
  return bundlePem?.includes(certificatePem.trim()) ?? false;
}

export interface Issued extends ServingCertificate {
  /** Wall clock. */
  readonly renewMs: number;
}

/** `dnsNames`: of the Service, as pods call it. Made anew by each process: its key is stored nowhere. */
export function issueServing(authority: Authority, dnsNames: readonly string[], wallMs: number): Issued {
  const keys = newKeyPair();
  const notAfterMs = Math.min(wallMs + SERVING_LIFE_MS, endOf(authority));
  const privateKey = createPrivateKey(authority.privateKeyPem.reveal());
  const certificatePem = issueCertificate({
    subject: 'fairlead-operator',
    issuer: new X509Certificate(authority.certificatePem).subject.replace(/^CN=/, ''),
    notBeforeMs: wallMs - BACKDATED_MS,
    notAfterMs,
    publicKey: keys.publicKey,
    dnsNames,
    signer: { privateKey, publicKey: createPublicKey(privateKey) },
  });
  return { certificatePem, privateKeyPem: pemOf(keys.privateKey), renewMs: wallMs + ((notAfterMs - wallMs) * 2) / 3 };
}

function newAuthority(wallMs: number): Authority {
  const keys = newKeyPair();
  // Each its own name: OpenSSL picks the signer from a bundle by name first.
  const name = `fairlead-operator-ca-${Math.floor(wallMs / 1_000)}`;
  const certificatePem = issueCertificate({
    subject: name,
    issuer: name,
    notBeforeMs: wallMs - BACKDATED_MS,
    notAfterMs: wallMs + AUTHORITY_LIFE_MS,
    publicKey: keys.publicKey,
    dnsNames: null,
    signer: keys,
  });
  return { certificatePem, privateKeyPem: pemOf(keys.privateKey) };
}

function pemOf(key: ReturnType<typeof newKeyPair>['privateKey']): SecretValue {
  return new SecretValue(key.export({ type: 'pkcs8', format: 'pem' }).toString());
}

function endOf({ certificatePem }: Authority): number {
  return new X509Certificate(certificatePem).validToDate.getTime();
}

/** A Secret's `stringData`, **with keys in clear**. */
export function encodeAuthority({ current, next, previous }: AuthorityState): Readonly<Record<string, string>> {
  return {
    'ca.crt': current.certificatePem,
    'ca.key': current.privateKeyPem.reveal(),
    ...(next === null ? {} : { 'next.crt': next.certificatePem, 'next.key': next.privateKeyPem.reveal() }),
    ...(next?.publishedMs == null ? {} : { 'next.published': String(next.publishedMs) }),
    ...(previous === null ? {} : { 'previous.crt': previous.certificatePem, 'previous.until': String(previous.untilMs) }),
  };
}

/** `data`: a Secret's, decoded. null: it holds no authority that can be used, and is to be replaced. */
export function decodeAuthority(data: Readonly<Record<string, string>>): AuthorityState | null {
  const current = readAuthority(data['ca.crt'], data['ca.key']);
  if (current === null) return null;
  const next = readAuthority(data['next.crt'], data['next.key']);
  const publishedMs = Number(data['next.published']);
  const untilMs = Number(data['previous.until']);
  const previous = data['previous.crt'];
  return {
    current,
    next: next === null ? null : { ...next, publishedMs: Number.isFinite(publishedMs) ? publishedMs : null },
    previous: previous === undefined || !Number.isFinite(untilMs) ? null : { certificatePem: previous, untilMs },
  };
}

function readAuthority(certificatePem: string | undefined, keyPem: string | undefined): Authority | null {
  if (certificatePem === undefined || keyPem === undefined) return null;
  try {
    if (!new X509Certificate(certificatePem).checkPrivateKey(createPrivateKey(keyPem))) return null;
  } catch {
    return null;
  }
  return { certificatePem, privateKeyPem: new SecretValue(keyPem) };
}
