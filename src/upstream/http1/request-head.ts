const METHOD = /^[A-Z]+$/;
const PATH = /^[\x21-\x7e\x80-\xff]+$/;
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** RFC 9110, section 5.5. A value with a line's end in it would be another header, or another request. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * The head of a request, as Latin-1. `headers` is flat: name, value, …; none of them may say how the body is framed. Throws for
 * what cannot be sent.
 */
export function requestHead(
  method: string,
  path: string,
  host: string,
  headers: readonly string[],
  bodyBytes: number | null,
): string {
  // Each by itself: what is put together has to be copied before it can be looked at.
  if (!METHOD.test(method) || !PATH.test(path))
    throw new Error(`the request line ${JSON.stringify(`${method} ${path}`.slice(0, 256))} cannot be sent`);
  let lines = '';
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] ?? '';
    const value = headers[i + 1] ?? '';
    if (!isSendable(name)) throw new Error(`the header ${JSON.stringify(name)} cannot be sent`);
    if (!VALUE.test(value)) throw new Error(`one of the headers ${nameList(headers)} cannot be sent`);
    lines += `${name}: ${value}\r\n`;
  }
  const length = bodyBytes === null ? '' : `content-length: ${bodyBytes}\r\n`;
  return `${method} ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: keep-alive\r\n${lines}${length}\r\n`;
}

/** Names that were looked at: configuration and a list of ours bound how many there are. */
const sendable = new Set<string>();
const MAX_SENDABLE = 1_000;

function isSendable(name: string): boolean {
  if (sendable.has(name)) return true;
  if (!NAME.test(name) || FRAMING.has(name)) return false;
  if (sendable.size < MAX_SENDABLE) sendable.add(name);
  return true;
}

const FRAMING = new Set(['content-length', 'transfer-encoding', 'connection', 'keep-alive', 'upgrade', 'expect', 'host', 'te']);

/** Without their values, which may be secrets. */
function nameList(headers: readonly string[]): string {
  return headers
    .filter((_, i) => i % 2 === 0)
    .map((name) => JSON.stringify(name))
    .join(', ');
}
