import { expect, test } from '@jest/globals';

import type { ProviderKind } from '../routetable/types.ts';
import { imageTokens } from './image-tokens.ts';

test.each<[ProviderKind, string, number | null, number | null, boolean, number]>([
  // OpenAI's own examples.
  ['OpenAI', 'gpt-4o', 1_024, 1_024, false, 765],
  ['OpenAI', 'gpt-4o', 2_048, 4_096, false, 1_105],
  ['OpenAI', 'gpt-4o', 4_096, 8_192, true, 85],
  ['OpenAI', 'gpt-4o-mini', 1_024, 1_024, false, 25_501],
  ['OpenAI', 'gpt-4.1-mini', 1_024, 1_024, false, 1_659],
  ['AzureOpenAI', 'prod', null, null, false, 765],
  // Anthropic's table.
  ['Anthropic', 'claude-sonnet-4-5', 200, 200, false, 54],
  ['Anthropic', 'claude-sonnet-4-5', 1_000, 1_000, false, 1_334],
  ['Bedrock', 'eu.anthropic.claude-sonnet-4-5', 8_000, 8_000, false, 1_600],
  ['Gemini', 'gemini-2.5-pro', 384, 384, false, 258],
  ['VertexAI', 'gemini-2.5-pro', 1_000, 700, false, 516],
])('%s %s: %s × %s, low %s: %s tokens', (provider, model, width, height, low, tokens) => {
  expect(imageTokens(provider, model, { width, height, low })).toBe(tokens);
});
