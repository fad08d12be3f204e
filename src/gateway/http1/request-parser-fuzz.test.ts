// Beside llhttp, which node's own server reads with: whatever this parser takes for a request, llhttp takes for the same one; and what
// llhttp takes and this parser does not is refused for one of a few reasons.
import http from 'node:http';
import { Duplex } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import { cut, damaged, generator } from '../../lib/http1/testdata/damage.ts';
import { type ReadRequest, readRequests, VALID_REQUESTS } from './testing.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 3_000);
const SEED = Number(process.env['FUZZ_SEED'] ?? 1);
const PIECES = [
  ...['content-length: 3\r\n', 'Content-Length:1\r\n', 'transfer-encoding: chunked\r\n', 'transfer-encoding: identity\r\n'],
  ...['connection: close\r\n', 'host: g\r\n', '0\r\n\r\n', '3\r\nabc\r\n', 'x: y\r\n', ' HTTP/1.1\r\n', 'GET ', 'http://g', '*'],
];

/** Where this parser is stricter. */
const STRICTER: readonly RegExp[] = [
  // One space between its parts and none behind; no control character, no CONNECT.
  /the request line is none/,
  /the method CONNECT is not known/,
  // Paths and http URLs whose host is a host's name.
  /the target is neither a path nor a URL/,
  /host twice/,
  /there is no host header/,
  /a bare CR or LF/,
  /space after transfer-encoding/,
  /transfer-encoding twice/,
  /transfer-encoding \S/,
  // Its extensions and trailers are held to their syntax, too.
  /a chunk's size that is none/,
  /a trailer that/,
  /The expectation .* cannot be met/,
];

type Told = Pick<ReadRequest, 'method' | 'url' | 'body'>;

/** What node's server tells of the requests in these bytes, as far as they are whole. */
async function readByLlhttp(bytes: Buffer): Promise<readonly Told[]> {
  const requests: Told[] = [];
  const server = http.createServer();
  const take = (request: http.IncomingMessage, response: http.ServerResponse): void => {
    const body: Buffer[] = [];
    request.on('data', (chunk: Buffer) => body.push(chunk));
    request.on('error', () => {});
    request.on('end', () => {
      if (!request.complete) return;
      const { method = '', url = '' } = request;
      requests.push({ method, url, body: Buffer.concat(body).toString('latin1') });
      response.end();
    });
  };
  server.on('request', take).on('checkContinue', take);
  server.on('clientError', (_error, socket: Duplex) => socket.destroy());
  const socket = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done(), allowHalfOpen: true });
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.on('error', () => {});
  server.emit('connection', socket);
  socket.push(bytes);
  socket.push(null);
  await closed;
  return requests;
}

const told = ({ method, url, body }: ReadRequest): Told => ({ method, url, body });

describe('RequestParser beside llhttp', () => {
  it(`${RUNS} damaged requests`, async () => {
    const pick = generator(SEED);
    let taken = 0;
    let refused = 0;
    for (let run = 0; run < RUNS; run++) {
      const bytes = Buffer.from(damaged(VALID_REQUESTS, PIECES, pick), 'latin1');
      const whole = readRequests([bytes]);
      const inParts = readRequests(cut(bytes, pick));
      const where = `run ${run} of FUZZ_SEED=${SEED}: ${JSON.stringify(bytes.toString('latin1'))}`;
      if (
        JSON.stringify(whole.requests) !== JSON.stringify(inParts.requests) ||
        (whole.error === null) !== (inParts.error === null)
      )
        throw new Error(`the cuts tell: ${where}: ${JSON.stringify([whole, inParts])}`);
      if (whole.error === null) taken++;
      else refused++;
      const refusal = whole.error?.message;
      if (refusal !== undefined && !STRICTER.some((reason) => reason.test(refusal))) {
        const lenient = await readByLlhttp(bytes);
        if (lenient.length > whole.requests.length) throw new Error(`llhttp takes it: ${refusal} ${where}`);
      }
      if (whole.requests.length === 0) continue;
      const reference = await readByLlhttp(bytes.subarray(0, whole.bytes));
      const ours = whole.requests.map(told);
      if (JSON.stringify(ours) !== JSON.stringify(reference))
        throw new Error(`llhttp reads ${JSON.stringify(reference)}, this parser ${JSON.stringify(whole)}: ${where}`);
    }
    expect(taken).toBeGreaterThan(RUNS / 20);
    expect(refused).toBeGreaterThan(RUNS / 10);
  }, 600_000);

  it(`${RUNS} requests behind one like them: read as if they were alone`, () => {
    const pick = generator(SEED);
    const firsts = VALID_REQUESTS.filter((request) => readRequests([latin1(request)]).requests.at(-1)?.keepAlive === true);
    let taken = 0;
    for (let run = 0; run < RUNS; run++) {
      const first = firsts[pick(firsts.length)] ?? '';
      const before = readRequests([latin1(first)]).requests.length;
      const second = latin1(
        pick(4) === 0 ? first.replace(/(content-length: *)\d+/i, `$1${pick(12)}`) : damaged([first], PIECES, pick),
      );
      const alone = readRequests([second]);
      const behind = readRequests(pick(2) === 0 ? [Buffer.concat([latin1(first), second])] : [latin1(first), second]);
      expect({
        first,
        second: second.toString('latin1'),
        requests: behind.requests.slice(before),
        error: behind.error?.message,
      }).toEqual({
        first,
        second: second.toString('latin1'),
        requests: alone.requests,
        error: alone.error?.message,
      });
      taken += alone.requests.length;
    }
    expect(taken).toBeGreaterThan(RUNS / 20);
  });
});

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');
