import type { ImageSize } from '../lib/prompt-size.ts';

/** A JPEG says its size after its metadata, which is rarely longer. */
export const MAX_HEAD_CHARS = 65_536;
const NOT_TOLD = { width: null, height: null };

/** By the first bytes of PNG, GIF, JPEG and WebP, in base64; null where they do not say. */
export function imageSize(base64: string): Pick<ImageSize, 'width' | 'height'> {
  const first = Buffer.from(base64.slice(0, 64), 'base64');
  if (first.length < 30) return NOT_TOLD;
  if (first.readUInt32BE(0) === 0x89504e47) return { width: first.readUInt32BE(16), height: first.readUInt32BE(20) };
  if (first.toString('latin1', 0, 3) === 'GIF') return { width: first.readUInt16LE(6), height: first.readUInt16LE(8) };
  if (first.readUInt16BE(0) === 0xffd8) return jpegSize(Buffer.from(base64.slice(0, MAX_HEAD_CHARS), 'base64'));
  if (first.toString('latin1', 8, 12) === 'WEBP') return webpSize(first);
  return NOT_TOLD;
}

function jpegSize(head: Buffer): Pick<ImageSize, 'width' | 'height'> {
  for (let at = 2; at + 9 < head.length;) {
    if (head[at] !== 0xff) return NOT_TOLD;
    const marker = head[at + 1] ?? 0;
    // SOF0 to SOF15, but for three that are something else.
    if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc)
      return { width: head.readUInt16BE(at + 7), height: head.readUInt16BE(at + 5) };
    at += 2 + Math.max(2, head.readUInt16BE(at + 2));
  }
  return NOT_TOLD;
}

function webpSize(head: Buffer): Pick<ImageSize, 'width' | 'height'> {
  switch (head.toString('latin1', 12, 16)) {
    case 'VP8 ':
      return { width: head.readUInt16LE(26) & 0x3fff, height: head.readUInt16LE(28) & 0x3fff };
    case 'VP8L': {
      const bits = head.readUInt32LE(21);
      return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
    }
    case 'VP8X':
      return { width: head.readUIntLE(24, 3) + 1, height: head.readUIntLE(27, 3) + 1 };
    default:
      return NOT_TOLD;
  }
}
