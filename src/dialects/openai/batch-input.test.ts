import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { isObject } from '../../lib/json.ts';
import { parseJsonOrThrow } from '../../lib/json-parse.ts';
import { readRequestBody } from '../request-body.ts';
import { bodyEdit } from '../splice-body.ts';
import { readBatchInput, writeBatchInput } from './batch-input.ts';
import { fileIdsOf } from './file-ids.ts';

function finish<T>(work: Generator<void, T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
  }
}

/** What may stand in a line, in every order and with members that nobody knows; each of its parts may be wrong. */
const LINE = fc
  .record(
    {
      custom_id: fc.string({ unit: 'binary' }),
      method: fc.constantFrom('POST', 'GET', 1),
      url: fc.oneof(
        { weight: 9, arbitrary: fc.constantFrom('/v1/chat/completions', '/embeddings') },
        { weight: 1, arbitrary: fc.string() },
      ),
      body: fc.oneof(
        { weight: 9, arbitrary: fc.record({ model: fc.constantFrom('a', 'a', 'a', 'b'), user: fc.json(), n: fc.jsonValue() }) },
        { weight: 1, arbitrary: fc.jsonValue() },
      ),
      other: fc.jsonValue(),
    },
    { requiredKeys: ['url', 'body'] },
  )
  .map((line) => JSON.stringify(line));
const LINES = fc.array(
  fc.oneof({ weight: 9, arbitrary: LINE }, { weight: 1, arbitrary: fc.constantFrom('', '\r', ' \t', '{', '[]') }),
  {
    maxLength: 40,
  },
);
const EDIT = bodyEdit({ model: 'up', includeUsage: true, defaults: [], override: [['n', 1]] });

describe('the input of a batch', () => {
  it('that is taken goes with another model and the target’s parameters, line by line; what stands around it is not looked at', () => {
    let taken = 0;
    fc.assert(
      fc.property(LINES, fc.string(), fc.constantFrom('\n', '\r\n'), (lines, around, end) => {
        const file = Buffer.from(lines.join(end));
        const bytes = Buffer.concat([Buffer.from(around), file, Buffer.from(around)]);
        const start = Buffer.byteLength(around);
        const span = { start, end: start + file.length };
        const read = finish(readBatchInput(bytes, span));
        if (!read.ok) {
          expect(read.error).toMatchObject({ code: 'invalid_batch', param: 'file' });
          return;
        }
        taken++;
        const written = Buffer.concat(finish(writeBatchInput(bytes, span, EDIT)))
          .toString()
          .split(end);
        expect(written).toHaveLength(lines.length);
        for (const [at, line] of lines.entries()) {
          if (line.trim() === '') {
            expect(written[at]).toBe(line);
            continue;
          }
          const asked: unknown = parseJsonOrThrow(line);
          const sent: unknown = parseJsonOrThrow(written[at] ?? '');
          if (!isObject(asked) || !isObject(asked['body'])) throw new Error(`${line} was taken`);
          expect(asked['body']['model']).toBe(read.value.model);
          expect(sent).toEqual({ ...asked, body: { ...asked['body'], model: 'up', n: 1 } });
        }
      }),
      { numRuns: 1_000 },
    );
    expect(taken).toBeGreaterThan(50);
  });

  it('may be any bytes: it is taken or refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (array) => {
        const bytes = Buffer.from(array);
        expect(finish(readBatchInput(bytes, { start: 0, end: bytes.length })).ok).toBe(false);
      }),
    );
  });

  it('may be nothing but empty lines: it is read in linear time', () => {
    // A quadratic step would take a quarter of an hour here, a linear one some milliseconds.
    const startedMs = performance.now();
    const bytes = Buffer.concat([Buffer.alloc(90_000, '\n'), Buffer.alloc(8 * 1024 * 1024, ' ')]);
    const read = finish(readBatchInput(bytes, { start: 0, end: bytes.length }));
    expect(read).toMatchObject({ ok: false, error: { message: expect.stringContaining('it holds no request') } });
    expect(performance.now() - startedMs).toBeLessThan(60_000);
  });
});

/** Each character as it is, or escaped. */
const spelled = (name: string): fc.Arbitrary<string> =>
  fc
    .array(fc.boolean(), { minLength: name.length, maxLength: name.length })
    .map((escapes) =>
      Array.from(name, (char, at) =>
        escapes[at] === true ? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}` : char,
      ).join(''),
    );

describe('files that a request names', () => {
  it('are found however their names are spelled, and wherever they stand', () => {
    const ids = fc.stringMatching(/^[\w-]{1,9}$/);
    const named = fc.tuple(ids, spelled('file_id'), fc.nat(5), fc.lorem({ maxCount: 40 }));
    fc.assert(
      fc.property(named, ([id, key, depth, text]) => {
        const inner = `{"type":"file","file":{"${key}":${JSON.stringify(id)}}}`;
        const content = `${'['.repeat(depth)}${inner}${']'.repeat(depth)}`;
        const json = `{"model":"m","user":${JSON.stringify(text.repeat(40))},"messages":[{"role":"user","content":[${content}]}]}`;
        const body = readRequestBody(Buffer.from(json), 'chat');
        if (!body.ok) throw new Error(body.error.message);
        expect(fileIdsOf(body.value)).toEqual([id]);
      }),
    );
  });

  it.each(['document', 'results', 'metadata'])('are found in a variable of a prompt that is called %s', (name) => {
    const variables = { [name]: { type: 'input_file', file_id: 'file-1' } };
    const body = readRequestBody(Buffer.from(JSON.stringify({ model: 'm', prompt: { id: 'pmpt_1', variables } })), 'responses');
    expect(body.ok && fileIdsOf(body.value)).toEqual(['file-1']);
  });
});
