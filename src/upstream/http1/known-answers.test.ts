import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { MAX_HEAD_BYTES } from '../../lib/http1/message-parser.ts';
import type { AnswerHead } from './answer-head.ts';
import { KnownAnswers } from './known-answers.ts';
import { readAnswer } from './testing.ts';

const bytesOf = (latin1: string): Buffer => Buffer.from(latin1, 'latin1');

/** Few names and values, so that lines come again, in their place and in others. */
const ANSWER = fc
  .tuple(
    fc.constantFrom('HTTP/1.1 200 OK', 'HTTP/1.1 200', 'HTTP/1.0 200 OK', 'HTTP/1.1 204 OK', 'HTTP/1.1 100 OK'),
    fc.array(
      fc.tuple(
        fc.constantFrom('Date', 'date', 'X-Id', 'connection', 'keep-alive', 'content-length', 'transfer-encoding', 'a'),
        fc.constantFrom(':', ': ', ':\t'),
        fc.constantFrom(
          '',
          '1',
          '2',
          '12',
          '1\t',
          'chunked',
          'close',
          'timeout=2',
          'x: y',
          'a\r',
          '\n',
          '\x7f',
          '\xe9',
          'a'.repeat(2_000),
        ),
      ),
      { maxLength: 8 },
    ),
    fc.constantFrom('\r\n', '\r\n', '\r\n', '\r\n1', '\r', ' x\r\n\r\n'),
  )
  .map(([start, lines, end]) => `${start}\r\n${lines.map((line) => `${line.join('')}\r\n`).join('')}${end}`);

describe('heads of answers that came before', () => {
  it('say what they say by themselves', () => {
    fc.assert(
      fc.property(fc.array(ANSWER, { minLength: 2, maxLength: 12 }), (answers) => {
        const known = new KnownAnswers();
        for (const answer of [...answers, ...answers])
          expect(readAnswer([bytesOf(answer)], known)).toEqual(readAnswer([bytesOf(answer)]));
      }),
      { numRuns: 2_000 },
    );
  });

  const head = (id: string, date = 'now', more = ''): string =>
    `HTTP/1.1 200 OK\r\nDate: ${date}\r\nx-id:${id}\t\r\nset-cookie: a=${id}\r\nset-cookie: b\r\ncontent-length: 0${more}\r\n\r\n`;

  function learnt(...heads: readonly string[]): KnownAnswers {
    const known = new KnownAnswers();
    for (const each of heads) readAnswer([bytesOf(each)], known);
    return known;
  }

  it('are known with other values of other lengths', () => {
    const known = learnt(head('1'));
    for (const [id, date] of [
      ['1', 'now'],
      ['22', 'now'],
      ['2', 'now'],
      ['2', 'now'],
      ['3', 'then \xe9'],
      ['', ''],
    ] as const) {
      const bytes = bytesOf(`${head(id, date)}rest`);
      expect(known.find(bytes, 0)).toBe(bytes.length - 4);
      expect({ ...known.found?.headers }).toEqual({ date, 'x-id': id, 'set-cookie': `a=${id}, b`, 'content-length': '0' });
    }
  });

  it('are the very same object where they are the same bytes, those that came last included', () => {
    const known = learnt(head('1'));
    const found = (id: string): AnswerHead | null => (known.find(bytesOf(head(id)), 0) === -1 ? null : known.found);
    const second = found('2');
    expect(second?.headers['x-id']).toBe('2');
    expect(found('2')).toBe(second);
    expect(found('1')?.headers['x-id']).toBe('1');
  });

  it.each([
    ['a byte missing', head('1').slice(0, -1)],
    ['a line more', head('1', 'now', '\r\na: b')],
    ['a folded line', head('1', 'now', '\r\n b')],
    ['a bare CR', head('a\rb')],
    ['a bare LF', head('a\nb')],
    ['a control character', head('a\x01b')],
    ['another name', head('1').replace('x-id', 'X-id')],
    ['another status', head('1').replace('200', '201')],
    ['another line end', head('1').replace('cookie: b\r\n', 'cookie: b\n\n')],
    ['more than a head may have', head('a'.repeat(MAX_HEAD_BYTES))],
  ])('are not known with %s', (_name, other) => {
    expect(learnt(head('1')).find(bytesOf(other), 0)).toBe(-1);
  });

  it('are few, and of what is another head each time hardly any is kept', () => {
    const other = (n: number): string => head('1').replaceAll('x-', `x${n}-`);
    const all = Array.from({ length: 100 }, (_, n) => other(n));
    const known = learnt(...all);
    expect(all.filter((each) => known.find(bytesOf(each), 0) !== -1)).toHaveLength(4);
    readAnswer([bytesOf(head('1'))], known);
    readAnswer([bytesOf(head('1'))], known);
    expect(known.find(bytesOf(head('1')), 0)).not.toBe(-1);
  });
});
