import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { FixedHeaders } from './fixed-headers.ts';
import { requestBytes } from './request-head.ts';

const FIXED = new FixedHeaders(['authorization', 'Bearer s', 'x-odd', 'caf\xe9']);

function written(headers: readonly string[], body: readonly string[] | null, fixed = FIXED, path = '/v1/x'): string {
  const pieces = (body ?? []).map((text) => Buffer.from(text));
  const length = body === null ? null : pieces.reduce((sum, { length: bytes }) => sum + bytes, 0);
  return requestBytes(fixed.beginning('POST', path, 'h:1'), headers, length, pieces).toString('latin1');
}

const START = 'POST /v1/x HTTP/1.1\r\nhost: h:1\r\nconnection: keep-alive\r\nauthorization: Bearer s\r\nx-odd: caf\xe9\r\n';

describe('a request on its way', () => {
  it('is a head, its length, and its body', () => {
    expect(written([], null)).toBe(`${START}\r\n`);
    expect(written([], [])).toBe(`${START}content-length: 0\r\n\r\n`);
    expect(written(['a', '', 'b-c', 'd\te f'], ['abc', '', 'defghij'])).toBe(
      `${START}a: \r\nb-c: d\te f\r\ncontent-length: 10\r\n\r\nabcdefghij`,
    );
  });

  it.each([0, 9, 10, 99, 100, 1_000, 999_999, 2 ** 31, 2 ** 40 + 7])('tells a length of %d', (length) => {
    const text = requestBytes(FIXED.beginning('POST', '/v1/x', 'h:1'), [], length, []).toString('latin1');
    expect(text).toBe(`${START}content-length: ${length}\r\n\r\n`);
  });

  it('begins as its method, path and host are, however many there were', () => {
    for (let turn = 0; turn < 3; turn++) {
      for (let path = 0; path < 7; path++)
        expect(written([], null, FIXED, `/${path}`)).toContain(`POST /${path} HTTP/1.1\r\nhost: h:1`);
    }
    expect(FIXED.beginning('GET', '/0', 'other').toString('latin1')).toMatch(/^GET \/0 HTTP\/1\.1\r\nhost: other\r\n/);
    expect(FIXED.beginning('GET', '/0', 'other')).toBe(FIXED.beginning('GET', '/0', 'other'));
  });

  it('has values as Latin-1, or none at all', () => {
    const char = fc.oneof(
      fc.constantFrom('a', ' ', '\t', '\x7f', '\x80', '\xff', '\r', '\n', '\0', 'č', '\ud800', '😀'),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(char, { maxLength: 8 }), fc.array(char, { maxLength: 40 }), (first, second) => {
        const values = [first.join(''), second.join('')];
        const sendable = values.every((value) => /^[\t\x20-\x7e\x80-\xff]*$/.test(value));
        const write = (): string => written(['x-a', values[0] ?? '', 'x-b', values[1] ?? ''], ['{}']);
        if (sendable) expect(write()).toBe(`${START}x-a: ${values[0]}\r\nx-b: ${values[1]}\r\ncontent-length: 2\r\n\r\n{}`);
        else expect(write).toThrow('has a value that cannot be sent');
      }),
      { numRuns: 2_000 },
    );
  });

  it.each(['', 'a b', 'a:', 'content-length', 'host', 'caf\xe9', 'č', 'a\r\nb'])('has no header %j', (name) => {
    expect(() => written([name, 'v'], null)).toThrow(`the header ${JSON.stringify(name)} cannot be sent`);
    for (let times = 0; times < 2; times++)
      expect(() => written([], null, new FixedHeaders([name, 'v']))).toThrow(`the header ${JSON.stringify(name)} cannot be sent`);
  });

  it.each(['', '/a b', '/a\r\nb', '/č', '/a\x7f'])('has no path %j', (path) => {
    expect(() => written([], null, FIXED, path)).toThrow('the request line');
  });

  it('names the header that cannot be sent, but not its value', () => {
    for (const write of [
      () => written(['x-key', 'secret\n'], null),
      () => written([], null, new FixedHeaders(['x-key', 'secret\n'])),
    ])
      expect(write).toThrow(/^the header "x-key" has a value that cannot be sent$/);
  });
});
