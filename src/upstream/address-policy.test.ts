import dns from 'node:dns';
import type { LookupAddress } from 'node:dns';
import net from 'node:net';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { ADDRESS_REFUSED, AddressGuard } from './address-policy.ts';

const strict = new AddressGuard({ loopbackAllowed: false, allow: [] });
const laptop = new AddressGuard({ loopbackAllowed: true, allow: [] });
const refused = (guard: AddressGuard, address: string): boolean => guard.refuses('host.example', address) !== null;

/** First and last address of a range. */
const PRIVATE = [
  ['0.0.0.0', '0.255.255.255'],
  ['10.0.0.0', '10.255.255.255'],
  ['100.64.0.0', '100.127.255.255'],
  ['169.254.0.0', '169.254.169.254'],
  ['172.16.0.0', '172.31.255.255'],
  ['192.0.0.0', '192.0.0.255'],
  ['192.0.2.0', '192.0.2.255'],
  ['192.88.99.0', '192.88.99.255'],
  ['192.168.0.0', '192.168.255.255'],
  ['198.18.0.0', '198.19.255.255'],
  ['198.51.100.0', '198.51.100.255'],
  ['203.0.113.0', '203.0.113.255'],
  ['224.0.0.0', '255.255.255.255'],
  ['::', '::2'],
  ['64:ff9b:1::', '64:ff9b:1:ffff:ffff:ffff:ffff:ffff'],
  ['100::', '100::ffff:ffff:ffff:ffff'],
  ['2001::', '2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['2001:db8::', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['3fff::', '3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['5f00::', '5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['fc00::', 'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['fe80::', 'fe80::1%eth0'],
  ['fec0::', 'feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['ff00::', 'ff02::1'],
].flat();

const PUBLIC = [
  ...[
    '1.1.1.1',
    '9.255.255.255',
    '11.0.0.0',
    '100.63.255.255',
    '100.128.0.0',
    '169.253.255.255',
    '169.255.0.0',
    '172.15.255.255',
  ],
  ...['172.32.0.0', '192.0.1.0', '192.167.255.255', '192.169.0.0', '198.17.255.255', '198.20.0.0', '223.255.255.255'],
  ...['2001:200::', '2600:1f18::1', '2a00:1450:4001:80b::200e', '3ffe:ffff::'],
];

/** The forms in which an IPv6 address carries an IPv4 one. */
function wrappings(ipv4: string): string[] {
  const [a = 0, b = 0, c = 0, d = 0] = ipv4.split('.').map(Number);
  const high = ((a << 8) | b).toString(16);
  const low = ((c << 8) | d).toString(16);
  return [
    `::ffff:${ipv4}`,
    `::FFFF:${high}:${low}`,
    `0:0:0:0:0:ffff:${ipv4}`,
    `64:ff9b::${ipv4}`,
    `64:ff9b::${high}:${low}`,
    `2002:${high}:${low}::1`,
  ];
}

describe('which addresses may be called', () => {
  it.each(PRIVATE)('%s: not a public address', (address) => {
    expect(refused(strict, address)).toBe(true);
    expect(refused(laptop, address)).toBe(true);
  });

  it.each(PUBLIC)('%s: public', (address) => expect(refused(strict, address)).toBe(false));

  it.each(['127.0.0.1', '127.255.255.254', '::1', '0:0:0:0:0:0:0:1'])('%s: on a laptop only', (address) => {
    expect(refused(strict, address)).toBe(true);
    expect(refused(laptop, address)).toBe(false);
  });

  it.each([...PRIVATE, '127.0.0.1'].filter((address) => net.isIPv4(address)).flatMap(wrappings))(
    '%s: what it wraps is judged',
    (address) => {
      expect(refused(strict, address)).toBe(true);
    },
  );

  it('a public address stays public in any wrapping', () => {
    for (const address of wrappings('8.8.8.8')) expect(refused(strict, address)).toBe(false);
  });

  it.each(['::127.0.0.1', '::ffff:0:127.0.0.1', '2001:0:7f00:1::'])(
    '%s: older wrappings are refused whatever is in them',
    (address) => {
      expect(refused(laptop, address)).toBe(true);
    },
  );

  it('the refusal names host and address and says what would be right', () => {
    expect(strict.refuses('evil.example', '10.0.0.1')).toBe(
      "evil.example (10.0.0.1) is not a public address; add it to the LLMGateway's spec.upstreams.allow, or use a serviceRef for a Service of the cluster",
    );
  });
});

describe('the allow list', () => {
  const guard = new AddressGuard({
    loopbackAllowed: false,
    allow: ['vLLM.internal', '*.corp.example', '10.20.0.0/16', '192.168.1.7', 'fd00:1::/32', '::1'],
  });

  it.each([
    ['vllm.internal', '10.0.0.1', true],
    ['VLLM.INTERNAL', '169.254.169.254', true],
    ['not-vllm.internal', '10.0.0.1', false],
    ['vllm.internal.evil.example', '10.0.0.1', false],
    ['a.corp.example', '172.16.0.1', true],
    ['a.b.corp.example', '172.16.0.1', true],
    ['corp.example', '172.16.0.1', false],
    ['evilcorp.example', '172.16.0.1', false],
    ['x.example', '10.20.255.255', true],
    ['x.example', '::ffff:10.20.0.1', true],
    ['x.example', '10.21.0.0', false],
    ['x.example', '192.168.1.7', true],
    ['x.example', '192.168.1.8', false],
    ['x.example', 'fd00:1:2::3', true],
    ['x.example', 'fd00:2::3', false],
    ['x.example', '::1', true],
    ['x.example', '127.0.0.1', false],
  ])('%s at %s: %s', (host, address, allowed) => {
    expect(guard.refuses(host, address) === null).toBe(allowed);
  });
});

describe('lookup', () => {
  afterEach(() => {
    jest.restoreAllMocks();
  });

  const answers = (...addresses: string[]): LookupAddress[] =>
    addresses.map((address) => ({ address, family: net.isIPv4(address) ? 4 : 6 }));

  async function lookUp(guard: AddressGuard, resolved: LookupAddress[] | Error, all: boolean): Promise<unknown> {
    jest
      .spyOn(dns, 'lookup')
      .mockImplementation(((_host: string, _options: object, done: (error: Error | null, found: LookupAddress[]) => void) =>
        resolved instanceof Error ? done(resolved, []) : done(null, resolved)) as never);
    return new Promise((resolve, reject) =>
      guard.lookup('host.example', { all }, (error, address, family) =>
        error === null ? resolve(all ? address : [address, family]) : reject(error),
      ),
    );
  }

  it('passes public answers on', async () => {
    expect(await lookUp(strict, answers('1.1.1.1', '2600::1'), true)).toEqual(answers('1.1.1.1', '2600::1'));
    expect(await lookUp(strict, answers('1.1.1.1', '2600::1'), false)).toEqual(['1.1.1.1', 4]);
  });

  it('leaves out what is refused, wherever it stands', async () => {
    expect(await lookUp(strict, answers('10.0.0.1', '1.1.1.1', '::ffff:127.0.0.1'), true)).toEqual(answers('1.1.1.1'));
    expect(await lookUp(strict, answers('169.254.169.254', '1.1.1.1'), false)).toEqual(['1.1.1.1', 4]);
  });

  it("fails with the reason where nothing is left, and with the resolver's where there is no answer", async () => {
    await expect(lookUp(strict, answers('10.0.0.1', '127.0.0.1'), true)).rejects.toMatchObject({
      code: ADDRESS_REFUSED,
      message: expect.stringContaining('host.example (10.0.0.1) is not a public address'),
    });
    await expect(lookUp(strict, [], true)).rejects.toMatchObject({
      code: ADDRESS_REFUSED,
      message: 'host.example has no address',
    });
    await expect(lookUp(strict, Object.assign(new Error('no'), { code: 'ENOTFOUND' }), false)).rejects.toMatchObject({
      code: 'ENOTFOUND',
    });
  });
});
