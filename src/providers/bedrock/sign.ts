/** AWS Signature Version 4. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html */
import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import type { Target } from '../../routetable/types.ts';
import type { Sign, SigningKeys } from '../provider.ts';

const SERVICE = 'bedrock';

type Data = string | ArrayBuffer | ArrayBufferView;

function bytesOf(data: Data): Buffer | string {
  if (typeof data === 'string') return data;
  return ArrayBuffer.isView(data) ? Buffer.from(data.buffer, data.byteOffset, data.byteLength) : Buffer.from(data);
}

/** The signer's own interface to a hash, by node's. */
class Sha256 {
  readonly #secret: Data | undefined;
  #hash: Hash | Hmac;

  constructor(secret?: Data) {
    this.#secret = secret;
    this.#hash = this.#fresh();
  }

  update(data: Data): void {
    this.#hash.update(bytesOf(data));
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }

  reset(): void {
    this.#hash = this.#fresh();
  }

  #fresh(): Hash | Hmac {
    return this.#secret === undefined ? createHash('sha256') : createHmac('sha256', bytesOf(this.#secret));
  }
}

/** null: the target has no AWS credentials, and proves itself by a header that is always the same. */
export function signerOf({ credential, identity, baseUrl }: Target): Sign | null {
  const aws = credential?.aws;
  const region = identity?.kind === 'AwsPods' ? identity.region : aws?.region;
  if (region === undefined) return null;
  const { protocol, hostname, host } = new URL(baseUrl);
  const own =
    credential === null || aws === undefined ? null : signatureV4(region, { ...aws, secretAccessKey: credential.value });
  const temporary = new WeakMap<SigningKeys, SignatureV4>();
  return async (path, body, wallMs, keys) => {
    let signs = own;
    if (keys !== undefined) {
      signs = temporary.get(keys) ?? signatureV4(region, keys);
      temporary.set(keys, signs);
    }
    if (signs === null) throw new Error(`a call to ${host} without keys to sign it with`);
    const [pathname = '', search = ''] = path.split('?', 2);
    const query = Object.fromEntries(new URLSearchParams(search));
    const unsigned = {
      method: 'POST',
      protocol,
      hostname,
      path: pathname,
      query,
      headers: { host, 'content-type': 'application/json' },
      body,
    };
    // A number is taken for seconds.
    const { headers } = await signs.sign(unsigned, { signingDate: wallMs / 1000 });
    // The connection itself says the host, and content-type is the caller's.
    return Object.entries(headers).flatMap(([name, value]) => (name === 'host' || name === 'content-type' ? [] : [name, value]));
  };
}

function signatureV4(region: string, { accessKeyId, secretAccessKey, sessionToken }: SigningKeys): SignatureV4 {
  return new SignatureV4({
    service: SERVICE,
    region,
    credentials: {
      accessKeyId,
      secretAccessKey: secretAccessKey.reveal(),
      ...(sessionToken === null ? {} : { sessionToken: sessionToken.reveal() }),
    },
    sha256: Sha256,
  });
}
