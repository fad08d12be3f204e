/** Whatever an upstream sends, reading it never throws and always ends in a lawful result. */
import { describe, expect, it } from '@jest/globals';
import { FAILOVER_REASON } from '../lib/failure.ts';
import type { Operation } from '../lib/operation.ts';
import type { Answer, StreamReader } from './provider.ts';
import { exchange } from './testing.ts';

const KEYS =
  'error message type param code status status_code innererror inner_error content_filter_result content_filter_results content_filters blocked source_type filtered severity hate custom_blocklists details reason metadata raw reasons detail loc msg errors statusCode choices index delta message content text thinking reasoning reasoning_content refusal tool_calls function custom name arguments input function_call audio data transcript images finish_reason native_finish_reason prompt_filter_results usage prompt_tokens completion_tokens total_tokens prompt_tokens_details cached_tokens completion_tokens_details reasoning_tokens x_groq object response output incomplete_details item sequence_number obfuscation moderation_details categories __proto__ constructor toString'.split(
    ' ',
  );
const STRINGS =
  ' |error|stop|content_filter|completed|incomplete|failed|response.output_text.delta|response.completed|response.failed|429|401|rate_limit_exceeded|constructor|__proto__|Request too large for |{"error":{"metadata":{"raw":"{}"}}}|\ud800|\u0000|sk-aaaaaaaaaaaaaaaa|Please retry after 1e999 seconds|prompt|completion'.split(
    '|',
  );
const NUMBERS = ['0', '-1', '1', '0.5', '429', '999', '1e9', '1e308', '-1e308', '1e999', '9007199254740993'];
const QUOTED = STRINGS.map((text) => JSON.stringify(text));
const ODDITIES = ['', '[DONE]', ' [DONE]', '<html>', '\u0000', '[[['.repeat(500), '{"a":'.repeat(500), '"', '\ufeff{}'];
const HEADERS = ['', '-1', '1e9', 'NaN', '6m0s', '99999999999999', 'Sun, 06 Nov 1994 08:49:37 GMT', '1, 2', '\u0000'];
const STATUSES = [200, 200, 200, 201, 204, 301, 400, 401, 403, 404, 413, 429, 499, 500, 503, 599, 999];
const OPERATIONS: readonly Operation[] = ['chat', 'completions', 'embeddings', 'responses', 'audio_speech'];

/** xorshift32: the run is the same every time. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

type Pick = (below: number) => number;

/** JSON as text: it is made faster than objects are, and can hold a `__proto__` member. */
function anyValue(pick: Pick, depth: number): string {
  switch (pick(depth > 4 ? 5 : 9)) {
    case 0:
      return 'null';
    case 1:
      return pick(2) === 0 ? 'true' : 'false';
    case 2:
      return NUMBERS[pick(NUMBERS.length)] ?? '0';
    case 3:
    case 4:
      return anyString(pick);
    case 5:
      return `[${Array.from({ length: pick(4) }, () => anyValue(pick, depth + 1)).join()}]`;
    default:
      return anyObject(pick, depth + 1);
  }
}

function anyObject(pick: Pick, depth: number): string {
  let members = '';
  for (let left = 1 + pick(5); left > 0; left--)
    members += `"${KEYS[pick(KEYS.length)] ?? ''}":${anyValue(pick, depth)}${left > 1 ? ',' : ''}`;
  return `{${members}}`;
}

function anyString(pick: Pick): string {
  return QUOTED[pick(QUOTED.length)] ?? '""';
}

/** The outer shape is right as often as not. */
function anyShape(pick: Pick): string {
  switch (pick(5)) {
    case 0:
      return `{"choices":[${anyObject(pick, 1)},${anyObject(pick, 2)}],"usage":${anyValue(pick, 2)}}`;
    case 1:
      return `{"choices":[{"index":${anyValue(pick, 5)},"delta":${anyObject(pick, 2)},"finish_reason":${anyValue(pick, 5)}}]}`;
    case 2:
      return `{"type":${anyString(pick)},"response":${anyObject(pick, 1)},"delta":${anyValue(pick, 3)},"item":${anyValue(pick, 3)}}`;
    case 3:
      return `{"error":${anyObject(pick, 1)}}`;
    default:
      return anyValue(pick, 0);
  }
}

/** Mostly whole; else cut, spliced or something else altogether. */
function anyPayload(pick: Pick): string {
  const text = anyShape(pick);
  switch (pick(12)) {
    case 0:
      return text.slice(0, pick(text.length + 1));
    case 1:
      return text.slice(0, pick(text.length)) + anyString(pick) + text.slice(pick(text.length));
    case 2:
      return ODDITIES[pick(ODDITIES.length)] ?? '';
    default:
      return text;
  }
}

function lawful(result: Answer | StreamReader): boolean {
  const { failure, usage } = result;
  if (failure !== null && (!(failure.kind in FAILOVER_REASON) || failure.message.length > 512)) return false;
  if (
    failure !== null &&
    'retryAfterMs' in failure &&
    failure.retryAfterMs !== null &&
    !(failure.retryAfterMs >= 0 && failure.retryAfterMs <= 3_600_000)
  )
    return false;
  if (usage === null) return true;
  const counts = [usage.inputTokens, usage.outputTokens, usage.cachedInputTokens, usage.reasoningTokens];
  return (
    counts.every((count) => Number.isInteger(count) && count >= 0) &&
    usage.cachedInputTokens <= usage.inputTokens &&
    usage.reasoningTokens <= usage.outputTokens
  );
}

describe.each(['OpenAI', 'AzureOpenAI', 'OpenAICompatible'] as const)('garbage from %s', (kind) => {
  const exchanges = OPERATIONS.map((operation) => exchange(kind, operation));
  const seed = kind.length * 2_654_435_761;

  it('is read as an answer without a throw', () => {
    const pick = generator(seed);
    for (let i = 0; i < 20_000; i++) {
      const payload = anyPayload(pick);
      const headers = Object.fromEntries(
        ['retry-after', 'retry-after-ms', 'date', 'x-ratelimit-reset-tokens', 'x-ratelimit-reset', 'content-type'].map((name) => [
          name,
          HEADERS[pick(HEADERS.length)],
        ]),
      );
      const answer = exchanges[pick(exchanges.length)]?.readAnswer(
        STATUSES[pick(STATUSES.length)] ?? 200,
        headers,
        Buffer.from(payload),
        pick(9) > 0,
      );
      if (answer === undefined || !lawful(answer)) throw new Error(`unlawful: ${JSON.stringify(answer)} from ${payload}`);
    }
    expect.assertions(0);
  });

  it('is read as events without a throw', () => {
    const pick = generator(seed + 1);
    for (let i = 0; i < 1_000; i++) {
      const reader = exchanges[pick(exchanges.length)]?.readStream({});
      if (reader === undefined) continue;
      let chars = 0;
      for (let n = 0; n < 18; n++) {
        const payload = anyPayload(pick);
        const bits = reader.read(pick(9) === 0 ? (STRINGS[pick(STRINGS.length)] ?? '') : '', payload);
        const grown = Number.isInteger(reader.outputChars) && reader.outputChars >= chars;
        if (bits < 0 || bits > 15 || !grown || !lawful(reader)) throw new Error(`unlawful after ${payload}`);
        chars = reader.outputChars;
      }
    }
    expect.assertions(0);
  });
});
