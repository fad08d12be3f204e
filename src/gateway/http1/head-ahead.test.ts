import { describe, expect, it } from '@jest/globals';
import { headAhead } from './answer-head.ts';
import { Exchange } from './exchange.ts';

const KNOWN = ['x-request-id', 'r-1', 'x-ratelimit-remaining-requests', '9'];
const carrier = { outputReady: () => {}, sendInterim: () => {}, flowing: true, cut: () => {} };

function opened(headers: readonly string[], isAhead: boolean, http11 = true, keepAlive = true): string {
  const exchange = new Exchange(
    carrier,
    { method: 'POST', url: '/', headers: {}, http11, keepAlive, expectsContinue: false },
    null,
  );
  exchange.open(200, [...KNOWN, ...headers], isAhead ? headAhead(200, KNOWN) : null);
  exchange.write(Buffer.from('data: 1\n\n'), () => {});
  return Buffer.concat(exchange.takeOutput())
    .toString('latin1')
    .replace(/date: .*GMT/, 'date: D');
}

describe('a head of which the beginning was made ahead', () => {
  it.each([
    ['is the same', true, true],
    ['is the same on a connection that ends', true, false],
    ['is the same for a client of HTTP/1.0', false, true],
  ])('%s', (_what, http11, keepAlive) => {
    const types = [['content-type', 'text/event-stream'], [], ['content-type', 'text/event-stream', 'x-a', 'ü'.normalize()]];
    for (const more of [...types, ...types]) {
      expect(opened(more, true, http11, keepAlive)).toBe(opened(more, false, http11, keepAlive));
      expect(opened(more, true, http11, keepAlive)).toContain('\r\nx-ratelimit-remaining-requests: 9\r\n');
    }
  });

  it('is refused where a value would be another header, and the next one is not', () => {
    expect(() => headAhead(200, ['x-a', 'b\r\nx-c: d'])).toThrow('cannot be sent');
    for (let i = 0; i < 2; i++) expect(() => opened(['x-a', 'b\r\nx-c: d'], true)).toThrow('cannot be sent');
    expect(opened(['x-a', 'b'], true)).toContain('\r\nx-a: b\r\n');
  });
});
