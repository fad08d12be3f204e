// Promise: what an upstream keeps of OpenAI's Files is found where it is kept, by the tenant whose it is and by nobody else, with the
// official client unmodified; a request that names a file comes to whoever keeps it.
import { describe, expect, it } from '@jest/globals';
import { toFile } from 'openai';
import { ManualClock } from '../../src/lib/clock.ts';
import { FILES_KEPT_MS } from '../../src/pins/upstream-pins.ts';
import { type Answer, request } from './support/client.ts';
import { startGateway } from './support/gateway.ts';
import {
  Account,
  clientOf,
  KEYS,
  keeperOf,
  line,
  refusal,
  route,
  SECRETS,
  type Setting,
  start,
  uploadBatch,
  uploadText,
} from './support/kept-files.ts';
import { documents, gatewayYaml } from './support/secrets.ts';

describe('a file', () => {
  it('is found where it is kept, whoever’s turn it is: uploaded, retrieved, read, deleted', async () => {
    const setting = await start();
    for (let turn = 0; turn < 2; turn++) {
      const client = setting.client();
      const file = await uploadText(client);
      const { keeps, other } = keeperOf(setting, file);
      const calls = other.calls;
      expect(keeps.files.get(file.id)).toEqual({ purpose: 'user_data', content: 'Some text.' });
      for (const again of ['a', 'a2'] as const)
        expect(await setting.client(again).files.retrieve(file.id)).toMatchObject({ id: file.id, purpose: 'user_data' });
      expect(await (await client.files.content(file.id)).text()).toBe('Some text.');
      expect(await client.files.delete(file.id)).toMatchObject({ deleted: true });
      expect(other.calls).toBe(calls);
      expect(await refusal(client.files.retrieve(file.id))).toMatchObject({ status: 404, code: 'file_not_found' });
    }
  });

  it('is of no other tenant, and of no key that may not use its model', async () => {
    const setting = await start({ names: 'chat, other' });
    const client = setting.client();
    const file = await uploadText(client, { model: 'chat' });
    const calls = setting.one.calls + setting.two.calls;
    for (const key of ['b', 'limited'] as const) {
      const stranger = setting.client(key);
      for (const asked of [
        stranger.files.retrieve(file.id),
        stranger.files.content(file.id),
        stranger.files.delete(file.id),
        stranger.chat.completions.create({
          model: 'other',
          messages: [{ role: 'user', content: [{ type: 'file', file: { file_id: file.id } }] }],
        }),
      ])
        expect(await refusal(asked)).toMatchObject({ status: 404, code: 'file_not_found' });
    }
    expect(setting.one.calls + setting.two.calls).toBe(calls);
  });

  it('is for the model that the form or the URL names, which its upstream is not told', async () => {
    const setting = await start({ names: 'chat, other' });
    const { gateway } = setting;
    const client = setting.client();
    expect(await refusal(uploadText(client))).toMatchObject({ status: 400, code: 'invalid_body', param: 'model' });
    expect(setting.one.calls + setting.two.calls).toBe(0);
    const file = await uploadText(client, { model: 'other' });
    const byUrl = await client.files.create(
      { file: await toFile(Buffer.from('b'), 'b.txt'), purpose: 'user_data' },
      { query: { model: 'other' } },
    );
    for (const { id } of [file, byUrl]) {
      const { keeps } = keeperOf(setting, { id });
      const call = keeps.upstream.calls.at(-1);
      expect(call?.path).toBe('/v1/files');
      expect(String(call?.body)).not.toContain('other');
      expect(await setting.client('limited').files.retrieve(id)).toMatchObject({ id });
    }
    expect(await refusal(uploadText(setting.client('limited'), { model: 'chat' }))).toMatchObject({
      status: 403,
      code: 'model_not_allowed',
    });
    // A key with one model need name none.
    expect((await uploadText(setting.client('limited'))).id).toMatch(/^file-/);
    await gateway.until(() => gateway.requests.length >= 6);
    expect(gateway.requests.filter(({ operation, status }) => operation === 'files' && status === 200)).toHaveLength(5);
  });

  it('names its model where the key may use any of a name’s beginning', async () => {
    const setting = await start({ names: '"chat-*"' });
    expect(await refusal(uploadText(setting.client()))).toMatchObject({ status: 400, code: 'invalid_body', param: 'model' });
    const file = await uploadText(setting.client(), { model: 'chat-1' });
    expect(await setting.client().files.retrieve(file.id)).toMatchObject({ id: file.id });
  });

  it('is refused by name where no upstream of the model keeps any', async () => {
    const [one, two] = [await Account.start('one'), await Account.start('two')];
    const gateway = await startGateway(
      documents(
        gatewayYaml(),
        SECRETS,
        route([{ account: one, kind: 'Anthropic' }]),
        route([{ account: two, kind: 'OpenAICompatible' }], { names: 'local' }),
      ),
    );
    const client = clientOf(gateway);
    expect(await refusal(uploadText(client, { model: 'chat' }))).toMatchObject({ status: 501, code: 'not_implemented' });
    expect(one.calls).toBe(0);
    // Of those whose provider is not known it is the upstream that says so.
    two.upstream.respond((call) => call.answer(404, '{"detail":"Not Found"}'));
    expect(await refusal(uploadText(client))).toMatchObject({
      status: 501,
      code: 'not_implemented',
      message: expect.stringContaining('m0 keeps no files'),
    });
    // Which says nothing of what else it has.
    two.upstream.respond((call) => two.answer(call));
    const messages = [{ role: 'user' as const, content: 'Hi' }];
    for (let turn = 0; turn < 3; turn++)
      expect(await client.chat.completions.create({ model: 'local', messages })).toMatchObject({ object: 'chat.completion' });
    const anthropic = await request(gateway.port, {
      path: '/v1/files',
      body: '--b--\r\n',
      headers: { 'x-api-key': KEYS.a, 'anthropic-version': '2023-06-01', 'content-type': 'multipart/form-data; boundary=b' },
    });
    expect([anthropic.status, anthropic.text]).toEqual([501, expect.stringContaining('Anthropic')]);
  });

  it('goes to the next upstream where one fails, and lives there', async () => {
    const setting = await start();
    setting.one.upstream.respond((call) => call.answer(500, '{"error":{"message":"no","type":"server_error"}}'));
    for (let turn = 0; turn < 2; turn++) {
      const file = await uploadText(setting.client());
      expect(file.id).toContain('two');
      expect(await setting.client().files.retrieve(file.id)).toMatchObject({ id: file.id });
    }
  });

  it('is forgotten after 30 days', async () => {
    const clock = new ManualClock(Date.UTC(2026, 10, 24));
    const setting = await start({}, { clock });
    const file = await uploadText(setting.client());
    clock.advance(FILES_KEPT_MS - 1);
    expect((await setting.client().files.retrieve(file.id)).id).toBe(file.id);
    clock.advance(1);
    expect(await refusal(setting.client().files.retrieve(file.id))).toMatchObject({ status: 404, code: 'file_not_found' });
  });

  it('larger than the gateway holds of an answer is passed on as it comes', async () => {
    const setting = await start();
    const file = await uploadText(setting.client());
    const { keeps } = keeperOf(setting, file);
    const content = 'x'.repeat(20 * 1024 * 1024);
    keeps.files.set(file.id, { purpose: 'user_data', content });
    expect((await (await setting.client().files.content(file.id)).text()).length).toBe(content.length);
    expect(setting.gateway.gateway.budget.usedBytes).toBe(0);
  });

  it('beyond what a request may be, or the pod may hold, is refused, and nothing stays held', async () => {
    const setting = await start({}, { maxBufferedBytes: 100_000 });
    const big = [line('a', { user: 'x'.repeat(60_000) })];
    // Once as it came, and once as its upstream gets it.
    expect(await refusal(uploadBatch(setting.client(), big))).toMatchObject({ status: 503, code: 'overloaded' });
    expect(setting.gateway.gateway.budget.usedBytes).toBe(0);
    expect((await uploadBatch(setting.client(), [line('a')])).id).toMatch(/^file-/);
  });

  it.each(['/v1/files', '/v1/batches', '/openai/v1/files', '/openai/files?api-version=2024-10-21'])(
    'is in no list (%s), which would show what others have',
    async (path) => {
      const { gateway } = await start();
      const answer = await request(gateway.port, { method: 'GET', path, headers: { 'api-key': KEYS.a } });
      expect([answer.status, answer.text]).toEqual([501, expect.stringContaining('ask for each by its id')]);
    },
  );
});

describe('a request that names a file', () => {
  const asChat = (...ids: readonly string[]): object => ({
    model: 'chat',
    messages: [{ role: 'user', content: ids.map((file_id) => ({ type: 'file', file: { file_id } })) }],
  });
  const asResponse = (...ids: readonly string[]): object => ({
    model: 'chat',
    store: false,
    input: [{ role: 'user', content: ids.map((file_id) => ({ type: 'input_file', file_id })) }],
  });
  const ask = async ({ gateway }: Setting, path: string, body: object): Promise<Answer> =>
    request(gateway.port, { path, body, headers: { 'api-key': KEYS.a } });
  const codeOf = ({ text }: Answer): string => /"code":"(\w+)"/.exec(text)?.[1] ?? text;

  it.each([
    ['/v1/chat/completions', asChat],
    ['/v1/responses', asResponse],
  ])('comes to the upstream that keeps it, and fails over to none (%s)', async (path, body) => {
    const setting = await start();
    const file = await uploadText(setting.client());
    const { keeps, other } = keeperOf(setting, file);
    const calls = other.calls;
    for (let turn = 0; turn < 3; turn++) {
      const answer = await ask(setting, path, body(file.id));
      expect([answer.status, answer.headers['x-fairlead-reason']]).toEqual([200, 'pinned']);
      expect(String(keeps.upstream.calls.at(-1)?.body)).toContain(file.id);
    }
    keeps.upstream.respond((call) => call.answer(500, '{"error":{"message":"no","type":"server_error"}}'));
    expect((await ask(setting, path, body(file.id))).status).toBe(502);
    expect(other.calls).toBe(calls);
  });

  it('is refused by name where nobody is known to keep it, or several are to', async () => {
    const setting = await start();
    const files = [await uploadText(setting.client()), await uploadText(setting.client())];
    expect(new Set(files.map(({ id }) => id.slice(0, 8))).size).toBe(2);
    const calls = setting.one.calls + setting.two.calls;
    for (const ids of [['file-elsewhere'], files.map(({ id }) => id)]) {
      const answer = await ask(setting, '/v1/responses', asResponse(...ids));
      expect([answer.status, codeOf(answer)]).toEqual([404, 'file_not_found']);
    }
    const escaped = JSON.stringify(asChat('file-elsewhere')).replace('file_id', 'f\\u0069le\\u005fid');
    const hidden = await request(setting.gateway.port, { body: escaped, headers: { 'api-key': KEYS.a } });
    expect([hidden.status, codeOf(hidden)]).toEqual([404, 'file_not_found']);
    const large = JSON.stringify({ ...asChat('file-elsewhere'), user: 'x'.repeat(20_000) });
    expect(codeOf(await request(setting.gateway.port, { body: large, headers: { 'api-key': KEYS.a } }))).toBe('file_not_found');
    expect(setting.one.calls + setting.two.calls).toBe(calls);
  });

  it('only speaks of one where it does so in a text, a schema or what a model has said', async () => {
    const setting = await start();
    const speaks = [
      { model: 'chat', messages: [{ role: 'user', content: 'What is "file_id": "file-x" in {"file_id":"file-y"}?' }] },
      {
        ...asChat(),
        messages: [{ role: 'user', content: 'Hi' }],
        metadata: { file_id: 'file-z' },
        tools: [
          {
            type: 'function',
            function: { name: 'f', parameters: { type: 'object', properties: { file_id: { type: 'string' } } } },
          },
        ],
      },
    ];
    for (const body of speaks) expect((await ask(setting, '/v1/chat/completions', body)).status).toBe(200);
    const said = {
      type: 'message',
      role: 'assistant',
      content: [{ type: 'output_text', text: 'a', annotations: [{ type: 'file_citation', file_id: 'file-q', index: 0 }] }],
    };
    expect((await ask(setting, '/v1/responses', { model: 'chat', store: false, input: [said] })).status).toBe(200);
  });
});
