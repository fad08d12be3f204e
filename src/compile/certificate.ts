/**
 * Certificates, judged before anything serves with them: a pair that does not fit would take a listener down, and of a bundle TLS
 * leaves out in silence what it cannot read, so that every call of the upstream would fail with no word of why.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';

/** What is wrong with the pair, to follow `Secret …` in a message; null: nothing. Says nothing of what is in it. */
export function certificateFault(certificatePem: string, privateKeyPem: string): string | null {
  const certificate = readCertificate(certificatePem);
  if (certificate === null) return 'holds no PEM certificate under "tls.crt"';
  const key = readKey(privateKeyPem);
  if (key === null) return 'holds no PEM private key under "tls.key"';
  return certificate.checkPrivateKey(key)
    ? null
    : 'holds under "tls.key" a key that does not belong to the first certificate under "tls.crt"';
}

const BEGIN = '-----BEGIN CERTIFICATE-----';
/** Of bundles that were judged: the same one is named by thousands of routes, and a public one has 150 certificates. */
const MAX_JUDGED = 100;
const judged = new Map<string, string | null>();

/** What is wrong with a bundle of authorities, to follow `Secret … holds under the key …` in a message; null: nothing. */
export function authoritiesFault(bundlePem: string): string | null {
  let fault = judged.get(bundlePem);
  if (fault === undefined) {
    if (judged.size >= MAX_JUDGED) judged.clear();
    judged.set(bundlePem, (fault = findFault(bundlePem)));
  }
  return fault;
}

function findFault(bundlePem: string): string | null {
  const [, ...blocks] = bundlePem.split(BEGIN);
  if (blocks.length === 0) return 'no PEM certificate';
  const broken = blocks.findIndex((block) => readCertificate(BEGIN + block) === null);
  if (broken === -1) return null;
  return blocks.length === 1
    ? 'a certificate that cannot be read'
    : `${blocks.length} certificates of which number ${broken + 1} cannot be read`;
}

function readCertificate(pem: string): X509Certificate | null {
  try {
    return new X509Certificate(pem);
  } catch {
    return null;
  }
}

/** An encrypted key cannot be read either: there is no place for its password. */
function readKey(pem: string): KeyObject | null {
  try {
    return createPrivateKey(pem);
  } catch {
    return null;
  }
}
