/** What a request costs: by the model's own price, the gateway's ConfigMap, the built-in list; unknown is said, never taken for nothing. */
import { describe, expect, it } from '@jest/globals';

import { request } from './support/client.ts';
import { chat, CHAT_USAGE, frame, streamOf } from './support/dialects.ts';
import { compileYaml, startGateway, type TestGateway } from './support/gateway.ts';
import { FakeUpstream, type ReceivedCall } from './support/upstream.ts';

const usage = {
  prompt_tokens: 1000,
  completion_tokens: 200,
  total_tokens: 1200,
  prompt_tokens_details: { cached_tokens: 600 },
  completion_tokens_details: { reasoning_tokens: 50 },
};
const answered = JSON.stringify({ ...JSON.parse(chat.whole('Hello')), usage });

const PRICES = `
---
apiVersion: fairlead.dev/v1alpha1
kind: LLMGateway
metadata: {name: default, namespace: default, annotations: {fairlead.dev/is-default-gateway: "true"}}
spec:
  clientAuth: {type: None}
  prices: {configMapRef: {name: prices}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: prices, namespace: default}
data:
  prices.json: |
    {"models": [
      {"model": "house-*", "pricing": {"input": "1", "cachedInput": "0.1", "output": "4", "reasoning": "5", "request": "0.01"}},
      {"model": "house-2", "pricing": {"input": "2", "output": "4", "longContext": [{"aboveInputTokens": 999, "input": "20", "output": "40"}]}},
      {"model": "house-3", "pricing": {"input": "free"}}
    ]}
`;

function route(provider: string, more = ''): string {
  return `
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat, namespace: default}
spec:
  modelNames: ["*"]
  models:
  - name: only
    provider: ${provider}
    auth: {type: None}
${more}
  rules: [{name: default, targets: [{model: only}]}]
`;
}

async function start(
  providerAt: (url: string) => string,
  more = '',
  respond: (call: ReceivedCall) => unknown = (call) => call.answer(200, answered),
): Promise<TestGateway> {
  const upstream = await FakeUpstream.start(respond);
  return startGateway(route(providerAt(upstream.url)) + more);
}

const compatible = (model: string) => (url: string) =>
  `{type: OpenAICompatible, openAICompatible: {model: ${model}, baseURL: "${url}"}}`;
const openAI = (url: string): string => `{type: OpenAI, openAI: {baseURL: "${url}"}}`;

async function costOf(gateway: TestGateway, model = 'chat'): Promise<{ header: unknown; inUsage: unknown; logged: unknown }> {
  const answer = await request(gateway.port, {
    body: { ...chat.body, model },
    headers: { 'x-fairlead-include-cost': 'true' },
  });
  const body = JSON.parse(answer.text) as { usage: { cost: unknown } };
  return { header: answer.headers['x-fairlead-cost'], inUsage: body.usage.cost, logged: gateway.requests.at(-1)?.costMicroUsd };
}

describe('a request’s cost', () => {
  it('is by the gateway’s own list: fresh, cached, told and thought tokens and the request itself', async () => {
    const gateway = await start(compatible('house-1'), PRICES);
    // 400 fresh at 1 $, 600 cached at 0.1 $, 150 told at 4 $, 50 thought at 5 $ a million; 0.01 $ for the request.
    const microUsd = 400 + 60 + 600 + 250 + 10_000;
    expect(await costOf(gateway)).toEqual({ header: '0.01131', inUsage: microUsd / 1e6, logged: microUsd });
  });

  it('is by the exact name before a beginning, and by the tier that the prompt reaches', async () => {
    const gateway = await start(compatible('house-2'), PRICES);
    expect(await costOf(gateway)).toMatchObject({ header: '0.028' });
  });

  it('is by the built-in list where the client names the model', async () => {
    const gateway = await start(openAI);
    // gpt-4o: 2.5 $, 1.25 $ cached, 10 $.
    expect(await costOf(gateway, 'gpt-4o-2024-08-06')).toMatchObject({ header: '0.00375', logged: 3750 });
  });

  it('is by the gateway’s list where the client names the model, and by a new one as soon as it is there', async () => {
    const upstream = await FakeUpstream.start((call) => call.answer(200, answered));
    const gateway = await startGateway(route(openAI(upstream.url)) + PRICES);
    expect(await costOf(gateway, 'house-2')).toMatchObject({ header: '0.028' });
    gateway.apply(route(openAI(upstream.url)) + PRICES.replace('"input": "20", "output": "40"', '"input": "10", "output": "20"'));
    expect(await costOf(gateway, 'house-2')).toMatchObject({ header: '0.014' });
  });

  it.each([
    ['a model that nobody lists', compatible('acme-1'), 'chat'],
    [
      'an Azure deployment that is called as a model is',
      (url: string) => `{type: AzureOpenAI, azureOpenAI: {endpoint: "${url}"}}`,
      'gpt-4o',
    ],
    ['a model whose tokens are not all text', openAI, 'gpt-4o-audio-preview'],
  ])('is unknown of %s, and said to be', async (_, provider, model) => {
    const gateway = await start(provider);
    expect(await costOf(gateway, model)).toEqual({ header: 'unknown', inUsage: null, logged: null });
    const metrics = await (await fetch(`http://127.0.0.1:${gateway.adminPort}/metrics`)).text();
    expect(metrics).toContain('fairlead_cost_unknown_total{route="default/chat",target="only"} 1');
    expect(metrics).not.toContain('fairlead_cost_usd_total{');
  });

  it.each([false, true])(
    'counts what Anthropic keeps in its cache for an hour as what it costs (streamed: %s)',
    async (stream) => {
      const wrote = {
        input_tokens: 1_000,
        cache_creation_input_tokens: 3_000,
        cache_creation: { ephemeral_5m_input_tokens: 1_000, ephemeral_1h_input_tokens: 2_000 },
        cache_read_input_tokens: 0,
      };
      const upstream = await FakeUpstream.start((call) => {
        const message = { id: 'msg_1', type: 'message', role: 'assistant', content: [], stop_reason: null };
        if (!stream) {
          const whole = { ...message, content: [{ type: 'text', text: 'Hi' }], stop_reason: 'end_turn' };
          call.answer(200, JSON.stringify({ ...whole, usage: { ...wrote, output_tokens: 100 } }));
          return;
        }
        call.stream(
          [
            { type: 'message_start', message: { ...message, usage: { ...wrote, output_tokens: 1 } } },
            { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
            { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hi' } },
            { type: 'content_block_stop', index: 0 },
            { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 100 } },
            { type: 'message_stop' },
          ].map((event) => frame(event, event.type)),
        );
      });
      const gateway = await startGateway(
        route(`{type: Anthropic, anthropic: {model: claude-sonnet-4-5, baseURL: "${upstream.url}"}}`),
      );
      const answer = await request(gateway.port, { body: { ...chat.body, stream } });
      expect(answer.text).toContain('Hi');
      // 1,000 at 3 $, 1,000 written at 3.75 $, 2,000 for an hour at 6 $, 100 told at 15 $ a million.
      expect(gateway.requests[0]).toMatchObject({
        costMicroUsd: 3_000 + 3_750 + 12_000 + 1_500,
        usage: { inputTokens: 4_000, cacheWriteTokens: 3_000, cacheWriteHourTokens: 2_000, outputTokens: 100 },
      });
      const { text } = await gateway.gateway.renderMetrics();
      for (const [direction, tokens] of Object.entries({
        input: 4_000,
        cache_write: 3_000,
        cache_write_hour: 2_000,
        output: 100,
      }))
        expect(text).toContain(`fairlead_tokens_total{route="default/chat",target="only",direction="${direction}"} ${tokens}\n`);
    },
  );

  it('is in the usage chunk of a stream that asks for it, null where it is unknown', async () => {
    const frames = streamOf(chat, 'Hello');
    const [done = ''] = frames.slice(-1);
    const stream = [...frames.slice(0, -1), CHAT_USAGE, done];
    const gateway = await start(compatible('acme-1'), '', (call) => call.stream(stream));
    const answer = await request(gateway.port, {
      body: { ...chat.body, stream: true, stream_options: { include_usage: true } },
      headers: { 'x-fairlead-include-cost': 'true' },
    });
    expect(answer.text).toContain('"usage":{"cost":null,');
  });
});

describe('a mistake in the gateway’s list', () => {
  it('is a condition of the gateway that names field and value; routes are served', () => {
    const { table, statuses } = compileYaml(route(compatible('house-1')('https://llm.example.com/v1')) + PRICES);
    expect(table?.routes).toHaveLength(1);
    const conditions = statuses.get('LLMGateway/default/default')?.conditions ?? [];
    const resolved = conditions.find(({ type }) => type === 'ResolvedRefs');
    expect(resolved).toMatchObject({ status: 'False', reason: 'ArtifactInvalid' });
    expect(resolved?.message).toContain('models[2].pricing.input "free" is not a decimal string');
    expect(statuses.get('LLMRoute/default/chat')?.conditions).toMatchObject([{ status: 'True' }, { status: 'True' }]);
  });

  it('of JSON leaves the built-in prices', () => {
    const broken = PRICES.replace('{"models": [', '{"models": [,');
    const { table, statuses } = compileYaml(route('{type: OpenAI, openAI: {model: gpt-4o}}') + broken);
    expect(table?.routes[0]?.targets[0]?.pricing).toMatchObject({ source: 'BuiltIn' });
    expect(JSON.stringify(statuses.get('LLMGateway/default/default'))).toContain('is not JSON');
  });
});
