import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parse } from 'yaml';
import { formatSseEvent, SSE_KEEP_ALIVE, type SseEvent, SseSplitter } from './sse.ts';

const FIXTURES = join(import.meta.dirname, '../../../shared/data/providers');

interface Read {
  readonly events: readonly (readonly [bytes: string, event: string, data: string])[];
  readonly leftover: string;
  readonly overflowed: boolean;
}

/** Feeds chunks and keeps the events' views until the end, so that a view written over would show. */
function read(chunks: Iterable<Buffer>, splitter = new SseSplitter()): Read {
  const events: SseEvent[] = [];
  const drain = (): void => {
    for (let event = splitter.next(); event !== null; event = splitter.next()) events.push(event);
  };
  for (const chunk of chunks) {
    splitter.push(chunk);
    drain();
  }
  splitter.end();
  drain();
  return {
    events: events.map((event) => [event.bytes.toString('latin1'), event.event, event.data]),
    leftover: splitter.leftover.toString('latin1'),
    overflowed: splitter.overflowed,
  };
}

function* inPieces(bytes: Buffer, size: number): Generator<Buffer> {
  // Copies, as sockets give them: a splitter that reads beyond its chunk would find nothing there.
  for (let at = 0; at < bytes.length; at += size) yield Buffer.from(bytes.subarray(at, at + size));
}

/** The standard's algorithm, word for word and slow; [event, data] of frames that have data. */
function byTheBook(bytes: Buffer): [string, string][] {
  const lines = bytes
    .toString('latin1')
    .replace(/^\xef\xbb\xbf/, '')
    .split(/\r\n|\n|\r/);
  const last = lines.pop();
  // Our one leniency: whole lines without their blank line are a frame.
  if (last === '') lines.push('');
  const events: [string, string][] = [];
  let event = '';
  let data: string[] = [];
  for (const line of lines) {
    if (line === '') {
      if (data.length > 0) events.push([event, data.join('\n')]);
      event = '';
      data = [];
      continue;
    }
    const colon = line.indexOf(':');
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'data') data.push(value);
    if (name === 'event') event = value;
  }
  return events.map(([name, value]) => [Buffer.from(name, 'latin1').toString(), Buffer.from(value, 'latin1').toString()]);
}

function withData(found: Read): [string, string][] {
  return found.events.filter(([bytes]) => /(^|[\r\n])data(:|[\r\n])/.test(bytes)).map(([, event, data]) => [event, data]);
}

function fixtures(): [string, Buffer][] {
  const found: [string, Buffer][] = [];
  for (const provider of readdirSync(FIXTURES, { withFileTypes: true })) {
    if (!provider.isDirectory()) continue;
    for (const file of readdirSync(join(FIXTURES, provider.name))) {
      const text = readFileSync(join(FIXTURES, provider.name, file), 'utf8');
      if (!text.includes('framing: sse')) continue;
      const { response } = parse(text) as { response: { body?: string; chunks?: { text?: string; b64?: string }[] } };
      const chunks = response.chunks?.map((chunk) =>
        chunk.text === undefined ? Buffer.from(chunk.b64 ?? '', 'base64') : Buffer.from(chunk.text),
      );
      found.push([
        `${provider.name}/${file}`,
        response.body === undefined ? Buffer.concat(chunks ?? []) : Buffer.from(response.body),
      ]);
    }
  }
  return found;
}

describe('SseSplitter', () => {
  it('reads fields, comments, several data lines, all line ends and a byte order mark', () => {
    const text =
      '\uFEFF\n\n: hi\nevent: a\ndata: 1\ndata:2\r\ndata:  3\rid: 7\ndata\n\nevent:b\r\n\r\ndata: é😀\r\rdatax: no\neven: no\n\nevent: c\nevent\ndata:\n\n';
    expect(read([Buffer.from(text)])).toEqual({
      events: [
        [': hi\nevent: a\ndata: 1\ndata:2\r\ndata:  3\rid: 7\ndata\n\n', 'a', '1\n2\n 3\n'],
        ['event:b\r\n\r\n', 'b', ''],
        [Buffer.from('data: é😀\r\r').toString('latin1'), '', 'é😀'],
        ['datax: no\neven: no\n\n', '', ''],
        ['event: c\nevent\ndata:\n\n', '', ''],
      ],
      leftover: '',
      overflowed: false,
    });
  });

  it('reads a field named error as an event of that name', () => {
    const text = 'error: {"code":500}\n\nerrors: no\n\nerr\n\n';
    expect(read([Buffer.from(text)]).events).toEqual([
      ['error: {"code":500}\n\n', 'error', '{"code":500}'],
      ['errors: no\n\n', '', ''],
      ['err\n\n', '', ''],
    ]);
  });

  it('gives views of the chunk, contiguous, and copies nothing while frames are whole', () => {
    const chunk = Buffer.from('data: 1\n\ndata: 2\n\n');
    const splitter = new SseSplitter();
    splitter.push(chunk);
    const [first, second] = [splitter.next(), splitter.next()];
    expect(first?.source).toBe(chunk);
    expect([first?.start, first?.end, second?.start, second?.end]).toEqual([0, 9, 9, 18]);
    expect(splitter.next()).toBeNull();
  });

  it('waits after a final \\r until it knows whether \\n follows', () => {
    const splitter = new SseSplitter();
    splitter.push(Buffer.from('data: 1\r\n\r'));
    expect(splitter.next()).toBeNull();
    splitter.push(Buffer.from('\ndata: 2\r\r'));
    expect(splitter.next()?.bytes.toString()).toBe('data: 1\r\n\r\n');
    expect(splitter.next()).toBeNull();
    splitter.end();
    expect(splitter.next()?.bytes.toString()).toBe('data: 2\r\r');
    expect(splitter.leftover).toHaveLength(0);
  });

  it('completes a last frame of whole lines, and leaves a cut line over', () => {
    expect(read([Buffer.from('data: 1\n\ndata: 2\r\n')]).events[1]).toEqual(['data: 2\r\n\n', '', '2']);
    expect(read([Buffer.from('data: 1\n\ndata: {"cut')])).toMatchObject({
      events: [['data: 1\n\n', '', '1']],
      leftover: 'data: {"cut',
    });
    expect(read([Buffer.from('data: 1\n\n\n\r\n')])).toMatchObject({ events: [['data: 1\n\n', '', '1']], leftover: '' });
  });

  it('stops at a frame over the bound, finished or not, however it arrives', () => {
    const fits = Buffer.from(`data: 1\n\n${`data: ${'x'.repeat(56)}\n\n`}`);
    const tooLong = Buffer.from(`data: 1\n\n${`data: ${'x'.repeat(57)}\n\n`}data: 2\n\n`);
    for (const size of [1, 7, 64, 1000]) {
      expect(read(inPieces(fits, size), new SseSplitter(64))).toMatchObject({ overflowed: false, events: { length: 2 } });
      expect(read(inPieces(tooLong, size), new SseSplitter(64))).toMatchObject({
        overflowed: true,
        events: { length: 1 },
        leftover: '',
      });
    }
  });

  it('copies a large frame that arrives in small chunks a bounded number of times', () => {
    // Joined anew for each piece, this would copy 250 GiB and not end within the test's time.
    const frame = Buffer.from(`data: ${'x'.repeat(8_000_000)}\n\n`);
    expect(read(inPieces(frame, 128)).events[0]?.[2]).toHaveLength(8_000_000);
  });

  it('needs no draining between chunks', () => {
    const stream = Buffer.from('data: 1\r\n\r\ndata: 2\n\n: x\n\ndata: 3\r\rdata: 4\n\n');
    for (let size = 1; size < stream.length; size++) {
      const splitter = new SseSplitter();
      for (const chunk of inPieces(stream, size)) splitter.push(chunk);
      expect(read([], splitter)).toEqual(read([stream]));
    }
  });

  it('reads any bytes as the standard says, whatever the chunks', () => {
    const token = fc.constantFrom(
      'data',
      'data:',
      'data: ',
      'event: x',
      'event',
      ':',
      ' ',
      'é',
      '\uFEFF',
      '\n',
      '\r',
      '\r\n',
      '\n\n',
      '\r\n\r\n',
      '[DONE]',
      '{"a":1}',
      '\0',
    );
    const bytes = fc.oneof(
      { weight: 4, arbitrary: fc.array(token, { maxLength: 40 }).map((parts) => Buffer.from(parts.join(''))) },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }).map((raw) => Buffer.from(raw)) },
    );
    fc.assert(
      fc.property(bytes, fc.array(fc.nat(12), { minLength: 1, maxLength: 30 }), (stream, sizes) => {
        const whole = read([stream]);
        expect(withData(whole)).toEqual(byTheBook(stream));
        const chunks: Buffer[] = [];
        for (let at = 0, i = 0; at < stream.length; i++) {
          // Empty chunks too, but not only those.
          const size = i > 500 ? 1 : (sizes[i % sizes.length] ?? 0);
          chunks.push(Buffer.from(stream.subarray(at, at + size)));
          at += size;
        }
        expect(read(chunks)).toEqual(whole);
      }),
      { numRuns: 5000 },
    );
  });

  const recorded = existsSync(FIXTURES) ? fixtures() : [];
  it(`reads ${recorded.length} recorded streams the same, split at every byte${recorded.length === 0 ? ' (not here: ../shared is absent)' : ''}`, () => {
    for (const [name, bytes] of recorded) {
      for (const variant of [bytes, Buffer.from(bytes.toString('latin1').replaceAll(/\r?\n/g, '\r\n'), 'latin1')]) {
        const whole = read([variant]);
        expect([name, withData(whole)]).toEqual([name, byTheBook(variant)]);
        for (const size of [1, 2, 7, 1460]) {
          if (!isDeepStrictEqual(read(inPieces(variant, size)), whole))
            throw new Error(`${name} differs in pieces of ${size} bytes`);
        }
      }
      // Two chunks, at every border; quadratic, so only in the first frames.
      const part = bytes.subarray(0, 2000);
      const whole = read([part]);
      for (let at = 1; at < part.length; at++) {
        if (!isDeepStrictEqual(read([part.subarray(0, at), part.subarray(at)]), whole))
          throw new Error(`${name} differs when split at byte ${at}`);
      }
    }
  }, 60_000);
});

describe('formatSseEvent', () => {
  it('is read back as it was given', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (data) => {
        const found = read([formatSseEvent('delta', data)]);
        expect(found.events).toHaveLength(1);
        expect(found.events[0]?.slice(1)).toEqual(['delta', data.replaceAll(/\r\n|\r/g, '\n')]);
      }),
    );
    expect(formatSseEvent('', '[DONE]').toString()).toBe('data: [DONE]\n\n');
    expect(read([SSE_KEEP_ALIVE]).events).toEqual([[': keep-alive\n\n', '', '']]);
  });
});
