/**
 * What compile can say of a base URL before anything is resolved. The gateway's guard judges every address at the moment of
 * connecting and is the one that protects; this tells the user at once about the literal addresses that it is sure to refuse.
 */

/** `spec.upstreams.allow` of the LLMGateway, and whether a laptop may call its own ports. */
export interface AddressRules {
  readonly allow: readonly string[];
  readonly loopbackAllowed: boolean;
}

/** Never public: RFC 1918, RFC 6598, RFC 3927, loopback and "this network". */
const PRIVATE: readonly string[] = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.168.0.0/16',
];

/** Allowed by its name (exact or `*.suffix`), so whatever it resolves to is meant. `host` as `URL.hostname` gives it. */
export function isAllowedByName(host: string, allow: readonly string[]): boolean {
  return allow.some((entry) => {
    const name = entry.toLowerCase();
    return name.startsWith('*.') ? host.endsWith(name.slice(1)) : name === host;
  });
}

/** Why the gateway is sure to refuse this host, or null. `host` as `URL.hostname` gives it: IPv4 in four decimals, IPv6 in brackets. */
export function refusedHost(host: string, rules: AddressRules): string | null {
  if (isAllowedByName(host, rules.allow)) return null;
  const address = ipv4(host);
  const what = address === null ? ipv6Kind(host) : ipv4Kind(address);
  if (what === null || (what === 'loopback' && rules.loopbackAllowed)) return null;
  const allowed = rules.allow.some((entry) => (address === null ? entry.includes(':') : inRange(address, entry)));
  if (allowed) return null;
  return `${host} is a ${what} address, which the gateway does not call: use serviceRef for a Service of the cluster, or add it to spec.upstreams.allow of the LLMGateway`;
}

function ipv4Kind(address: number): 'loopback' | 'private' | null {
  if (inRange(address, '127.0.0.0/8')) return 'loopback';
  return PRIVATE.some((range) => inRange(address, range)) ? 'private' : null;
}

/** Only the forms that are beyond doubt; the rest is the guard's. `localhost` is loopback by RFC 6761. */
function ipv6Kind(host: string): 'loopback' | 'private' | null {
  if (host === '[::1]' || host === 'localhost' || host.endsWith('.localhost')) return 'loopback';
  return /^\[f[cd][0-9a-f]{2}:|^\[fe[89ab][0-9a-f]:|^\[::\]$/.test(host) ? 'private' : null;
}

function ipv4(text: string): number | null {
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return null;
  const octets = text.split('.').map(Number);
  return octets.every((octet) => octet <= 255) ? octets.reduce((address, octet) => address * 256 + octet, 0) : null;
}

/** Is the address in `10.0.0.0/8`, or equal to `10.0.0.1`? Anything else is no. */
function inRange(address: number, range: string): boolean {
  const [base = '', prefix = '32'] = range.split('/');
  const start = ipv4(base);
  if (start === null || !/^\d{1,2}$/.test(prefix) || Number(prefix) > 32) return false;
  const size = 2 ** (32 - Number(prefix));
  return Math.floor(address / size) === Math.floor(start / size);
}
