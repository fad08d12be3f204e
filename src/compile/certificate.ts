/** A listener's certificate and key, judged before anything serves with them: a pair that does not fit would take the listener down. */
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
