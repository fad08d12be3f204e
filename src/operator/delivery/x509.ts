/**
 * X.509 certificates of the two kinds that the operator issues: node:crypto signs, and reads certificates, but writes none. One
 * profile only: P-256 with SHA-256 (RFC 5480, RFC 5758), version 3, extensions of RFC 5280.
 */
import { createHash, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';

export interface CertificateProfile {
  /** Its common name, and that of who signs it. */
  readonly subject: string;
  readonly issuer: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly publicKey: KeyObject;
  /** null: a certificate authority, which signs others and serves nothing. */
  readonly dnsNames: readonly string[] | null;
  /** Whose private key signs, with its public half for the key identifier. */
  readonly signer: { readonly privateKey: KeyObject; readonly publicKey: KeyObject };
}

export function newKeyPair(): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

/** PEM. */
export function issueCertificate(profile: CertificateProfile): string {
  const { subject, issuer, notBeforeMs, notAfterMs, publicKey, signer } = profile;
  const body = sequence(
    explicit(0, integer(Buffer.from([2]))),
    integer(serialNumber()),
    ECDSA_WITH_SHA256,
    commonName(issuer),
    sequence(time(notBeforeMs), time(notAfterMs)),
    commonName(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    explicit(3, sequence(...extensions(profile))),
  );
  const signature = sign('sha256', body, signer.privateKey);
  const certificate = sequence(body, ECDSA_WITH_SHA256, bitString(signature, 0));
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

const KEY_CERT_SIGN_AND_CRL_SIGN = bitString(Buffer.from([0b0000_0110]), 1);
const DIGITAL_SIGNATURE = bitString(Buffer.from([0b1000_0000]), 7);
const SERVER_AUTH = oid(1, 3, 6, 1, 5, 5, 7, 3, 1);
const ECDSA_WITH_SHA256 = sequence(oid(1, 2, 840, 10045, 4, 3, 2));

function extensions({ publicKey, signer, dnsNames }: CertificateProfile): readonly Buffer[] {
  const authority = dnsNames === null;
  // basicConstraints: an authority signs no further authorities.
  const constraints = authority ? sequence(boolean(true), integer(Buffer.from([0]))) : sequence();
  const found = [
    extension(19, true, constraints),
    extension(15, true, authority ? KEY_CERT_SIGN_AND_CRL_SIGN : DIGITAL_SIGNATURE),
    extension(14, false, octetString(keyIdentifier(publicKey))),
    extension(35, false, sequence(tagged(0x80, keyIdentifier(signer.publicKey)))),
  ];
  if (dnsNames === null) return found;
  return [
    ...found,
    extension(37, false, sequence(SERVER_AUTH)),
    extension(17, false, sequence(...dnsNames.map((name) => tagged(0x82, Buffer.from(name, 'ascii'))))),
  ];
}

/** `2.5.29.<id>` */
function extension(id: number, critical: boolean, value: Buffer): Buffer {
  return sequence(oid(2, 5, 29, id), ...(critical ? [boolean(true)] : []), octetString(value));
}

/** RFC 5280, section 4.2.1.2, method 1: of the key's bits, which are the last 65 bytes of a P-256 key's SPKI. */
function keyIdentifier(key: KeyObject): Buffer {
  return createHash('sha1')
    .update(key.export({ type: 'spki', format: 'der' }).subarray(-65))
    .digest();
}

/** Positive and below 20 octets. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes;
}

function commonName(name: string): Buffer {
  return sequence(tagged(0x31, sequence(oid(2, 5, 4, 3), tagged(0x0c, Buffer.from(name)))));
}

/** UTCTime through 2049, GeneralizedTime from then on (RFC 5280, section 4.1.2.5). */
function time(wallMs: number): Buffer {
  const text = `${new Date(wallMs).toISOString().replaceAll(/[-:T]/g, '').slice(0, 14)}Z`;
  return text < '2050' ? tagged(0x17, Buffer.from(text.slice(2))) : tagged(0x18, Buffer.from(text));
}

function tagged(tag: number, content: Buffer): Buffer {
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest >>>= 8) bytes.unshift(rest & 0xff);
  return Buffer.concat([Buffer.from([tag, 0x80 | bytes.length, ...bytes]), content]);
}

function sequence(...items: readonly Buffer[]): Buffer {
  return tagged(0x30, Buffer.concat(items));
}

function explicit(number: number, content: Buffer): Buffer {
  return tagged(0xa0 | number, content);
}

/** Of bytes whose first bit is clear: never a negative number. */
function integer(bytes: Buffer): Buffer {
  return tagged(0x02, bytes);
}

function boolean(value: boolean): Buffer {
  return tagged(0x01, Buffer.from([value ? 0xff : 0]));
}

function octetString(content: Buffer): Buffer {
  return tagged(0x04, content);
}

function bitString(content: Buffer, unusedBits: number): Buffer {
  return tagged(0x03, Buffer.concat([Buffer.from([unusedBits]), content]));
}

function oid(first: number, second: number, ...rest: readonly number[]): Buffer {
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const digits = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) digits.unshift(0x80 | (left & 0x7f));
    bytes.push(...digits);
  }
  return tagged(0x06, Buffer.from(bytes));
}
