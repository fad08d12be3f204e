/** What every recorded answer in ../shared/data/providers says of what is left is read, by its provider's table. */
import { describe, expect, it } from '@jest/globals';
import { readFixtures } from '../../test/fixtures/fixture.ts';
import type { HeadroomUnit } from '../lib/headroom-unit.ts';
import { byText } from '../routetable/order.ts';
import type { ProviderKind } from '../routetable/types.ts';
import { providerFor } from './index.ts';
import type { AnswerHeaders } from './provider.ts';
import { readHeadroom } from './shared/headroom.ts';

const FIXTURES = new URL('../../../shared/data/providers/', import.meta.url).pathname;

const KIND_OF: Readonly<Record<string, ProviderKind>> = {
  openai: 'OpenAI',
  'azure-openai': 'AzureOpenAI',
  anthropic: 'Anthropic',
  mistral: 'Mistral',
  cohere: 'Cohere',
  bedrock: 'Bedrock',
  gemini: 'Gemini',
  vertex: 'VertexAI',
};

/** Says what is left of something that no request here is known to take, or of so much that it never matters. */
const NOT_READ = /-input-images$|-month$|^x-ratelimitbysize-/;

type Told = Partial<Record<HeadroomUnit, readonly [left: number, resetMs: number | null]>>;

function read(kind: ProviderKind, headers: AnswerHeaders): Told {
  const told: Told = {};
  readHeadroom(providerFor(kind).headroom, headers, (unit, left, resetMs) => {
    told[unit] = [left, resetMs];
  });
  return told;
}

describe('what is left, in an answer of', () => {
  const answers = readFixtures(FIXTURES).flatMap(({ id, provider, response }) => {
    const headers = response.headers ?? {};
    const said = Object.keys(headers).filter((name) => name.includes('remaining') && !NOT_READ.test(name));
    return said.length === 0 ? [] : [{ id, kind: KIND_OF[provider] ?? ('OpenAICompatible' as const), headers, said }];
  });

  it('the providers that say so is there', () => {
    expect(new Set(answers.map(({ id }) => id.split('/')[0]))).toEqual(
      new Set(['anthropic', 'azure-openai', 'cohere', 'groq', 'mistral', 'openai', 'together', 'xai']),
    );
  });

  it.each(answers)('$id', ({ id, kind, headers, said }) => {
    // Anthropic's older answers in OpenAI's own names are those of its gateway for OpenAI's clients.
    const spoken = id.startsWith('anthropic/') && said.every((name) => name.startsWith('x-')) ? 'OpenAICompatible' : kind;
    const told = Object.values(read(spoken, headers)).map(([left]) => String(left));
    expect(told.sort(byText)).toEqual(said.map((name) => headers[name] ?? '').sort(byText));
  });
});

describe('until all of it is free again', () => {
  const date = 'Sun, 08 Mar 2026 21:04:05 GMT';
  it.each<[ProviderKind, AnswerHeaders, Told]>([
    ['OpenAI', { 'x-ratelimit-remaining-requests': '59', 'x-ratelimit-reset-requests': '1s' }, { requests: [59, 1_000] }],
    ['OpenAI', { 'x-ratelimit-remaining-tokens': '0', 'x-ratelimit-reset-tokens': '6m0s' }, { tokens: [0, 360_000] }],
    ['AzureOpenAI', { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '7' }, { requests: [0, 7_000] }],
    [
      'Anthropic',
      {
        'anthropic-ratelimit-input-tokens-remaining': '10',
        'anthropic-ratelimit-input-tokens-reset': '2026-03-08T21:04:07Z',
        'anthropic-ratelimit-output-tokens-remaining': '0',
        'anthropic-ratelimit-output-tokens-reset': '2026-03-08T21:04:00Z',
        date,
      },
      { inputTokens: [10, 2_000], outputTokens: [0, 0] },
    ],
    // Whose now it is relative to is not known.
    [
      'Anthropic',
      { 'anthropic-ratelimit-requests-remaining': '0', 'anthropic-ratelimit-requests-reset': '2026-03-08T21:04:07Z' },
      { requests: [0, null] },
    ],
    ['Mistral', { 'x-ratelimit-remaining-req-minute': '0' }, { requests: [0, null] }],
    ['Mistral', { 'ratelimitbysize-remaining': '5', 'ratelimitbysize-reset': '33' }, { tokens: [5, 33_000] }],
    [
      'OpenAICompatible',
      { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '2m59.56s' },
      { requests: [0, 179_560] },
    ],
    ['OpenAICompatible', { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1773003847000', date }, { requests: [0, 2_000] }],
    // More than any burst takes: not worth reading on.
    ['OpenAI', { 'x-ratelimit-remaining-requests': '4999', 'x-ratelimit-reset-requests': '12ms' }, { requests: [4_999, 0] }],
    ['OpenAI', { 'x-ratelimit-remaining-requests': 'many', 'x-ratelimit-remaining-tokens': '-3' }, { tokens: [-3, null] }],
    ['Gemini', { 'x-ratelimit-remaining-requests': '0' }, {}],
    ['OpenAI', { 'retry-after': '600', 'retry-after-ms': '600000' }, {}],
  ])('%s %j', (kind, headers, expected) => {
    expect(read(kind, headers)).toEqual(expected);
  });
});
