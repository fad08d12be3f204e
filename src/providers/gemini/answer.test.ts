import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { chunksOf, readFixtures } from '../../../test/fixtures/fixture.ts';
import { ReplyParts } from '../../dialects/neutral/reply.ts';
import { SseFrames } from '../shared/frames.ts';
import { GenerateStream } from './answer.ts';

const CONTEXT = { headers: {}, secret: '' };

/** As the service writes them: running counts beside each piece. */
function piece(text: string, counts: string, candidate = ''): string {
  return `{"candidates": [{"content": {"parts": [{"text": ${JSON.stringify(text)}}],"role": "model"}${candidate},"index": 0}],"usageMetadata": {"promptTokenCount": 7${counts},"promptTokensDetails": [{"modality": "TEXT","tokenCount": 7}]},"modelVersion": "gemini-2.5-flash"}`;
}

const PIECES = [
  piece('One', ',"candidatesTokenCount": 1,"totalTokenCount": 8'),
  piece(' two', ',"candidatesTokenCount": 12,"totalTokenCount": 19'),
  piece(' "three" \u2028 \\ \n', ',"candidatesTokenCount": 13,"totalTokenCount": 20'),
  piece('', ',"candidatesTokenCount": 13,"totalTokenCount": 20'),
  piece(' four', ',"candidatesTokenCount": 14,"totalTokenCount": 26,"thoughtsTokenCount": 5'),
  piece(' five', ',"totalTokenCount": 7'),
  piece(' six', ',"candidatesTokenCount": 99999999999,"totalTokenCount": 7'),
  piece(' seven', ',"candidatesTokenCount": 012,"totalTokenCount": 7'),
  piece(' eight', ',"candidatesTokenCount": -1,"totalTokenCount": 7'),
  piece(' nine', ',"candidatesTokenCount": 16,"totalTokenCount": 23'),
  `${piece(' cut', ',"candidatesTokenCount": 16,"totalTokenCount": 23').slice(0, -1)}`,
  piece(' end', ',"candidatesTokenCount": 17,"totalTokenCount": 24', ',"finishReason": "STOP"'),
];

/** Each event in turn, by a reader that learns forms and by one that parses every event. */
function compare(events: readonly string[]): number {
  const parts = [new ReplyParts(), new ReplyParts()] as const;
  const quick = new GenerateStream(parts[0], CONTEXT);
  const slow = new GenerateStream(parts[1], CONTEXT, null);
  const stateOf = ({ finished, finishReason, failure, usage, outputChars, calls }: GenerateStream): unknown => ({
    finished,
    finishReason,
    failure,
    usage,
    outputChars,
    calls,
  });
  for (const data of events) {
    expect(quick.read('', data)).toBe(slow.read('', data));
    expect(stateOf(quick)).toEqual(stateOf(slow));
  }
  expect(parts[0]).toEqual(parts[1]);
  return events.length;
}

describe('a stream of Gemini’s', () => {
  it('is read the same whether or not events are parsed, whatever follows what', () => {
    for (let first = 0; first < PIECES.length; first++) {
      for (let second = 0; second < PIECES.length; second++)
        compare([PIECES[0] ?? '', PIECES[first] ?? '', PIECES[second] ?? '', PIECES[1] ?? '', PIECES[first] ?? '']);
    }
    compare(PIECES);
  });

  it('of the fixtures, too', () => {
    const streams = readFixtures(path.join(import.meta.dirname, '../../../test/fixtures/providers')).filter(
      ({ dialect, stream, response, expect: { outcome } }) =>
        dialect === 'gemini.generateContent' && stream && response.status === 200 && outcome !== 'malformed_response',
    );
    expect(streams.length).toBeGreaterThan(3);
    for (const fixture of streams) {
      const frames = new SseFrames();
      for (const chunk of chunksOf(fixture)) frames.push(chunk);
      const events: string[] = [];
      for (let frame = frames.next(); frame !== null; frame = frames.next()) events.push(frame.data);
      expect(compare(events)).toBeGreaterThan(1);
    }
  });
});
