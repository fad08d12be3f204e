import { describe, expect, test } from '@jest/globals';
import { calcPrice } from '@pydantic/genai-prices';

import type { ProviderKind } from '../routetable/types.ts';
import { costNanoUsd } from './cost.ts';
import { listedPrice, sellerOf } from './list.ts';
import { modelFacts } from './models.ts';
import { overrideFor } from './override.ts';

describe('the built-in prices', () => {
  const usage = { inputTokens: 300_000, cachedInputTokens: 100_000, outputTokens: 5_000, reasoningTokens: 0, estimated: false };

  test.each([
    ['openai', 'gpt-4o'],
    ['openai', 'gpt-4o-2024-08-06'],
    ['openai', 'gpt-5-mini'],
    ['openai', 'text-embedding-3-small'],
    ['anthropic', 'claude-sonnet-4-5-20250929'],
    ['anthropic', 'claude-opus-4-1'],
    ['google', 'gemini-2.5-pro'],
    ['google', 'claude-sonnet-4-5@20250929'],
    ['aws', 'eu.anthropic.claude-sonnet-4-5-20250929-v1:0'],
    ['aws', 'amazon.nova-lite-v1:0'],
    ['azure', 'gpt-4o'],
    ['mistral', 'mistral-large-latest'],
    ['cohere', 'command-a-03-2025'],
    ['groq', 'llama-3.3-70b-versatile'],
    ['x-ai', 'grok-4'],
    ['openrouter', 'anthropic/claude-sonnet-4'],
  ])('are those of the package: %s %s', (seller, model) => {
    const listed = listedPrice(seller, model);
    if (listed === null) throw new Error('it is not listed');
    const theirs = calcPrice(
      { input_tokens: usage.inputTokens, cache_read_tokens: usage.cachedInputTokens, output_tokens: usage.outputTokens },
      model,
      { providerId: seller },
    );
    expect(costNanoUsd(listed.pricing, usage)).toBe(Math.round((theirs?.total_price ?? 0) * 1e9));
  });

  test('know a model by its path or profile too', () => {
    const plain = listedPrice('google', 'gemini-2.5-pro');
    expect(plain).not.toBeNull();
    expect(listedPrice('google', 'publishers/google/models/gemini-2.5-pro')).toEqual(plain);
    expect(listedPrice('google', 'models/gemini-2.5-pro')).toEqual(plain);
    expect(
      listedPrice(
        'aws',
        'arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0',
      ),
    ).toEqual(listedPrice('aws', 'eu.anthropic.claude-sonnet-4-5-20250929-v1:0'));
  });

  test.each([
    ['openai', 'gpt-nobody'],
    ['openai', 'x'.repeat(10_000)],
    ['openai', 'gpt-4o-realtime-preview'],
    ['nobody', 'gpt-4o'],
    ['aws', 'arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abc123'],
  ])('are unknown of %s %.30s', (seller, model) => {
    expect(listedPrice(seller, model)).toBeNull();
  });
});

test('OpenAICompatible servers are known by their host alone', () => {
  const at = (baseUrl: string, kind: ProviderKind = 'OpenAICompatible'): string | null => sellerOf(kind, baseUrl);
  expect(at('https://api.groq.com/openai/v1')).toBe('groq');
  expect(at('https://openrouter.ai/api/v1')).toBe('openrouter');
  expect(at('https://proxy.example.com/https://api.groq.com/openai/v1')).toBeNull();
  expect(at('http://vllm.team-a.svc:8000/v1')).toBeNull();
  expect(at('https://eu.api.openai.com/v1', 'OpenAI')).toBe('openai');
});

describe('what models can', () => {
  test('is known of dated, regional and bare names alike', () => {
    const sonnet = modelFacts('aws', 'anthropic.claude-sonnet-4-5-20250929-v1:0');
    expect(sonnet).toMatchObject({ tools: true, vision: true, inputTokens: 200_000, maxOutputTokens: 64_000 });
    expect(modelFacts('aws', 'us.anthropic.claude-sonnet-4-5-20250929-v1:0')).toEqual(sonnet);
    expect(modelFacts('openai', 'gpt-4o-2031-01-01')).toEqual(modelFacts('openai', 'gpt-4o'));
  });

  test('is no only where the list is known to say so', () => {
    expect(modelFacts('openai', 'gpt-3.5-turbo')).toMatchObject({ vision: false });
    expect(modelFacts('openai', 'gpt-4o')).toMatchObject({ vision: true });
    expect(modelFacts('mistral', 'mistral-small')?.vision ?? null).toBeNull();
    expect(modelFacts('openai', 'gpt-nobody')).toBeNull();
  });
});

test('of overrides the exact name goes first, then the longest beginning, then who names the provider', () => {
  const entry = (
    value: string,
    wildcard = false,
    provider: ProviderKind | null = null,
  ): { readonly provider: ProviderKind | null; readonly model: { readonly value: string; readonly wildcard: boolean } } => ({
    provider,
    model: { value, wildcard },
  });
  const overrides = [entry('', true), entry('gpt-', true), entry('gpt-4o'), entry('gpt-4o', false, 'OpenAI')];
  expect(overrideFor(overrides, 'OpenAI', 'gpt-4o')).toBe(overrides[3]);
  expect(overrideFor(overrides, 'AzureOpenAI', 'gpt-4o')).toBe(overrides[2]);
  expect(overrideFor(overrides, 'OpenAI', 'gpt-5')).toBe(overrides[1]);
  expect(overrideFor(overrides, 'OpenAI', 'claude')).toBe(overrides[0]);
  expect(overrideFor([entry('gpt-', true, 'AzureOpenAI')], 'OpenAI', 'gpt-5')).toBeNull();
});
