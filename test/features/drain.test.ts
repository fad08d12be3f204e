// Promise: a gateway that ends takes nothing new, lets what is under way come to its end, and tells those it must cut short.
import http from 'node:http';
import { describe, expect, it } from '@jest/globals';
import { request, type Sent, send } from './support/client.ts';
import { chat, responses } from './support/dialects.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { FakeUpstream, type ReceivedCall } from './support/upstream.ts';
import { routeYaml } from './support/yaml.ts';

const LONG_MS = 3_600_000;
const streaming = { body: { ...chat.body, stream: true } };

async function setUp(): Promise<{ gateway: TestGateway; upstream: FakeUpstream }> {
  const upstream = await FakeUpstream.start();
  return { gateway: await startGateway(routeYaml({ a: upstream.url })), upstream };
}

async function beginStream(
  gateway: TestGateway,
  upstream: FakeUpstream,
  agent?: http.Agent,
): Promise<{ sent: Sent; call: ReceivedCall }> {
  const sent = send(gateway.port, { ...streaming, ...(agent === undefined ? {} : { agent }) });
  const call = await upstream.nextCall();
  call.open();
  call.chunk(chat.text('one'));
  await sent.waitFor('one');
  return { sent, call };
}

function finish(call: ReceivedCall): void {
  for (const part of chat.ending) call.chunk(part);
  call.end();
}

describe('a gateway that drains', () => {
  it('lets a stream come to its end, and waits for nothing else: no keep-alive, no idle connection', async () => {
    const { gateway, upstream } = await setUp();
    const agent = new http.Agent({ keepAlive: true });
    const { sent, call } = await beginStream(gateway, upstream, agent);
    const closed = gateway.close(LONG_MS);
    finish(call);
    expect(await sent.answer).toMatchObject({ complete: true, text: [chat.text('one'), ...chat.ending].join('') });
    await closed;
    await upstream.until(() => upstream.connections === 0);
    agent.destroy();
  });

  it('closes idle keep-alive connections at once', async () => {
    const { gateway } = await setUp();
    const agent = new http.Agent({ keepAlive: true });
    await request(gateway.port, { path: '/v1/models', agent });
    await gateway.close(LONG_MS);
    agent.destroy();
  });

  it('takes no new connections, says so to readiness, and stays alive', async () => {
    const { gateway, upstream } = await setUp();
    const { sent, call } = await beginStream(gateway, upstream);
    const closed = gateway.close(LONG_MS);
    await expect(request(gateway.port, { path: '/v1/models' })).rejects.toThrow('ECONNREFUSED');
    expect(await request(gateway.adminPort, { path: '/readyz' })).toMatchObject({ status: 503, text: 'draining\n' });
    expect(await request(gateway.adminPort, { path: '/healthz' })).toMatchObject({ status: 200 });
    finish(call);
    await sent.answer;
    await closed;
  });

  it('tells a request whose answer has not begun that its connection ends', async () => {
    const { gateway, upstream } = await setUp();
    const agent = new http.Agent({ keepAlive: true });
    const sent = send(gateway.port, { body: chat.body, agent });
    const call = await upstream.nextCall();
    const closed = gateway.close(LONG_MS);
    call.answer(200, chat.whole('a'));
    const answer = await sent.answer;
    expect(answer).toMatchObject({ status: 200, text: chat.whole('a') });
    expect(answer.headers.connection).toBe('close');
    await closed;
    agent.destroy();
  });
});

describe('when the time is over', () => {
  it('an open stream gets an explicit error, its upstream is cancelled, and what it has used is settled', async () => {
    const { gateway, upstream } = await setUp();
    const { sent, call } = await beginStream(gateway, upstream);
    call.chunk(chat.text('x'.repeat(397)));
    await sent.waitFor('xxx');
    await gateway.close(20);
    const answer = await sent.answer;
    expect(answer.complete).toBe(true);
    expect(answer.text).toContain('"code":"shutting_down"');
    expect(answer.text).not.toContain('[DONE]');
    await call.gone;
    expect(gateway.requests).toMatchObject([
      { errorCode: 'shutting_down', target: 'a', usage: { outputTokens: 100, estimated: true } },
    ]);
  });

  it('a stream of responses gets it with the number that follows', async () => {
    const upstream = await FakeUpstream.start();
    const gateway = await startGateway(routeYaml({ a: upstream.url }));
    const sent = send(gateway.port, { path: responses.path, body: { ...responses.body, stream: true } });
    const call = await upstream.nextCall();
    call.open();
    for (const part of [...responses.preamble, responses.text('one', 0), responses.text('two', 1)]) call.chunk(part);
    await sent.waitFor('two');
    await gateway.close(20);
    expect((await sent.answer).text).toMatch(
      /\nevent: error\ndata: \{"type":"error","code":"shutting_down",.*"sequence_number":6\}\n\n$/,
    );
  });

  it('a request without an answer yet gets a 503 that invites to come again', async () => {
    const { gateway, upstream } = await setUp();
    const sent = send(gateway.port, { body: chat.body });
    await upstream.nextCall();
    await gateway.close(20);
    const answer = await sent.answer;
    expect(answer).toMatchObject({ status: 503, complete: true });
    expect(answer.headers).toMatchObject({ 'x-should-retry': 'true', connection: 'close' });
    expect(answer.text).toContain('shutting_down');
  });

  it('so does one that is still being sent', async () => {
    const { gateway, upstream } = await setUp();
    const sent = send(gateway.port, { method: 'POST', headers: { 'content-length': '1000' } });
    while (gateway.gateway.running.size === 0) await new Promise((resolve) => setImmediate(resolve));
    await gateway.close(20);
    expect(await sent.answer).toMatchObject({ status: 503 });
    expect(upstream.accepted).toBe(0);
  });

  it('an answer too large to hold, which cannot carry an error, is cut', async () => {
    const { gateway, upstream } = await setUp();
    const sent = send(gateway.port, { body: chat.body });
    const call = await upstream.nextCall();
    call.answer(200, 'x'.repeat(9 * 1024 * 1024), { 'content-length': String(10 * 1024 * 1024) });
    await sent.waitFor('xxx');
    await gateway.close(20);
    const answer = await sent.answer;
    expect(answer.complete).toBe(false);
    expect(answer.text).not.toContain('shutting_down');
  });

  it('a client that does not read its error does not hold the end up for long', async () => {
    const { gateway, upstream } = await setUp();
    const sent = send(gateway.port, streaming);
    const call = await upstream.nextCall();
    call.open();
    for (let part = 0; part < 256; part++) call.chunk(chat.text('x'.repeat(64 * 1024)));
    (await sent.head).pause();
    await gateway.close(20);
    await call.gone;
  });
});
