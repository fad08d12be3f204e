import { describe, expect, it } from '@jest/globals';
import OpenAI, { AzureOpenAI, toFile } from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { startGateway, type TestGateway } from './support/gateway.ts';
import {
  chatCompletion,
  chatEvents,
  embeddingList,
  eventsOf,
  openAIError,
  responseEvents,
  responseObject,
  toolCallCompletion,
  toolCallEvents,
} from './support/openai-answers.ts';
import { clientKeyYaml, documents, gatewayYaml, secretYaml } from './support/secrets.ts';
import { FakeUpstream, type ReceivedCall, type Respond } from './support/upstream.ts';

/** The official AzureOpenAI client against the gateway, which calls Azure in turn: deployments in the path on both sides, by different names. */

const CLIENT_KEY = 'fl-client-key-of-the-test';
const UPSTREAM_KEY = '0123456789abcdef0123456789abcdef';

interface Setting {
  readonly client: AzureOpenAI;
  readonly upstream: FakeUpstream;
  readonly gateway: TestGateway;
}

/** `apiVersion`: that of the route's model; '' for Azure's undated form. */
async function start(respond: Respond, apiVersion = 'apiVersion: "2024-10-21"'): Promise<Setting> {
  const upstream = await FakeUpstream.start(respond);
  const gateway = await startGateway(
    documents(
      gatewayYaml(),
      clientKeyYaml(CLIENT_KEY, { name: 'client', namespace: 'platform' }),
      secretYaml('azure', 'platform', { 'api-key': UPSTREAM_KEY }),
      `
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat, namespace: platform}
spec:
  modelNames: [chat]
  models:
  - name: gpt
    provider: {type: AzureOpenAI, azureOpenAI: {endpoint: "http://127.0.0.1:${upstream.port}", deployment: gpt-4o-prod, ${apiVersion}}}
    auth: {type: APIKey, apiKey: {secretKeyRef: {name: azure, key: api-key}}}
  rules:
  - name: default
    targets: [{model: gpt}]
`,
    ),
  );
  const client = new AzureOpenAI({
    endpoint: `http://127.0.0.1:${gateway.port}`,
    apiKey: CLIENT_KEY,
    apiVersion: '2024-02-01',
    maxRetries: 0,
  });
  return { client, upstream, gateway };
}

const messages = [
  { role: 'user', content: 'How is the weather in Pisa?' },
] as const satisfies OpenAI.ChatCompletionMessageParam[];

/** Azure's own, not the client's: key, deployment and version. */
function expectAzureCall(call: ReceivedCall | undefined, path: string): void {
  expect(call?.path).toBe(path);
  expect(call?.headers['api-key']).toBe(UPSTREAM_KEY);
  expect(call?.headers).not.toHaveProperty('authorization');
}

describe('AzureOpenAI', () => {
  it('chats, by the deployment and version that the route names', async () => {
    const { client, upstream } = await start((call) => call.answer(200, JSON.stringify(chatCompletion('Sunny.'))));
    const completion = await client.chat.completions.create({ model: 'chat', messages });
    expect(completion.choices[0]?.message.content).toBe('Sunny.');
    expectAzureCall(upstream.calls[0], '/openai/deployments/gpt-4o-prod/chat/completions?api-version=2024-10-21');
  });

  it('streams, with Azure’s first chunk that has no choices', async () => {
    const filter = {
      id: '',
      object: '',
      created: 0,
      model: '',
      choices: [],
      prompt_filter_results: [{ prompt_index: 0, content_filter_results: {} }],
    };
    const { client } = await start((call) => call.stream(eventsOf([filter, ...chatEvents(['Sun', 'ny', '.'])])));
    const pieces: string[] = [];
    for await (const chunk of await client.chat.completions.create({ model: 'chat', messages, stream: true })) {
      pieces.push(chunk.choices[0]?.delta.content ?? '');
    }
    expect(pieces.join('')).toBe('Sunny.');
  });

  it('parses an answer by a schema', async () => {
    const { client, upstream } = await start((call) => call.answer(200, JSON.stringify(chatCompletion('{"city":"Pisa"}'))));
    const completion = await client.chat.completions.parse({
      model: 'chat',
      messages,
      response_format: zodResponseFormat(z.object({ city: z.string() }), 'weather'),
    });
    expect(completion.choices[0]?.message.parsed).toEqual({ city: 'Pisa' });
    expect(upstream.calls[0]?.json()).toMatchObject({
      response_format: { type: 'json_schema', json_schema: { name: 'weather', strict: true } },
    });
  });

  it.each([false, true])('runs tools round by round (streamed: %s)', async (stream) => {
    const called = { id: 'call_1', name: 'weather', arguments: '{"city":"Pisa"}' };
    const { client, upstream } = await start((call) => {
      const answered = JSON.stringify(call.json()).includes('21 degrees');
      if (stream) call.stream(eventsOf(answered ? chatEvents(['It has', ' 21 degrees.']) : toolCallEvents(called)));
      else call.answer(200, JSON.stringify(answered ? chatCompletion('It has 21 degrees.') : toolCallCompletion(called)));
    });
    const runnable = {
      type: 'function',
      function: {
        name: 'weather',
        description: 'The weather',
        parameters: { type: 'object', properties: { city: { type: 'string' } } },
        parse: JSON.parse,
        function: ({ city }: { city: string }) => `${city}: 21 degrees`,
      },
    } as const;
    const request = { model: 'chat', messages: [...messages], tools: [runnable] };
    const runner = stream ? client.chat.completions.runTools({ ...request, stream }) : client.chat.completions.runTools(request);
    expect(await runner.finalContent()).toBe('It has 21 degrees.');
    expect(upstream.calls[1]?.json()).toMatchObject({
      messages: [{ role: 'user' }, { role: 'assistant' }, { role: 'tool', content: 'Pisa: 21 degrees' }],
    });
  });

  it('ends the upstream’s work where the client aborts, before an answer and within a stream', async () => {
    const { client, upstream, gateway } = await start(() => {});
    const controller = new AbortController();
    const answer = client.chat.completions.create({ model: 'chat', messages }, { signal: controller.signal });
    answer.catch(() => {});
    const unanswered = await upstream.nextCall();
    controller.abort();
    await expect(answer).rejects.toBeInstanceOf(OpenAI.APIUserAbortError);
    await unanswered.gone;

    upstream.respond((call) => {
      call.open();
      for (const event of eventsOf(chatEvents(['Sun'])).slice(0, 2)) call.chunk(event);
    });
    const stream = await client.chat.completions.create({ model: 'chat', messages, stream: true });
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content === 'Sun') stream.controller.abort();
    await (
      await upstream.nextCall()
    ).gone;
    await gateway.until(() => gateway.requests.length === 2);
    expect(gateway.requests.map(({ errorCode }) => errorCode)).toEqual(['client_gone', 'client_gone']);
  });

  it('embeds, transcribes, answers Responses and lists models', async () => {
    const { client, upstream } = await start((call) => {
      if (call.path.includes('/embeddings')) call.answer(200, JSON.stringify(embeddingList([[1, 2]], true)));
      else if (call.path.includes('/audio/')) call.answer(200, '{"text":"Hello"}');
      else if (String(call.body).includes('"stream":true')) call.stream([responseEvents(['Sun', 'ny.'])]);
      else call.answer(200, JSON.stringify(responseObject('Sunny.')));
    });
    expect((await client.embeddings.create({ model: 'chat', input: 'a' })).data[0]?.embedding).toEqual([1, 2]);
    expectAzureCall(upstream.calls[0], '/openai/deployments/gpt-4o-prod/embeddings?api-version=2024-10-21');
    const heard = await client.audio.transcriptions.create({ model: 'chat', file: await toFile(Buffer.from('sound'), 'a.mp3') });
    expect(heard.text).toBe('Hello');
    expectAzureCall(upstream.calls[1], '/openai/deployments/gpt-4o-prod/audio/transcriptions?api-version=2024-10-21');
    expect((await client.responses.create({ model: 'chat', input: 'How?' })).output_text).toBe('Sunny.');
    expectAzureCall(upstream.calls[2], '/openai/responses?api-version=2024-10-21');
    expect(upstream.calls[2]?.json()).toEqual({ model: 'gpt-4o-prod', input: 'How?' });
    expect((await client.responses.stream({ model: 'chat', input: 'How?' }).finalResponse()).output_text).toBe('Sunny.');
    expect((await client.models.list()).data.map(({ id }) => id)).toEqual(['chat']);
  });

  it('works with a fixed deployment, and with the undated form on Azure’s side', async () => {
    const { client, upstream } = await start((call) => call.answer(200, JSON.stringify(chatCompletion('Sunny.'))), '');
    const fixed = new AzureOpenAI({
      baseURL: `${client.baseURL}/deployments/chat`,
      apiKey: CLIENT_KEY,
      apiVersion: '2024-02-01',
      maxRetries: 0,
    });
    const completion = await fixed.chat.completions.create({ model: 'ignored', messages });
    expect(completion.choices[0]?.message.content).toBe('Sunny.');
    expectAzureCall(upstream.calls[0], '/openai/v1/chat/completions');
    expect(upstream.calls[0]?.json()).toEqual({ model: 'gpt-4o-prod', messages });
  });

  it('is taken over Azure’s /openai/v1, where the plain client is used', async () => {
    const { client, upstream } = await start((call) => call.answer(200, JSON.stringify(chatCompletion('Sunny.'))));
    const plain = new OpenAI({ baseURL: `${client.baseURL}/v1`, apiKey: CLIENT_KEY, maxRetries: 0 });
    expect((await plain.chat.completions.create({ model: 'chat', messages })).choices[0]?.message.content).toBe('Sunny.');
    expectAzureCall(upstream.calls[0], '/openai/deployments/gpt-4o-prod/chat/completions?api-version=2024-10-21');
  });

  it('raises the client’s own errors', async () => {
    const filtered = {
      error: {
        message: 'The response was filtered',
        type: null,
        param: 'prompt',
        code: 'content_filter',
        status: 400,
        innererror: { code: 'ResponsibleAIPolicyViolation' },
      },
    };
    const { client, upstream } = await start((call) => call.answer(400, JSON.stringify(filtered)));
    const refused = await client.chat.completions.create({ model: 'chat', messages }).catch((thrown: unknown) => thrown);
    expect(refused).toBeInstanceOf(OpenAI.BadRequestError);
    expect(refused).toMatchObject({ code: 'content_filter', param: 'prompt' });
    upstream.respond((call) =>
      call.answer(404, JSON.stringify(openAIError('The API deployment for this resource does not exist', 'DeploymentNotFound'))),
    );
    const missing = await client.chat.completions.create({ model: 'chat', messages }).catch((thrown: unknown) => thrown);
    // The route's deployment is missing, not the client's model: a 404 would be misread.
    expect(missing).toMatchObject({ status: 502, code: 'upstream_failed' });
    const unknown = await client.chat.completions.create({ model: 'chat-9', messages }).catch((thrown: unknown) => thrown);
    expect(unknown).toBeInstanceOf(OpenAI.NotFoundError);
  });
});
