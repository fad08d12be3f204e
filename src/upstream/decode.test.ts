import zlib from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { systemClock } from '../lib/clock.ts';
import { type CallSink, UpstreamCall } from './call.ts';
import type { Channel } from './connections.ts';
import { DecodingSink } from './decode.ts';
import { RecordingSink } from './testing.ts';

const MIB = 1024 * 1024;
const ENCODERS: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  gzip: (bytes) => zlib.gzipSync(bytes),
  'x-gzip': (bytes) => zlib.gzipSync(bytes),
  deflate: (bytes) => zlib.deflateSync(bytes),
  br: (bytes) => zlib.brotliCompressSync(bytes),
  zstd: (bytes) => zlib.zstdCompressSync(bytes),
};
const TEXT = 'data: {"choices":[{"delta":{"content":"Grüße 🚀"}}]}\n\n'.repeat(500);

/** A call that only remembers how it was steered. */
class SteeredCall extends UpstreamCall {
  readonly steps: string[] = [];

  constructor(sink: CallSink) {
    super(NO_CHANNEL, sink, { connectMs: 1, firstTokenMs: 1, idleMs: 1, totalMs: 1 }, true, systemClock);
  }

  override pause(): void {
    this.steps.push('pause');
  }
  override resume(): void {
    this.steps.push('resume');
  }
  override cancel(): void {
    this.steps.push('cancel');
  }
}

const NO_CHANNEL: Channel = { dispatch: () => null, release() {}, connections: 0, queued: 0, close() {}, async destroy() {} };

function decoding(): { decoder: DecodingSink; sink: RecordingSink; call: SteeredCall } {
  const sink = new RecordingSink();
  const decoder = new DecodingSink(sink);
  const call = new SteeredCall(decoder);
  decoder.attach(call);
  return { decoder, sink, call };
}

describe('DecodingSink', () => {
  it('passes an answer that is not encoded through as it comes', () => {
    const { decoder, sink } = decoding();
    const chunk = Buffer.from('abc');
    decoder.onAnswer(200, { 'content-type': 'text/plain', 'content-encoding': 'identity' });
    decoder.onChunk(chunk);
    decoder.onComplete();
    expect(sink.chunks[0]).toBe(chunk);
    expect(sink.told).toEqual(['answer 200', 'complete']);
  });

  it.each(Object.keys(ENCODERS).flatMap((encoding) => [encoding, encoding.toUpperCase()]))(
    'decodes %s, byte by byte',
    async (encoding) => {
      const { decoder, sink } = decoding();
      decoder.onAnswer(200, { 'content-type': 'text/plain', 'content-encoding': encoding, 'content-length': '1' });
      for (const byte of ENCODERS[encoding.toLowerCase()]?.(Buffer.from(TEXT)) ?? []) decoder.onChunk(Buffer.of(byte));
      decoder.onComplete();
      await sink.ended;
      expect(sink.headers).toEqual({ 'content-type': 'text/plain' });
      expect(sink.told).toEqual(['answer 200', 'complete']);
      expect(sink.text).toBe(TEXT);
    },
  );

  it.each(Object.keys(ENCODERS))('%s: what is cut short or damaged is malformed, never a whole answer', async (encoding) => {
    const bytes = ENCODERS[encoding]?.(Buffer.from(TEXT)) ?? Buffer.alloc(0);
    const damaged = Buffer.from(bytes);
    damaged.fill(0xa5, 12, 40);
    const wrongs = [bytes.subarray(0, bytes.length - 9), Buffer.from('not encoded at all')];
    // The others carry no check sum.
    if (encoding !== 'br' && encoding !== 'zstd') wrongs.push(damaged);
    for (const wrong of wrongs) {
      const { decoder, sink, call } = decoding();
      decoder.onAnswer(200, { 'content-encoding': encoding });
      decoder.onChunk(wrong);
      decoder.onComplete();
      await sink.ended;
      expect(sink.told).toEqual(['answer 200', 'broken malformed']);
      expect(sink.failure?.message).toContain(`the ${encoding} body is damaged`);
      expect(call.steps).toContain('cancel');
    }
  });

  it('names an encoding that it does not know', () => {
    for (const encoding of ['snappy', 'constructor', '__proto__', 'gzip, br']) {
      const { decoder, sink, call } = decoding();
      decoder.onAnswer(200, { 'content-encoding': encoding });
      decoder.onChunk(Buffer.from('x'));
      decoder.onComplete();
      expect(sink.told).toEqual(['broken malformed']);
      expect(sink.failure?.message).toBe(`content-encoding "${encoding}" cannot be decoded`);
      expect(call.steps).toEqual(['cancel']);
    }
  });

  it('an empty body is empty in any encoding', async () => {
    for (const encoding of Object.keys(ENCODERS)) {
      const { decoder, sink } = decoding();
      decoder.onAnswer(200, { 'content-encoding': encoding });
      decoder.onComplete();
      await sink.ended;
      expect(sink).toMatchObject({ text: '', told: ['answer 200', 'complete'] });
    }
  });

  it('a small body that unfolds into a large one is read no further than its reader goes', async () => {
    const { decoder, sink, call } = decoding();
    const bomb = zlib.gzipSync(Buffer.alloc(512 * MIB), { level: 9 });
    const paused = Promise.withResolvers<void>();
    sink.onFirstChunk = () => {
      decoder.pause();
      paused.resolve();
    };
    decoder.onAnswer(200, { 'content-encoding': 'gzip' });
    for (let at = 0; at < bomb.length; at += 16 * 1024) decoder.onChunk(bomb.subarray(at, at + 16 * 1024));
    await paused.promise;
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(sink.chunks.length).toBe(1);
    expect(call.steps).toContain('pause');
    const before = sink.text.length;
    expect(before).toBeLessThan(MIB);
    decoder.cancel();
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(sink).toMatchObject({ told: ['answer 200'] });
    expect(sink.text).toHaveLength(before);
  });

  it('after a cancel nothing is told, whatever the decoder still holds', async () => {
    const { decoder, sink, call } = decoding();
    decoder.onAnswer(200, { 'content-encoding': 'gzip' });
    decoder.onChunk(zlib.gzipSync(TEXT));
    decoder.cancel();
    decoder.onComplete();
    decoder.onBroken({ kind: 'malformed', message: 'late' });
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(sink.told).toEqual(['answer 200']);
    expect(call.steps).toEqual(['cancel']);
  });

  it('what breaks while decoding is told once', async () => {
    const { decoder, sink } = decoding();
    decoder.onAnswer(200, { 'content-encoding': 'gzip' });
    decoder.onChunk(zlib.gzipSync(TEXT).subarray(0, 20));
    decoder.onBroken({ kind: 'stream_broken', sentBytes: 0, message: 'cut' });
    decoder.onComplete();
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(sink.told).toEqual(['answer 200', 'broken stream_broken']);
  });
});
