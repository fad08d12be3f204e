import { describe, expect, it } from '@jest/globals';
import OpenAI, { toFile } from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
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
  USAGE,
} from './support/openai-answers.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { clientKeyYaml, documents, gatewayYaml, secretYaml } from './support/secrets.ts';
import { FakeUpstream, type ReceivedCall, type Respond } from './support/upstream.ts';

/** The official client, unmodified, with one setting changed: where it calls. */

const CLIENT_KEY = 'fl-client-key-of-the-test';
const UPSTREAM_KEY = 'sk-upstream-key-of-the-test';

interface Setting {
  readonly client: OpenAI;
  readonly upstream: FakeUpstream;
  readonly gateway: TestGateway;
}

async function start(respond: Respond, rateLimits = '[]'): Promise<Setting> {
  const upstream = await FakeUpstream.start(respond);
  const gateway = await startGateway(
    documents(
      gatewayYaml(),
      clientKeyYaml(CLIENT_KEY, { name: 'client', namespace: 'platform' }),
      secretYaml('openai', 'platform', { 'api-key': UPSTREAM_KEY }),
      `
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat, namespace: platform}
spec:
  modelNames: [chat]
  models:
  - name: gpt
    provider: {type: OpenAI, openAI: {model: gpt-4o-2024-08-06, baseURL: "${upstream.url}"}}
    auth: {type: APIKey, apiKey: {secretKeyRef: {name: openai, key: api-key}}}
  rules:
  - name: default
    targets: [{model: gpt}]
  rateLimits: ${rateLimits}
`,
    ),
  );
  const client = new OpenAI({ baseURL: `http://127.0.0.1:${gateway.port}/v1`, apiKey: CLIENT_KEY, maxRetries: 0 });
  return { client, upstream, gateway };
}

const answerWith =
  (body: unknown): Respond =>
  (call) =>
    call.answer(200, JSON.stringify(body));

const messages = [
  { role: 'user', content: 'How is the weather in Pisa?' },
] as const satisfies OpenAI.ChatCompletionMessageParam[];

function member(call: ReceivedCall | undefined, name: string): unknown {
  return (call?.json() as Readonly<Record<string, unknown>> | undefined)?.[name];
}

describe('chat', () => {
  it('answers, as the model that the route names and with the credential of the route', async () => {
    const { client, upstream } = await start(answerWith(chatCompletion('Sunny.')));
    const { data, response, request_id } = await client.chat.completions.create({ model: 'chat', messages }).withResponse();
    expect(data.choices[0]?.message.content).toBe('Sunny.');
    expect(data.usage).toEqual(USAGE);
    expect(response.headers.get('x-fairlead-model')).toBe('gpt');
    expect(response.headers.get('x-fairlead-attempts')).toBe('1');
    expect(request_id).toMatch(/^req_[0-9a-f]{24}$/);
    const [call] = upstream.calls;
    expect(call?.path).toBe('/v1/chat/completions');
    expect(call?.json()).toEqual({ model: 'gpt-4o-2024-08-06', messages });
    expect(call?.headers['authorization']).toBe(`Bearer ${UPSTREAM_KEY}`);
  });

  it('streams, without the usage that the gateway asked for but the client did not', async () => {
    const { client, upstream, gateway } = await start((call) => call.stream(eventsOf(chatEvents(['Sun', 'ny', '.']))));
    const stream = await client.chat.completions.create({ model: 'chat', messages, stream: true });
    const pieces: string[] = [];
    let last: OpenAI.ChatCompletionChunk | undefined;
    for await (const chunk of stream) {
      pieces.push(chunk.choices[0]?.delta.content ?? '');
      expect(chunk.choices).toHaveLength(1);
      last = chunk;
    }
    expect(pieces.join('')).toBe('Sunny.');
    expect(last?.choices[0]?.finish_reason).toBe('stop');
    expect(member(upstream.calls[0], 'stream_options')).toEqual({ include_usage: true });
    await gateway.until(() => gateway.requests.length === 1);
    expect(gateway.requests[0]?.usage).toMatchObject({ inputTokens: 9, outputTokens: 3, estimated: false });
  });

  it('streams with usage where the client asks for it, and the helper puts the whole together', async () => {
    const { client } = await start((call) => call.stream(eventsOf(chatEvents(['Sun', 'ny', '.']))));
    const stream = client.chat.completions.stream({ model: 'chat', messages, stream_options: { include_usage: true } });
    const contents: string[] = [];
    stream.on('content', (delta) => contents.push(delta));
    const completion = await stream.finalChatCompletion();
    expect(contents).toEqual(['Sun', 'ny', '.']);
    expect(completion.choices[0]?.message.content).toBe('Sunny.');
    expect(completion.usage).toEqual(USAGE);
  });

  it('parses an answer by a schema', async () => {
    const weather = z.object({ city: z.string(), celsius: z.number() });
    const { client, upstream } = await start(answerWith(chatCompletion('{"city":"Pisa","celsius":21.5}')));
    const completion = await client.chat.completions.parse({
      model: 'chat',
      messages,
      response_format: zodResponseFormat(weather, 'weather'),
    });
    expect(completion.choices[0]?.message.parsed).toEqual({ city: 'Pisa', celsius: 21.5 });
    expect(member(upstream.calls[0], 'response_format')).toMatchObject({
      type: 'json_schema',
      json_schema: { name: 'weather', strict: true, schema: { required: ['city', 'celsius'] } },
    });
  });
});

describe('tools', () => {
  const parameters = { type: 'object', properties: { city: { type: 'string' } } };
  const tools: OpenAI.ChatCompletionFunctionTool[] = [{ type: 'function', function: { name: 'weather', parameters } }];
  const called = { id: 'call_1', name: 'weather', arguments: '{"city":"Pisa","unit":"°C"}' };

  it('are called', async () => {
    const { client, upstream } = await start(answerWith(toolCallCompletion(called)));
    const completion = await client.chat.completions.create({ model: 'chat', messages, tools });
    expect(completion.choices[0]?.finish_reason).toBe('tool_calls');
    expect(completion.choices[0]?.message.tool_calls).toEqual([
      { id: 'call_1', type: 'function', function: { name: 'weather', arguments: called.arguments } },
    ]);
    expect(member(upstream.calls[0], 'tools')).toEqual(tools);
  });

  it('stream their arguments in pieces', async () => {
    const { client } = await start((call) => call.stream(eventsOf(toolCallEvents(called))));
    const stream = client.chat.completions.stream({ model: 'chat', messages, tools });
    const deltas: string[] = [];
    stream.on('tool_calls.function.arguments.delta', ({ arguments_delta }) => deltas.push(arguments_delta));
    const message = await stream.finalMessage();
    expect(deltas.length).toBeGreaterThan(3);
    expect(deltas.join('')).toBe(called.arguments);
    expect(message.tool_calls?.[0]).toMatchObject({ id: 'call_1', function: { name: 'weather', arguments: called.arguments } });
  });

  it.each([false, true])('run round by round (streamed: %s)', async (stream) => {
    const { client, upstream } = await start((call) => {
      const answered = JSON.stringify(member(call, 'messages')).includes('21 degrees');
      if (stream) call.stream(eventsOf(answered ? chatEvents(['It has', ' 21 degrees.']) : toolCallEvents(called)));
      else call.answer(200, JSON.stringify(answered ? chatCompletion('It has 21 degrees.') : toolCallCompletion(called)));
    });
    const runnable = {
      type: 'function',
      function: {
        name: 'weather',
        description: 'The weather',
        parameters,
        parse: JSON.parse,
        function: ({ city }: { city: string }) => `${city}: 21 degrees`,
      },
    } as const;
    const runner = stream
      ? client.chat.completions.runTools({ model: 'chat', messages: [...messages], tools: [runnable], stream })
      : client.chat.completions.runTools({ model: 'chat', messages: [...messages], tools: [runnable] });
    expect(await runner.finalContent()).toBe('It has 21 degrees.');
    expect(upstream.calls).toHaveLength(2);
    expect(member(upstream.calls[1], 'messages')).toMatchObject([
      { role: 'user' },
      { role: 'assistant' },
      { role: 'tool', content: 'Pisa: 21 degrees' },
    ]);
  });
});

describe('abort', () => {
  it('ends the upstream’s work while a stream runs', async () => {
    const { client, upstream, gateway } = await start((call) => {
      call.open();
      for (const event of eventsOf(chatEvents(['Sun'])).slice(0, 2)) call.chunk(event);
    });
    const stream = await client.chat.completions.create({ model: 'chat', messages, stream: true });
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta.content === 'Sun') stream.controller.abort();
    }
    await (
      await upstream.nextCall()
    ).gone;
    await gateway.until(() => gateway.requests.length === 1);
    expect(gateway.requests[0]).toMatchObject({
      clientGone: true,
      errorCode: 'client_gone',
      attempts: [{ outcome: 'client_gone' }],
    });
  });

  it('ends the upstream’s work before it has answered', async () => {
    const { client, upstream } = await start(() => {});
    const controller = new AbortController();
    const answer = client.chat.completions.create({ model: 'chat', messages }, { signal: controller.signal });
    answer.catch(() => {});
    const call = await upstream.nextCall();
    controller.abort();
    await expect(answer).rejects.toBeInstanceOf(OpenAI.APIUserAbortError);
    await call.gone;
  });
});

describe('other operations', () => {
  it('embeddings, in base64 as the client asks by default, and as numbers', async () => {
    const vectors = [
      [0.5, -1.25, 3],
      [1, 2, 4],
    ];
    const { client, upstream } = await start((call) =>
      call.answer(200, JSON.stringify(embeddingList(vectors, member(call, 'encoding_format') === 'base64'))),
    );
    const byDefault = await client.embeddings.create({ model: 'chat', input: ['a', 'b'] });
    expect(byDefault.data.map(({ embedding }) => embedding)).toEqual(vectors);
    expect(member(upstream.calls[0], 'encoding_format')).toBe('base64');
    const asNumbers = await client.embeddings.create({ model: 'chat', input: ['a', 'b'], encoding_format: 'float' });
    expect(asNumbers.data.map(({ embedding }) => embedding)).toEqual(vectors);
    expect(asNumbers.usage.prompt_tokens).toBe(4);
    expect(member(upstream.calls[1], 'model')).toBe('gpt-4o-2024-08-06');
  });

  it('completions', async () => {
    const body = {
      id: 'c',
      object: 'text_completion',
      created: 1,
      model: 'm',
      choices: [{ text: 'b', index: 0, finish_reason: 'stop', logprobs: null }],
    };
    const { client } = await start(answerWith(body));
    expect((await client.completions.create({ model: 'chat', prompt: 'a' })).choices[0]?.text).toBe('b');
  });

  it('models, those that the key may use', async () => {
    const { client } = await start(() => {});
    const listed: string[] = [];
    for await (const model of client.models.list()) listed.push(model.id);
    expect(listed).toEqual(['chat']);
    expect(await client.models.retrieve('chat')).toMatchObject({ id: 'chat', object: 'model' });
    await expect(client.models.retrieve('gpt-9')).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });

  it('responses, whole and as a stream', async () => {
    const { client } = await start((call) => {
      if (member(call, 'stream') === true) call.stream([responseEvents(['Sun', 'ny', '.'])]);
      else call.answer(200, JSON.stringify(responseObject('Sunny.')));
    });
    const whole = await client.responses.create({ model: 'chat', input: 'How is the weather?' });
    expect(whole.output_text).toBe('Sunny.');
    const deltas: string[] = [];
    for await (const event of await client.responses.create({ model: 'chat', input: 'How?', stream: true })) {
      if (event.type === 'response.output_text.delta') deltas.push(event.delta);
    }
    expect(deltas).toEqual(['Sun', 'ny', '.']);
    const final = await client.responses.stream({ model: 'chat', input: 'How?' }).finalResponse();
    expect(final.output_text).toBe('Sunny.');
    expect(final.usage?.total_tokens).toBe(12);
  });

  it('responses that the upstream keeps: gone on from, read, listed, cancelled, deleted', async () => {
    const { client, upstream } = await start((call) => {
      if (call.path.endsWith('/input_items'))
        call.answer(200, JSON.stringify({ object: 'list', data: [{ id: 'msg_1' }], has_more: false }));
      else if (call.method === 'DELETE') call.answer(200, JSON.stringify({ id: 'resp_1', object: 'response', deleted: true }));
      else call.answer(200, JSON.stringify(responseObject('Sunny.')));
    });
    const { id } = await client.responses.create({ model: 'chat', input: 'Weather?' });
    const next = await client.responses.create({ model: 'chat', input: 'And now?', previous_response_id: id });
    expect(next.output_text).toBe('Sunny.');
    expect((await client.responses.retrieve(id)).output_text).toBe('Sunny.');
    expect((await client.responses.inputItems.list(id)).data).toMatchObject([{ id: 'msg_1' }]);
    expect((await client.responses.cancel(id)).id).toBe(id);
    await client.responses.delete(id);
    expect(upstream.calls.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'POST /v1/responses',
      'POST /v1/responses',
      'GET /v1/responses/resp_1',
      'GET /v1/responses/resp_1/input_items',
      'POST /v1/responses/resp_1/cancel',
      'DELETE /v1/responses/resp_1',
    ]);
    await expect(client.responses.retrieve(id)).rejects.toThrow(OpenAI.NotFoundError);
  });

  it('images', async () => {
    const { client, upstream } = await start(answerWith({ created: 1, data: [{ b64_json: 'AAEC' }] }));
    const image = await client.images.generate({ model: 'chat', prompt: 'A tower', size: '1024x1024' });
    expect(image.data?.[0]?.b64_json).toBe('AAEC');
    expect(upstream.calls[0]?.path).toBe('/v1/images/generations');
    expect(upstream.calls[0]?.json()).toEqual({ model: 'gpt-4o-2024-08-06', prompt: 'A tower', size: '1024x1024' });
  });

  it('transcriptions: a form with a file, in which only the model changes', async () => {
    const { client, upstream } = await start(answerWith({ text: 'Hello' }));
    const sound = Buffer.from(Array.from({ length: 70_000 }, (_, index) => (index * 7) % 256));
    const heard = await client.audio.transcriptions.create({
      model: 'chat',
      file: await toFile(sound, 'a b.mp3'),
      language: 'en',
    });
    expect(heard.text).toBe('Hello');
    const [call] = upstream.calls;
    expect(call?.path).toBe('/v1/audio/transcriptions');
    const form = call?.body.toString('latin1') ?? '';
    expect(form).toContain('name="model"\r\n\r\ngpt-4o-2024-08-06\r\n');
    expect(form).toContain('name="language"\r\n\r\nen\r\n');
    expect(form).toContain('filename="a b.mp3"');
    expect(call?.body.includes(sound)).toBe(true);
  });

  it('speech: bytes that are no text', async () => {
    const sound = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 31) % 256));
    const { client, gateway } = await start((call) => call.answer(200, sound, { 'content-type': 'audio/mpeg' }));
    const spoken = await client.audio.speech.create({ model: 'chat', voice: 'alloy', input: 'Hello' });
    expect(spoken.headers.get('content-type')).toBe('audio/mpeg');
    expect(Buffer.from(await spoken.arrayBuffer()).equals(sound)).toBe(true);
    await gateway.until(() => gateway.requests.length === 1);
    expect(gateway.requests[0]?.usage?.outputTokens).toBe(0);
  });

  it('moderations', async () => {
    const { client } = await start(answerWith({ id: 'modr-1', model: 'omni', results: [{ flagged: false }] }));
    expect((await client.moderations.create({ model: 'chat', input: 'Hello' })).results[0]?.flagged).toBe(false);
  });
});

describe('errors are those of the client', () => {
  it('AuthenticationError for a key that is not known', async () => {
    const { client, upstream } = await start(answerWith(chatCompletion('Hi')));
    const error = await client
      .withOptions({ apiKey: 'fl-somebody-elses' })
      .chat.completions.create({ model: 'chat', messages })
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OpenAI.AuthenticationError);
    expect(error).toMatchObject({ status: 401, code: 'invalid_api_key', type: 'authentication_error' });
    expect(upstream.calls).toHaveLength(0);
  });

  it('NotFoundError for a model that is not there', async () => {
    const { client } = await start(answerWith(chatCompletion('Hi')));
    const error = await client.chat.completions.create({ model: 'chat-9', messages }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OpenAI.NotFoundError);
    expect(error).toMatchObject({ status: 404, code: 'model_not_found', param: 'model' });
    expect(String(error)).toContain('"chat-9"');
  });

  it('BadRequestError as the upstream words it', async () => {
    const { client, upstream } = await start((call) =>
      call.answer(400, JSON.stringify(openAIError('Invalid value for temperature', 'invalid_value', 'temperature'))),
    );
    const error = await client.chat.completions
      .create({ model: 'chat', messages, temperature: 9 })
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error).toMatchObject({ status: 400, code: 'invalid_value', param: 'temperature' });
    expect(upstream.calls).toHaveLength(1);
  });

  it('BadRequestError for what a filter refused under a success', async () => {
    const { client } = await start((call) => call.answer(200, JSON.stringify(openAIError('Not this', 'content_filter'))));
    const error = await client.chat.completions.create({ model: 'chat', messages }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error).toMatchObject({ status: 400, code: 'content_filter', type: 'invalid_request_error' });
  });

  it('RateLimitError, whose retry-after-ms the client honours', async () => {
    const limits = '[{name: one-a-second, per: [APIKey], unit: Requests, limit: 1, window: 1s}]';
    const { client, upstream, gateway } = await start(answerWith(chatCompletion('Hi')), limits);
    await client.chat.completions.create({ model: 'chat', messages });
    const refused = await client.chat.completions.create({ model: 'chat', messages }).catch((thrown: unknown) => thrown);
    expect(refused).toBeInstanceOf(OpenAI.RateLimitError);
    if (!(refused instanceof OpenAI.RateLimitError)) throw refused;
    expect(refused).toMatchObject({ status: 429, code: 'rate_limit_exceeded', type: 'rate_limit_error' });
    expect(Number(refused.headers.get('retry-after-ms'))).toBeGreaterThan(0);
    expect(upstream.calls).toHaveLength(1);
    // It waits as long as it is told, and one repetition is enough.
    const { data } = await client
      .withOptions({ maxRetries: 1 })
      .chat.completions.create({ model: 'chat', messages })
      .withResponse();
    expect(data.choices[0]?.message.content).toBe('Hi');
    expect(gateway.requests.map(({ status }) => status)).toEqual([200, 429, 429, 200]);
  });

  it('are not repeated where the gateway says so', async () => {
    const { client, upstream, gateway } = await start((call) => call.answer(500, JSON.stringify(openAIError('Broken', null))));
    const error = await client
      .withOptions({ maxRetries: 3 })
      .chat.completions.create({ model: 'chat', messages })
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OpenAI.InternalServerError);
    expect(error).toMatchObject({ status: 502, code: 'upstream_failed' });
    expect(String(error)).toContain('gpt: server_error (HTTP 500)');
    const seen = upstream.calls.length;
    expect(gateway.requests).toHaveLength(1);
    // A provider's 429 neither: it says when, but the repetition is the application's to decide.
    upstream.respond((call) =>
      call.answer(429, JSON.stringify(openAIError('Slow down', 'rate_limit_exceeded')), { 'retry-after': '20' }),
    );
    const limited = await client
      .withOptions({ maxRetries: 3 })
      .chat.completions.create({ model: 'chat', messages })
      .catch((thrown: unknown) => thrown);
    expect(limited).toBeInstanceOf(OpenAI.RateLimitError);
    expect(limited).toMatchObject({ code: 'upstream_rate_limited' });
    expect(upstream.calls.length).toBeGreaterThan(seen);
    expect(gateway.requests).toHaveLength(2);
  });

  it('break a stream with an APIError', async () => {
    const { client } = await start((call) => {
      call.open();
      for (const event of eventsOf(chatEvents(['Sun'])).slice(0, 2)) call.chunk(event);
      call.cut();
    });
    const stream = await client.chat.completions.create({ model: 'chat', messages, stream: true });
    const read = async (): Promise<void> => {
      for await (const chunk of stream) expect(chunk.choices).toHaveLength(1);
    };
    await expect(read()).rejects.toMatchObject({ code: 'stream_interrupted', type: 'upstream_error' });
  });
});
