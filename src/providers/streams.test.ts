import { describe, expect, it } from '@jest/globals';
import { ChatStream, type DeltaNote } from './openai/chat-stream.ts';
import { DeltaShortcut, KnownForms } from './openai/delta-shortcut.ts';
import { ResponsesStream } from './openai/responses-stream.ts';
import { COMPATIBLE_FAILURES } from './openai-compatible/failure.ts';
import { StreamEvent, type StreamReader } from './provider.ts';
import { exchange } from './testing.ts';

const { Output, UsageOnly, Failed, Done } = StreamEvent;
const context = { table: COMPATIBLE_FAILURES, secret: '', headers: {} };

/** Bits of each event in turn. Strings go as they are. */
function readAll(reader: StreamReader, events: readonly unknown[]): number[] {
  return events.map((event) => reader.read('', typeof event === 'string' ? event : JSON.stringify(event)));
}

const delta = (body: object, finish: string | null = null, index = 0): object => ({
  choices: [{ index, delta: body, finish_reason: finish }],
});
const filtered = { content_filter_results: { hate: { filtered: true, severity: 'high' } } };

describe('a chat stream commits with', () => {
  it.each([
    ['text', { content: 'a' }, 1],
    ['a refusal', { refusal: 'no' }, 2],
    ['reasoning_content', { content: null, reasoning_content: 'hm' }, 2],
    ['reasoning', { content: '', reasoning: 'hm' }, 2],
    ['a tool’s name', { tool_calls: [{ index: 0, id: 'call_1', function: { name: 'get', arguments: '' } }] }, 3],
    ['a tool’s arguments', { tool_calls: [{ index: 0, function: { arguments: '{"a"' } }] }, 4],
    ['a custom tool’s input', { tool_calls: [{ index: 0, custom: { input: 'abc' } }] }, 3],
    ['a function call', { function_call: { name: 'f', arguments: '' } }, 1],
    ['audio', { audio: { id: 'a', data: 'UklGRg==' } }, 0],
    ['a transcript', { audio: { transcript: 'hi' } }, 2],
    ['an image', { images: [{ type: 'image_url' }] }, 0],
    [
      'Mistral’s parts',
      {
        content: [
          { type: 'thinking', thinking: [{ type: 'text', text: 'ab' }] },
          { type: 'text', text: 'c' },
        ],
      },
      3,
    ],
  ])('%s', (_, body, chars) => {
    const reader = new ChatStream(context);
    expect(readAll(reader, [delta(body)])).toEqual([Output]);
    expect(reader.outputChars).toBe(chars);
  });

  it.each([
    ['a role', { role: 'assistant' }],
    ['empty text', { role: 'assistant', content: '', refusal: null }],
    ['an empty call', { tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name: '', arguments: '' } }] }],
    ['an audio id', { audio: { id: 'a', expires_at: 1 } }],
    ['empty parts', { content: [{ type: 'text', text: '' }] }],
    ['nothing', {}],
  ])('but not with %s', (_, body) => {
    expect(readAll(new ChatStream(context), [delta(body), { choices: [] }, {}, ''])).toEqual([0, 0, 0, 0]);
  });
});

describe('a chat stream is finished', () => {
  it('once every choice seen has its reason, and not by [DONE]', () => {
    const reader = new ChatStream(context);
    readAll(reader, [delta({ content: 'a' }, null, 0), delta({ content: 'b' }, null, 1), delta({}, 'stop', 1)]);
    expect(readAll(reader, ['[DONE]'])).toEqual([Done]);
    expect(reader.finished).toBe(false);
    readAll(reader, [delta({}, 'length', 0)]);
    expect([reader.finished, reader.finishReason]).toEqual([true, 'length']);
  });

  it('not before anything came, and not by an empty reason', () => {
    const reader = new ChatStream(context);
    expect(reader.finished).toBe(false);
    readAll(reader, [delta({ content: 'a' }, ''), '[DONE]']);
    expect(reader.finished).toBe(false);
  });

  it('and stays so when annotations follow', () => {
    const reader = new ChatStream(context);
    readAll(reader, [
      delta({ content: 'a' }),
      delta({}, 'stop'),
      { choices: [{ index: 0, finish_reason: null, content_filter_results: { hate: { filtered: false } } }] },
    ]);
    expect([reader.finished, reader.finishReason, reader.failure]).toEqual([true, 'stop', null]);
  });
});

describe('usage in a chat stream', () => {
  const usage = { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 };

  it('comes alone, or beside what the client wants', () => {
    const reader = new ChatStream(context);
    const bits = readAll(reader, [
      { ...delta({ content: 'a' }), usage: { prompt_tokens: 3, completion_tokens: 1 } },
      delta({}, 'stop'),
      { choices: [], usage },
    ]);
    expect(bits).toEqual([Output, 0, UsageOnly]);
    expect(reader.usage).toEqual({ inputTokens: 3, outputTokens: 4, cachedInputTokens: 0, reasoningTokens: 0, estimated: false });
    expect(readAll(new ChatStream(context), [{ ...delta({}, 'stop'), usage }])).toEqual([0]);
    expect(readAll(new ChatStream(context), [{ ...delta({ role: 'assistant' }), usage }])).toEqual([0]);
    expect(readAll(new ChatStream(context), [{ choices: [], usage: null }])).toEqual([0]);
    expect(readAll(new ChatStream(context), [delta({ content: 'a' }, 'stop'), { ...delta({ content: '' }), usage }])).toEqual([
      Output,
      UsageOnly,
    ]);
  });

  it('is Groq’s too', () => {
    const reader = new ChatStream(context);
    readAll(reader, [{ ...delta({}, 'stop'), x_groq: { usage } }]);
    expect(reader.usage?.outputTokens).toBe(4);
  });
});

describe('a filter in a chat stream', () => {
  it.each([
    ['before output', [delta({ role: 'assistant' }), delta({}, 'content_filter')], 'completion'],
    ['after output', [delta({ content: 'a' }), delta({}, 'content_filter')], 'mid_stream'],
    [
      'after the end',
      [delta({ content: 'a' }), delta({}, 'stop'), { choices: [{ index: 0, finish_reason: 'content_filter', ...filtered }] }],
      'mid_stream',
    ],
    ['on the prompt', [{ choices: [], prompt_filter_results: [{ prompt_index: 0, ...filtered }] }], 'prompt'],
    ['as an error frame', [{ error: { code: 'content_filter', message: 'no' } }], 'prompt'],
    [
      'as an error frame after output',
      [delta({ content: 'a' }), { error: { code: 'content_filter', message: 'no' } }],
      'mid_stream',
    ],
    [
      'annotated only',
      [delta({ content: 'a' }), { choices: [{ index: 0, delta: {}, finish_reason: null, ...filtered }] }],
      'mid_stream',
    ],
  ])('%s', (_, events, phase) => {
    const reader = new ChatStream(context);
    const bits = readAll(reader, events);
    expect((bits.at(-1) ?? 0) & Failed).toBe(Failed);
    expect(reader.failure).toMatchObject({ kind: 'content_filtered', phase });
  });
});

describe('an error in a chat stream', () => {
  it.each([
    [{ error: { message: 'The server had an error', type: 'server_error' } }, 'server_error'],
    [{ error: 'the runner has stopped' }, 'server_error'],
    [{ object: 'error', message: 'no', code: 400 }, 'invalid_request'],
    [{ message: 'no', code: '429' }, 'rate_limited'],
    [[{ error: { code: 503, message: 'no' } }], 'overloaded'],
    [delta({}, 'error'), 'server_error'],
    [delta({}, 'insufficient_system_resource'), 'overloaded'],
    [{ choices: [{ index: 0, delta: {}, finish_reason: 'stop', native_finish_reason: 'network_error' }] }, 'server_error'],
    ['{"choices":[{"index":0,', 'malformed'],
    ['<html>', 'malformed'],
    ['null', 'malformed'],
    ['17', 'malformed'],
  ])('%j: %s', (event, kind) => {
    const reader = new ChatStream(context);
    expect(readAll(reader, [event])).toEqual([Failed]);
    expect(reader.failure?.kind).toBe(kind);
  });

  it('is also told by the event’s name, in JSON or in words; the first one stays', () => {
    const reader = new ChatStream(context);
    expect(reader.read('error', '{"message":"boom"}')).toBe(Failed);
    expect(reader.failure).toMatchObject({ kind: 'server_error' });
    readAll(reader, [{ error: { code: 'content_filter', message: 'no' } }]);
    expect(reader.failure).toMatchObject({ kind: 'server_error' });
    const plain = new ChatStream(context);
    expect(plain.read('error', 'upstream went away')).toBe(Failed);
    expect(plain.failure).toMatchObject({ kind: 'server_error', message: 'upstream went away' });
  });
});

describe('a completions stream', () => {
  it('has its text in the choice', () => {
    const reader = exchange('OpenAI', 'completions').readStream({});
    expect(
      readAll(reader, [
        { choices: [{ index: 0, text: 'ab', finish_reason: null }] },
        { choices: [{ index: 0, text: '', finish_reason: 'stop' }] },
      ]),
    ).toEqual([Output, 0]);
    expect([reader.finished, reader.outputChars]).toEqual([true, 2]);
  });
});

describe('a Responses stream', () => {
  const done = (type: string, response: object): object => ({
    type: `response.${type}`,
    response: { status: type, ...response },
  });

  it('commits with deltas that carry something, finishes with its final event', () => {
    const reader = new ResponsesStream(context);
    const bits = readAll(reader, [
      { type: 'response.created', response: { status: 'in_progress', error: null } },
      { type: 'response.output_item.added', item: { type: 'message', content: [] } },
      { type: 'response.content_part.added', part: { type: 'output_text', text: '' } },
      { type: 'response.output_text.delta', delta: '' },
      { type: 'response.reasoning_summary_text.delta', delta: 'hm' },
      { type: 'response.output_text.delta', delta: 'abc' },
      { type: 'response.function_call_arguments.delta', delta: '{}' },
      { type: 'response.refusal.delta', delta: 'no' },
      { type: 'response.audio.delta', delta: 'UklG' },
      { type: 'response.output_text.done', text: 'abc' },
      done('completed', { usage: { input_tokens: 1, output_tokens: 2 } }),
    ]);
    expect(bits).toEqual([0, 0, 0, 0, Output, Output, Output, Output, Output, 0, 0]);
    expect([reader.finished, reader.finishReason, reader.outputChars, reader.usage?.outputTokens]).toEqual([true, 'stop', 13, 2]);
  });

  it.each([
    [{ type: 'error', code: 'rate_limit_exceeded', message: 'no' }, 'rate_limited'],
    [
      { type: 'error', error: { type: 'invalid_request_error', code: 'context_length_exceeded', message: 'no' } },
      'context_exceeded',
    ],
    [{ error: { message: 'no', type: 'server_error' } }, 'server_error'],
    [done('failed', { error: { code: 'insufficient_quota', message: 'no' } }), 'quota_exhausted'],
    [done('failed', { error: { code: 'invalid_prompt', message: 'no' } }), 'content_filtered'],
    [done('failed', { error: null }), 'server_error'],
    [{ type: 'response.failed' }, 'malformed'],
    [{ type: 'response.completed', response: 3 }, 'malformed'],
    [done('incomplete', { incomplete_details: { reason: 'content_filter' } }), 'content_filtered'],
    ['{"type"', 'malformed'],
  ])('fails with %j: %s', (event, kind) => {
    const reader = new ResponsesStream(context);
    expect(readAll(reader, [event])).toEqual([Failed]);
    expect(reader.failure?.kind).toBe(kind);
  });

  it('ends for length without failing, and knows of a call that its last event leaves out', () => {
    const long = new ResponsesStream(context);
    readAll(long, [done('incomplete', { incomplete_details: { reason: 'max_output_tokens' } })]);
    expect([long.finished, long.finishReason, long.failure]).toEqual([true, 'length', null]);
    const called = new ResponsesStream(context);
    readAll(called, [
      { type: 'response.output_item.added', item: { type: 'function_call', name: 'f' } },
      done('completed', { output: [] }),
    ]);
    expect(called.finishReason).toBe('tool_calls');
  });

  it('takes the type from the event’s name where the data has none', () => {
    const reader = new ResponsesStream(context);
    expect(reader.read('response.output_text.delta', '{"delta":"a"}')).toBe(Output);
    expect(reader.read('response.output_text.done', '{"delta":"a"}')).toBe(0);
  });
});

describe('an opaque stream', () => {
  it('is passed through; only an error is seen', () => {
    const reader = exchange('OpenAI', 'audio_speech').readStream({});
    expect(reader.finished).toBe(false);
    expect(readAll(reader, [{ type: 'speech.audio.delta', audio: 'UklG' }, '[DONE]'])).toEqual([Output, Done]);
    expect(reader.finished).toBe(true);
    expect(readAll(reader, [{ error: { code: 'rate_limit_exceeded', message: 'no' } }])).toEqual([Failed]);
    expect([reader.finished, reader.failure?.kind]).toEqual([false, 'rate_limited']);
  });
});

describe('the shortcut past parsing', () => {
  class Counted<Note = undefined> extends DeltaShortcut<Note> {
    hits = 0;
    override match(data: string): number {
      const chars = super.match(data);
      if (chars >= 0) this.hits++;
      return chars;
    }
  }

  const chunk = (text: string, pad: string, created = 1): string =>
    `{"id":"x","created":${created},"choices":[{"index":0,"delta":{"content":${JSON.stringify(text)}},"finish_reason":null}],"obfuscation":"${pad}"}`;

  it('is taken for each event after the first of a run, escapes included', () => {
    const shortcut = new Counted<DeltaNote>();
    const reader = new ChatStream(context, shortcut);
    const texts = ['Hello', ' "wor\\ld"', '\n\té\u0001', '', '😀', '!'];
    const bits = readAll(
      reader,
      texts.map((text, i) => chunk(text, 'abcdef'.slice(i))),
    );
    expect(bits).toEqual([Output, Output, Output, 0, Output, Output]);
    expect(shortcut.hits).toBe(5);
    expect(reader.outputChars).toBe(texts.join('').length);
  });

  it('is learned again when the form changes, and given up where it always does', () => {
    const shortcut = new Counted<DeltaNote>();
    const reader = new ChatStream(context, shortcut);
    for (let i = 0; i < 100; i++) reader.read('', chunk('a', 'b', Math.floor(i / 10)));
    expect(shortcut.hits).toBe(90);
    for (let i = 100; i < 200; i++) reader.read('', chunk('a', 'b', i));
    for (let i = 200; i < 300; i++) reader.read('', chunk('a', 'b', 200));
    expect(shortcut.hits).toBe(90);
    expect(reader.outputChars).toBe(300);
  });

  describe('of a stream before', () => {
    const stream = (known: KnownForms<DeltaNote>): [ChatStream, Counted<DeltaNote>] => {
      const shortcut = new Counted(known);
      return [new ChatStream(context, shortcut), shortcut];
    };
    const own = (id: string, created: number, text: string, finish = 'null', index = 0): string =>
      `{"id":"${id}","created":${created},"choices":[{"index":${index},"delta":{"content":"${text}"},"finish_reason":${finish}}]}`;
    const taught = (first = own('one', 1, 'a'), second = own('one', 1, 'b')): KnownForms<DeltaNote> => {
      const known = new KnownForms<DeltaNote>();
      readAll(stream(known)[0], [first, second]);
      return known;
    };

    it('is taken from the first event on, whatever its id and time', () => {
      const [reader, shortcut] = stream(taught());
      expect(
        readAll(reader, [own('another', 1_764_000_000, 'Hello'), own('another', 1_764_000_000, ''), own('x', 2, '!')]),
      ).toEqual([Output, 0, Output]);
      expect(shortcut.hits).toBe(3);
      expect([reader.outputChars, reader.finished]).toEqual([6, false]);
      expect(readAll(reader, [own('another', 1, '', '"stop"')])).toEqual([0]);
      expect([reader.finished, reader.finishReason]).toEqual([true, 'stop']);
    });

    it('tells whose text it is', () => {
      const [reader] = stream(taught(own('one', 1, 'a', 'null', 1), own('one', 1, 'b', 'null', 1)));
      readAll(reader, [own('two', 2, 'Hello', 'null', 1), own('two', 2, '', '"stop"', 0)]);
      expect(reader.finished).toBe(false);
      readAll(reader, [own('two', 2, '', '"stop"', 1)]);
      expect(reader.finished).toBe(true);
    });

    it('is not taken where anything else differs', () => {
      for (const data of [
        own('two', 2, 'a', 'null', 1),
        own('two', 2, 'a').replace('"choices"', '"model":"m","choices"'),
        own('two', 2, 'a').replace('"two"', 'null'),
        own('two', 2, 'a').replace(':2,', ':2.5,'),
      ]) {
        const [reader, shortcut] = stream(taught());
        readAll(reader, [data]);
        expect([shortcut.hits, reader.outputChars]).toEqual([0, 1]);
      }
      const [reader, shortcut] = stream(taught());
      expect(readAll(reader, [own('two"broken', 2, 'a')])).toEqual([Failed]);
      expect(shortcut.hits).toBe(0);
    });

    it('is not learned where the id is not at the top, or too long to keep', () => {
      const nested = (id: string): string =>
        `{"x":{"id":"${id}"},"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}`;
      const [reader, shortcut] = stream(taught(nested('1'), nested('1')));
      readAll(reader, [nested('2')]);
      const long = own('one', 1, 'a').replace('"id"', `"x":"${'x'.repeat(5_000)}","id"`);
      const [other, others] = stream(taught(long, long));
      readAll(other, [long]);
      expect([shortcut.hits, others.hits]).toEqual([0, 0]);
    });

    it('is one of a few', () => {
      const known = new KnownForms<DeltaNote>();
      const member = (i: number): string => own('one', 1, 'a').replace('"id"', `"m${i}":1,"id"`);
      for (let i = 0; i < 50; i++) readAll(stream(known)[0], [member(i), member(i)]);
      expect(known.forms).toHaveLength(4);
      readAll(stream(known)[0], [member(49), member(49)]);
      expect(known.forms).toHaveLength(4);
    });
  });

  it('follows the running number of Responses', () => {
    const shortcut = new Counted();
    const reader = new ResponsesStream(context, shortcut);
    for (let i = 8; i < 108; i++)
      reader.read(
        '',
        `{"type":"response.output_text.delta","sequence_number":${i},"delta":"ab","obfuscation":"${'x'.repeat(i % 7)}"}`,
      );
    expect([shortcut.hits, reader.outputChars]).toEqual([99, 200]);
  });

  it.each(['probe-text', 'other-text', 'text'])(
    'is not taken for the first of two members of a name, be the second one %p',
    (last) => {
      const twice = (first: string): string =>
        `{"choices":[{"index":0,"delta":{"content":"${first}","content":"${last}"},"finish_reason":null}]}`;
      const reader = new ChatStream(context);
      readAll(reader, [twice('a'), twice('longer'), twice('')]);
      expect(reader.outputChars).toBe(3 * last.length);
    },
  );

  it('never hides news: the same bytes with one more member are parsed', () => {
    const shortcut = new Counted<DeltaNote>();
    const reader = new ChatStream(context, shortcut);
    readAll(reader, [chunk('a', ''), chunk('b', '')]);
    expect(shortcut.hits).toBe(1);
    expect(readAll(reader, [chunk('c', '').replace('null', '"content_filter"')])).toEqual([Output | Failed]);
    expect(readAll(reader, [chunk('c', '').replace('"c"', '"c","x":"')])).toEqual([Failed]);
  });

  it('does not mistake another member for the text', () => {
    const reader = new ChatStream(context, new DeltaShortcut());
    const decoy = (text: string): string =>
      `{"x":{"content":"${text}"},"choices":[{"index":0,"delta":{ "content" : "abc"},"finish_reason":null}]}`;
    readAll(reader, [decoy('1'), decoy('longer text'), decoy('')]);
    expect(reader.outputChars).toBe(9);
  });
});
