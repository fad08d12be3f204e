/**
 * Every recorded or documented answer of OpenAI's shape in ../shared/data/providers must be read as its file says. Where we
 * differ knowingly, the difference is named below with its reason.
 */
import { describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { SseSplitter } from '../dialects/sse.ts';
import type { Failure } from '../lib/failure.ts';
import type { Usage } from '../lib/usage.ts';
import type { ProviderKind } from '../routetable/types.ts';
import { ChatStream, type DeltaNote } from './openai/chat-stream.ts';
import { DeltaShortcut, KnownForms } from './openai/delta-shortcut.ts';
import { ResponsesStream } from './openai/responses-stream.ts';
import { COMPATIBLE_FAILURES } from './openai-compatible/failure.ts';
import { StreamEvent, type StreamReader } from './provider.ts';
import { MAX_RETRY_AFTER_MS } from './shared/retry-after.ts';
import { exchange } from './testing.ts';

const FIXTURES = new URL('../../../shared/data/providers/', import.meta.url);

/** Dialects of OpenAI's shape; `ollama-native`, `cohere` and the rest are other providers' work. */
const DIALECT =
  /^(?:openai|azure|groq|deepseek|xai|openrouter|vllm|together|fireworks|perplexity|mistral|cerebras|ollama|huggingface|alibaba|moonshotai|zai|crusoe|openai-compatible|gemini-openai|gemini|anthropic)\.(chat|completions|embeddings|responses)$/;

/** Where the files say something else than we do, on purpose. */
const OTHER_USAGE: Readonly<Record<string, Partial<Usage>>> = {
  // Billed as output and told by total_tokens only; the fixture copies completion_tokens, which leaves reasoning out.
  'xai/xai-text': { outputTokens: 291 },
  'xai/xai-text-2': { outputTokens: 229 },
  'xai/xai-tool-call': { outputTokens: 222 },
  'gemini/agw-gemini-zero-completion-tokens': { outputTokens: 1 },
  'gemini/chat-json-stop-tools-think': { outputTokens: 34 },
  'gemini/chat-json-tool-calls-tools-think': { outputTokens: 74 },
  // More cached tokens than the prompt has cannot be part of it.
  'azure-openai/chat-sse-stop-cache-usageopt': { cachedInputTokens: 7 },
  'azure-openai/chat-sse-stop-tools-cache-usageopt': { cachedInputTokens: 377 },
  'azure-openai/chat-sse-tool-calls-tools-cache-usageopt-2': { cachedInputTokens: 347 },
};
const OTHER_FINISH: Readonly<Record<string, string>> = {
  // The answer is a custom tool's call: the client has to act on it.
  'openai/openai-custom-tool.1': 'tool_calls',
};

interface Fixture {
  readonly id: string;
  readonly kind: ProviderKind;
  readonly operation: 'chat' | 'completions' | 'embeddings' | 'responses';
  readonly stream: boolean;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly chunks: readonly Buffer[];
  readonly expect: Expectation;
}

/** The parts of a file (its form is told in its README) that are read here. */
interface FixtureFile {
  readonly id: string;
  readonly dialect: string;
  readonly stream: boolean;
  readonly response: {
    readonly status: number;
    readonly headers?: Readonly<Record<string, string>>;
    readonly framing: string;
    readonly body?: string;
    readonly chunks?: readonly { readonly text?: string; readonly b64?: string }[];
  };
  readonly expect: Expectation;
}

interface Expectation {
  readonly outcome: string;
  readonly phase?: string;
  readonly categories?: readonly string[];
  readonly content_delivered?: boolean;
  readonly error_under_200?: boolean;
  readonly retry_after_ms?: number | null;
  readonly retry_hint_ms?: number;
  readonly permanent?: boolean;
  readonly limit?: string;
  readonly finish?: string;
  readonly text?: string;
  readonly text_sha256?: string;
  readonly refusal?: string;
  readonly reasoning_chars?: number;
  readonly tool_calls?: readonly unknown[];
  readonly usage?: {
    readonly input: number;
    readonly output: number | null;
    readonly cached_read?: number;
    readonly reasoning?: number;
  } | null;
}

/** null where the shared data is not there: a clone of the repository alone. */
function loadFixtures(): readonly Fixture[] | null {
  let folders: string[];
  try {
    folders = readdirSync(FIXTURES, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return null;
  }
  const fixtures: Fixture[] = [];
  for (const folder of folders.sort()) {
    for (const name of readdirSync(new URL(`${folder}/`, FIXTURES)).sort()) {
      const text = readFileSync(new URL(`${folder}/${name}`, FIXTURES), 'utf8');
      // Parsing is slow and most files are of other dialects.
      const dialect = DIALECT.exec(/^dialect: (\S+)$/m.exec(text)?.[1] ?? '');
      if (dialect === null) continue;
      const file = parse(text) as FixtureFile;
      const vendor = file.dialect.split('.')[0];
      fixtures.push({
        id: file.id,
        kind: vendor === 'azure' ? 'AzureOpenAI' : vendor === 'openai' ? 'OpenAI' : 'OpenAICompatible',
        operation: dialect[1] as Fixture['operation'],
        stream: file.stream && file.response.framing === 'sse',
        status: file.response.status,
        headers: file.response.headers ?? {},
        chunks: (file.response.chunks ?? [{ text: file.response.body ?? '' }]).map((chunk) =>
          chunk.b64 === undefined ? Buffer.from(chunk.text ?? '') : Buffer.from(chunk.b64, 'base64'),
        ),
        expect: file.expect,
      });
    }
  }
  return fixtures;
}

interface Outcome {
  readonly outcome: string;
  readonly failure: Failure | null;
  readonly usage: Usage | null;
  readonly finish: string | null;
  readonly delivered: boolean;
  readonly outputChars: number;
}

interface Event {
  readonly event: string;
  readonly data: string;
}

function eventsOf(fixture: Fixture): Event[] {
  const splitter = new SseSplitter();
  const events: Event[] = [];
  for (const chunk of fixture.chunks) {
    splitter.push(chunk);
    for (let event = splitter.next(); event !== null; event = splitter.next()) if (event.data !== '') events.push(event);
  }
  return events;
}

function outcomeOf(failure: Failure | null): string {
  if (failure === null) return 'ok';
  return failure.kind === 'content_filtered'
    ? 'content_filter'
    : failure.kind === 'malformed'
      ? 'malformed_response'
      : failure.kind;
}

function readWhole(fixture: Fixture): Outcome {
  const answer = exchange(fixture.kind, fixture.operation).readAnswer(
    fixture.status,
    fixture.headers,
    Buffer.concat(fixture.chunks),
    true,
  );
  return {
    outcome: outcomeOf(answer.failure),
    failure: answer.failure,
    usage: answer.usage,
    finish: answer.finishReason,
    delivered: false,
    outputChars: 0,
  };
}

function readStreamed(fixture: Fixture): Outcome {
  const reader = exchange(fixture.kind, fixture.operation).readStream(fixture.headers);
  let delivered = false;
  for (const { event, data } of eventsOf(fixture)) {
    if ((reader.read(event, data) & StreamEvent.Output) !== 0) delivered = true;
  }
  // A frame that cannot be read, and an end without a finish reason, both break the stream.
  const broken = reader.failure?.kind === 'malformed' && reader.failure.code === undefined;
  const outcome = broken || (reader.failure === null && !reader.finished) ? 'stream_broken' : outcomeOf(reader.failure);
  return {
    outcome,
    failure: reader.failure,
    usage: reader.usage,
    finish: reader.finishReason,
    delivered,
    outputChars: reader.outputChars,
  };
}

/** Characters of everything that the file says the client got. */
function expectedChars(expected: Expectation): number | null {
  if (expected.text_sha256 !== undefined) return null;
  // Parsed arguments do not tell how they were written.
  if ((expected.tool_calls ?? []).length > 0) return null;
  return (expected.text ?? '').length + (expected.refusal ?? '').length + (expected.reasoning_chars ?? 0);
}

const fixtures = loadFixtures();

describe('provider fixtures', () => {
  if (fixtures === null) {
    it('are not here: ../shared/data/providers is needed for this test', () => {
      expect(fixtures).toBeNull();
    });
    return;
  }

  it('are all found', () => {
    expect(fixtures.length).toBeGreaterThanOrEqual(220);
  });

  it.each(fixtures.map((fixture) => [fixture.id, fixture] as const))('%s', (id, fixture) => {
    const expected = fixture.expect;
    const got = fixture.stream ? readStreamed(fixture) : readWhole(fixture);
    const failure = got.failure;

    // A model's own refusal is an answer that the client may have.
    expect(got.outcome).toBe(expected.outcome === 'refusal' ? 'ok' : expected.outcome);
    if (failure?.kind === 'content_filtered') {
      expect(failure.phase === 'mid_stream' ? 'completion' : failure.phase).toBe(expected.phase);
      if (expected.categories !== undefined) expect(failure.categories).toEqual(expected.categories);
      if (fixture.stream) expect(failure.phase).toBe(expected.content_delivered ? 'mid_stream' : expected.phase);
    }
    if (failure?.kind === 'rate_limited') {
      // Without an exact header we take the vaguer hints too, and never more than our own bound.
      const said = expected.retry_after_ms ?? expected.retry_hint_ms ?? null;
      expect(failure.retryAfterMs).toBe(said === null ? null : Math.min(said, MAX_RETRY_AFTER_MS));
      expect(failure.permanent ?? false).toBe(expected.permanent ?? false);
      if (expected.limit === 'tokens' || expected.limit === 'requests') expect(failure.scope).toBe(expected.limit);
    }
    if (failure?.kind === 'quota_exhausted') expect(failure.retryAfterMs).toBe(expected.retry_after_ms ?? null);

    if (expected.finish !== undefined && fixture.status === 200 && !expected.error_under_200)
      expect(got.finish).toBe(OTHER_FINISH[id] ?? expected.finish);
    const usage = expected.usage;
    if (usage !== undefined && usage !== null) {
      expect(got.usage).toMatchObject({
        inputTokens: usage.input,
        outputTokens: usage.output ?? 0,
        ...(usage.cached_read === undefined ? {} : { cachedInputTokens: usage.cached_read }),
        ...(usage.reasoning === undefined ? {} : { reasoningTokens: usage.reasoning }),
        estimated: false,
        ...OTHER_USAGE[id],
      });
    }
    if (fixture.stream) {
      if (expected.content_delivered !== undefined && expected.outcome !== 'refusal')
        expect(got.delivered).toBe(expected.content_delivered);
      const chars = expectedChars(expected);
      if (chars !== null) expect(got.outputChars).toBeGreaterThanOrEqual(chars);
      // Responses' reasoning summaries are output too, which the files do not count.
      if (chars !== null && expected.text !== undefined && fixture.operation !== 'responses') expect(got.outputChars).toBe(chars);
    }
  });

  it('are read the same whether or not events are parsed', () => {
    let shortcuts = 0;
    // All of them, whoever's stream it is.
    const forms = new KnownForms<DeltaNote>();
    for (const fixture of fixtures) {
      if (!fixture.stream) continue;
      const context = { table: COMPATIBLE_FAILURES, secret: '', headers: fixture.headers };
      const [quick, slow]: readonly StreamReader[] =
        fixture.operation === 'responses'
          ? [new ResponsesStream(context), new ResponsesStream(context, null)]
          : [new ChatStream(context, new DeltaShortcut(forms)), new ChatStream(context, null)];
      if (quick === undefined || slow === undefined) continue;
      const events = eventsOf(fixture);
      for (const [i, { event, data }] of events.entries()) {
        for (const variant of [data, ...variantsOf(data, i)]) {
          expect(quick.read(event, variant)).toBe(slow.read(event, variant));
          expect(stateOf(quick)).toEqual(stateOf(slow));
          shortcuts++;
        }
      }
    }
    expect(shortcuts).toBeGreaterThan(10_000);
  });
});

/** Events like `data` that a hasty reader would take for it: other text, escapes, cuts, inserted members, broken strings. */
function variantsOf(data: string, seed: number): string[] {
  const at = data.search(/"(?:content|reasoning_content|reasoning|arguments|delta)":"/);
  const start = at < 0 ? data.length >> 1 : data.indexOf('":"', at) + 3;
  const insert = (text: string): string => data.slice(0, start) + text + data.slice(start);
  return [
    insert('more'),
    insert('\\n\\u00e9\\"quoted\\" \\ud83d'),
    insert('\\x'),
    insert('\\u12g4'),
    insert('\n'),
    insert('","finish_reason":"stop","x":"'),
    insert('"'),
    insert('\\'),
    data.slice(0, start),
    `${data} `,
    ` ${data}`,
    data.slice(0, -1),
    `${data}}`,
    data.replace('"finish_reason":null', '"finish_reason":"content_filter"'),
    data.replace(/"obfuscation":"[^"]*"/, '"obfuscation":"a\\tb"'),
    data.replace(/"obfuscation":"[^"]*"/, '"obfuscation":""'),
    data.replace(/"sequence_number":(\d+)/, '"sequence_number":1$1'),
    data.replace(/"sequence_number":\d+/, '"sequence_number":01'),
    data.slice(0, (seed * 7919) % (data.length + 1)) + data.slice(((seed * 7919) % (data.length + 1)) + 1),
  ];
}

function stateOf(reader: StreamReader): unknown {
  const { finished, finishReason, failure, usage, outputChars } = reader;
  return { finished, finishReason, failure, usage, outputChars };
}
