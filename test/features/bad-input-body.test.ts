import zlib from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { type Answer, request, type RequestOptions } from './support/client.ts';
import { startGateway, type TestGateway, type TestGatewayOptions } from './support/gateway.ts';
import { chatCompletion } from './support/openai-answers.ts';
import { post, RawConnection } from './support/raw-http.ts';
import { documents, gatewayYaml } from './support/secrets.ts';
import { FakeUpstream } from './support/upstream.ts';
import { routeYaml } from './support/yaml.ts';

/** Bodies that cannot be served: each is refused by an error that names what is wrong, and the next request is served. */

const LIMIT_BYTES = 64 * 1024;
const bounded = (clientAuth: string): string =>
  gatewayYaml(`clientAuth: {type: ${clientAuth}}, listener: {maxRequestBytes: 64Ki}`);

async function start(
  options: TestGatewayOptions = {},
): Promise<{ readonly gateway: TestGateway; readonly upstream: FakeUpstream }> {
  const upstream = await FakeUpstream.start((call) => call.answer(200, JSON.stringify(chatCompletion('Hi'))));
  return { upstream, gateway: await startGateway(documents(bounded('None'), routeYaml({ a: upstream.url })), options) };
}

const good = { model: 'chat', messages: [{ role: 'user', content: 'Hi' }] };
const goodText = JSON.stringify(good);

interface Expected {
  readonly status: number;
  readonly code: string;
  readonly param: string | null;
  readonly message: RegExp;
}

function expectError(answer: Answer, { status, code, param, message }: Expected): void {
  expect(answer.status).toBe(status);
  expect(answer.headers['content-type']).toBe('application/json');
  expect(answer.headers['x-should-retry']).toBe('false');
  expect(answer.headers['x-request-id']).toMatch(/^req_/);
  const { error } = JSON.parse(answer.text) as { error: Record<string, unknown> };
  expect(Object.keys(error).sort()).toEqual(['code', 'message', 'param', 'type']);
  expect(error).toMatchObject({ code, param, type: 'invalid_request_error' });
  expect(error['message']).toMatch(message);
}

const invalid = (message: RegExp, param: string | null = null): Expected => ({
  status: 400,
  code: 'invalid_body',
  param,
  message,
});
const nested = (depth: number): string => `{"model":"chat","messages":${'['.repeat(depth)}${']'.repeat(depth)}}`;

const BODIES: readonly (readonly [string, string | Buffer, Expected])[] = [
  ['nothing', '', invalid(/no body; a JSON object is expected/)],
  ['text that is not JSON', '{"model": "chat", messages: []}', invalid(/not valid JSON \(at character 18\)/)],
  ['cut JSON', goodText.slice(0, -2), invalid(/not valid JSON/)],
  ['bytes that are not UTF-8', Buffer.from(goodText.replace('Hi', 'H\u00ff'), 'latin1'), invalid(/not valid UTF-8/)],
  ['a byte order mark', `\u{feff}${goodText}`, invalid(/byte order mark/)],
  ['UTF-16', Buffer.from(goodText, 'utf16le'), invalid(/not valid JSON/)],
  ['an array', `[${goodText}]`, invalid(/an array; an object is expected/)],
  ['null', 'null', invalid(/null; an object is expected/)],
  ['a text', '"chat"', invalid(/a string; an object is expected/)],
  ['no model', '{"messages":[]}', invalid(/you must provide a model parameter/, 'model')],
  ['an empty model', '{"model":""}', invalid(/you must provide a model parameter/, 'model')],
  ['a model that is null', '{"model":null}', invalid(/'model': expected a string, but got null/, 'model')],
  ['a model that is a number', '{"model":4}', invalid(/'model': expected a string, but got a number/, 'model')],
  ['a model that is a list', '{"model":["chat"]}', invalid(/'model': expected a string, but got an array/, 'model')],
  ['a model that is too long', `{"model":"${'m'.repeat(257)}"}`, invalid(/257 characters long, at most 256/, 'model')],
  ['a model with a control character', '{"model":"chat\\u0007"}', invalid(/control character/, 'model')],
  ['half of a surrogate pair', '{"model":"\\ud800"}', invalid(/surrogate pair/, 'model')],
  ['model twice', '{"model":"chat","model":"chat"}', invalid(/'model' is given more than once/, 'model')],
  ['model twice, once escaped', '{"model":"chat","m\\u006fdel":"other"}', invalid(/'model' is given more than once/, 'model')],
  ['Model beside model', '{"model":"chat","Model":"other"}', invalid(/'Model'; write it as 'model'/, 'model')],
  ['a stream that is none', '{"model":"chat","Stream":true}', invalid(/'Stream'; write it as 'stream'/, 'stream')],
  [
    'a bound beside the bound',
    '{"model":"chat","max_tokens":1,"Max_Tokens":9}',
    invalid(/write it as 'max_tokens'/, 'max_tokens'),
  ],
  ['a bound in Go’s letters', '{"model":"chat","max_to\u212aens":9}', invalid(/write it as 'max_tokens'/, 'max_tokens')],
  ['other messages', '{"model":"chat","messages":[],"MESSAGES":[]}', invalid(/write it as 'messages'/, 'messages')],
  ['several choices', '{"model":"chat","N":9}', invalid(/'N'; write it as 'n'/, 'n')],
  ['stream twice', '{"model":"chat","stream":true,"stream":false}', invalid(/'stream' is given more than once/, 'stream')],
  [
    'a stream that is a text',
    '{"model":"chat","stream":"true"}',
    invalid(/'stream': expected true or false, but got a string/, 'stream'),
  ],
  ['too deep a nesting', nested(2_000), invalid(/nests deeper than \d+ levels/)],
  [
    'a model that nobody serves',
    '{"model":"gpt-9"}',
    { status: 404, code: 'model_not_found', param: 'model', message: /"gpt-9" does not exist.*GET \/v1\/models/ },
  ],
];

describe('a body', () => {
  it.each(BODIES)('%s', async (_what, body, expected) => {
    const { gateway, upstream } = await start();
    expectError(await request(gateway.port, { body }), expected);
    expect(upstream.calls).toHaveLength(0);
    expect((await request(gateway.port, { body: good })).status).toBe(200);
  });

  it('what the log says of it does not quote it', async () => {
    const { gateway } = await start();
    await request(gateway.port, { body: '{"model":"chat","messages":[{"content":"my secret prompt' });
    expect(gateway.requests).toHaveLength(1);
    expect(JSON.stringify(gateway.requests)).not.toContain('prompt');
    expect(gateway.requests[0]).toMatchObject({ status: 400, errorCode: 'invalid_body' });
  });

  it('wrong types elsewhere are the upstream’s to refuse', async () => {
    const { gateway, upstream } = await start();
    const body = '{"model":"chat","messages":7,"temperature":"hot","tools":{"a":1},"max_tokens":-1,"stream_options":[],"n":null}';
    expect((await request(gateway.port, { body })).status).toBe(200);
    expect(upstream.calls[0]?.body.toString()).toBe(body.replace('chat', 'a-upstream'));
  });
});

describe('content-encoding', () => {
  const encoded = (name: string, bytes: Buffer): RequestOptions => ({ body: bytes, headers: { 'content-encoding': name } });

  it.each([
    ['gzip', zlib.gzipSync(goodText)],
    ['GZIP', zlib.gzipSync(goodText)],
    ['deflate', zlib.deflateSync(goodText)],
    ['br', zlib.brotliCompressSync(goodText)],
    ['zstd', zlib.zstdCompressSync(goodText)],
    ['identity', Buffer.from(goodText)],
  ])('%s is taken off', async (name, bytes) => {
    const { gateway, upstream } = await start();
    expect((await request(gateway.port, encoded(name, bytes))).status).toBe(200);
    expect(upstream.calls[0]?.body.toString()).toBe(goodText.replace('chat', 'a-upstream'));
    expect(upstream.calls[0]?.headers).not.toHaveProperty('content-encoding');
  });

  it.each(['compress', 'gzip, br', 'constructor', '__proto__', 'toString'])('%s is refused by name', async (name) => {
    const { gateway } = await start();
    expectError(await request(gateway.port, encoded(name, Buffer.from(goodText))), {
      status: 415,
      code: 'unsupported_encoding',
      param: null,
      message: new RegExp(`${JSON.stringify(name.toLowerCase())} is not supported; send gzip, deflate, br, zstd or none`),
    });
    expect((await request(gateway.port, { body: good })).status).toBe(200);
  });

  it.each([
    ['gzip', Buffer.from(goodText)],
    ['gzip', zlib.gzipSync(goodText).subarray(0, 30)],
    ['gzip', Buffer.alloc(0)],
    ['br', zlib.brotliCompressSync(goodText).subarray(0, 12)],
    ['zstd', Buffer.from(goodText)],
  ])('%s, damaged', async (name, bytes) => {
    const { gateway } = await start();
    expectError(await request(gateway.port, encoded(name, bytes)), invalid(new RegExp(`not valid ${name} data`)));
    expect((await request(gateway.port, { body: good })).status).toBe(200);
  });

  it.each([
    ['gzip', zlib.gzipSync(Buffer.alloc(40 * 1024 * 1024, 0x20))],
    [
      'br',
      zlib.brotliCompressSync(Buffer.alloc(40 * 1024 * 1024, 0x20), { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 1 } }),
    ],
    ['zstd', zlib.zstdCompressSync(Buffer.alloc(40 * 1024 * 1024, 0x20))],
  ])('a %s bomb goes off nowhere', async (name, bytes) => {
    const { gateway } = await start();
    expect(bytes.length).toBeLessThan(LIMIT_BYTES);
    expectError(await request(gateway.port, encoded(name, bytes)), tooLarge(/decoded/));
    await gateway.until(() => gateway.gateway.budget.usedBytes === 0);
    expect((await request(gateway.port, { body: good })).status).toBe(200);
  });

  it('unfolds no further than the pod has room for, whatever a body may have', async () => {
    const { gateway } = await start({ maxBufferedBytes: LIMIT_BYTES / 2 });
    const answer = await request(
      gateway.port,
      encoded('gzip', zlib.gzipSync(Buffer.alloc(40 * 1024 * 1024, 0x20)).subarray(0, 8_192)),
    );
    expect(answer.status).toBe(503);
    expect(JSON.parse(answer.text)).toMatchObject({ error: { code: 'overloaded' } });
    await gateway.until(() => gateway.gateway.budget.usedBytes === 0);
    expect((await request(gateway.port, { body: good })).status).toBe(200);
  });
});

function tooLarge(message: RegExp): Expected {
  return { status: 413, code: 'request_too_large', param: null, message };
}

describe('a body over the limit', () => {
  const sizeNamed = /larger than this gateway takes \(65536 bytes\)/;

  it('is refused by what it announces, before it is sent', async () => {
    const { gateway } = await start();
    const connection = await RawConnection.open(gateway.port);
    connection.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\ncontent-length: ${LIMIT_BYTES + 1}\r\n\r\n`);
    const answer = await connection.answer();
    expect(answer?.status).toBe(413);
    expect(answer?.body).toMatch(sizeNamed);
    expect(answer?.headers['connection']).toBe('close');
    connection.socket.end();
    expect(await connection.rest()).toBe('');
    expect((await request(gateway.port, { body: good })).status).toBe(200);
  });

  it('one byte below it is served', async () => {
    const { gateway } = await start();
    const fill = (size: number): string => `{"model":"chat","a":"${'x'.repeat(size - 23)}"}`;
    expect(Buffer.byteLength(fill(LIMIT_BYTES))).toBe(LIMIT_BYTES);
    expect((await request(gateway.port, { body: fill(LIMIT_BYTES) })).status).toBe(200);
    expectError(await request(gateway.port, { body: fill(LIMIT_BYTES + 1) }), tooLarge(sizeNamed));
  });

  it('is refused in the middle where it announces nothing', async () => {
    const { gateway } = await start();
    const connection = await RawConnection.open(gateway.port);
    connection.write('POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\ntransfer-encoding: chunked\r\n\r\n');
    const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`;
    for (let sent = 0; sent <= LIMIT_BYTES; sent += 0x4000) connection.write(chunk);
    const answer = await connection.answer();
    expect(answer?.status).toBe(413);
    expect(answer?.body).toMatch(sizeNamed);
    expect(answer?.headers['connection']).toBe('close');
    connection.close();
    await gateway.until(() => gateway.gateway.budget.usedBytes === 0);
  });

  it.each([
    ['announced', `content-length: ${64 * 1024 * 1024}`],
    ['not announced', 'transfer-encoding: chunked'],
  ])('the answer reaches a client that sends on and on (%s)', async (_how, header) => {
    const { gateway } = await start();
    const connection = await RawConnection.open(gateway.port);
    connection.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\n${header}\r\n\r\n`);
    // Without looking at the answer, as simple clients do: 16 MiB.
    const piece = Buffer.alloc(256 * 1024, 0x78);
    const chunk = header.startsWith('content') ? piece : Buffer.concat([Buffer.from('40000\r\n'), piece, Buffer.from('\r\n')]);
    let sentBytes = 0;
    while (sentBytes < 16 * 1024 * 1024 && connection.socket.writable) {
      connection.write(chunk);
      sentBytes += chunk.length;
      await new Promise((resolve) => setImmediate(resolve));
    }
    const answer = await connection.answer();
    expect(answer?.status).toBe(413);
    expect(answer?.body).toMatch(sizeNamed);
    connection.close();
    expect((await request(gateway.port, { body: good })).status).toBe(200);
  });

  it('a key that is not known is told so without the body being read', async () => {
    const { upstream } = await start();
    const gateway = await startGateway(documents(bounded('APIKey'), routeYaml({ a: upstream.url })));
    const connection = await RawConnection.open(gateway.port);
    connection.write(post('/v1/chat/completions', goodText));
    expect((await connection.answer())?.status).toBe(401);
    // The connection is as good as before.
    connection.write(post('/v1/chat/completions', goodText));
    expect((await connection.answer())?.status).toBe(401);
    connection.close();
  });
});
