import { expect, test } from '@jest/globals';

import { imageSize } from './image-size.ts';

function bytes(...parts: readonly (string | readonly number[])[]): string {
  const head = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : Buffer.from(part))));
  return Buffer.concat([head, Buffer.alloc(64)]).toString('base64');
}

test.each([
  ['PNG', bytes([0x89], 'PNG\r\n\x1a\n', [0, 0, 0, 13], 'IHDR', [0, 0, 4, 0, 0, 0, 2, 0])],
  ['GIF', bytes('GIF89a', [0, 4, 0, 2])],
  [
    'JPEG with metadata before its size',
    bytes(
      [0xff, 0xd8, 0xff, 0xe1, 0, 102],
      Array.from({ length: 100 }, () => 7),
      [0xff, 0xc0, 0, 17, 8, 2, 0, 4, 0],
    ),
  ],
  ['lossy WebP', bytes('RIFF', [0, 0, 0, 0], 'WEBPVP8 ', [0, 0, 0, 0, 0, 0, 0, 0x9d, 0x01, 0x2a, 0, 4, 0, 2])],
  ['lossless WebP', bytes('RIFF', [0, 0, 0, 0], 'WEBPVP8L', [0, 0, 0, 0, 0x2f, 0xff, 0xc3, 0x7f, 0])],
  ['extended WebP', bytes('RIFF', [0, 0, 0, 0], 'WEBPVP8X', [10, 0, 0, 0, 0, 0, 0, 0, 0xff, 3, 0, 0xff, 1, 0])],
])('reads the size of %s', (_, base64) => {
  expect(imageSize(base64)).toEqual({ width: 1_024, height: 512 });
});

test.each([
  '',
  'not base64 at all!',
  Buffer.from('<svg width="1"/>'.repeat(9)).toString('base64'),
  bytes([0xff, 0xd8, 0xff, 0xe1, 0xff, 0xff]),
])('says nothing of what is none, or is cut: %.20s', (base64) => {
  expect(imageSize(base64)).toEqual({ width: null, height: null });
});
