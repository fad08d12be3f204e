import { err, ok, type Result } from './result.ts';
import { SecretValue } from './secret.ts';

export interface RedisAddress {
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  readonly tls: boolean;
  readonly username: string | null;
  readonly password: SecretValue | null;
  readonly db: number;
}

const DEFAULT_PORT = 6379;
const SENTINEL_PORT = 26379;

/**
 * `redis://user:password@host:6379/0`, `rediss://` for TLS; several separated by commas. The error repeats nothing of the
 * address, because it may hold a password.
 */
export function parseRedisUrl(text: string, mode: 'Standalone' | 'Sentinel' | 'Cluster'): Result<RedisAddress, string> {
  const parts = text.trim().split(',');
  if (parts.length > 1 && mode === 'Standalone') return err('it has several addresses, Standalone takes one');
  const urls: URL[] = [];
  for (const [index, part] of parts.entries()) {
    const which = parts.length === 1 ? 'it' : `address ${index + 1} of ${parts.length}`;
    const url = URL.canParse(part.trim()) ? new URL(part.trim()) : null;
    if (url === null || url.hostname === '') return err(`${which} is no URL: write it like redis://user:password@host:6379/0`);
    if (url.protocol !== 'redis:' && url.protocol !== 'rediss:')
      return err(`${which} begins with ${url.protocol}// and must begin with redis:// or, for TLS, rediss://`);
    if (!/^(\/\d{0,4})?$/.test(url.pathname) || url.search !== '' || url.hash !== '')
      return err(`${which} may have no more after the host than the number of a database, like /0`);
    urls.push(url);
  }
  const [first] = urls;
  if (first === undefined) return err('it is empty: write it like redis://user:password@host:6379/0');
  const differs = urls.some((url) => url.protocol !== first.protocol || (url.password !== '' && url.password !== first.password));
  if (differs) return err('its addresses must agree in scheme, user and password');
  const db = Number(first.pathname.slice(1));
  if (mode === 'Cluster' && db !== 0) return err('a Cluster has only database 0');
  const username = decoded(first.username);
  const password = decoded(first.password);
  if (username === null || password === null)
    return err('its user or password has a % that is not followed by two hex digits: write %25');
  const port = mode === 'Sentinel' ? SENTINEL_PORT : DEFAULT_PORT;
  return ok({
    nodes: urls.map((url) => ({
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: url.port === '' ? port : Number(url.port),
    })),
    tls: first.protocol === 'rediss:',
    username: username === '' ? null : username,
    password: password === '' ? null : new SecretValue(password),
    db,
  });
}

/** null: no percent-encoding. */
function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
