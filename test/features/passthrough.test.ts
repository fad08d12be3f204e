import zlib from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { request } from './support/client.ts';
import { chat, DIALECTS, streamOf } from './support/dialects.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { FakeUpstream, type Respond } from './support/upstream.ts';
import { routeYaml } from './support/yaml.ts';

/** Bytes pass through as they are: of a request all but the model's name, of an answer all. */

interface Setting {
  readonly gateway: TestGateway;
  readonly upstream: FakeUpstream;
}

async function start(respond: Respond = (call) => call.answer(200, chat.whole('Hello'))): Promise<Setting> {
  const upstream = await FakeUpstream.start(respond);
  return { upstream, gateway: await startGateway(routeYaml({ a: upstream.url })) };
}

describe('a request', () => {
  const STRANGE: readonly (readonly [string, string])[] = [
    [
      'unknown fields and tool types',
      '{"model":"chat","tools":[{"type":"x_search","from":[1]}],"thinking":{"budget":-1},"x":null}',
    ],
    ['odd whitespace', '\t\r\n {  "messages" :\n[ ] ,\t"model"\r\n:   "chat"  , "a":1 }\n\n  '],
    [
      'numbers beyond JavaScript’s',
      '{"seed":12345678901234567890,"a":1e400,"b":-0.0,"c":1.10,"d":1E+2,"model":"chat","e":0.1000000000000000055}',
    ],
    ['escapes and other scripts', '{"a":"\\u00e9\\/\\ud83d\\ude00é😀\\u2028\u2028","model":"chat","\\u0061":"日本語","é":[]}'],
    ['escapes in the name itself', '{"model":"ch\\u0061t","a":"model"}'],
    ['an escaped key', '{"m\\u006fdel":"chat","a":1}'],
    [
      'the word model everywhere',
      '{"messages":[{"model":"chat","content":"\\"model\\":\\"chat\\""}],"model":"chat","metadata":{"model":"chat"}}',
    ],
    ['keys that are given twice', '{"a":1,"a":2,"model":"chat","temperature":0,"temperature":1}'],
    ['keys of JavaScript’s own', '{"__proto__":{"model":"x"},"constructor":1,"model":"chat","toString":2,"hasOwnProperty":3}'],
    ['a large body', `{"model":"chat","messages":[{"role":"user","content":"${'lorem ipsum é '.repeat(40_000)}"}]}`],
  ];

  it.each(STRANGE)('arrives byte for byte but for its model: %s', async (_what, body) => {
    const { gateway, upstream } = await start();
    expect((await request(gateway.port, { body })).status).toBe(200);
    // The name at the top level: the last of equal strings in the first bodies, told apart by hand in the others.
    const expected = body.includes('metadata')
      ? body.replace(',"model":"chat","metadata"', ',"model":"a-upstream","metadata"')
      : body.replace(/(\bm(?:odel|\\u006fdel)"\s*:\s*)"ch(?:a|\\u0061)t"/, '$1"a-upstream"');
    expect(upstream.calls[0]?.body.toString()).toBe(expected);
  });

  it('in a stream: only the question for usage is added', async () => {
    const { gateway, upstream } = await start((call) => call.stream(streamOf(chat, 'Hello')));
    const body = '{ "model": "chat", "stream":true , "messages":[]}';
    expect((await request(gateway.port, { body })).status).toBe(200);
    expect(upstream.calls[0]?.body.toString()).toBe(
      '{"stream_options":{"include_usage":true}, "model": "a-upstream", "stream":true , "messages":[]}',
    );
    const asked = '{"model":"chat","stream":true,"stream_options":{"include_usage":true, "x":1}}';
    await request(gateway.port, { body: asked });
    expect(upstream.calls[1]?.body.toString()).toBe(asked.replace('chat', 'a-upstream'));
    const refused = '{"model":"chat","stream":true,"stream_options":{"include_usage":false,"x":1}}';
    await request(gateway.port, { body: refused });
    expect(upstream.calls[2]?.body.toString()).toBe(refused.replace('chat', 'a-upstream').replace('false', 'true'));
  });

  it('with the parameters that the route sets', async () => {
    const upstream = await FakeUpstream.start((call) => call.answer(200, chat.whole('Hello')));
    const more = 'defaults: {temperature: 0.5, top_p: 1}, override: {user: gateway}';
    const gateway = await startGateway(routeYaml({ a: { url: upstream.url, more } }));
    await request(gateway.port, { body: '{"model":"chat", "top_p":0.10, "user":"me"}' });
    expect(upstream.calls[0]?.body.toString()).toBe('{"temperature":0.5,"model":"a-upstream", "top_p":0.10, "user":"gateway"}');
  });

  it('in Azure’s URL forms, with the model in the path or in the body', async () => {
    const { gateway, upstream } = await start();
    const post = async (path: string, body: string): Promise<number> => (await request(gateway.port, { path, body })).status;
    expect(await post('/openai/deployments/chat/chat/completions?api-version=2024-10-21', '{ "messages":[]}')).toBe(200);
    expect(await post('/openai/deployments/ch%61t/chat/completions', '{"model":"something-else","a":1}')).toBe(200);
    expect(await post('/openai/deployments/chat/embeddings?api-version=1', '{}')).toBe(502);
    expect(await post('/openai/v1/chat/completions', '{"model":"chat"}')).toBe(200);
    expect(await post('/openai/v1/chat/completions?api-version=preview', '{"model":"chat"}')).toBe(200);
    expect(await post('/openai/deployments/nothing/chat/completions', '{"model":"chat"}')).toBe(404);
    expect(upstream.calls.map(({ path, body }) => [path, body.toString()])).toEqual([
      ['/v1/chat/completions', '{"model":"a-upstream", "messages":[]}'],
      ['/v1/chat/completions', '{"model":"a-upstream","a":1}'],
      ['/v1/embeddings', '{"model":"a-upstream"}'],
      ['/v1/chat/completions', '{"model":"a-upstream"}'],
      ['/v1/chat/completions', '{"model":"a-upstream"}'],
    ]);
  });

  it('whose form carries the model: only that field changes', async () => {
    const { gateway, upstream } = await start((call) => call.answer(200, '{"text":"Hello"}'));
    const part = (name: string, value: string, more = ''): string =>
      `--b b\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n${value}\r\n`;
    const form = (model: string): Buffer =>
      Buffer.concat([
        Buffer.from(part('prompt', 'model chat', '; filename="model"')),
        Buffer.from(part('model', model)),
        Buffer.from(
          '--b b\r\nContent-Disposition: form-data; name="file"; filename="a\\".mp3"\r\nContent-Type: audio/mpeg\r\n\r\n',
        ),
        Buffer.from([0, 255, 13, 10, 45, 45, 98, 13, 10, 13, 10, 254]),
        Buffer.from('\r\n--b b--\r\n'),
      ]);
    const headers = { 'content-type': 'multipart/form-data; boundary="b b"' };
    expect((await request(gateway.port, { path: '/v1/audio/transcriptions', body: form('chat'), headers })).status).toBe(200);
    expect(upstream.calls[0]?.body.equals(form('a-upstream'))).toBe(true);
    expect(upstream.calls[0]?.headers['content-type']).toBe(headers['content-type']);
  });
});

describe('an answer', () => {
  it('comes back byte for byte', async () => {
    const strange = ` \n${chat.whole('é😀\u2028').replace('{', '{ "big": 12345678901234567890, "n":1.10, "esc":"\\u00e9\\/", ')}\r\n`;
    const { gateway } = await start((call) =>
      call.answer(200, strange, { 'content-type': 'application/json; charset=utf-8; x=1' }),
    );
    const answer = await request(gateway.port, { body: { ...chat.body } });
    expect(answer.text).toBe(strange);
    expect(answer.headers['content-type']).toBe('application/json; charset=utf-8; x=1');
    expect(answer.headers['content-length']).toBe(String(Buffer.byteLength(strange)));
  });

  it('that is an error of the request’s own comes back byte for byte', async () => {
    const strange = ' {"error" : {"message":"No \\u00e9","type":"invalid_request_error","code":null,"param":"x","more":[1.0]}}\n';
    const { gateway } = await start((call) => call.answer(422, strange));
    const answer = await request(gateway.port, { body: { ...chat.body } });
    expect({ status: answer.status, text: answer.text }).toEqual({ status: 422, text: strange });
  });

  it.each(Object.keys(DIALECTS))('streamed comes back frame by frame as it was (%s)', async (name) => {
    const dialect = DIALECTS[name as keyof typeof DIALECTS];
    const frames = streamOf(dialect, 'Hello', 'é😀', 'there');
    const [first = '', ...rest] = frames.map((frame) => frame.replace('data: {', 'data:{ ').replaceAll('\n', '\r\n'));
    const odd = [': comment\n\n', first, 'id: 7\nretry: 10\n\n', ...rest].join('');
    const { gateway } = await start((call) => call.stream([odd]));
    const answer = await request(gateway.port, { path: dialect.path, body: { ...dialect.body, stream: true } });
    expect(answer.text).toBe(odd);
  });

  it.each([
    ['gzip', (text: string) => zlib.gzipSync(text)],
    ['deflate', (text: string) => zlib.deflateSync(text)],
    ['br', (text: string) => zlib.brotliCompressSync(text)],
    ['zstd', (text: string) => zlib.zstdCompressSync(text)],
    ['GZIP', (text: string) => zlib.gzipSync(text)],
  ] as const)('compressed although not asked for (%s) is decoded, whole and streamed', async (encoding, compress) => {
    const { gateway } = await start((call) => {
      const stream = call.body.includes('"stream":true');
      const bytes = compress(stream ? streamOf(chat, 'Hello').join('') : chat.whole('Hello'));
      call.answer(200, bytes, {
        'content-encoding': encoding,
        'content-type': stream ? 'text/event-stream' : 'application/json',
      });
    });
    const whole = await request(gateway.port, { body: { ...chat.body } });
    expect(whole.text).toBe(chat.whole('Hello'));
    expect(whole.headers).not.toHaveProperty('content-encoding');
    const streamed = await request(gateway.port, { body: { ...chat.body, stream: true } });
    expect(streamed.text).toBe(streamOf(chat, 'Hello').join(''));
  });

  it.each([
    ['gzip', Buffer.from('not gzip')],
    ['gzip', zlib.gzipSync(chat.whole('Hello')).subarray(0, 40)],
    ['constructor', Buffer.from(chat.whole('Hello'))],
    ['snappy', Buffer.from(chat.whole('Hello'))],
  ])('damaged, or in an encoding that nobody knows (%s), fails over', async (encoding, bytes) => {
    const first = await FakeUpstream.start((call) => call.answer(200, bytes, { 'content-encoding': encoding }));
    const second = await FakeUpstream.start((call) => call.answer(200, chat.whole('Second')));
    const gateway = await startGateway(routeYaml({ a: first.url, b: second.url }));
    const answer = await request(gateway.port, { body: { ...chat.body } });
    expect(answer.text).toBe(chat.whole('Second'));
    expect(answer.headers['x-fairlead-reason']).toContain('failover:ServerError(a)');
  });

  it('that unfolds into far more than it was is held to a bound, and fails over', async () => {
    const bomb = zlib.gzipSync(Buffer.alloc(64 * 1024 * 1024, 0x20), { level: 9 });
    const first = await FakeUpstream.start((call) => call.answer(500, bomb, { 'content-encoding': 'gzip' }));
    const second = await FakeUpstream.start((call) => call.answer(200, chat.whole('Second')));
    const gateway = await startGateway(routeYaml({ a: first.url, b: second.url }), { maxBufferedBytes: 16 * 1024 * 1024 });
    expect((await request(gateway.port, { body: { ...chat.body } })).text).toBe(chat.whole('Second'));
    expect(gateway.gateway.budget.usedBytes).toBe(0);
  });

  it('that is a redirect is not followed', async () => {
    const elsewhere = await FakeUpstream.start((call) => call.answer(200, chat.whole('Elsewhere')));
    const { gateway } = await start((call) => call.answer(307, '', { location: `${elsewhere.url}/chat/completions` }));
    const answer = await request(gateway.port, { body: { ...chat.body } });
    expect(answer.status).toBe(502);
    expect(answer.text).toContain('HTTP 307');
    expect(answer.headers).not.toHaveProperty('location');
    expect(elsewhere.calls).toHaveLength(0);
  });
});

describe('a stream', () => {
  it.each([
    [true, 'application/json'],
    [true, '*/*'],
    [false, 'text/event-stream'],
    [undefined, 'text/event-stream'],
    [null, 'text/event-stream'],
  ])('is what body.stream says (%s), not Accept (%s)', async (stream, accept) => {
    const { gateway, upstream } = await start((call) => {
      if (call.body.includes('"stream":true')) call.stream(streamOf(chat, 'Hello'));
      else call.answer(200, chat.whole('Hello'));
    });
    const answer = await request(gateway.port, { body: { ...chat.body, stream }, headers: { accept } });
    expect(answer.headers['content-type']).toBe(stream === true ? 'text/event-stream' : 'application/json');
    expect(upstream.calls[0]?.headers).not.toHaveProperty('accept');
  });
});
