import { expect, it } from '@jest/globals';
import { HeadMemory, RecentHeads } from './head-memory.ts';

const HEAD = 'POST /a HTTP/1.1\r\nhost: g\r\nauthorization: Bearer a\r\ncontent-length: 12\r\nx-a: b\r\n\r\n';
const REQUEST = { method: 'POST', url: '/a', headers: {}, http11: true, keepAlive: true, expectsContinue: false };

it('takes a head of another connection for its own only once all of it has come on this one, whatever is behind that', () => {
  const recent = new RecentHeads();
  new HeadMemory(recent).keep(HEAD, REQUEST, 12);
  const memory = new HeadMemory(recent);
  // A buffer that all sockets share has there what came on another one.
  const bytes = Buffer.from(`${HEAD}{}`, 'latin1');
  for (let to = 1; to < HEAD.length; to++) {
    expect(memory.find(bytes, 0, to)).toBe(-1);
    // From here on how much of it is the same would be told by the time that takes.
    expect(memory.request).toBeNull();
  }
  expect(memory.find(bytes, 0, HEAD.length)).toBe(HEAD.length);
  expect(memory.request).toBe(REQUEST);
});
