import { STATUS_CODES } from 'node:http';

/** Longer than any proxy in front keeps its connections (cloud load balancers: 600 s), so that it is they who close them. */
export const KEEP_ALIVE_MS = 620_000;

const KEPT = `connection: keep-alive\r\nkeep-alive: timeout=${KEEP_ALIVE_MS / 1_000}\r\n`;
const CLOSED = 'connection: close\r\n';
/** RFC 9110, section 5.5. A value with a line's end in it would be another header, or another answer. */
const UNSAFE = /[^\t\x20-\x7e\x80-\xff]/;

/**
 * The head of an answer, as Latin-1. `headers` is flat: name, value, …; names are ours, in lower case, and none of them frames the
 * body or speaks of the connection. Throws for a value that cannot be sent.
 */
export function answerHead(status: number, headers: readonly string[], framing: string, close: boolean): string {
  let lines = '';
  let values = '';
  for (let i = 0; i < headers.length; i += 2) {
    const value = headers[i + 1] ?? '';
    lines += `${headers[i] ?? ''}: ${value}\r\n`;
    values += value;
  }
  if (UNSAFE.test(values)) throw new Error('a header of the answer has a value that cannot be sent');
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n${lines}${dateLine()}${close ? CLOSED : KEPT}${framing}\r\n`;
}

let second = -1;
let line = '';

/** RFC 9110, section 6.6.1. Made once a second. */
function dateLine(): string {
  const now = Math.floor(Date.now() / 1_000);
  if (now !== second) {
    second = now;
    line = `date: ${new Date(now * 1_000).toUTCString()}\r\n`;
  }
  return line;
}
