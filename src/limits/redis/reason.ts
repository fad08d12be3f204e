import type { RedisSettings } from '../../routetable/types.ts';

type Mode = RedisSettings['mode'];

/** How Redis is said to be run. */
export interface RedisRun {
  readonly mode: Mode;
  readonly tls: boolean;
}

interface Cause {
  readonly said: RegExp;
  /** What to put right, by the name of its field. */
  readonly advice: string;
  /** Only where Redis is said to be run so. */
  readonly in?: readonly Mode[];
  readonly tls?: true;
}

const ADDRESS = 'the URL of spec.redis.addressRef';

/** What an ACL user needs, as `ACL SETUSER` takes it; the last three for health, and in a Cluster. */
export const REDIS_PERMISSIONS: readonly string[] = [
  '~fairlead:*',
  '&fairlead:*',
  ...['+evalsha', '+eval', '+get', '+set', '+time', '+zadd', '+zrem', '+zremrangebyscore', '+zcard', '+zrange', '+pexpire'],
  ...['+publish', '+subscribe', '+cluster|slots'],
];

/** The first that fits. */
const CAUSES: readonly Cause[] = [
  {
    said: /self[- ]signed certificate|unable to (verify the first|get (local )?issuer) certificate/i,
    advice: "spec.redis.tls.caRef must name the authority that issued Redis' certificate",
  },
  {
    said: /does not match certificate's altnames|altnames/i,
    advice: `the certificate is for another name than the host in ${ADDRESS}: correct that, or give spec.redis.tls.serverName`,
  },
  { said: /certificate has expired|not yet valid/i, advice: "Redis' certificate must be renewed" },
  {
    said: /wrong version number|packet length too long|EPROTO|tls_validate_record_header|before secure TLS connection was established/i,
    advice: `${ADDRESS} begins with rediss://, and this Redis may speak without TLS: then it must begin with redis://`,
  },
  {
    said: /connect ETIMEDOUT/,
    tls: true,
    advice: `the TLS handshake came to no end: where this Redis speaks without TLS, ${ADDRESS} must begin with redis://`,
  },
  {
    // 21 begins TLS' own refusal of what is not TLS; a server that is in a hurry hangs up before it is read.
    said: /closed before any answer|^Unknown RESP type 21 /,
    advice: `where this Redis speaks TLS, ${ADDRESS} must begin with rediss://`,
  },
  { said: /^Unknown RESP type/, advice: `what answers there does not speak Redis' protocol: correct ${ADDRESS}` },
  { said: /^WRONGPASS|invalid password|^NOAUTH/i, advice: `user and password are those in ${ADDRESS}` },
  {
    said: /^NOPERM|user executing the script can't run/,
    advice: `the user in ${ADDRESS} needs ${REDIS_PERMISSIONS.join(' ')}`,
  },
  { said: /^MOVED/, advice: 'this Redis is a Cluster: spec.redis.mode must be Cluster', in: ['Standalone', 'Sentinel'] },
  {
    said: /cluster support disabled/i,
    advice: 'this Redis is no Cluster: spec.redis.mode must be Standalone or Sentinel',
    in: ['Cluster'],
  },
  {
    said: /unknown command.*sentinel/i,
    advice: `${ADDRESS} must lead to the sentinels, not to Redis itself`,
    in: ['Sentinel'],
  },
  {
    said: /invalid reply: null|No such master/i,
    advice: 'the sentinels know no master of the name in spec.redis.sentinel.masterName',
    in: ['Sentinel'],
  },
  { said: /^READONLY/, advice: `${ADDRESS} must lead to the master, not to a replica`, in: ['Standalone'] },
  { said: /ENOTFOUND|EAI_AGAIN/, advice: `the host in ${ADDRESS} has no address` },
  { said: /SELECT|DB index is out of range/i, advice: `the number of the database in ${ADDRESS}` },
  { said: /^OOM/, advice: "Redis' memory is full: raise its maxmemory" },
];

/** What Redis or the network said, in one line, and what to put right; neither repeats a password. */
export function reasonOf(error: unknown, { mode, tls }: RedisRun): string {
  const said = firstLine(error);
  const cause = CAUSES.find(
    (each) => each.said.test(said) && (each.in === undefined || each.in.includes(mode)) && (each.tls === undefined || tls),
  );
  return cause === undefined ? said : `${said} (${cause.advice})`;
}

/** Follows from a connection that is not there, and would hide why it is not. */
export function saysNothing(error: unknown): boolean {
  return /^(Connection is closed|Reached the max retries|Stream isn't writeable|Cluster isn't ready|Command timed out)/.test(
    firstLine(error),
  );
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? messageOf(error) : String(error);
  return text.split('\n')[0]?.slice(0, 200) ?? '';
}

/** That of the node, where a Cluster's client has only to say that it found none. */
function messageOf(error: Error): string {
  const last: unknown = 'lastNodeError' in error ? error.lastNodeError : undefined;
  return last instanceof Error ? last.message : error.message || error.name;
}
