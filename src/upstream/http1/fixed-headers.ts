import { isSendable } from '../../lib/http1/write-head.ts';
import { checkName, checkStart, unsendableValue } from './sendable.ts';

/** A target is sent to by few paths and under one host. */
const MAX_BEGINNINGS = 4;

interface Beginning {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly bytes: Buffer;
}

/**
 * Headers that many requests have in common, credentials among them. Up to their end heads are the same byte for byte: they are looked
 * at and written once, and copied for each request.
 */
export class FixedHeaders {
  /** Name, value, … */
  readonly flat: readonly string[];
  readonly #beginnings: Beginning[] = [];
  #next = 0;

  constructor(flat: readonly string[]) {
    this.flat = flat;
  }

  /** The head of a request up to these headers, which are its last ones. Throws for what cannot be sent. */
  beginning(method: string, path: string, host: string): Buffer {
    for (let i = 0; i < this.#beginnings.length; i++) {
      const known = this.#beginnings[i];
      if (known !== undefined && known.path === path && known.method === method && known.host === host) return known.bytes;
    }
    const bytes = this.#write(method, path, host);
    this.#beginnings[this.#next] = { method, path, host, bytes };
    this.#next = (this.#next + 1) % MAX_BEGINNINGS;
    return bytes;
  }

  #write(method: string, path: string, host: string): Buffer {
    checkStart(method, path);
    let lines = `${method} ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: keep-alive\r\n`;
    for (let i = 0; i < this.flat.length; i += 2) {
      const name = this.flat[i] ?? '';
      const value = this.flat[i + 1] ?? '';
      checkName(name);
      if (!isSendable(value)) throw unsendableValue(name);
      lines += `${name}: ${value}\r\n`;
    }
    return Buffer.from(lines, 'latin1');
  }
}

export const NO_FIXED_HEADERS = new FixedHeaders([]);
