import { createSign, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import net from 'node:net';

/** A certificate authority of a test's own: X.509 v3 (RFC 5280) with P-256 keys, written by hand so that no test needs openssl. */
export interface Authority {
  readonly certificatePem: string;
  /** `names`: DNS names and IP addresses that the certificate is valid for. */
  issue(names: readonly string[]): ServerCertificate;
}

export interface ServerCertificate {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

export function makeAuthority(commonName: string): Authority {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const name = distinguishedName(commonName);
  const basicConstraints = extension('2.5.29.19', sequence(TRUE), true);
  return {
    certificatePem: certificate(name, name, publicKey, [basicConstraints], privateKey),
    issue(names) {
      const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const alternatives = extension('2.5.29.17', sequence(...names.map(generalName)), false);
      const subject = distinguishedName(names[0] ?? 'nobody');
      return {
        certificatePem: certificate(name, subject, own.publicKey, [alternatives], privateKey),
        privateKeyPem: String(own.privateKey.export({ type: 'pkcs8', format: 'pem' })),
      };
    },
  };
}

function certificate(
  issuer: Buffer,
  subject: Buffer,
  publicKey: KeyObject,
  extensions: readonly Buffer[],
  signer: KeyObject,
): string {
  const serial = randomBytes(8);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const body = sequence(
    tagged(0xa0, integer(Buffer.from([2]))),
    integer(serial),
    ECDSA_WITH_SHA256,
    issuer,
    sequence(utcTime('200101000000Z'), utcTime('491231235959Z')),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, sequence(...extensions)),
  );
  const signature = createSign('sha256').update(body).sign(signer);
  const der = sequence(body, ECDSA_WITH_SHA256, bitString(signature));
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

/** DER: tag, length, content. */
function tagged(tag: number, ...content: readonly Buffer[]): Buffer {
  const bytes = Buffer.concat(content);
  const length: number[] = [];
  for (let rest = bytes.length; rest > 0; rest = Math.floor(rest / 256)) length.unshift(rest % 256);
  const head = bytes.length < 128 ? [tag, bytes.length] : [tag, 0x80 | length.length, ...length];
  return Buffer.concat([Buffer.from(head), bytes]);
}

const sequence = (...content: readonly Buffer[]): Buffer => tagged(0x30, ...content);
const integer = (bytes: Buffer): Buffer => tagged(0x02, bytes);
const utcTime = (text: string): Buffer => tagged(0x17, Buffer.from(text));
const bitString = (bytes: Buffer): Buffer => tagged(0x03, Buffer.from([0]), bytes);
const TRUE = tagged(0x01, Buffer.from([0xff]));
const ECDSA_WITH_SHA256 = sequence(oid('1.2.840.10045.4.3.2'));

function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const groups = [arc % 128];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) groups.unshift((left % 128) | 0x80);
    bytes.push(...groups);
  }
  return tagged(0x06, Buffer.from(bytes));
}

function distinguishedName(commonName: string): Buffer {
  return sequence(tagged(0x31, sequence(oid('2.5.4.3'), tagged(0x0c, Buffer.from(commonName)))));
}

function extension(id: string, value: Buffer, critical: boolean): Buffer {
  return sequence(oid(id), ...(critical ? [TRUE] : []), tagged(0x04, value));
}

/** dNSName or (IPv4 only) iPAddress. */
function generalName(name: string): Buffer {
  return net.isIPv4(name) ? tagged(0x87, Buffer.from(name.split('.').map(Number))) : tagged(0x82, Buffer.from(name));
}
