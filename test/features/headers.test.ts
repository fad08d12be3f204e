import http from 'node:http';
import { networkInterfaces } from 'node:os';
import { describe, expect, it } from '@jest/globals';
import { adminApp, listenAdmin } from '../../src/gateway/admin.ts';
import { OPERATIONS, type Operation } from '../../src/lib/operation.ts';
import { formatRequestLine } from '../../src/telemetry/request-line.ts';
import { makeAuthority } from './support/certificates.ts';
import { onCleanUp } from './support/clean-up.ts';
import { type Answer, request, type RequestOptions } from './support/client.ts';
import { chat, completions, DIALECTS, responses, streamOf } from './support/dialects.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { openAIError } from './support/openai-answers.ts';
import { clientKeyYaml, documents, gatewayYaml, secretYaml } from './support/secrets.ts';
import { FakeUpstream, type Respond } from './support/upstream.ts';

/** What of a request's head goes upstream, what of an answer's reaches the client, and what is told to nobody. */

const CLIENT_KEY = 'fl-client-secret-0123456789abcdef';
const OPENAI_KEY = 'sk-upstream-secret-0123456789abcdef';
const AZURE_KEY = 'azuresecret0123456789abcdef01234';

async function start(respond: Respond, yaml = ''): Promise<{ readonly gateway: TestGateway; readonly upstream: FakeUpstream }> {
  const upstream = await FakeUpstream.start(respond);
  const gateway = await startGateway(
    documents(
      gatewayYaml(),
      clientKeyYaml(CLIENT_KEY, { name: 'client', namespace: 'platform' }),
      secretYaml('openai', 'platform', { 'api-key': OPENAI_KEY }),
      secretYaml('azure', 'platform', { 'api-key': AZURE_KEY }),
      `
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat, namespace: platform}
spec:
  modelNames: [chat]
  models:
  - name: gpt
    provider: {type: OpenAI, openAI: {model: gpt-4o, baseURL: "${upstream.url}"}}
    auth: {type: APIKey, apiKey: {secretKeyRef: {name: openai, key: api-key}}}
    headers: [{name: X-Team, value: search}]
    pricing: {unit: USDPerMillionTokens, input: "1", output: "2"}
  - name: azure
    provider: {type: AzureOpenAI, azureOpenAI: {endpoint: "http://127.0.0.1:${upstream.port}", deployment: gpt-4o-prod}}
    auth: {type: APIKey, apiKey: {secretKeyRef: {name: azure, key: api-key}}}
  rules:
  - name: default
    targets: [{model: gpt}, {model: azure, priority: 1}]
`,
      ...(yaml === '' ? [] : [yaml]),
    ),
  );
  return { gateway, upstream };
}

/** Everything that a client may send and that is nobody's business upstream. */
const PRIVATE: Readonly<Record<string, string>> = {
  authorization: `Bearer ${CLIENT_KEY}`,
  'x-api-key': CLIENT_KEY,
  cookie: 'session=client-cookie',
  'proxy-authorization': 'Basic cHJveHk6c2VjcmV0',
  'x-forwarded-for': '10.1.2.3',
  forwarded: 'for=10.1.2.3',
  'x-real-ip': '10.1.2.3',
  'openai-organization': 'org-of-the-client',
  'openai-project': 'proj-of-the-client',
  'user-agent': 'client/1.0',
  origin: 'https://client.example',
  referer: 'https://client.example/page',
  'accept-encoding': 'gzip, br',
  'accept-language': 'it',
  'x-stainless-os': 'Linux',
  'x-custom': 'custom',
  te: 'trailers',
};

const FORM = [
  'files',
  'images_edits',
  'images_variations',
  'audio_transcriptions',
  'audio_translations',
] as const satisfies Operation[];
const PATHS: Readonly<Record<Operation, string>> = {
  messages: '/messages',
  count_tokens: '/messages/count_tokens',
  chat: '/chat/completions',
  completions: '/completions',
  embeddings: '/embeddings',
  responses: '/responses',
  images_generations: '/images/generations',
  images_edits: '/images/edits',
  images_variations: '/images/variations',
  audio_speech: '/audio/speech',
  audio_transcriptions: '/audio/transcriptions',
  audio_translations: '/audio/translations',
  moderations: '/moderations',
  files: '/files',
  batches: '/batches',
};

function requestOf(operation: Operation): RequestOptions {
  const path = `/v1${PATHS[operation]}`;
  if (!(FORM as readonly Operation[]).includes(operation))
    return {
      path,
      body: {
        model: 'chat',
        ...(operation === 'batches' ? { input_file_id: 'file-1' } : {}),
        ...(operation === 'messages' ? {} : { input: 'a' }),
        messages: [{ role: 'user', content: 'a' }],
      },
      headers: PRIVATE,
    };
  const body = '--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nchat\r\n--b--\r\n';
  return { path, body, headers: { ...PRIVATE, 'content-type': 'multipart/form-data; boundary=b' } };
}

function batchInput(): RequestOptions {
  const line = '{"method":"POST","url":"/v1/chat/completions","body":{"model":"chat"}}';
  const field = (name: string, value: string): string =>
    `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  return { ...requestOf('files'), body: `${field('purpose', 'batch')}${field('file', line)}--b--\r\n` };
}

const answers: Respond = (call) => {
  if (call.path.endsWith('/embeddings')) call.answer(200, '{"object":"list","data":[]}');
  else if (call.path.endsWith('/files')) call.answer(200, '{"id":"file-1","object":"file"}');
  else if (call.path.endsWith('/responses')) call.answer(200, responses.whole('Hello'));
  else if (call.path.endsWith('/chat/completions')) call.answer(200, chat.whole('Hello'));
  else call.answer(200, completions.whole('Hello'));
};

describe('upstream', () => {
  // Counting tokens is Anthropic's alone.
  it.each(OPERATIONS.filter((operation) => operation !== 'count_tokens'))(
    '%s carries the route’s credential and nothing of the client’s',
    async (operation) => {
      const { gateway, upstream } = await start(answers);
      // What a batch is made of is kept where it was sent.
      if (operation === 'batches') await request(gateway.port, batchInput());
      expect((await request(gateway.port, requestOf(operation))).status).toBe(200);
      const call = upstream.calls.at(-1);
      expect(Object.keys(call?.headers ?? {}).sort()).toEqual(
        [
          'accept-encoding',
          'authorization',
          'connection',
          'content-length',
          'content-type',
          'host',
          'x-request-id',
          'x-team',
        ].sort(),
      );
      expect(call?.headers).toMatchObject({
        'accept-encoding': 'identity',
        authorization: `Bearer ${OPENAI_KEY}`,
        'x-team': 'search',
      });
      for (const secret of [CLIENT_KEY, 'client-cookie', 'cHJveHk6c2VjcmV0']) expect(call?.body.toString()).not.toContain(secret);
    },
  );

  it('what concerns the request itself goes along', async () => {
    const { gateway, upstream } = await start(answers);
    const along = {
      'openai-beta': 'assistants=v2',
      'idempotency-key': 'once-1',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      tracestate: 'a=b',
      'x-request-id': 'mine-1',
    };
    const answer = await request(gateway.port, { body: { ...chat.body }, headers: { ...along, 'api-key': CLIENT_KEY } });
    expect(upstream.calls[0]?.headers).toMatchObject(along);
    expect(upstream.calls[0]?.headers).not.toHaveProperty('api-key');
    expect(answer.headers['x-request-id']).toBe('mine-1');
  });

  it.each(['with spaces', 'x'.repeat(300), '{"a":1}'])('a request id that no log should carry is replaced (%#)', async (id) => {
    const { gateway, upstream } = await start(answers);
    const headers = { 'x-request-id': id, 'api-key': CLIENT_KEY };
    const answer = await request(gateway.port, { body: { ...chat.body }, headers });
    expect(answer.headers['x-request-id']).toMatch(/^req_[0-9a-f]{24}$/);
    expect(upstream.calls[0]?.headers['x-request-id']).toBe(answer.headers['x-request-id']);
  });

  it('the next target gets its own credential, not that of the one before', async () => {
    const { gateway, upstream } = await start((call) => {
      if (call.path.startsWith('/openai/')) call.answer(200, chat.whole('Hello'));
      else call.answer(401, JSON.stringify(openAIError('Incorrect API key', 'invalid_api_key')));
    });
    const answer = await request(gateway.port, { body: { ...chat.body }, headers: PRIVATE });
    expect(answer.headers['x-fairlead-model']).toBe('azure');
    expect(upstream.calls).toHaveLength(2);
    expect(upstream.calls[1]?.headers['api-key']).toBe(AZURE_KEY);
    expect(upstream.calls[1]?.headers).not.toHaveProperty('authorization');
    expect(upstream.calls[1]?.headers).not.toHaveProperty('x-team');
  });
});

describe('to the client', () => {
  const OF_THE_ACCOUNT = {
    'set-cookie': '__cf_bm=provider-cookie; path=/',
    'openai-organization': 'org-of-the-account',
    'openai-project': 'proj-of-the-account',
    'x-ratelimit-limit-requests': '5',
    'x-ratelimit-remaining-tokens': '7',
    'x-request-id': 'req_of_the_provider',
    'apim-request-id': 'azure-id',
    'x-ms-region': 'Sweden Central',
    'x-fairlead-model': 'forged',
    'x-should-retry': 'true',
    server: 'cloudflare',
    'cf-ray': '1',
    'alt-svc': 'h3=":443"',
    'strict-transport-security': 'max-age=1',
    'access-control-allow-origin': '*',
    'openai-processing-ms': '12',
    'openai-version': '2020-10-01',
  };
  const TOLD = [
    'x-request-id',
    'x-fairlead-model',
    'x-fairlead-reason',
    'x-fairlead-attempts',
    'content-type',
    'openai-processing-ms',
    'openai-version',
  ];
  const OF_HTTP = ['date', 'connection', 'keep-alive', 'transfer-encoding', 'content-length'];

  function namesOf(answer: Answer): readonly string[] {
    return Object.keys(answer.headers).filter((name) => !OF_HTTP.includes(name));
  }

  it('of a whole answer: what explains it, and nothing of the provider’s account', async () => {
    const { gateway } = await start((call) => call.answer(200, chat.whole('Hello'), OF_THE_ACCOUNT));
    const answer = await request(gateway.port, { body: { ...chat.body }, headers: PRIVATE });
    expect([...namesOf(answer)].sort()).toEqual([...TOLD, 'x-fairlead-cost'].sort());
    expect(answer.headers).toMatchObject({ 'x-fairlead-model': 'gpt', 'x-fairlead-reason': 'only', 'x-fairlead-attempts': '1' });
    // 11 tokens in at 1 $ a million, 7 out at 2 $.
    expect(answer.headers['x-fairlead-cost']).toBe('0.000025');
  });

  it('the cost is called unknown where nothing is known of it', async () => {
    const { gateway } = await start((call) => call.answer(200, '{"created":1,"data":[{"b64_json":"AAEC"}]}'));
    const answer = await request(gateway.port, {
      path: '/v1/images/generations',
      body: { model: 'chat', prompt: 'A tower' },
      headers: PRIVATE,
    });
    expect(answer.status).toBe(200);
    expect(answer.headers['x-fairlead-cost']).toBe('unknown');
  });

  it.each(Object.keys(DIALECTS))('of a stream of %s', async (name) => {
    const dialect = DIALECTS[name as keyof typeof DIALECTS];
    const { gateway } = await start((call) => call.stream(streamOf(dialect, 'Hello'), OF_THE_ACCOUNT));
    const answer = await request(gateway.port, { path: dialect.path, body: { ...dialect.body, stream: true }, headers: PRIVATE });
    expect([...namesOf(answer)].sort()).toEqual([...TOLD].sort());
    expect(answer.headers['content-type']).toBe('text/event-stream');
  });

  it('of an error that is the request’s own', async () => {
    const { gateway } = await start((call) =>
      call.answer(400, JSON.stringify(openAIError('No', 'invalid_value')), OF_THE_ACCOUNT),
    );
    const answer = await request(gateway.port, { body: { ...chat.body }, headers: PRIVATE });
    expect(answer.status).toBe(400);
    expect([...namesOf(answer)].sort()).toEqual([...TOLD].sort());
  });

  it('the cost is put into the usage where the client asks for it', async () => {
    const { gateway } = await start((call) => {
      if (call.body.includes('"stream":true'))
        call.stream([...streamOf(chat, 'Hello').slice(0, -1), usageFrame, 'data: [DONE]\n\n']);
      else call.answer(200, chat.whole('Hello'));
    });
    const usageFrame = `data: {"choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}\n\n`;
    const headers = { 'api-key': CLIENT_KEY, 'x-fairlead-include-cost': 'true' };
    const whole = await request(gateway.port, { body: { ...chat.body }, headers });
    expect(JSON.parse(whole.text)).toMatchObject({ usage: { cost: 0.000025, total_tokens: 18 } });
    const streamed = await request(gateway.port, {
      body: { ...chat.body, stream: true, stream_options: { include_usage: true } },
      headers,
    });
    expect(streamed.text).toContain('"usage":{"cost":0.000025,"prompt_tokens":11');
  });
});

describe('secrets', () => {
  const certificate = makeAuthority('Test CA').issue(['localhost']);

  it('are in no answer, log, metric or configuration dump', async () => {
    // What providers and proxies do: repeat the key, whole, in errors and in headers.
    const quoting: Respond = (call) => {
      const key = call.headers['authorization'] ?? call.headers['api-key'] ?? '';
      const text = `Incorrect API key provided: ${key}. Request: authorization: ${key}`;
      if (call.body.includes('"say":"400"'))
        call.answer(400, JSON.stringify(openAIError(text, 'invalid_value')), { 'x-debug': key });
      else if (call.body.includes('"say":"500"')) call.answer(500, text);
      else if (call.body.includes('"say":"break"')) {
        call.open();
        for (const frame of streamOf(chat, 'Hello').slice(0, -2)) call.chunk(frame);
        call.chunk(`data: ${JSON.stringify(openAIError(text, 'server_error'))}\n\n`);
        call.end();
      } else if (call.body.includes('"say":"garbage"')) call.raw(`HTTP/1.1 200 OK\r\nx y: ${key}\r\n\r\n`);
      else call.answer(401, JSON.stringify(openAIError(text, 'invalid_api_key')));
    };
    const { gateway } = await start(
      quoting,
      secretYaml('tls', 'platform', { 'tls.crt': certificate.certificatePem, 'tls.key': certificate.privateKeyPem }),
    );
    const told: string[] = [];
    for (const say of ['401', '400', '500', 'break', 'garbage']) {
      const body = { ...chat.body, say, stream: say === 'break', messages: [{ role: 'user', content: 'my private prompt' }] };
      const answer = await request(gateway.port, { body, headers: PRIVATE });
      told.push(`answer to ${say}: ${JSON.stringify(answer.headers)}${answer.text}`);
    }
    for (const headers of [{ authorization: 'Bearer fl-not-this-secret-key' }, { 'api-key': `${CLIENT_KEY}x` }]) {
      told.push((await request(gateway.port, { body: { ...chat.body }, headers })).text);
    }
    told.push(...gateway.lines, ...gateway.requests.map((line) => formatRequestLine(line, 'info', '')));
    for (const path of ['/metrics', '/config', '/healthz', '/readyz', '/nothing']) {
      const { status, text } = await request(gateway.adminPort, { path });
      expect([200, 404]).toContain(status);
      told.push(text);
    }
    expect(gateway.requests.length).toBeGreaterThanOrEqual(7);
    const everything = told.join('\n');
    expect(everything).toContain('platform/client');
    for (const secret of [
      CLIENT_KEY,
      OPENAI_KEY,
      AZURE_KEY,
      'fl-not-this-secret-key',
      'client-cookie',
      'my private prompt',
      'PRIVATE KEY',
    ]) {
      const at = everything.indexOf(secret);
      expect(at === -1 ? '' : everything.slice(Math.max(0, at - 300), at + 100)).toBe('');
    }
  });

  it('the configuration is for this machine, by a name of it', async () => {
    const { gateway } = await start(answers);
    const configFor = async (host: string): Promise<Answer> => request(gateway.adminPort, { path: '/config', headers: { host } });
    for (const host of [`127.0.0.1:${gateway.adminPort}`, 'localhost', `localhost:${gateway.adminPort}`, '[::1]:9090']) {
      const answer = await configFor(host);
      expect(answer.status).toBe(200);
      expect(JSON.parse(answer.text)).toMatchObject({ routes: [{ id: 'platform/chat' }] });
    }
    for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', 'LOCALHOST@evil.example']) {
      expect({ host, status: (await configFor(host)).status }).toEqual({ host, status: 403 });
    }
  });

  it('the configuration is not for other machines, whatever they say', async () => {
    const { gateway } = await start(answers);
    const outside = Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .find(({ internal, family }) => !internal && family === 'IPv4');
    const host = outside?.address ?? '127.0.0.1';
    const { server, port } = await listenAdmin(adminApp(gateway.gateway), 0, '0.0.0.0');
    onCleanUp(() => server.close());
    const ask = async (path: string): Promise<number> =>
      new Promise((resolve, reject) => {
        const headers = { host: 'localhost', 'x-forwarded-for': '127.0.0.1', forwarded: 'for=127.0.0.1' };
        http
          .get({ host, port, path, headers, agent: false }, (response) => {
            response.resume();
            resolve(response.statusCode ?? 0);
          })
          .on('error', reject);
      });
    // A machine without a network has only itself to ask from.
    expect(await ask('/config')).toBe(outside === undefined ? 200 : 403);
    expect(await ask('/healthz')).toBe(200);
    expect(await ask('/metrics')).toBe(200);
  });
});
