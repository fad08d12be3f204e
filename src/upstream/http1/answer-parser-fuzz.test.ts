// Beside llhttp, which node's own client reads with: whatever this parser takes for a whole answer, llhttp takes for the same one.
import http from 'node:http';
import { Duplex } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import { cut, damaged, generator } from '../../lib/http1/testdata/damage.ts';
import { KnownAnswers } from './known-answers.ts';
import { readAnswer, VALID_ANSWERS } from './testing.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 3_000);
const SEED = Number(process.env['FUZZ_SEED'] ?? 1);
const PIECES = [
  ...['content-length: 3\r\n', 'Content-Length:1\r\n', 'transfer-encoding: chunked\r\n', 'transfer-encoding: identity\r\n'],
  ...[
    'connection: close\r\n',
    'connection: keep-alive\r\n',
    '0\r\n\r\n',
    '3\r\nabc\r\n',
    'HTTP/1.1 100 Continue\r\n\r\n',
    'x: y\r\n',
  ],
];

/** null: llhttp does not take it for a whole answer. */
async function readByLlhttp(bytes: Buffer): Promise<{ readonly status: number; readonly body: string } | null> {
  return new Promise((resolve) => {
    const socket = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
    const request = http.request({ createConnection: () => socket, method: 'POST' });
    request.on('error', () => resolve(null));
    request.on('upgrade', () => resolve(null));
    request.on('response', (response) => {
      const body: Buffer[] = [];
      response.on('data', (chunk: Buffer) => body.push(chunk));
      response.on('error', () => resolve(null));
      response.on('close', () =>
        resolve(response.complete ? { status: response.statusCode ?? 0, body: Buffer.concat(body).toString('latin1') } : null),
      );
    });
    request.end('x');
    socket.push(bytes);
    socket.push(null);
  });
}

describe('AnswerParser beside llhttp', () => {
  it(`${RUNS} damaged answers`, async () => {
    const pick = generator(SEED);
    let taken = 0;
    let refused = 0;
    for (let run = 0; run < RUNS; run++) {
      const bytes = Buffer.from(damaged(VALID_ANSWERS, PIECES, pick), 'latin1');
      const whole = readAnswer([bytes]);
      const inParts = readAnswer(cut(bytes, pick));
      const where = `run ${run} of FUZZ_SEED=${SEED}: ${JSON.stringify(bytes.toString('latin1'))}`;
      // Where it is refused, how much of it was told before depends on the cuts; nothing else does.
      if (whole.complete !== inParts.complete || (whole.complete && whole.body !== inParts.body))
        throw new Error(`the cuts tell: ${where}`);
      if (!whole.complete) {
        refused++;
        continue;
      }
      taken++;
      const reference = await readByLlhttp(bytes);
      if (reference === null) {
        // llhttp judges what follows an answer in the same read; here the answer stands, and its connection is given up.
        if (whole.reusable) throw new Error(`llhttp refuses it: ${where}`);
      } else if (reference.status !== whole.status || reference.body !== whole.body) {
        throw new Error(`llhttp reads ${JSON.stringify(reference)}, this parser ${JSON.stringify(whole)}: ${where}`);
      }
    }
    expect(taken).toBeGreaterThan(RUNS / 10);
    expect(refused).toBeGreaterThan(RUNS / 10);
  }, 600_000);

  it(`${RUNS} answers behind others like them: read as if they were alone`, () => {
    const pick = generator(SEED);
    let taken = 0;
    for (let run = 0; run < RUNS; run++) {
      const known = new KnownAnswers();
      const valid = VALID_ANSWERS[pick(VALID_ANSWERS.length)] ?? '';
      for (let before = pick(3); before >= 0; before--) {
        const like = valid.replaceAll(/[a-z\d]+(?= *\r\n)/gi, (value) => (pick(3) === 0 ? String(pick(120)) : value));
        readAnswer([Buffer.from(pick(2) === 0 ? like : valid, 'latin1')], known);
      }
      const bytes = Buffer.from(damaged([valid], PIECES, pick), 'latin1');
      const parts = pick(4) === 0 ? cut(bytes, pick) : [bytes];
      const alone = readAnswer(parts);
      const told = { run, bytes: bytes.toString('latin1') };
      if (alone.complete) {
        expect({ ...told, ...readAnswer(parts, known) }).toEqual({ ...told, ...alone });
        taken++;
      } else {
        const { complete, error } = readAnswer(parts, known);
        expect({ ...told, complete, error: error?.message }).toEqual({ ...told, complete: false, error: alone.error?.message });
      }
    }
    expect(taken).toBeGreaterThan(RUNS / 10);
  });
});
