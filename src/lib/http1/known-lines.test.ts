import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { KnownLines } from './known-lines.ts';
import { readFields } from './message-parser.ts';

const ONCE = new Set(['content-length', 'transfer-encoding']);
const FIRST = new Set(['content-type']);

function read(head: string, lines: KnownLines | null): unknown {
  try {
    return { ...readFields(head, FIRST, ONCE, (what) => new Error(what), lines) };
  } catch (error) {
    return String(error);
  }
}

/** Few names and values, so that lines come again, in their place and in others. */
const HEAD = fc
  .array(
    fc.tuple(
      fc.constantFrom('Date', 'date', 'X-Request-Id', 'content-type', 'content-length', 'transfer-encoding', 'a'),
      fc.constantFrom(':', ': ', ':\t'),
      fc.constantFrom('', '1', '12', '1\t', 'chunked', 'x: y', 'a'.repeat(3_000)),
    ),
    { maxLength: 20 },
  )
  .map((lines) => `HTTP/1.1 200 OK\r\n${lines.map((line) => `${line.join('')}\r\n`).join('')}\r\n`);

describe('heads whose lines came before', () => {
  it('say what they say by themselves', () => {
    fc.assert(
      fc.property(fc.array(HEAD, { minLength: 2, maxLength: 12 }), (heads) => {
        const lines = new KnownLines();
        for (const head of [...heads, ...heads]) expect(read(head, lines)).toEqual(read(head, null));
      }),
      { numRuns: 2_000 },
    );
  });

  it('are known in their place, and a line that is another each time is not kept', () => {
    const lines = new KnownLines();
    const head = (id: number): string => `HTTP/1.1 200 OK\r\nserver: s\r\nx-id: ${id}\r\nvia: v\r\n\r\n`;
    for (let id = 1_000; id < 1_010; id++) read(head(id), lines);
    const last = head(1_009);
    const at = (text: string): number => last.indexOf(text);
    expect(lines.find(0, last, at('server'))).toMatchObject({ name: 'server', value: 's' });
    expect(lines.find(1, last, at('x-id'))).toBeNull();
    expect(lines.find(2, last, at('via'))).toMatchObject({ name: 'via', value: 'v' });
    expect(lines.find(0, last, at('via'))).toBeNull();
  });
});
