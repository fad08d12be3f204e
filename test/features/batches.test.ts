// Promise: a batch runs at the upstream that keeps its input, is found there by the tenant whose it is and by nobody else, with the
// official client unmodified; and each request of it goes upstream as one that comes alone would.
import { describe, expect, it } from '@jest/globals';
import { toFile } from 'openai';
import { eventually } from '../limits/pods.ts';
import { redisAbsent, RedisProcess } from '../limits/redis-process.ts';
import { onCleanUp } from './support/clean-up.ts';
import { type Answer, request } from './support/client.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import {
  Account,
  clientOf,
  KEYS,
  keeperOf,
  line,
  refusal,
  route,
  SECRETS,
  start,
  uploadBatch,
  uploadText,
} from './support/kept-files.ts';
import { documents, gatewayYaml } from './support/secrets.ts';
import type { ReceivedCall } from './support/upstream.ts';
import { redisGatewayYaml } from './support/yaml.ts';

describe('a batch', () => {
  it('runs where its input is: created, retrieved, its output read, cancelled', async () => {
    const setting = await start();
    for (let turn = 0; turn < 2; turn++) {
      const client = setting.client();
      const input = await uploadBatch(client, [line('a'), line('b')]);
      const { keeps, other } = keeperOf(setting, input);
      const calls = other.calls;
      const batch = await client.batches.create({
        input_file_id: input.id,
        endpoint: '/v1/chat/completions',
        completion_window: '24h',
      });
      expect(keeps.upstream.calls.at(-1)?.json()).toEqual({
        input_file_id: input.id,
        endpoint: '/v1/chat/completions',
        completion_window: '24h',
      });
      const out = `file-out-${batch.id}`;
      expect(await refusal(client.files.content(out))).toMatchObject({ status: 404 });
      const stranger = setting.client('b');
      for (const asked of [
        stranger.batches.retrieve(batch.id),
        stranger.batches.cancel(batch.id),
        stranger.batches.create({ input_file_id: input.id, endpoint: '/v1/chat/completions', completion_window: '24h' }),
      ])
        expect(await refusal(asked)).toMatchObject({ status: 404, code: expect.stringMatching(/^(batch|file)_not_found$/) });
      expect(await setting.client('a2').batches.retrieve(batch.id)).toMatchObject({ status: 'completed', output_file_id: out });
      expect(await (await client.files.content(out)).text()).toBe(`{"of":"${batch.id}"}\n`);
      expect(await refusal(stranger.files.content(out))).toMatchObject({ status: 404, code: 'file_not_found' });
      expect(await client.batches.cancel(batch.id)).toMatchObject({ status: 'cancelling' });
      expect(other.calls).toBe(calls);
    }
  });

  it('has its upstream’s name of the model and the target’s parameters in each line, and every other byte as it came', async () => {
    const one = await Account.start('one');
    const more = ', defaults: {temperature: 0}, override: {user: gateway}';
    const gateway = await startGateway(documents(gatewayYaml(), SECRETS, route([{ account: one, more }])));
    const odd = `{ "custom_id":"é", "body" : {"messages":[{"role":"user","content":"\\u00e9 \\"model\\""}], "model": "chat" , "user":"me"},"method":"POST","url":"/v1/chat/completions" }`;
    const embed = line('e', { input: 'a', messages: undefined }, { url: '/v1/embeddings' });
    const input = await uploadBatch(clientOf(gateway), [`${odd}\r`, '', '  ', embed]);
    const [first = '', ...rest] = (one.files.get(input.id)?.content ?? '').split('\n');
    expect(first).toBe(
      `${odd.replace('"chat"', '"up-0"').replace('"user":"me"', '"user":"gateway"').replace('{"messages"', '{"temperature":0,"messages"')}\r`,
    );
    expect(rest.slice(0, 2)).toEqual(['', '  ']);
    expect(JSON.parse(rest[2] ?? '')).toMatchObject({ custom_id: 'e', body: { model: 'up-0', input: 'a' } });
    expect(one.files.get(input.id)?.purpose).toBe('batch');
  });

  it('of many requests is written whole, while others are served', async () => {
    const setting = await start();
    const lines = Array.from({ length: 5_000 }, (_, at) => line(`r${at}`));
    const uploading = uploadBatch(setting.client(), lines);
    let served = 0;
    const input = await Promise.race([uploading, new Promise<null>((resolve) => setImmediate(() => resolve(null)))]);
    expect(input).toBeNull();
    while (setting.one.files.size + setting.two.files.size === 0) {
      await setting.client().models.list();
      served++;
    }
    const file = await uploading;
    expect(served).toBeGreaterThan(0);
    const { keeps } = keeperOf(setting, file);
    const name = keeps === setting.one ? 'up-0' : 'up-1';
    const written = (keeps.files.get(file.id)?.content ?? '').split('\n');
    expect(written).toHaveLength(lines.length);
    expect(written.every((each, at) => each === lines[at]?.replace('"model":"chat"', `"model":"${name}"`))).toBe(true);
  });

  it('is forgotten where its client leaves while its lines are read', async () => {
    const setting = await start();
    const { gateway } = setting.gateway;
    // However far it has come by then.
    for (const { upstream } of [setting.one, setting.two]) upstream.respond(() => {});
    const lines = Array.from({ length: 5_000 }, (_, at) => line(`r${at}`));
    const leaving = new AbortController();
    const uploading = refusal(
      setting
        .client()
        .files.create(
          { file: await toFile(Buffer.from(lines.join('\n')), 'in.jsonl'), purpose: 'batch' },
          { signal: leaving.signal },
        ),
    );
    await eventually(() => gateway.budget.usedBytes > lines.length * 200);
    leaving.abort();
    expect((await uploading).message).toContain('aborted');
    await eventually(() => gateway.running.size === 0);
    expect(gateway.budget.usedBytes).toBe(0);
  });

  it.each<readonly [string, readonly string[], string]>([
    ['no JSON', [line('a'), 'nonsense'], 'line 2: it is not a JSON object'],
    ['another model', [line('a'), '', line('b', { model: 'other' })], 'line 3: it asks for the model "other"'],
    ['no model', [line('a', { model: undefined })], 'line 1: you must provide a model parameter'],
    ['two models', [line('a').replace('"model":', '"model":"other","model":')], "line 1: Duplicate parameter: 'model'"],
    ['two bodies', [line('a').replace('"method"', '"body":{"model":"other"},"method"')], "line 1: it has 'body' more than once"],
    ['a body by another name', [line('a', {}, { Body: { model: 'other' } })], 'line 1: it has "Body"; write it as \'body\''],
    ['no body', [line('a', {}, { body: undefined })], "line 1: it has no 'body'"],
    ['a path that is none', [line('a', {}, { url: '/v1/files' })], "line 1: its 'url' is not one"],
    ['Anthropic’s path', [line('a', {}, { url: '/v1/messages' })], "line 1: its 'url' is not one"],
    [
      'an earlier response',
      [line('a', { previous_response_id: 'resp_of_another' }, { url: '/v1/responses' })],
      "line 1: a request of a batch cannot go on from 'previous_response_id'",
    ],
    ['nothing', ['', ' '], 'it holds no request'],
  ])('with %s in its input is refused by the line, and nothing is sent', async (_, lines, why) => {
    const setting = await start({ names: 'chat, other' });
    const refused = await refusal(uploadBatch(setting.client(), lines));
    expect(refused).toMatchObject({ status: 400, code: 'invalid_body', param: 'file' });
    expect(refused.message).toContain(why);
    expect(setting.one.calls + setting.two.calls).toBe(0);
    expect(setting.gateway.gateway.budget.usedBytes).toBe(0);
  });

  it('asks for a model that its key may use, and for files of its tenant', async () => {
    const setting = await start({ names: 'chat, other' });
    expect(await refusal(uploadBatch(setting.client('limited'), [line('a')]))).toMatchObject({ code: 'model_not_allowed' });
    expect(await refusal(uploadBatch(setting.client(), [line('a', { model: 'nobody' })]))).toMatchObject({
      code: 'model_not_found',
    });
    const content = [{ role: 'user', content: [{ type: 'file', file: { file_id: 'file-of-another' } }] }];
    expect(await refusal(uploadBatch(setting.client(), [line('a', { messages: content })]))).toMatchObject({
      status: 404,
      code: 'file_not_found',
    });
    expect(setting.one.calls + setting.two.calls).toBe(0);
    const picture = await uploadText(setting.client(), { model: 'chat' });
    const messages = [{ role: 'user', content: [{ type: 'file', file: { file_id: picture.id } }] }];
    for (let turn = 0; turn < 2; turn++) {
      const input = await uploadBatch(setting.client(), [line('a', { messages })]);
      expect(keeperOf(setting, input).keeps).toBe(keeperOf(setting, picture).keeps);
    }
  });

  it('is made of what was uploaded for it, and of one file', async () => {
    const setting = await start();
    const text = await uploadText(setting.client());
    const input = await uploadBatch(setting.client(), [line('a')]);
    const calls = setting.one.calls + setting.two.calls;
    const create = async (body: object | string): Promise<Answer> =>
      request(setting.gateway.port, { path: '/v1/batches', body, headers: { 'api-key': KEYS.a } });
    expect((await create({ input_file_id: text.id })).text).toContain('with the purpose \\"batch\\"');
    expect((await create({})).text).toContain("'input_file_id'");
    const twice = await create(`{"input_file_id":"file-of-another","input_file_id":"${input.id}"}`);
    expect([twice.status, twice.text]).toEqual([400, expect.stringContaining('given more than once')]);
    expect(setting.one.calls + setting.two.calls).toBe(calls);
  });

  it('is made once: what fails is not repeated', async () => {
    const setting = await start();
    const input = await uploadBatch(setting.client(), [line('a')]);
    const { keeps } = keeperOf(setting, input);
    const calls = keeps.calls;
    keeps.upstream.respond((call) => call.answer(500, '{"error":{"message":"no","type":"server_error"}}'));
    const made = setting
      .client()
      .batches.create({ input_file_id: input.id, endpoint: '/v1/chat/completions', completion_window: '24h' });
    expect(await refusal(made)).toMatchObject({ status: 502 });
    expect(keeps.calls).toBe(calls + 1);
  });

  it('is refused by name where a limit counts USD', async () => {
    const limits = '  rateLimits: [{name: usd, unit: USD, limit: "5", window: 24h}]';
    const price = ', pricing: {unit: USDPerMillionTokens, input: "1", output: "1"}';
    const one = await Account.start('one');
    const gateway = await startGateway(
      documents(gatewayYaml(), SECRETS, route([{ account: one, more: price }], { more: limits })),
    );
    const input = await uploadBatch(clientOf(gateway), [line('a')]);
    const made = clientOf(gateway).batches.create({
      input_file_id: input.id,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
    });
    const refused = await refusal(made);
    expect(refused.status).toBe(400);
    expect(refused.message).toContain('what batches costs is not known before');
    expect(one.calls).toBe(1);
  });

  it('counts as a request, and its answers say what is left', async () => {
    const limits =
      '  rateLimits: [{name: rpm, unit: Requests, limit: 2, window: 1m}, {name: tpm, unit: Tokens, limit: 10, window: 1m}]';
    const one = await Account.start('one');
    const gateway = await startGateway(documents(gatewayYaml(), SECRETS, route([{ account: one }], { more: limits })));
    const input = await uploadBatch(clientOf(gateway), [line('a')]);
    const { response } = await clientOf(gateway)
      .batches.create({ input_file_id: input.id, endpoint: '/v1/chat/completions', completion_window: '24h' })
      .withResponse();
    expect(response.headers.get('x-ratelimit-remaining-requests')).toBe('0');
    expect(response.headers.get('x-ratelimit-remaining-tokens')).toBe('10');
    expect(await refusal(uploadBatch(clientOf(gateway), [line('a')]))).toMatchObject({ status: 429 });
  });
});

describe('an Azure resource', () => {
  it('has files and batches below its own paths, whichever of them the client calls', async () => {
    const one = await Account.start('one');
    const answer = (call: ReceivedCall): void => {
      one.answer(Object.assign(call, { path: call.path.replace(/^\/openai/, '/v1') }));
    };
    const paths: string[] = [];
    one.upstream.respond((call) => {
      paths.push(`${call.method} ${call.path}`);
      answer(call);
    });
    const gateway = await startGateway(documents(gatewayYaml(), SECRETS, route([{ account: one, kind: 'AzureOpenAI' }])));
    const client = clientOf(gateway);
    const input = await uploadBatch(client, [line('a', {}, { url: '/chat/completions' })]);
    expect(one.files.get(input.id)?.content).toContain('"model":"up-0"');
    const batch = await client.batches.create({
      input_file_id: input.id,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
    });
    const headers = { 'api-key': KEYS.a };
    for (const path of [`/openai/batches/${batch.id}?api-version=2025-01-01`, `/openai/v1/files/${input.id}/content`])
      expect((await request(gateway.port, { method: 'GET', path, headers })).status).toBe(200);
    expect(paths).toEqual([
      'POST /openai/files?api-version=2024-10-21',
      'POST /openai/batches?api-version=2024-10-21',
      `GET /openai/batches/${batch.id}?api-version=2024-10-21`,
      `GET /openai/files/${input.id}/content?api-version=2024-10-21`,
    ]);
  });
});

if (redisAbsent === null) {
  describe('pods with one Redis', () => {
    it('know of each other’s files and batches, and say so while they cannot look', async () => {
      const redis = await RedisProcess.start();
      onCleanUp(async () => redis.kill());
      const [one, two] = [await Account.start('one'), await Account.start('two')];
      const yaml = documents(redisGatewayYaml(redis.port), SECRETS, route([{ account: one }, { account: two }]));
      const [first, second] = [await startGateway(yaml), await startGateway(yaml)];
      const reachable = async ({ gateway }: TestGateway): Promise<boolean> =>
        (await gateway.renderMetrics()).text.split('\n').includes('fairlead_limit_store_reachable 1');
      await eventually(async () => (await reachable(first)) && (await reachable(second)));
      const input = await uploadBatch(clientOf(first), [line('a')]);
      const here = clientOf(second);
      const known = async (asked: Promise<unknown>): Promise<boolean> =>
        asked.then(
          () => true,
          () => false,
        );
      await eventually(async () => known(here.files.retrieve(input.id)));
      const create = { input_file_id: input.id, endpoint: '/v1/chat/completions', completion_window: '24h' } as const;
      await eventually(async () => known(here.batches.create(create)));
      const batch = await here.batches.create(create);
      await eventually(async () => known(clientOf(first).batches.retrieve(batch.id)));
      const out = `file-out-${batch.id}`;
      await eventually(async () => known(here.files.content(out)));
      expect(await refusal(clientOf(second, 'b').files.retrieve(input.id))).toMatchObject({
        status: 404,
        code: 'file_not_found',
      });
      expect(await refusal(clientOf(second, 'b').batches.retrieve(batch.id))).toMatchObject({ code: 'batch_not_found' });
      await redis.kill();
      await eventually(async () => !(await reachable(second)));
      expect(await refusal(here.files.retrieve(input.id))).toMatchObject({ status: 503, code: 'kept_objects_unavailable' });
      expect(await refusal(here.batches.create(create))).toMatchObject({ status: 503, code: 'kept_objects_unavailable' });
      // Whoever made it knows it by itself.
      expect(await clientOf(first).files.retrieve(input.id)).toMatchObject({ id: input.id });
    });
  });
} else {
  it(`absent: pods with one Redis: ${redisAbsent}`, () => undefined);
}
