import { describe, expect, it } from '@jest/globals';
import { request } from './support/client.ts';
import { chat, streamOf } from './support/dialects.ts';
import { startGateway, type TestGateway, type TestGatewayOptions } from './support/gateway.ts';
import { usedBytes } from './support/memory.ts';
import { post, rawAnswer, RawConnection } from './support/raw-http.ts';
import { FakeUpstream, refusingPort } from './support/upstream.ts';
import { routeYaml } from './support/yaml.ts';

/** What arrives on the socket and is not the request that a client of the API sends. */

const good = { model: 'chat', messages: [{ role: 'user', content: 'Hi' }] };
const goodText = JSON.stringify(good);
const PATH = '/v1/chat/completions';

async function start(options?: TestGatewayOptions): Promise<{ readonly gateway: TestGateway; readonly upstream: FakeUpstream }> {
  const upstream = await FakeUpstream.start((call) => {
    if (call.body.includes('"stream":true')) call.stream(streamOf(chat, 'Hello', 'there'));
    else call.answer(200, chat.whole('Hello'));
  });
  return { upstream, gateway: await startGateway(routeYaml({ a: upstream.url }), options) };
}

/** The error of an answer's body; throws where it is not of OpenAI's shape. */
function errorOf(body: string | undefined): { message: string; type: string; param: string | null; code: string } {
  const { error } = JSON.parse(body ?? '') as { error: { message: string; type: string; param: string | null; code: string } };
  expect(Object.keys(error).sort()).toEqual(['code', 'message', 'param', 'type']);
  return error;
}

async function servesOn({ port }: TestGateway): Promise<void> {
  expect((await request(port, { body: good })).status).toBe(200);
}

describe('a path', () => {
  it.each([
    ['/chat/completions', '/v1/chat/completions'],
    ['/v1/v1/chat/completions', '/v1/chat/completions'],
    ['/v1//chat/completions', '/v1/chat/completions'],
    ['/v1/embeddings/', '/v1/embeddings'],
    ['/models', '/v1/models'],
  ])('%s that is not there, with the one that was meant', async (path, meant) => {
    const { gateway } = await start();
    const answer = await request(gateway.port, { path, body: good });
    expect(answer.status).toBe(404);
    expect(errorOf(answer.text)).toEqual({
      code: 'unknown_url',
      param: null,
      type: 'invalid_request_error',
      message: `Unknown request URL: POST ${JSON.stringify(path)}. Did you mean ${meant}?`,
    });
  });

  it.each(['/', '/v1', '/favicon.ico', '/v1/chat', '/%ff', '/v1/x/../chat/completions', `/${'x'.repeat(2_000)}`])(
    '%#: one that is nothing',
    async (path) => {
      const { gateway } = await start();
      const answer = await request(gateway.port, { path });
      expect(answer.status).toBe(404);
      expect(errorOf(answer.text).code).toBe('unknown_url');
      expect(errorOf(answer.text).message).not.toContain('Did you mean');
      expect(answer.text.length).toBeLessThan(500);
      await servesOn(gateway);
    },
  );

  it.each([
    ['GET', PATH, 'POST'],
    ['PUT', '/v1/embeddings', 'POST'],
    ['OPTIONS', '/openai/deployments/chat/chat/completions', 'POST'],
    ['POST', '/v1/models', 'GET'],
    ['DELETE', '/v1/models/chat', 'GET'],
  ])('%s %s: the method is wrong', async (method, path, allow) => {
    const { gateway } = await start();
    const answer = await request(gateway.port, { method, path });
    expect(answer.status).toBe(405);
    expect(answer.headers.allow).toBe(allow);
    expect(errorOf(answer.text)).toMatchObject({
      code: 'method_not_allowed',
      message: `${method} is not allowed on ${JSON.stringify(path)}; use ${allow}.`,
    });
  });

  it.each([
    ['/v1/uploads', 'uploads'],
    ['/v1/batches/batch_1/lines', 'this part of the Batches API'],
    ['/v1/chat/completions/chatcmpl-1', 'stored chat completions'],
    ['/v1/realtime?model=chat', 'realtime'],
    ['/v1/assistants', 'assistants'],
    ['/openai/v1/vector_stores', 'vector_stores'],
  ])('%s that is not served, by name', async (path, feature) => {
    const { gateway } = await start();
    const answer = await request(gateway.port, { path });
    expect(answer.status).toBe(501);
    expect(errorOf(answer.text).code).toBe('not_implemented');
    expect(errorOf(answer.text).message).toContain(`does not serve ${feature} (`);
  });

  it('a socket that would be upgraded is refused by name', async () => {
    const { gateway } = await start();
    const head =
      'GET /v1/realtime?model=chat HTTP/1.1\r\nhost: g\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';
    const answer = await rawAnswer(gateway.port, head);
    expect(answer?.status).toBe(501);
    expect(errorOf(answer?.body).message).toContain('realtime');
  });

  it('in absolute form is the same path', async () => {
    const { gateway } = await start();
    const answer = await rawAnswer(gateway.port, post(`http://gateway.example${PATH}?a=b`, goodText));
    expect(answer?.status).toBe(200);
  });
});

describe('on the socket', () => {
  it.each([
    ['noise', 'hello\r\n\r\n'],
    ['binary noise', Buffer.from([0, 1, 2, 255, 13, 10, 13, 10])],
    ['the beginning of TLS', Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3])],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['HTTP of another version', `POST ${PATH} HTTP/3.7\r\nhost: g\r\n\r\n`],
    ['a header without a colon', `POST ${PATH} HTTP/1.1\r\nhost: g\r\nnonsense\r\n\r\n`],
    ['a space before the colon', `POST ${PATH} HTTP/1.1\r\nhost: g\r\nx-a : b\r\n\r\n`],
    ['two lengths', `POST ${PATH} HTTP/1.1\r\nhost: g\r\ncontent-length: 2\r\ncontent-length: 50\r\n\r\n{}`],
    ['a length that is no number', `POST ${PATH} HTTP/1.1\r\nhost: g\r\ncontent-length: 2e1\r\n\r\n{}`],
    ['a negative length', `POST ${PATH} HTTP/1.1\r\nhost: g\r\ncontent-length: -2\r\n\r\n{}`],
    [
      'a length beside chunks',
      `POST ${PATH} HTTP/1.1\r\nhost: g\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    [
      'chunks that are not the last coding',
      `POST ${PATH} HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n`,
    ],
    ['a coding that looks like chunks', `POST ${PATH} HTTP/1.1\r\nhost: g\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n`],
    ['a chunk size that is none', `POST ${PATH} HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n`],
    [
      'a chunk that is longer than it says',
      `POST ${PATH} HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}{}\r\n0\r\n\r\n`,
    ],
  ])('%s is refused and the connection closed', async (_what, bytes) => {
    const { gateway, upstream } = await start();
    const connection = await RawConnection.open(gateway.port);
    connection.write(bytes);
    // What would be the smuggled request.
    connection.write(`GET /v1/models HTTP/1.1\r\nhost: g\r\n\r\n`);
    const answer = await connection.answer();
    expect(answer?.status).toBe(400);
    expect(errorOf(answer?.body)).toMatchObject({ code: 'bad_request', message: expect.stringMatching(/not valid HTTP\/1\.1/) });
    expect(answer?.headers['connection']).toBe('close');
    expect(await connection.rest()).toBe('');
    connection.close();
    expect(upstream.calls).toHaveLength(0);
    await servesOn(gateway);
  });

  it('headers that are too large', async () => {
    const { gateway } = await start();
    const answer = await rawAnswer(gateway.port, `POST ${PATH} HTTP/1.1\r\nhost: g\r\nx-a: ${'x'.repeat(20_000)}\r\n\r\n`);
    expect(answer?.status).toBe(431);
    expect(errorOf(answer?.body).message).toBe('The request headers are larger than 16 KiB.');
    await servesOn(gateway);
  });

  it('garbage behind a request does not get into its answer, but has its own', async () => {
    const upstream = await FakeUpstream.start();
    const gateway = await startGateway(routeYaml({ a: upstream.url }));
    const connection = await RawConnection.open(gateway.port);
    connection.write(post(PATH, JSON.stringify({ ...good, stream: true })));
    const call = await upstream.nextCall();
    const frames = streamOf(chat, 'Hello');
    call.open();
    for (const frame of frames.slice(0, -2)) call.chunk(frame);
    while (!connection.received.includes('Hello')) await connection.more();
    connection.write('what is this\r\n\r\n');
    for (const frame of frames.slice(-2)) call.chunk(frame);
    call.end();
    expect(await connection.answer()).toMatchObject({ status: 200, body: frames.join('') });
    expect((await connection.answer())?.status).toBe(400);
    expect(await connection.rest()).toBe('');
  });

  it('a request without a body that never comes', async () => {
    const timeouts = { headersMs: 60, requestMs: 120, checkEveryMs: 20 };
    const { gateway } = await start({ listenerTimeouts: timeouts });
    for (const beginning of [
      'POST /v1/chat/comp',
      `POST ${PATH} HTTP/1.1\r\nhost: g\r\n`,
      `POST ${PATH} HTTP/1.1\r\nhost: g\r\ncontent-length: 9\r\n\r\n{`,
    ]) {
      const connection = await RawConnection.open(gateway.port);
      connection.write(beginning);
      const answer = await connection.answer();
      expect(answer?.status).toBe(408);
      expect(errorOf(answer?.body).message).toBe('The request did not arrive within the time for it.');
      expect(await connection.rest()).toBe('');
    }
    // The client holds on to its side of the last connection, in vain.
    await gateway.until(() => gateway.requests.length === 1);
    expect(gateway.gateway.running.size).toBe(0);
    expect(gateway.gateway.budget.usedBytes).toBe(0);
    await servesOn(gateway);
  });

  it('a client that leaves in the middle of its body leaves nothing behind', async () => {
    const { gateway, upstream } = await start();
    const connection = await RawConnection.open(gateway.port);
    connection.write(`POST ${PATH} HTTP/1.1\r\nhost: g\r\ncontent-length: 900\r\n\r\n{"model":`);
    while (gateway.gateway.budget.usedBytes === 0) await new Promise((resolve) => setImmediate(resolve));
    connection.close();
    await gateway.until(() => gateway.requests.length === 1);
    expect(gateway.requests[0]).toMatchObject({ clientGone: true, errorCode: 'client_gone' });
    expect(gateway.gateway.budget.usedBytes).toBe(0);
    expect(upstream.calls).toHaveLength(0);
  });
});

describe('unusual but right', () => {
  it('Expect: 100-continue', async () => {
    const { gateway } = await start();
    const connection = await RawConnection.open(gateway.port);
    connection.write(`POST ${PATH} HTTP/1.1\r\nhost: g\r\nexpect: 100-continue\r\ncontent-length: ${goodText.length}\r\n\r\n`);
    expect((await connection.answer())?.status).toBe(100);
    connection.write(goodText);
    expect((await connection.answer())?.status).toBe(200);
    // What its head alone condemns is refused without being sent.
    connection.write(`POST ${PATH} HTTP/1.1\r\nhost: g\r\nexpect: 100-continue\r\ncontent-length: ${2 ** 40}\r\n\r\n`);
    expect((await connection.answer())?.status).toBe(413);
    connection.close();
  });

  it('HTTP/1.0, whole and streamed: the end of the connection ends the answer', async () => {
    const { gateway } = await start();
    const head = (body: string): string => `POST ${PATH} HTTP/1.0\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    const whole = await rawAnswer(gateway.port, head(goodText));
    expect(whole).toMatchObject({ status: 200, body: chat.whole('Hello') });
    const streamed = await rawAnswer(gateway.port, head(JSON.stringify({ ...good, stream: true })));
    expect(streamed).toMatchObject({ status: 200, body: streamOf(chat, 'Hello', 'there').join('') });
    expect(streamed?.headers).not.toHaveProperty('transfer-encoding');
  });

  it('requests one behind the other, answered in their order', async () => {
    const { gateway, upstream } = await start();
    let release = (): void => {};
    upstream.respond((call) => {
      const answer = (): void => call.answer(200, chat.whole(String(call.body).includes('first') ? 'one' : 'two'));
      if (String(call.body).includes('first')) release = answer;
      else answer();
    });
    const connection = await RawConnection.open(gateway.port);
    const named = (content: string): Buffer =>
      post(PATH, JSON.stringify({ model: 'chat', messages: [{ role: 'user', content }] }));
    connection.write(
      Buffer.concat([
        named('first'),
        named('second'),
        Buffer.from('GET /v1/models HTTP/1.1\r\nhost: g\r\n\r\n'),
        post(PATH, '{'),
      ]),
    );
    await upstream.nextCall();
    expect(upstream.calls).toHaveLength(1);
    release();
    expect((await connection.answer())?.body).toBe(chat.whole('one'));
    expect((await connection.answer())?.body).toBe(chat.whole('two'));
    expect((await connection.answer())?.body).toContain('"object":"list"');
    expect((await connection.answer())?.status).toBe(400);
    connection.close();
  });

  it('streams one behind the other', async () => {
    const { gateway } = await start();
    const connection = await RawConnection.open(gateway.port);
    const streamed = post(PATH, JSON.stringify({ ...good, stream: true }));
    connection.write(Buffer.concat([streamed, streamed, post(PATH, goodText)]));
    expect((await connection.answer())?.body).toBe(streamOf(chat, 'Hello', 'there').join(''));
    expect((await connection.answer())?.body).toBe(streamOf(chat, 'Hello', 'there').join(''));
    expect((await connection.answer())?.body).toBe(chat.whole('Hello'));
    connection.close();
  });

  it('a body in chunks with extensions and trailers goes upstream with its length', async () => {
    const { gateway, upstream } = await start();
    const half = Math.floor(goodText.length / 2);
    const chunks = [goodText.slice(0, half), goodText.slice(half)]
      .map((part) => `${part.length.toString(16)};a=b\r\n${part}\r\n`)
      .join('');
    const answer = await rawAnswer(
      gateway.port,
      `POST ${PATH} HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n${chunks}0\r\nx-sum: 1\r\nauthorization: Bearer x\r\n\r\n`,
    );
    expect(answer?.status).toBe(200);
    const [call] = upstream.calls;
    expect(call?.body.toString()).toBe(goodText.replace('chat', 'a-upstream'));
    expect(call?.headers['content-length']).toBe(String(call?.body.length));
    expect(call?.headers).not.toHaveProperty('transfer-encoding');
    expect(call?.headers).not.toHaveProperty('authorization');
  });
});

describe('a body in chunks of a byte', () => {
  it('takes not a hundred times the memory of its bytes, and goes upstream as it is', async () => {
    const { gateway, upstream } = await start();
    const text = JSON.stringify({ ...good, messages: [{ role: 'user', content: 'Hi'.repeat(128 * 1024) }] });
    const connection = await RawConnection.open(gateway.port);
    const before = await usedBytes();
    connection.write(`POST ${PATH} HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\n`);
    for (let at = 0; at < text.length; at += 4096) {
      connection.write(text.slice(at, at + 4096).replaceAll(/./g, '1\r\n$&\r\n'));
      while (gateway.gateway.budget.usedBytes < Math.min(text.length, at + 4096))
        await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await usedBytes()) - before).toBeLessThan(32 * text.length);
    connection.write('0\r\n\r\n');
    expect((await connection.answer())?.status).toBe(200);
    expect(upstream.calls[0]?.body.toString()).toBe(text.replace('chat', 'a-upstream'));
  });
});

describe('behind the gateway', () => {
  it('an upstream that is not there is named, with what happened', async () => {
    const port = await refusingPort();
    const { upstream } = await start();
    const gateway = await startGateway(
      `${routeYaml({ gone: `http://127.0.0.1:${port}/v1` })}\n---\n${routeYaml({ a: upstream.url }).replace('name: chat', 'name: other').replace('modelNames: [chat]', 'modelNames: [other]')}`,
    );
    const answer = await request(gateway.port, { body: good });
    expect(answer.status).toBe(502);
    expect(errorOf(answer.text)).toMatchObject({ code: 'upstream_failed', type: 'upstream_error' });
    expect(errorOf(answer.text).message).toMatch(/gone: network \(.*ECONNREFUSED/);
    expect(answer.headers['x-should-retry']).toBe('false');
    expect((await request(gateway.port, { body: { ...good, model: 'other' } })).status).toBe(200);
  });
});
