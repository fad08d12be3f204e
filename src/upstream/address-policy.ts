import dns from 'node:dns';
import net from 'node:net';

/**
 * Which addresses the gateway may connect to. Whoever may write a route names a URL, and a URL must not become a way into
 * the cluster, the node or the cloud's metadata service: everything that is not the public internet is refused, at the moment
 * of connecting and on the resolved address, so that a DNS answer that changes later cannot get around it.
 */
export interface AddressPolicy {
  /** A laptop may call its own ports. */
  readonly loopbackAllowed: boolean;
  /** Hosts (`vllm.internal`, `*.corp.example`) and CIDRs (`10.20.0.0/16`) of LLMGateway `spec.upstreams.allow`. */
  readonly allow: readonly string[];
}

/**
 * IANA's special-purpose registries (RFC 6890 and successors): everything that is not globally reachable. Of IPv6 only 2000::/3 is
 * handed out at all.
 */
const RESERVED: readonly (readonly [string, number, 'ipv4' | 'ipv6'])[] = [
  ['0.0.0.0', 8, 'ipv4'],
  ['10.0.0.0', 8, 'ipv4'],
  ['100.64.0.0', 10, 'ipv4'],
  ['169.254.0.0', 16, 'ipv4'],
  ['172.16.0.0', 12, 'ipv4'],
  ['192.0.0.0', 24, 'ipv4'],
  ['192.0.2.0', 24, 'ipv4'],
  ['192.88.99.0', 24, 'ipv4'],
  ['192.168.0.0', 16, 'ipv4'],
  ['198.18.0.0', 15, 'ipv4'],
  ['198.51.100.0', 24, 'ipv4'],
  ['203.0.113.0', 24, 'ipv4'],
  ['224.0.0.0', 3, 'ipv4'],
  ['::', 3, 'ipv6'],
  ['2001::', 23, 'ipv6'],
  ['2001:db8::', 32, 'ipv6'],
  ['3fff::', 20, 'ipv6'],
  ['4000::', 2, 'ipv6'],
  ['8000::', 1, 'ipv6'],
];

/** One list a family: a BlockList takes an IPv4 address for its mapped form in ranges of IPv6. */
const reserved = { ipv4: new net.BlockList(), ipv6: new net.BlockList() };
for (const [address, prefix, family] of RESERVED) reserved[family].addSubnet(address, prefix, family);

const loopback = new net.BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** The IPv4 address inside an IPv6 one that merely wraps it (mapped, NAT64, 6to4), else the address itself. */
function unwrap(address: string): string {
  if (net.isIPv4(address)) return address;
  const groups = expandIPv6(address);
  if (groups === null) return address;
  const ipv4 = (high: number, low: number): string => `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
  const [a, b, c, d, e, f, g, h] = groups as [number, number, number, number, number, number, number, number];
  const zeroTo = (values: number[]): boolean => values.every((value) => value === 0);
  if (zeroTo([a, b, c, d, e]) && f === 0xffff) return ipv4(g, h);
  if (a === 0x64 && b === 0xff9b && zeroTo([c, d, e, f])) return ipv4(g, h);
  if (a === 0x2002) return ipv4(b, c);
  return address;
}

function expandIPv6(address: string): number[] | null {
  const [bare = ''] = address.split('%');
  let text = bare;
  const tail = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(bare);
  if (tail !== null) {
    const octets = tail.slice(2).map(Number) as [number, number, number, number];
    text = `${tail[1] ?? ''}${((octets[0] << 8) | octets[1]).toString(16)}:${((octets[2] << 8) | octets[3]).toString(16)}`;
  }
  const [head = '', rest] = text.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = rest === undefined || rest === '' ? [] : rest.split(':');
  const gap = rest === undefined ? 0 : 8 - left.length - right.length;
  const groups = [...left, ...Array<string>(Math.max(0, gap)).fill('0'), ...right].map((group) => Number.parseInt(group, 16));
  return groups.length === 8 && groups.every((group) => group >= 0 && group <= 0xffff) ? groups : null;
}

function family(address: string): 'ipv4' | 'ipv6' {
  return net.isIPv4(address) ? 'ipv4' : 'ipv6';
}

/** One policy with its lists compiled; `refuses` is asked for every address a name resolves to. */
export class AddressGuard {
  readonly #loopbackAllowed: boolean;
  readonly #allowedRanges = new net.BlockList();
  readonly #allowedHosts = new Set<string>();
  readonly #allowedSuffixes: string[] = [];

  constructor(policy: AddressPolicy) {
    this.#loopbackAllowed = policy.loopbackAllowed;
    for (const entry of policy.allow) {
      const [address = '', prefix] = entry.split('/');
      if (net.isIP(address) !== 0) {
        const bits = prefix === undefined ? (net.isIPv4(address) ? 32 : 128) : Number(prefix);
        this.#allowedRanges.addSubnet(address, bits, family(address));
      } else if (entry.startsWith('*.')) {
        this.#allowedSuffixes.push(entry.slice(1).toLowerCase());
      } else {
        this.#allowedHosts.add(entry.toLowerCase());
      }
    }
  }

  allowsHost(host: string): boolean {
    const name = host.toLowerCase();
    return this.#allowedHosts.has(name) || this.#allowedSuffixes.some((suffix) => name.endsWith(suffix));
  }

  /** Why this address may not be called, or null. */
  refuses(host: string, address: string): string | null {
    const inner = unwrap(address);
    if (this.allowsHost(host) || this.#allowedRanges.check(inner, family(inner))) return null;
    if (loopback.check(inner, family(inner))) {
      return this.#loopbackAllowed ? null : refusal(host, address, 'a loopback address');
    }
    return reserved[family(inner)].check(inner, family(inner)) ? refusal(host, address, 'not a public address') : null;
  }

  /** `dns.lookup` with every answer judged; for `net.connect` and `tls.connect`. */
  readonly lookup: net.LookupFunction = (host, options, callback) => {
    dns.lookup(host, { ...options, all: true }, (error, found) => {
      if (error !== null) {
        callback(error, '', 0);
        return;
      }
      let refused: string | null = null;
      const allowed = found.filter((answer) => {
        const why = this.refuses(host, answer.address);
        refused ??= why;
        return why === null;
      });
      const [first] = allowed;
      if (first === undefined) {
        callback(Object.assign(new Error(refused ?? `${host} has no address`), { code: ADDRESS_REFUSED }), '', 0);
      } else if (options.all === true) {
        callback(null, allowed);
      } else {
        callback(null, first.address, first.family);
      }
    });
  };
}

export const ADDRESS_REFUSED = 'EFAIRLEADADDRESS';

function refusal(host: string, address: string, what: string): string {
  const named = host === address ? address : `${host} (${address})`;
  return `${named} is ${what}; add it to the LLMGateway's spec.upstreams.allow, or use a serviceRef for a Service of the cluster`;
}
