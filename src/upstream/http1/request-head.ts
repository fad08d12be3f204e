/** A method and path as they may stand in a request line. */
const LINE = /^[A-Z]+ [\x21-\x7e\x80-\xff]+$/;
const NAMES = /^[!#$%&'*+.^_`|~0-9A-Za-z-]*$/;
/** RFC 9110, section 5.5. A value with a line's end in it would be another header, or another request. */
const VALUES = /^[\t\x20-\x7e\x80-\xff]*$/;

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
  const line = `${method} ${path}`;
  let names = '';
  let values = '';
  let lines = '';
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] ?? '';
    const value = headers[i + 1] ?? '';
    if (name === '' || FRAMING.has(name)) throw new Error(`the header ${JSON.stringify(name)} cannot be sent`);
    names += name;
    values += value;
    lines += `${name}: ${value}\r\n`;
  }
  if (!LINE.test(line)) throw new Error(`the request line ${JSON.stringify(line.slice(0, 256))} cannot be sent`);
  if (!NAMES.test(names) || !VALUES.test(values)) throw new Error(`one of the headers ${nameList(headers)} cannot be sent`);
  const length = bodyBytes === null ? '' : `content-length: ${bodyBytes}\r\n`;
  return `${line} HTTP/1.1\r\nhost: ${host}\r\nconnection: keep-alive\r\n${lines}${length}\r\n`;
}

const FRAMING = new Set(['content-length', 'transfer-encoding', 'connection', 'keep-alive', 'upgrade', 'expect', 'host', 'te']);

/** Without their values, which may be secrets. */
function nameList(headers: readonly string[]): string {
  return headers
    .filter((_, i) => i % 2 === 0)
    .map((name) => JSON.stringify(name))
    .join(', ');
}
