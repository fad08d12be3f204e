import zlib from 'node:zlib';

/** A request as a careless, confused or malicious client might send it. */
export interface FuzzedRequest {
  readonly path: string;
  readonly headers: readonly string[];
  readonly body: Buffer;
}

const KEYS = [
  'messages',
  'input',
  'tools',
  'metadata',
  'max_tokens',
  'n',
  'a',
  '',
  'é',
  '__proto__',
  'constructor',
  'stream_options',
];
/** Names that the gateway stands on, in every spelling. */
const RISKY_KEYS = ['model', 'Model', 'm\\u006fdel', 'stream', 'str\\u0065am', 'stream_options'];
const MODELS = [
  'chat',
  'chat',
  'chat',
  'free/gpt',
  'free/é😀',
  'free/\\"q\\"',
  'free/\\u0061',
  'ch\\u0061t',
  'nobody',
  '',
  'x'.repeat(300),
];
const PATHS = [
  '/v1/chat/completions',
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/embeddings',
  '/v1/responses',
  '/v1/moderations',
  '/v1/images/generations',
  '/openai/deployments/chat/chat/completions?api-version=2024-10-21',
  '/openai/deployments/free%2Fa%20b/embeddings',
  '/openai/v1/responses',
];
/** Repeated, some of them to long texts. */
const TEXTS = ['lorem ', 'lorem ', '\\n', '\\"model\\":', '\\u4e2d', 'é', '\\u0001 text '];
const SPACES = ['', '', '', ' ', '\n', '\t\r\n '];
const CODERS: readonly (readonly [string, (bytes: Buffer) => Buffer])[] = [
  ['gzip', (bytes) => zlib.gzipSync(bytes)],
  ['deflate', (bytes) => zlib.deflateSync(bytes)],
  ['br', (bytes) => zlib.brotliCompressSync(bytes, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 1 } })],
  ['zstd', (bytes) => zlib.zstdCompressSync(bytes)],
  ['gzip', (bytes) => bytes],
  ['constructor', (bytes) => bytes],
  ['identity', (bytes) => bytes],
];

/** Makes requests from a source of randomness (0 ≤ n < 1): the same ones from the same numbers. */
export class Fuzzer {
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  request(): FuzzedRequest {
    if (this.#chance(0.08)) return this.#form();
    const path = this.#oneOf(PATHS);
    const text = this.#body();
    let body: Buffer = Buffer.from(text);
    if (this.#chance(0.25)) body = this.#mutated(body);
    if (this.#chance(0.02)) body = Buffer.from(Array.from({ length: this.#below(200) }, () => this.#below(256)));
    const headers = ['content-type: application/json'];
    if (this.#chance(0.1)) {
      const [name, encode] = this.#oneOf(CODERS);
      body = encode(body);
      if (this.#chance(0.2)) body = this.#mutated(body);
      headers.push(`content-encoding: ${name}`);
    }
    return { path, headers, body };
  }

  #body(): string {
    if (this.#chance(0.02)) return this.#value(0);
    const members = Array.from(
      { length: this.#below(6) },
      () => `"${this.#key(0.02)}"${this.#space()}:${this.#space()}${this.#value(0)}`,
    );
    if (this.#chance(0.9))
      members.splice(this.#below(members.length + 1), 0, `"model"${this.#space()}:${this.#space()}"${this.#oneOf(MODELS)}"`);
    if (this.#chance(0.3))
      members.splice(
        this.#below(members.length + 1),
        0,
        `"stream":${this.#oneOf(['true', 'true', 'false', 'null', '"true"', '1'])}`,
      );
    if (this.#chance(0.01)) members.push(`"deep":${'['.repeat(3_000)}${']'.repeat(3_000)}`);
    return `${this.#space()}{${this.#space()}${members.join(`${this.#space()},${this.#space()}`)}${this.#space()}}${this.#space()}`;
  }

  #value(depth: number): string {
    switch (this.#below(depth > 3 ? 5 : 8)) {
      case 0:
        return this.#oneOf(['null', 'true', 'false', '0', '-0.0', '1e400', '12345678901234567890', '1.10']);
      case 1:
        return `"${this.#oneOf(MODELS)}"`;
      case 2:
        return this.#oneOf([
          '"\\"model\\":\\"x\\""',
          '"{\\"stream\\":true"',
          '"\\\\"',
          '"\\u2028\u2028"',
          '"\\ud83d\\ude00"',
          '"\\ud800"',
          '"é中😀"',
        ]);
      case 3:
        return `"${this.#oneOf(TEXTS).repeat(this.#below(this.#chance(0.1) ? 900 : 40))}"`;
      case 4:
        return String(this.#below(1_000_000));
      case 5:
        return `[${this.#values(depth).join(`${this.#space()},`)}]`;
      default:
        return `{${this.#values(depth)
          .map((value) => `"${this.#key(0.5)}"${this.#space()}:${value}`)
          .join(',')}}`;
    }
  }

  #key(risk: number): string {
    return this.#oneOf(this.#chance(risk) ? RISKY_KEYS : KEYS);
  }

  #values(depth: number): readonly string[] {
    return Array.from({ length: this.#below(4) }, () => this.#value(depth + 1));
  }

  #form(): FuzzedRequest {
    const part = (name: string, value: string, more = ''): string =>
      `--b\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n${value}\r\n`;
    const parts = [part('file', '\u0000\r\n--\r\n-b--\u00ff'.repeat(this.#below(30)), '; filename="a"')];
    if (this.#chance(0.9)) parts.push(part('model', this.#oneOf(MODELS)));
    if (this.#chance(0.1)) parts.push(part('model', this.#oneOf(MODELS), this.#oneOf(['', '; filename="m"'])));
    if (this.#chance(0.3)) parts.push(part('stream', this.#oneOf(['true', 'false', 'x'])));
    let body: Buffer = Buffer.from(`${parts.join('')}--b--\r\n`);
    if (this.#chance(0.4)) body = this.#mutated(body);
    return {
      path: this.#oneOf(['/v1/audio/transcriptions', '/v1/images/edits', '/v1/chat/completions']),
      headers: ['content-type: multipart/form-data; boundary=b'],
      body,
    };
  }

  /** A few bytes changed, put in, taken out, doubled or cut off. */
  #mutated(bytes: Buffer): Buffer {
    let all = Buffer.from(bytes);
    for (let times = 1 + this.#below(3); times > 0; times--) {
      const at = this.#below(all.length + 1);
      const to = Math.min(all.length, at + this.#below(12));
      const put = Buffer.from(
        this.#oneOf(['', '"', '{', '}', '[', ',', ':', '\\', 'model', '"model":"chat",', '\u0000', '\u2028', 'x']),
      );
      switch (this.#below(5)) {
        case 0:
          if (at < all.length) all[at] = this.#below(256);
          break;
        case 1:
          all = Buffer.concat([all.subarray(0, at), put, all.subarray(at)]);
          break;
        case 2:
          all = Buffer.concat([all.subarray(0, at), all.subarray(to)]);
          break;
        case 3:
          all = Buffer.concat([all.subarray(0, to), all.subarray(at)]);
          break;
        default:
          if (this.#chance(0.3)) all = all.subarray(0, at);
      }
    }
    return all;
  }

  #space(): string {
    return this.#oneOf(SPACES);
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #chance(share: number): boolean {
    return this.#random() < share;
  }

  #oneOf<T>(choices: readonly T[]): T {
    const choice = choices[this.#below(choices.length)];
    if (choice === undefined) throw new Error('nothing to choose from');
    return choice;
  }
}
