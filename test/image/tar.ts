/** Tar as images need it: ustar with pax headers for long names, owned by root, without times, so that the same files give the same bytes. */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { createHash, type Hash } from 'node:crypto';

export interface TarEntry {
  /** Without a leading slash. */
  readonly path: string;
  readonly mode: number;
  readonly body:
    | { readonly type: 'directory' }
    | { readonly type: 'link'; readonly target: string }
    | { readonly type: 'bytes'; readonly bytes: Buffer }
    | { readonly type: 'file'; readonly source: string; readonly sizeBytes: number };
}

const BLOCK = 512;
const FLAG = { directory: '5', link: '2', bytes: '0', file: '0' } as const;

/** Writes an archive and tells what it is. */
export function writeTar(
  file: string,
  entries: Iterable<TarEntry>,
): { readonly sha256: string; readonly sizeBytes: number; readonly contentBytes: number } {
  const out = new Output(file);
  let contentBytes = 0;
  try {
    for (const entry of entries) {
      const size = sizeOf(entry);
      contentBytes += size;
      if (Buffer.byteLength(entry.path) > 100) out.put(paxHeader(entry.path));
      out.put(header(entry.path, entry.mode, size, FLAG[entry.body.type], entry.body.type === 'link' ? entry.body.target : ''));
      if (entry.body.type === 'bytes') out.put(entry.body.bytes);
      if (entry.body.type === 'file') out.copy(entry.body.source, size);
      out.pad();
    }
    out.put(Buffer.alloc(2 * BLOCK));
  } finally {
    out.close();
  }
  return { sha256: out.digest(), sizeBytes: out.written, contentBytes };
}

function sizeOf({ body }: TarEntry): number {
  if (body.type === 'bytes') return body.bytes.length;
  return body.type === 'file' ? body.sizeBytes : 0;
}

class Output {
  readonly #fd: number;
  readonly #hash: Hash = createHash('sha256');
  written = 0;

  constructor(file: string) {
    this.#fd = openSync(file, 'w');
  }

  put(bytes: Buffer): void {
    this.#hash.update(bytes);
    for (let at = 0; at < bytes.length;) at += writeSync(this.#fd, bytes, at);
    this.written += bytes.length;
  }

  copy(source: string, sizeBytes: number): void {
    const fd = openSync(source, 'r');
    const chunk = Buffer.alloc(1 << 20);
    try {
      let left = sizeBytes;
      while (left > 0) {
        const read = readSync(fd, chunk, 0, Math.min(left, chunk.length), null);
        if (read === 0) throw new Error(`${source} became shorter while it was read`);
        this.put(chunk.subarray(0, read));
        left -= read;
      }
    } finally {
      closeSync(fd);
    }
  }

  pad(): void {
    const over = this.written % BLOCK;
    if (over > 0) this.put(Buffer.alloc(BLOCK - over));
  }

  close(): void {
    closeSync(this.#fd);
  }

  digest(): string {
    return this.#hash.digest('hex');
  }
}

function header(path: string, mode: number, size: number, flag: string, target: string): Buffer {
  const block = Buffer.alloc(BLOCK);
  block.write(path, 0, 100);
  block.write(octal(mode, 8), 100);
  block.write(octal(0, 8), 108);
  block.write(octal(0, 8), 116);
  block.write(octal(size, 12), 124);
  block.write(octal(0, 12), 136);
  block.write(' '.repeat(8), 148);
  block.write(flag, 156);
  block.write(target, 157, 100);
  block.write('ustar\0' + '00', 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

function octal(value: number, width: number): string {
  return `${value.toString(8).padStart(width - 1, '0')}\0`;
}

/** A record that gives the next header its whole path; its own length counts its own digits. */
function paxHeader(path: string): Buffer {
  const rest = ` path=${path}\n`;
  let length = Buffer.byteLength(rest);
  while (Buffer.byteLength(`${length}${rest}`) !== length) length = Buffer.byteLength(`${length}${rest}`);
  const record = Buffer.from(`${length}${rest}`);
  const padding = Buffer.alloc((BLOCK - (record.length % BLOCK)) % BLOCK);
  return Buffer.concat([header('pax', 0o644, record.length, 'x', ''), record, padding]);
}
