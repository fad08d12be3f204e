// Promise: an Anthropic client can count tokens before it asks, whatever answers: by the provider's own count, else by an estimate that says so.
import Anthropic from '@anthropic-ai/sdk';
import { describe, expect, it } from '@jest/globals';
import { request } from './support/client.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { FakeUpstream } from './support/upstream.ts';
import { chatRouteYaml } from './support/yaml.ts';

const ASKED = { model: 'chat', messages: [{ role: 'user' as const, content: 'How many tokens are there in this sentence?' }] };
const PATH = '/v1/messages/count_tokens';

async function start(...providers: readonly string[]): Promise<TestGateway> {
  const models = providers.map((provider, at) => `  - {name: m${at}, provider: ${provider}, auth: {type: None}}`);
  const targets = providers.map((_, at) => `{model: m${at}}`);
  return startGateway(chatRouteYaml(models.join('\n'), `  - {name: default, targets: [${targets.join(', ')}]}`));
}

const NOWHERE = 'http://127.0.0.1:9';
const OTHERS: readonly (readonly [string, string])[] = [
  ['OpenAI', `{type: OpenAI, openAI: {model: gpt-4o, baseURL: "${NOWHERE}"}}`],
  ['Gemini', `{type: Gemini, gemini: {model: gemini-2.5-flash, baseURL: "${NOWHERE}"}}`],
  ['Bedrock', `{type: Bedrock, bedrock: {region: eu-central-1, model: "amazon.nova-pro-v1:0", baseURL: "${NOWHERE}"}}`],
  ['Mistral', `{type: Mistral, mistral: {model: mistral-large-latest, baseURL: "${NOWHERE}"}}`],
  ['Cohere', `{type: Cohere, cohere: {model: command-a-03-2025, baseURL: "${NOWHERE}"}}`],
  ['OpenAICompatible', `{type: OpenAICompatible, openAICompatible: {model: m, baseURL: "${NOWHERE}"}}`],
];

describe('count_tokens', () => {
  it.each(OTHERS)('is estimated where %s does not count, without a call', async (_, provider) => {
    const gateway = await start(provider);
    const answer = await request(gateway.port, { path: `${PATH}?beta=true`, body: ASKED });
    expect([answer.status, answer.headers['x-fairlead-reason']]).toEqual([200, 'estimated']);
    const client = new Anthropic({ baseURL: `http://127.0.0.1:${gateway.port}`, apiKey: 'k', maxRetries: 0 });
    const { input_tokens: tokens } = await client.messages.countTokens(ASKED);
    expect(tokens).toBeGreaterThan(5);
    expect(tokens).toBeLessThan(30);
    const longer = await client.messages.countTokens({ ...ASKED, system: 'word '.repeat(1_000) });
    expect(longer.input_tokens).toBeGreaterThan(900);
    expect(gateway.requests[0]).toMatchObject({ operation: 'count_tokens', route: 'default/chat', status: 200, attempts: [] });
  });

  it('is the provider’s own where one of the pool counts', async () => {
    const upstream = await FakeUpstream.start((call) => call.answer(200, '{"input_tokens":4711}'));
    const gateway = await start(
      `{type: OpenAI, openAI: {model: gpt-4o, baseURL: "${NOWHERE}"}}`,
      `{type: Anthropic, anthropic: {model: claude-sonnet-4-5, baseURL: "${upstream.url}"}}`,
    );
    const answer = await request(gateway.port, { path: PATH, body: ASKED });
    expect(answer.text).toBe('{"input_tokens":4711}');
    expect(answer.headers['x-fairlead-model']).toBe('m1');
  });

  it('is refused in Anthropic’s form where it cannot be read', async () => {
    const gateway = await start(`{type: OpenAI, openAI: {model: gpt-4o, baseURL: "${NOWHERE}"}}`);
    const answer = await request(gateway.port, { path: PATH, body: '{"model":"chat"' });
    expect([answer.status, JSON.parse(answer.text)]).toMatchObject([
      400,
      { type: 'error', error: { type: 'invalid_request_error' } },
    ]);
  });
});
