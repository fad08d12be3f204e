// Promise: what an upstream keeps of the Responses API is found where it is kept, by the tenant whose it is and by nobody else.
import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../src/lib/clock.ts';
import { RESPONSES_KEPT_MS } from '../../src/pins/upstream-pins.ts';
import { redisAbsent, RedisProcess } from '../limits/redis-process.ts';
import { eventually } from '../limits/pods.ts';
import { onCleanUp } from './support/clean-up.ts';
import { type Answer, request, type RequestOptions, send } from './support/client.ts';
import { frame } from './support/dialects.ts';
import { startGateway, type TestGateway, type TestGatewayOptions } from './support/gateway.ts';
import { clientKeyYaml, documents, gatewayYaml } from './support/secrets.ts';
import { FakeUpstream, type ReceivedCall } from './support/upstream.ts';
import { chatRouteYaml, redisGatewayYaml } from './support/yaml.ts';

const KEYS = { a: 'fl-team-a-key-one', a2: 'fl-team-a-key-two', b: 'fl-team-b-key', limited: 'fl-team-a-key-limited' } as const;
const SECRETS = documents(
  clientKeyYaml(KEYS.a, { name: 'one', namespace: 'team-a' }),
  clientKeyYaml(KEYS.a2, { name: 'two', namespace: 'team-a' }),
  clientKeyYaml(KEYS.limited, { name: 'limited', namespace: 'team-a', models: ['other'] }),
  clientKeyYaml(KEYS.b, { name: 'key', namespace: 'team-b' }),
);

const response = (id: string, more: object = {}): object => ({
  id,
  object: 'response',
  status: 'completed',
  model: 'm',
  store: true,
  output: [{ type: 'message', role: 'assistant', content: [{ type: 'output_text', text: `of ${id}` }] }],
  usage: { input_tokens: 3, output_tokens: 2, total_tokens: 5 },
  ...more,
});

/** Each upstream numbers what it keeps, and tells what it was asked for. */
async function keeper(name: string): Promise<FakeUpstream> {
  let made = 0;
  return FakeUpstream.start((call: ReceivedCall) => {
    if (call.method !== 'POST' || !call.path.endsWith('/responses')) {
      call.answer(200, JSON.stringify({ asked: `${call.method} ${call.path}` }));
      return;
    }
    made += 1;
    const id = `resp_${name}${made}`;
    const store = call.body.includes('"store":false') ? { store: false } : {};
    if (call.body.includes('"stream":true'))
      call.stream([
        frame({ type: 'response.created', response: response(id, { status: 'in_progress', output: [], ...store }) }),
        frame({ type: 'response.output_text.delta', delta: 'of' }),
        frame({ type: 'response.completed', response: response(id, store) }),
      ]);
    else call.answer(200, JSON.stringify(response(id, store)));
  });
}

const route = (urls: readonly string[], rule = ''): string => {
  const models = urls.map(
    (url, at) =>
      `  - {name: m${at}, provider: {type: OpenAI, openAI: {model: m, baseURL: "${url}"}}, auth: {type: APIKey, apiKey: {secretKeyRef: {name: openai}}}}`,
  );
  const rules = `
  - name: default
    selection: {strategy: RoundRobin}
    targets: [${urls.map((_, at) => `{model: m${at}}`).join(', ')}]
${rule}`;
  return `${chatRouteYaml(models.join('\n'), rules, { namespace: 'platform', modelNames: 'chat, other' })}
---
apiVersion: v1
kind: Secret
metadata: {name: openai, namespace: platform}
stringData: {api-key: sk-secret-of-the-platform}
`;
};

interface Setting {
  readonly gateway: TestGateway;
  readonly one: FakeUpstream;
  readonly two: FakeUpstream;
}

async function start(rule = '', options?: TestGatewayOptions): Promise<Setting> {
  const [one, two] = [await keeper('one'), await keeper('two')];
  const gateway = await startGateway(documents(gatewayYaml(), SECRETS, route([one.url, two.url], rule)), options);
  return { gateway, one, two };
}

async function ask({ port }: TestGateway, more: object = {}, key: keyof typeof KEYS = 'a'): Promise<Answer> {
  return request(port, {
    path: '/v1/responses',
    body: { model: 'chat', input: 'Hi', ...more },
    headers: { 'api-key': KEYS[key] },
  });
}

async function at({ port }: TestGateway, path: string, method = 'GET', key: keyof typeof KEYS = 'a'): Promise<Answer> {
  const options: RequestOptions = { path: `/v1/responses/${path}`, method, headers: { 'api-key': KEYS[key] } };
  return request(port, options);
}

const idOf = (answer: Answer): string => /"id":"(resp_\w+)"/.exec(answer.text)?.[1] ?? `none in ${answer.text}`;
const codeOf = (answer: Answer): string => /"code":"(\w+)"/.exec(answer.text)?.[1] ?? `none in ${answer.text}`;

describe('a request that goes on from an earlier response', () => {
  it.each([false, true])('comes to the upstream that keeps it, whoever’s turn it is (stream: %s)', async (stream) => {
    const { gateway, one, two } = await start();
    const first = idOf(await ask(gateway, { stream }));
    const keeps = first.startsWith('resp_one') ? one : two;
    const other = keeps === one ? two : one;
    let previous = first;
    for (let turn = 0; turn < 4; turn++) {
      const answer = await ask(gateway, { stream, previous_response_id: previous });
      expect(answer.status).toBe(200);
      expect(answer.headers['x-fairlead-reason']).toBe('pinned');
      previous = idOf(answer);
    }
    expect(keeps.calls).toHaveLength(5);
    expect(other.calls).toHaveLength(0);
    expect(String(keeps.calls.at(-1)?.body)).toContain('"previous_response_id":"resp_');
  });

  it('is of no use to another upstream: it fails over to none, for no reason', async () => {
    const { gateway, one, two } = await start('    failover: {contentFilter: {mode: Failover, targets: [m0, m1]}}');
    const previous = idOf(await ask(gateway));
    const [keeps, other] = previous.startsWith('resp_one') ? [one, two] : [two, one];
    keeps.respond((call) => call.answer(500, '{"error":{"message":"no","type":"server_error"}}'));
    expect((await ask(gateway, { previous_response_id: previous })).status).toBe(502);
    keeps.respond((call) =>
      call.answer(400, '{"error":{"message":"filtered","type":"invalid_request_error","code":"content_policy_violation"}}'),
    );
    expect((await ask(gateway, { previous_response_id: previous })).status).toBe(400);
    expect(other.calls).toHaveLength(0);
  });

  it('may be of any key of the tenant, and of no other tenant', async () => {
    const { gateway, one, two } = await start();
    const previous = idOf(await ask(gateway));
    expect((await ask(gateway, { previous_response_id: previous }, 'a2')).status).toBe(200);
    const calls = one.calls.length + two.calls.length;
    const foreign = await ask(gateway, { previous_response_id: previous }, 'b');
    expect([foreign.status, codeOf(foreign)]).toEqual([400, 'previous_response_not_found']);
    expect(one.calls.length + two.calls.length).toBe(calls);
  });

  it('may be of no key that may not use its model, though it may use another of the same upstream', async () => {
    const { gateway, one, two } = await start();
    const previous = idOf(await ask(gateway));
    const calls = one.calls.length + two.calls.length;
    const refused = await ask(gateway, { model: 'other', previous_response_id: previous }, 'limited');
    expect([refused.status, codeOf(refused)]).toEqual([400, 'previous_response_not_found']);
    expect(one.calls.length + two.calls.length).toBe(calls);
    expect((await ask(gateway, { model: 'other', previous_response_id: previous }, 'a2')).status).toBe(200);
  });

  it('names the response where it is looked for, and once: nothing else reaches an upstream', async () => {
    const { gateway, one, two } = await start();
    const previous = idOf(await ask(gateway));
    const calls = one.calls.length + two.calls.length;
    const body = `{"model":"chat","input":"Hi","previous_response_id":"resp_of_another","previous_response_id":"${previous}"}`;
    const refused = await request(gateway.port, { path: '/v1/responses', body, headers: { 'api-key': KEYS.a } });
    expect([refused.status, codeOf(refused)]).toEqual([400, 'invalid_body']);
    expect(refused.text).toContain('"param":"previous_response_id"');
    const field = (name: string, value: string): string =>
      `--b\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
    const form = await request(gateway.port, {
      path: '/v1/responses',
      body: `${field('model', 'chat')}${field('previous_response_id', 'resp_of_another')}--b--\r\n`,
      headers: { 'api-key': KEYS.a, 'content-type': 'multipart/form-data; boundary=b' },
    });
    expect([form.status, codeOf(form)]).toEqual([400, 'invalid_body']);
    expect(one.calls.length + two.calls.length).toBe(calls);
  });

  it.each([
    ['never made here', async () => 'resp_elsewhere'],
    ['that nobody keeps', async (gateway: TestGateway) => idOf(await ask(gateway, { store: false }))],
    ['that nobody keeps, streamed', async (gateway: TestGateway) => idOf(await ask(gateway, { store: false, stream: true }))],
    ['with an id that is none', async () => '../files'],
  ])('is refused by name where the response is one %s', async (_, made) => {
    const { gateway, one, two } = await start();
    const previous = await made(gateway);
    const calls = one.calls.length + two.calls.length;
    const refused = await ask(gateway, { previous_response_id: previous });
    expect([refused.status, codeOf(refused)]).toEqual([400, 'previous_response_not_found']);
    expect(refused.text).toContain('"param":"previous_response_id"');
    expect(one.calls.length + two.calls.length).toBe(calls);
  });

  it('is refused by name where it is a conversation that an upstream keeps', async () => {
    const { gateway, one, two } = await start();
    for (const conversation of ['conv_1', { id: 'conv_1' }]) {
      const refused = await ask(gateway, { conversation });
      expect([refused.status, codeOf(refused)]).toEqual([501, 'not_implemented']);
      expect(refused.text).toContain('"param":"conversation"');
    }
    expect((await ask(gateway, { conversation: null })).status).toBe(200);
    expect(one.calls.length + two.calls.length).toBe(1);
  });

  it('is forgotten after a day', async () => {
    const clock = new ManualClock(Date.UTC(2026, 10, 24));
    const { gateway } = await start('', { clock });
    const previous = idOf(await ask(gateway));
    clock.advance(RESPONSES_KEPT_MS - 1);
    expect((await ask(gateway, { previous_response_id: previous })).status).toBe(200);
    clock.advance(1);
    expect((await ask(gateway, { previous_response_id: previous })).status).toBe(400);
  });

  it('is found by a route that was changed, and with a key that was', async () => {
    const { gateway, one, two } = await start();
    const previous = idOf(await ask(gateway));
    const yaml = route([one.url, two.url]).replace('sk-secret-of-the-platform', 'sk-another-secret');
    gateway.apply(documents(gatewayYaml(), SECRETS, yaml));
    expect((await ask(gateway, { previous_response_id: previous })).headers['x-fairlead-reason']).toBe('pinned');
    gateway.apply(documents(gatewayYaml(), SECRETS, route([previous.startsWith('resp_one') ? two.url : one.url])));
    expect(codeOf(await ask(gateway, { previous_response_id: previous }))).toBe('previous_response_not_found');
  });

  it('is not sent to where it would be translated, and what was said before lost', async () => {
    const { gateway, one, two } = await start();
    const previous = idOf(await ask(gateway));
    const calls = one.calls.length + two.calls.length;
    const yaml = route([one.url, two.url]).replaceAll('type: OpenAI, openAI:', 'type: Mistral, mistral:');
    gateway.apply(documents(gatewayYaml(), SECRETS, yaml));
    expect(codeOf(await ask(gateway, { previous_response_id: previous }))).toBe('previous_response_not_found');
    expect(codeOf(await at(gateway, previous))).toBe('response_not_found');
    expect(one.calls.length + two.calls.length).toBe(calls);
  });
});

describe('reasoning that one account has encrypted', () => {
  /** Each upstream encrypts what it thinks, and refuses what another has. */
  const thinker = async (name: string): Promise<FakeUpstream> => {
    let thoughts = 0;
    return FakeUpstream.start((call: ReceivedCall) => {
      const given = [...String(call.body).matchAll(/"encrypted_content":"(\w+)"/g)].map(([, text = '']) => text);
      if (given.some((text) => !text.startsWith(name))) {
        call.answer(400, '{"error":{"message":"no","type":"invalid_request_error","code":"invalid_encrypted_content"}}');
        return;
      }
      const item = { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: `${name}${++thoughts}` };
      const made = response(`resp_${name}${thoughts}`, { store: false, output: [item] });
      if (!call.body.includes('"stream":true')) call.answer(200, JSON.stringify(made));
      else
        call.stream([
          frame({ type: 'response.created', response: { ...made, status: 'in_progress', output: [] } }),
          frame({ type: 'response.output_text.delta', delta: 'of' }),
          frame({ type: 'response.completed', response: made }),
        ]);
    });
  };
  const encryptedIn = (answer: Answer): string =>
    /"encrypted_content":"(\w+)"/.exec(answer.text)?.[1] ?? `none in ${answer.text}`;
  const goesOn = (encrypted: string): object => ({
    store: false,
    input: [
      { role: 'user', content: 'Hi' },
      { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: encrypted },
    ],
  });

  it.each([false, true])('comes back to that account, whoever’s turn it is (stream: %s)', async (stream) => {
    const [one, two] = [await thinker('one'), await thinker('two')];
    const gateway = await startGateway(documents(gatewayYaml(), SECRETS, route([one.url, two.url])));
    let encrypted = encryptedIn(await ask(gateway, { stream, store: false }));
    const keeps = encrypted.startsWith('one') ? one : two;
    for (let turn = 0; turn < 4; turn++) {
      const answer = await ask(gateway, { stream, ...goesOn(encrypted) });
      expect(answer.status).toBe(200);
      encrypted = encryptedIn(answer);
    }
    expect(keeps.calls).toHaveLength(5);
  });

  it('goes to nobody else after a filter either', async () => {
    const [one, two] = [await thinker('one'), await thinker('two')];
    const rule = '    failover: {contentFilter: {mode: Failover, targets: [m0, m1]}}';
    const gateway = await startGateway(documents(gatewayYaml(), SECRETS, route([one.url, two.url], rule)));
    const encrypted = encryptedIn(await ask(gateway, { store: false }));
    const [keeps, other] = encrypted.startsWith('one') ? [one, two] : [two, one];
    keeps.respond((call) =>
      call.answer(400, '{"error":{"message":"filtered","type":"invalid_request_error","code":"content_policy_violation"}}'),
    );
    const answer = await ask(gateway, goesOn(encrypted));
    expect([answer.status, codeOf(answer)]).toEqual([400, 'content_filter']);
    expect(other.calls).toHaveLength(0);
  });

  it('goes to anybody where its account is not known', async () => {
    const [one, two] = [await thinker('one'), await thinker('two')];
    const gateway = await startGateway(documents(gatewayYaml(), SECRETS, route([one.url, two.url])));
    for (let turn = 0; turn < 2; turn++) await ask(gateway, goesOn('one1'), 'b');
    expect([one.calls.length, two.calls.length]).toEqual([1, 1]);
  });

  it('is no reason to keep a request from a model that gets none of it', async () => {
    const [one, two] = [await thinker('one'), await thinker('two')];
    const other = await FakeUpstream.start((call) =>
      call.answer(
        200,
        JSON.stringify({
          id: 'msg_1',
          type: 'message',
          role: 'assistant',
          content: [{ type: 'text', text: 'of Claude' }],
          stop_reason: 'end_turn',
          usage: { input_tokens: 1, output_tokens: 1 },
        }),
      ),
    );
    const claude = `  - {name: claude, provider: {type: Anthropic, anthropic: {model: claude-sonnet-4-5, baseURL: "${other.url}"}}, auth: {type: None}}\n  rules:`;
    const yaml = route([one.url, two.url])
      .replace('  rules:', claude)
      .replace('{model: m1}]', '{model: m1}, {model: claude, priority: 1}]');
    const gateway = await startGateway(documents(gatewayYaml(), SECRETS, yaml));
    const encrypted = encryptedIn(await ask(gateway, { store: false }));
    for (const upstream of [one, two]) upstream.respond((call) => call.answer(503, '{}'));
    const answer = await ask(gateway, goesOn(encrypted));
    expect(answer.text).toContain('of Claude');
    expect(answer.headers['x-fairlead-dropped']).toContain('input');
  });
});

describe('a response that an upstream keeps', () => {
  it('is read, ended and deleted there', async () => {
    const { gateway, one, two } = await start();
    const id = idOf(await ask(gateway));
    const [keeps, other] = id.startsWith('resp_one') ? [one, two] : [two, one];
    for (const [path, method] of [
      [`${id}?include[]=reasoning.encrypted_content`, 'GET'],
      [`${id}/input_items?limit=2&after=x`, 'GET'],
      [`${id}/cancel`, 'POST'],
      [id, 'DELETE'],
    ] as const) {
      const answer = await at(gateway, path, method);
      expect(answer.status).toBe(200);
      expect(answer.text).toBe(JSON.stringify({ asked: `${method} /v1/responses/${path}` }));
      expect(answer.headers).toMatchObject({ 'x-fairlead-model': keeps === one ? 'm0' : 'm1', 'x-fairlead-reason': 'pinned' });
    }
    expect(keeps.calls.at(-1)?.headers['authorization']).toBe('Bearer sk-secret-of-the-platform');
    expect(keeps.calls.at(-1)?.headers['api-key']).toBeUndefined();
    expect(other.calls).toHaveLength(0);
    expect(gateway.requests.at(-1)).toMatchObject({
      operation: 'responses',
      tenant: 'team-a',
      status: 200,
      route: 'platform/chat',
    });
    // After that it is nowhere.
    const gone = await at(gateway, id);
    expect([gone.status, codeOf(gone)]).toEqual([404, 'response_not_found']);
    expect(keeps.calls).toHaveLength(5);
  });

  it('is nobody’s but the tenant’s, by no method, nor that of a key for other models', async () => {
    const { gateway, one, two } = await start();
    const id = idOf(await ask(gateway));
    const calls = one.calls.length + two.calls.length;
    for (const [path, method, key] of [
      [id, 'GET', 'b'],
      [id, 'DELETE', 'b'],
      [`${id}/cancel`, 'POST', 'b'],
      [`${id}/input_items`, 'GET', 'b'],
      [id, 'GET', 'limited'],
    ] as const) {
      const refused = await at(gateway, path, method, key);
      expect([refused.status, codeOf(refused)]).toEqual([404, 'response_not_found']);
    }
    expect(one.calls.length + two.calls.length).toBe(calls);
    expect((await at(gateway, id, 'GET', 'a2')).status).toBe(200);
  });

  it('comes as a stream where it is asked for as one, and its upstream stops when the client leaves', async () => {
    const { gateway, one, two } = await start();
    const id = idOf(await ask(gateway, { background: true }));
    const keeps = id.startsWith('resp_one') ? one : two;
    const events = [
      frame({ type: 'response.output_text.delta', delta: 'a' }),
      frame({ type: 'response.completed', response: response(id) }),
    ];
    keeps.respond((call) => call.stream(events));
    const whole = await at(gateway, `${id}?stream=true&starting_after=3`);
    expect(whole.text).toBe(events.join(''));
    expect(whole.headers['content-type']).toContain('text/event-stream');
    keeps.respond((call) => {
      call.open(200, { 'content-type': 'text/event-stream' });
      call.chunk(events[0] ?? '');
    });
    const left = send(gateway.port, { path: `/v1/responses/${id}?stream=true`, headers: { 'api-key': KEYS.a } });
    await left.head;
    const { connections } = keeps;
    left.leave();
    await keeps.until(() => keeps.connections < connections);
    expect(gateway.gateway.running.size).toBe(0);
  });

  it.each([
    ['cuts', (call: ReceivedCall) => call.cut()],
    ['ends, without a last event,', (call: ReceivedCall) => call.end()],
  ])('is told, logged and counted as cut where its upstream %s a stream of it', async (_, cut) => {
    const { gateway, one, two } = await start();
    const id = idOf(await ask(gateway, { background: true }));
    const first = frame({ type: 'response.output_text.delta', delta: 'a', sequence_number: 4 });
    for (const upstream of [one, two])
      upstream.respond((call) => {
        call.open(200, { 'content-type': 'text/event-stream' });
        call.chunk(`${first}data: {"type":"response.out`);
        cut(call);
      });
    const told = await at(gateway, `${id}?stream=true`);
    expect(told.text.startsWith(first)).toBe(true);
    expect(told.text).toContain('"code":"stream_interrupted"');
    expect(told.text).toContain('"sequence_number":5');
    expect(gateway.requests.at(-1)).toMatchObject({ errorCode: 'stream_interrupted', status: 200, stream: true });
    expect((await gateway.gateway.renderMetrics()).text).toMatch(/^fairlead_streams_broken_total\{.*\} 1$/m);
  });

  it('is told as cut where the gateway ends while it streams it', async () => {
    const { gateway, one, two } = await start();
    const id = idOf(await ask(gateway, { background: true }));
    const keeps = id.startsWith('resp_one') ? one : two;
    const first = frame({ type: 'response.output_text.delta', delta: 'a', sequence_number: 4 });
    keeps.respond((call) => (call.open(), call.chunk(first)));
    const sent = send(gateway.port, { path: `/v1/responses/${id}?stream=true`, headers: { 'api-key': KEYS.a } });
    await sent.waitFor('delta');
    await gateway.close(20);
    const told = await sent.answer;
    expect([told.complete, told.text.startsWith(first)]).toEqual([true, true]);
    expect(told.text).toMatch(/"code":"shutting_down".*"sequence_number":5/);
    expect(gateway.requests.at(-1)).toMatchObject({ errorCode: 'shutting_down', status: 200, stream: true });
    await keeps.until(() => keeps.connections === 0);
  });

  it.each([
    [404, '{"error":{"message":"Response with id not found. org-12345678 has none."}}', 404, 'org-12345678'],
    [401, '{"error":{"message":"Incorrect API key provided: sk-secret-of-the-platform"}}', 502, 'sk-secret-of-the-platform'],
    [500, '<html>sk-secret-of-the-platform</html>', 502, 'sk-secret-of-the-platform'],
  ])('that its upstream does not give (%s) is told without the account', async (status, body, told, secret) => {
    const { gateway, one, two } = await start();
    const id = idOf(await ask(gateway));
    for (const upstream of [one, two]) upstream.respond((call) => call.answer(status, body));
    const answer = await at(gateway, id);
    expect(answer.status).toBe(told);
    expect(answer.text).not.toContain(secret);
    expect(JSON.stringify([gateway.requests, gateway.lines])).not.toContain('sk-secret-of-the-platform');
    // It says nothing of who answers requests.
    for (const upstream of [one, two]) upstream.respond((call) => call.answer(200, JSON.stringify(response('resp_x'))));
    expect((await ask(gateway, { previous_response_id: id })).status).toBe(200);
  });

  it('is asked for by no more at once than a pod may have under way', async () => {
    const { gateway, one, two } = await start('', { maxInFlight: 1 });
    const id = idOf(await ask(gateway));
    const keeps = id.startsWith('resp_one') ? one : two;
    keeps.respond(() => {});
    const stuck = send(gateway.port, { path: `/v1/responses/${id}`, headers: { 'api-key': KEYS.a } });
    await keeps.until(() => keeps.calls.length === 2);
    const refused = await at(gateway, id);
    expect([refused.status, codeOf(refused)]).toEqual([503, 'overloaded']);
    expect(keeps.calls).toHaveLength(2);
    stuck.leave();
  });

  it('is told of where its upstream does not answer', async () => {
    const { gateway, one, two } = await start();
    const id = idOf(await ask(gateway));
    for (const upstream of [one, two]) upstream.respond((call) => call.cut());
    const answer = await at(gateway, id);
    expect([answer.status, codeOf(answer)]).toEqual([502, 'upstream_failed']);
    expect(gateway.gateway.running.size).toBe(0);
  });
});

if (redisAbsent === null) {
  describe('pods with one Redis', () => {
    it('know of each other’s responses, and say so while they cannot look', async () => {
      const redis = await RedisProcess.start();
      onCleanUp(async () => redis.kill());
      const [one, two] = [await keeper('one'), await keeper('two')];
      const yaml = documents(redisGatewayYaml(redis.port), SECRETS, route([one.url, two.url]));
      const [first, second] = [await startGateway(yaml), await startGateway(yaml)];
      const reachable = async ({ gateway }: TestGateway): Promise<boolean> =>
        (await gateway.renderMetrics()).text.split('\n').includes('fairlead_limit_store_reachable 1');
      await eventually(async () => (await reachable(first)) && (await reachable(second)));
      const id = idOf(await ask(first));
      await eventually(async () => (await at(second, id)).status === 200);
      expect(codeOf(await at(second, id, 'GET', 'b'))).toBe('response_not_found');
      expect((await ask(second, { previous_response_id: id })).headers['x-fairlead-reason']).toBe('pinned');
      await redis.kill();
      await eventually(async () => !(await reachable(second)));
      const away = await at(second, id);
      expect([away.status, codeOf(away), away.headers['x-should-retry']]).toEqual([503, 'kept_objects_unavailable', 'true']);
      expect(codeOf(await ask(second, { previous_response_id: id }))).toBe('kept_objects_unavailable');
      // Whoever made it knows it by itself.
      expect((await at(first, id)).status).toBe(200);
    });
  });
} else {
  it(`absent: pods with one Redis: ${redisAbsent}`, () => undefined);
}
