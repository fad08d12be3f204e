import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { AddressGuard } from '../upstream/address-policy.ts';
import { refusedHost } from './address.ts';
import { parseQuantity } from './quantity.ts';
import { selects } from './selector.ts';
import { parseTimestampMs } from './timestamp.ts';

describe('a timestamp', () => {
  it('is what Date makes of it, in any offset', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date('1900-01-01T00:00:00Z'), max: new Date('9990-01-01T00:00:00Z'), noInvalidDate: true }),
        fc.integer({ min: -1439, max: 1439 }),
        (date, offset) => {
          expect(parseTimestampMs(date.toISOString())).toBe(date.getTime());
          const local = new Date(date.getTime() + offset * 60_000).toISOString().slice(0, -1);
          const pad = (value: number): string => String(value).padStart(2, '0');
          const zone = `${offset < 0 ? '-' : '+'}${pad(Math.floor(Math.abs(offset) / 60))}:${pad(Math.abs(offset) % 60)}`;
          expect(parseTimestampMs(local + zone)).toBe(date.getTime());
        },
      ),
    );
  });

  it.each([
    '2026-01-31',
    '2026-02-29T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-01-01T24:00:00Z',
    '2026-01-01 00:00:00Z',
    '2026-01-01T00:00:00',
    '1767225600',
    '',
  ])('%j is none', (text) => {
    expect(parseTimestampMs(text)).toBeNull();
  });
});

describe('an address that compile refuses', () => {
  const hosts = [
    '127.0.0.1',
    '127.9.9.9',
    '10.0.0.1',
    '172.16.0.1',
    '172.15.0.1',
    '192.168.5.5',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    '8.8.8.8',
    '1.1.1.1',
    '[::1]',
    '[fd00::1]',
    '[fe80::1]',
    '[2606:4700::1]',
    '[::]',
  ];
  const allows = [[], ['10.0.0.0/8'], ['127.0.0.1'], ['fd00::/8'], ['192.168.5.0/24', '169.254.169.254/32'], ['0.0.0.0/0']];

  it('is one that the gateway refuses on connect', () => {
    for (const loopbackAllowed of [true, false]) {
      for (const allow of allows) {
        const guard = new AddressGuard({ allow, loopbackAllowed });
        for (const host of hosts) {
          const address = host.replace(/^\[|\]$/g, '');
          if (refusedHost(host, { allow, loopbackAllowed }) !== null)
            expect([host, allow, guard.refuses(host, address)]).toEqual([host, allow, expect.any(String)]);
        }
      }
    }
  });

  it('is named, and how to allow it', () => {
    expect(refusedHost('10.0.0.1', { allow: [], loopbackAllowed: true })).toMatch(
      /10\.0\.0\.1 is a private address.*spec\.upstreams\.allow/,
    );
    expect(refusedHost('8.8.8.8', { allow: [], loopbackAllowed: false })).toBeNull();
    expect(refusedHost('llm.example.com', { allow: [], loopbackAllowed: false })).toBeNull();
  });
});

it.each([
  ['32Mi', 33_554_432],
  ['1.5G', 1_500_000_000],
  ['100m', 0],
  ['1Ki', 1024],
  [7, 7],
  ['12', 12],
  ['8Ei', null],
  ['1.', null],
  ['1e3', null],
  ['-1', null],
])('the quantity %j is %j', (quantity, expected) => {
  expect(parseQuantity(quantity)).toBe(expected);
});

describe('a label selector', () => {
  const labels = { stage: 'prod', team: '' };
  it.each([
    [{}, true],
    [{ matchLabels: { stage: 'prod', team: '' } }, true],
    [{ matchLabels: { stage: 'dev' } }, false],
    [{ matchLabels: { constructor: 'x' } }, false],
    [{ matchExpressions: [{ key: 'stage', operator: 'In' as const, values: ['dev', 'prod'] }] }, true],
    [{ matchExpressions: [{ key: 'other', operator: 'In' as const, values: ['x'] }] }, false],
    [{ matchExpressions: [{ key: 'other', operator: 'NotIn' as const, values: ['x'] }] }, true],
    [{ matchExpressions: [{ key: 'stage', operator: 'NotIn' as const, values: ['prod'] }] }, false],
    [{ matchExpressions: [{ key: 'team', operator: 'Exists' as const }] }, true],
    [{ matchExpressions: [{ key: 'toString', operator: 'Exists' as const }] }, false],
    [{ matchExpressions: [{ key: 'team', operator: 'DoesNotExist' as const }] }, false],
  ])('%j: %j', (selector, expected) => {
    expect(selects(selector, labels)).toBe(expected);
  });
});
