import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { type Fixture, readFixtures } from '../../test/fixtures/fixture.ts';
import type { FailureKind } from '../lib/failure.ts';
import { AZURE_FAILURES } from './azure-openai/failure.ts';
import { OPENAI_FAILURES, type FailureTable } from './openai/failure.ts';
import { COMPATIBLE_FAILURES } from './openai-compatible/failure.ts';
import type { AnswerHeaders } from './provider.ts';
import { matchRule, type ErrorRule } from './shared/classify.ts';
import type { ErrorFacts } from './shared/error-facts.ts';
import { httpErrorFacts } from './shared/http-error.ts';
import { answer, kindOf, TEST_KEY } from './testing.ts';

type Sample = readonly [
  status: number,
  body: unknown,
  kind: FailureKind | 'content_filtered/prompt' | 'content_filtered/completion' | 'rate_limited/permanent',
];

const named = (code: string, message = 'words', more: object = {}): object => ({
  error: { code, message, type: null, param: null, ...more },
});
const text = (message: string): object => ({ error: { message, type: 'invalid_request_error', param: null, code: null } });
const typed = (type: string, message = 'words'): object => ({ error: { message, type } });

/** At least one for every row of the table; 200 is an error object under a success. */
const OPENAI: readonly Sample[] = [
  [400, named('content_filter'), 'content_filtered/prompt'],
  [400, named('content_policy_violation'), 'content_filtered/prompt'],
  [
    400,
    named('moderation_blocked', 'no', { moderation_details: { moderation_stage: 'output', categories: ['violence'] } }),
    'content_filtered/completion',
  ],
  [400, named('invalid_prompt'), 'content_filtered/prompt'],
  [200, named('cyber_policy'), 'content_filtered/prompt'],
  [429, named('insufficient_quota'), 'quota_exhausted'],
  [400, named('billing_hard_limit_reached'), 'quota_exhausted'],
  [400, named('context_length_exceeded'), 'context_exceeded'],
  [400, named('string_above_max_length', 'too long', { param: 'messages[3].content[0].text' }), 'context_exceeded'],
  [400, named('string_above_max_length', 'too long', { param: 'input' }), 'context_exceeded'],
  [400, named('string_above_max_length', 'too long', { param: 'messages[2].tool_calls[0].id' }), 'invalid_request'],
  [400, typed('max_tokens_per_request'), 'context_exceeded'],
  [400, text("This model's maximum context length is 8192 tokens, however you requested 9000 tokens"), 'context_exceeded'],
  [400, text("Invalid 'input[0]': maximum input length is 8192 tokens."), 'context_exceeded'],
  [
    429,
    named(
      'rate_limit_exceeded',
      'Request too large for gpt-4o in organization org-abcdef on tokens per min (TPM): Limit 3, Requested 4',
    ),
    'rate_limited/permanent',
  ],
  [200, named('rate_limit_exceeded'), 'rate_limited'],
  [503, named('server_is_overloaded'), 'overloaded'],
  [429, named('slow_down'), 'overloaded'],
  [500, typed('overloaded_error'), 'overloaded'],
  [429, typed('server_error', 'The server is currently overloaded'), 'overloaded'],
  [403, named('model_not_found'), 'permission'],
  [400, named('model_not_found'), 'not_found'],
  [200, named('invalid_base64_image'), 'invalid_request'],
  [200, named('vector_store_timeout'), 'timeout'],
  [404, named('previous_response_not_found'), 'invalid_request'],
  [404, named('', "Item with id 'rs_1' not found.", { param: 'input' }), 'invalid_request'],
  [404, named('404', 'The model `x` does not exist.', { param: 'model' }), 'not_found'],
  [400, named('invalid_api_key'), 'auth'],
  [400, named('unsupported_country_region_territory'), 'permission'],
  [400, text('Your organization must be verified to stream this model.'), 'permission'],
  [401, text('no'), 'auth'],
  [402, {}, 'quota_exhausted'],
  [403, '', 'permission'],
  [404, '<html>nginx</html>', 'not_found'],
  [308, '', 'not_found'],
  [504, '<html>nginx</html>', 'timeout'],
  [409, text('busy'), 'conflict'],
  [413, '<html>nginx</html>', 'payload_too_large'],
  [424, text('failed dependency'), 'server_error'],
  [429, 'Too Many Requests', 'rate_limited'],
  [529, 'Overloaded', 'overloaded'],
  [502, '<html>nginx</html>', 'server_error'],
  [418, { teapot: true }, 'invalid_request'],
  [200, typed('authentication_error'), 'auth'],
  [200, typed('permission_error'), 'permission'],
  [200, typed('not_found_error'), 'not_found'],
  [200, typed('rate_limit_error'), 'rate_limited'],
  [200, typed('timeout_error'), 'timeout'],
  [200, typed('billing_error'), 'quota_exhausted'],
  [200, typed('request_too_large'), 'payload_too_large'],
  [200, typed('invalid_request_error'), 'invalid_request'],
  [200, typed('something_new'), 'server_error'],
  [200, { error: { code: 503, message: 'no' } }, 'overloaded'],
];

const AZURE: readonly Sample[] = [
  [
    400,
    named('BadRequest', 'no', {
      innererror: { code: 'ResponsibleAIPolicyViolation', content_filter_result: { hate: { filtered: true, severity: 'high' } } },
    }),
    'content_filtered/prompt',
  ],
  [400, named('contentFilter'), 'content_filtered/prompt'],
  [400, named('DeploymentNotFound'), 'not_found'],
  [
    400,
    named('OperationNotSupported', 'The chatCompletion operation does not work with the specified model, o3-pro.'),
    'not_found',
  ],
  [401, named('PermissionDenied'), 'permission'],
  [403, { statusCode: 403, message: 'Out of call volume quota. Quota will be replenished in 02:10:15.' }, 'quota_exhausted'],
  [401, { statusCode: 401, message: 'Access denied due to missing subscription key.' }, 'auth'],
  [429, named('429', 'Requests have exceeded token rate limit. Please retry after 9 seconds.'), 'rate_limited'],
  [408, named('Timeout', 'The operation was timeout.'), 'timeout'],
];

const COMPATIBLE: readonly Sample[] = [
  [400, { detail: 'Content Exists Risk' }, 'content_filtered/prompt'],
  [403, { code: 'permission-denied', error: 'Content violates usage guidelines. Failed check: X' }, 'content_filtered/prompt'],
  [403, { code: 'permission-denied', error: 'Access to the chat endpoint is denied' }, 'permission'],
  [403, { error: { code: 403, message: 'flagged', metadata: { reasons: ['violence'] } } }, 'content_filtered/prompt'],
  [400, named('data_inspection_failed', 'Output data may contain inappropriate content.'), 'content_filtered/completion'],
  [400, named('DataInspectionFailed', 'Input data may contain inappropriate content.'), 'content_filtered/prompt'],
  [400, named('1301'), 'content_filtered/prompt'],
  [400, named('OutputTextSensitiveContentDetected'), 'content_filtered/completion'],
  [400, named('InputTextSensitiveContentDetected'), 'content_filtered/prompt'],
  [200, { base_resp: { status_code: 1026, status_msg: 'input new_sensitive' } }, 'content_filtered/prompt'],
  [200, { base_resp: { status_code: 1027, status_msg: 'output new_sensitive' } }, 'content_filtered/completion'],
  [400, named('sensitive_words_detected'), 'content_filtered/prompt'],
  [
    400,
    {
      error: {
        code: 400,
        message: 'Provider returned error',
        metadata: { raw: '{"error":{"code":"bad","message":"no","innererror":{"code":"ResponsibleAIPolicyViolation"}}}' },
      },
    },
    'content_filtered/prompt',
  ],
  [
    400,
    {
      error: {
        code: 400,
        message: 'Provider returned error',
        metadata: { raw: '{"error":{"message":"This model\'s maximum context length is 4 tokens.","code":400}}' },
      },
    },
    'context_exceeded',
  ],
  [429, named('insufficient_quota', 'Allocated quota exceeded, please increase your quota limit.'), 'rate_limited'],
  [429, typed('exceeded_current_quota_error'), 'quota_exhausted'],
  [400, named('Arrearage'), 'quota_exhausted'],
  [429, named('1113'), 'quota_exhausted'],
  [
    429,
    {
      code: 'exhausted',
      error:
        'Your team 16f2151a-40f4-4a80-8ad0-cae00c27e8dd has either used all available credits or reached its monthly spending limit.',
    },
    'quota_exhausted',
  ],
  [403, { code: 'no', error: 'You have run out of credits or need a subscription.' }, 'quota_exhausted'],
  [400, named('blocked_api_access'), 'quota_exhausted'],
  [412, text('Account a-team is suspended, possibly due to reaching the monthly spending limit or …'), 'quota_exhausted'],
  [403, { code: 30001, message: 'Sorry, your account balance is insufficient', data: null }, 'quota_exhausted'],
  [403, named('insufficient_user_quota'), 'quota_exhausted'],
  [403, { error: { code: 403, message: 'Key limit exceeded (total limit).' } }, 'quota_exhausted'],
  [
    400,
    text("You passed 1015 input tokens and requested 10 output tokens. However, the model's context length is only 1024 tokens"),
    'context_exceeded',
  ],
  [400, text('The decoder prompt (length 21535) is longer than the maximum model length of 16384.'), 'context_exceeded'],
  [
    400,
    text("'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's maximum context length is 4096 tokens"),
    'context_exceeded',
  ],
  [
    400,
    { object: 'error', message: "Requested token count exceeds the model's maximum context length of 4096 tokens.", code: 400 },
    'context_exceeded',
  ],
  [400, text("The input (250000 tokens) is longer than the model's context length (200000 tokens)."), 'context_exceeded'],
  [400, text('Input length (131393 tokens) exceeds the maximum allowed length (131040 tokens).'), 'context_exceeded'],
  [
    422,
    { error: 'Input validation error: `inputs` must have less than 2048 tokens. Given: 2222', error_type: 'validation' },
    'context_exceeded',
  ],
  [400, { error: { code: 400, message: 'too long', type: 'exceed_context_size_error' } }, 'context_exceeded'],
  [400, text('request (9412 tokens) exceeds the available context size (8192 tokens), try increasing it'), 'context_exceeded'],
  [400, { error: 'Trying to keep the first 10136 tokens when context the overflows.' }, 'context_exceeded'],
  [400, text('prompt too long; exceeded max context length by 7 tokens'), 'context_exceeded'],
  [400, typed('too_many_prompt_tokens'), 'context_exceeded'],
  [
    400,
    {
      object: 'error',
      message: 'Prompt contains 300000 tokens, too large for model with 131072 maximum context length',
      code: null,
    },
    'context_exceeded',
  ],
  [400, text('The prompt is too long: 262377, model maximum context length: 262143'), 'context_exceeded'],
  [400, text('Please reduce the length of the messages or completion.'), 'context_exceeded'],
  [400, text('Invalid request: Your request exceeded model token limit: 262144'), 'context_exceeded'],
  [400, text('<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]'), 'context_exceeded'],
  [400, named('1261'), 'context_exceeded'],
  [413, named('tokens_limit_reached'), 'context_exceeded'],
  [
    400,
    [
      {
        error: {
          code: 400,
          message: 'The input token count (1196265) exceeds the maximum number of tokens allowed 1048576.',
          status: 'INVALID_ARGUMENT',
        },
      },
    ],
    'context_exceeded',
  ],
  [400, text('prompt is too long: 212345 tokens > 200000 maximum'), 'context_exceeded'],
  [400, text('input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000'), 'context_exceeded'],
  [400, text('Input is too long for requested model.'), 'context_exceeded'],
  [400, named('tool_use_failed'), 'malformed'],
  [400, named('organization_restricted'), 'permission'],
  [400, named('model_decommissioned'), 'not_found'],
  [400, text('Model Not Exist'), 'not_found'],
  [400, { code: 'Client specified an invalid argument', error: 'Model not found: grok-9' }, 'not_found'],
  [429, { error: 'Model is overloaded', error_type: 'validation' }, 'overloaded'],
  [429, named('ServerOverloaded'), 'overloaded'],
  [200, { base_resp: { status_code: 1002, status_msg: 'rate limit' } }, 'rate_limited'],
  [200, { base_resp: { status_code: 1004, status_msg: 'login fail' } }, 'auth'],
  [200, { base_resp: { status_code: 1001, status_msg: 'timeout' } }, 'timeout'],
  [200, { base_resp: { status_code: 2013, status_msg: 'invalid params' } }, 'invalid_request'],
  [498, named('capacity_exceeded'), 'overloaded'],
  [
    429,
    { object: 'error', message: 'Service tier capacity exceeded for this model.', type: 'invalid_request_error' },
    'overloaded',
  ],
  [429, typed('engine_overloaded_error'), 'overloaded'],
  [200, typed('rate_limit_reached_error'), 'rate_limited'],
  [429, named('queue_exceeded'), 'overloaded'],
  [429, named('1312'), 'overloaded'],
  [429, named('1302', 'High concurrency usage of this API'), 'rate_limited'],
  [400, named('1211'), 'not_found'],
  [400, named('1002'), 'auth'],
  [400, named('1234'), 'server_error'],
  [400, { code: 'Client specified an invalid argument', error: 'Incorrect API key provided: na***ys.' }, 'auth'],
  [
    400,
    [
      {
        error: { code: 400, message: 'API key not valid.', status: 'INVALID_ARGUMENT', details: [{ reason: 'API_KEY_INVALID' }] },
      },
    ],
    'auth',
  ],
  [200, { error: { message: 'no', status: 'RESOURCE_EXHAUSTED' } }, 'rate_limited'],
  [200, { error: { message: 'no', status: 'UNAVAILABLE' } }, 'overloaded'],
];

const FIXTURES = readFixtures(path.join(import.meta.dirname, '../../test/fixtures/providers'));

/** What documented errors of these fixtures are, told by the fixtures' own test. */
function documented(speaks: (vendor: string) => boolean): readonly (readonly [status: number, body: unknown])[] {
  const told = ({ dialect, stream }: Fixture): boolean =>
    !stream && dialect.endsWith('.chat') && speaks(dialect.split('.')[0] ?? '');
  return FIXTURES.filter(told).map(({ response }) => [response.status, response.body ?? '']);
}

const OTHERS = new Set(['azure', 'cohere', 'mistral', 'ollama-native']);

/** Rows that nothing decided by. */
function untried(
  table: FailureTable,
  samples: readonly (readonly [status: number, body: unknown, ...rest: unknown[]])[],
): ErrorRule[] {
  const facts = (body: unknown): ErrorFacts =>
    httpErrorFacts({}, Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)));
  const tried = new Set(samples.map(([status, body]) => matchRule(table.errors, facts(body), status)));
  return table.errors.filter((rule) => !tried.has(rule));
}

describe.each([
  ['OpenAI', OPENAI_FAILURES, OPENAI, documented((vendor) => vendor === 'openai')],
  ['AzureOpenAI', AZURE_FAILURES, [...AZURE, ...OPENAI], documented((vendor) => vendor === 'azure' || vendor === 'openai')],
  ['OpenAICompatible', COMPATIBLE_FAILURES, [...COMPATIBLE, ...OPENAI], documented((vendor) => !OTHERS.has(vendor))],
] as const)('failures of %s', (kind, table, samples, fixtures) => {
  it('has a sample or a fixture for every row', () => {
    expect(untried(table, [...samples, ...fixtures])).toEqual([]);
  });

  it.each(samples.map((sample, i) => [i, ...sample] as const))('%i: %i %j is %s', (_, status, body, expected) => {
    expect(kindOf(answer(kind, status, body))).toBe(expected);
  });
});

describe('an error under a success', () => {
  it('is an error to the client, where it has nothing of an answer', () => {
    const refused = answer('OpenAICompatible', 200, {
      choices: null,
      base_resp: { status_code: 1026, status_msg: 'new_sensitive' },
    });
    expect(refused.client?.status).toBe(400);
    expect(JSON.parse(refused.client?.body.toString() ?? '')).toMatchObject({
      error: { message: 'new_sensitive', code: 'content_filter', type: 'invalid_request_error' },
    });
  });

  it('is the provider’s own answer, where it is one', () => {
    const choice = { index: 0, finish_reason: 'content_filter', message: { role: 'assistant', content: 'Half' } };
    expect(answer('OpenAICompatible', 200, { choices: [choice] }).client).toBeUndefined();
  });
});

describe('what the user wrote', () => {
  const PHRASES = [
    "This model's maximum context length is 8 tokens",
    'Request too large for me',
    'Content Exists Risk',
    'Content violates usage guidelines.',
    'content_filter ResponsibleAIPolicyViolation insufficient_quota',
    'Your team x has either used all available credits',
    'Incorrect API key provided',
    'prompt too long; exceeded max context length by 3',
  ];

  it.each(PHRASES)('decides nothing when an error quotes it: %s', (phrase) => {
    for (const kind of ['OpenAI', 'AzureOpenAI', 'OpenAICompatible'] as const) {
      for (const message of [
        `Invalid value: '${phrase}'. Supported values are: 'a'.`,
        `'${phrase}' is not of type 'object' - 'messages.0'`,
        `Unknown role "${phrase}"`,
      ]) {
        expect(kindOf(answer(kind, 400, text(message)))).toBe('invalid_request');
        expect(
          kindOf(answer(kind, 400, { detail: [{ loc: ['body', 'messages', 0], msg: 'Input should be valid', input: phrase }] })),
        ).toBe('invalid_request');
      }
      expect(
        kindOf(
          answer(kind, 200, {
            choices: [
              {
                index: 0,
                message: { content: `{"error":{"code":"content_filter","message":"${phrase}"}}` },
                finish_reason: 'stop',
              },
            ],
          }),
        ),
      ).toBe('ok');
    }
  });

  it('is not repeated from a validation error', () => {
    const { failure } = answer('OpenAICompatible', 422, {
      detail: [{ loc: ['body', 'x'], msg: 'Input should be less than 2', input: 'my secret prompt' }],
    });
    expect(failure?.message).toBe('body.x: Input should be less than 2');
  });
});

describe('what a failure tells', () => {
  it('the scope of a limit, by name, by headers, by words', () => {
    const scope = (body: unknown, headers: AnswerHeaders = {}): unknown => {
      const { failure } = answer('OpenAI', 429, body, headers);
      return failure?.kind === 'rate_limited' ? failure.scope : undefined;
    };
    expect(scope(named('rate_limit_exceeded', 'x', { type: 'tokens' }))).toBe('tokens');
    expect(scope(named('rate_limit_exceeded', 'x', { type: 'requests' }))).toBe('requests');
    expect(scope(named('request_quota_exceeded'))).toBe('requests');
    expect(scope({}, { 'x-ratelimit-remaining-tokens': '0', 'x-ratelimit-remaining-requests': '7' })).toBe('tokens');
    expect(scope(named('429', 'You have exceeded the call rate limit of your S0 tier'))).toBe('requests');
    expect(scope(named('429', 'max organization concurrency: 1'))).toBe('concurrency');
    expect(scope(named('429', 'no'))).toBe('unknown');
  });

  it('no retry from the headers of a success', () => {
    const headers = { 'retry-after': '7', 'x-ratelimit-reset-tokens': '6m0s' };
    expect(answer('OpenAI', 200, named('rate_limit_exceeded', 'x', { type: 'tokens' }), headers).failure).toMatchObject({
      retryAfterMs: null,
    });
    expect(answer('OpenAI', 429, named('rate_limit_exceeded', 'x', { type: 'tokens' }), headers).failure).toMatchObject({
      retryAfterMs: 7000,
    });
  });

  it('status, code and a message without the account, at most 512 characters long', () => {
    const { failure } = answer(
      'OpenAI',
      401,
      named('invalid_api_key', `Incorrect key ${TEST_KEY} of organization org-Abcd1234. ${'x'.repeat(9000)}`),
    );
    expect(failure).toMatchObject({ kind: 'auth', status: 401, code: 'invalid_api_key' });
    expect(failure?.message).toMatch(/^Incorrect key \[redacted\] of organization \[redacted\]\. x+…$/);
    expect(failure?.message).toHaveLength(512);
  });
});
