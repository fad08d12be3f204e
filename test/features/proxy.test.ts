import { describe, expect, it } from '@jest/globals';
import { proxyFromEnvironment } from '../../src/upstream/connections.ts';
import { makeAuthority } from './support/certificates.ts';
import { request, send } from './support/client.ts';
import { connectProxy, type ConnectProxy } from './support/connect-proxy.ts';
import { chat, streamOf } from './support/dialects.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { documents } from './support/secrets.ts';
import { FakeUpstream, refusingPort, type Respond } from './support/upstream.ts';
import { routeYaml } from './support/yaml.ts';

/** HTTPS_PROXY, HTTP_PROXY and NO_PROXY, as every process of the house obeys them. */

const authority = makeAuthority('Authority of the test');
const CA = JSON.stringify({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'ca', namespace: 'default' },
  data: { 'ca.crt': authority.certificatePem },
});
const hello: Respond = (call) => {
  if (call.body.includes('"stream":true')) call.stream(streamOf(chat, 'Hello'));
  else call.answer(200, chat.whole('Hello'));
};

interface Setting {
  readonly upstream: FakeUpstream;
  readonly proxy: ConnectProxy;
}

/** A model at `https://models.example`, a name that the proxy alone can resolve. */
async function start(respond: Respond = hello): Promise<Setting> {
  const upstream = await FakeUpstream.start(respond, { tls: authority.issue(['models.example']) });
  const proxy = await connectProxy((host) => (host === 'models.example' ? upstream.port : null));
  return { upstream, proxy };
}

const FAR = { url: 'https://models.example/v1', more: 'tls: {caRef: {name: ca}}' };

async function through(
  proxy: { readonly url: string },
  model: Parameters<typeof routeYaml>[0][string] = FAR,
): Promise<TestGateway> {
  const environment = proxyFromEnvironment({ HTTPS_PROXY: proxy.url, HTTP_PROXY: proxy.url });
  // In a pod: no private address may be called, but the proxy, which the operator of the cluster has set, may be at one.
  return startGateway(documents(routeYaml({ a: model }), CA), { proxy: environment, loopbackAllowed: false });
}

describe('an upstream behind the proxy', () => {
  it('is called through a tunnel, whose end is the upstream’s own TLS', async () => {
    const { upstream, proxy } = await start();
    const gateway = await through(proxy);
    expect((await request(gateway.port, { body: { ...chat.body } })).text).toBe(chat.whole('Hello'));
    expect((await request(gateway.port, { body: { ...chat.body, stream: true } })).text).toBe(streamOf(chat, 'Hello').join(''));
    // One tunnel for both.
    expect(proxy.asked).toEqual(['models.example:443']);
    expect(upstream.calls[0]?.headers['host']).toBe('models.example');
    expect(upstream.accepted).toBe(1);
  });

  it('is called over plain HTTP where the route says so', async () => {
    const upstream = await FakeUpstream.start(hello);
    const proxy = await connectProxy(() => upstream.port);
    const gateway = await through(proxy, 'http://models.example/v1');
    expect((await request(gateway.port, { body: { ...chat.body } })).text).toBe(chat.whole('Hello'));
    expect(proxy.asked).toEqual(['http://models.example/v1/chat/completions']);
    expect(upstream.calls[0]?.path).toBe('/v1/chat/completions');
  });

  it('is refused where its URL is a private address, proxy or not', async () => {
    const { proxy } = await start();
    const gateway = await through(proxy, 'http://127.0.0.1:9/v1');
    const failed = await request(gateway.port, { body: { ...chat.body } });
    expect(failed.status).toBe(502);
    expect(failed.text).toContain('127.0.0.1 is a loopback address');
    expect(proxy.asked).toEqual([]);
  });

  it('gets the proxy’s credential to the proxy only', async () => {
    const { upstream, proxy } = await start();
    const gateway = await through({ url: proxy.url.replace('http://', 'http://user:p%40ss@') });
    expect((await request(gateway.port, { body: { ...chat.body } })).status).toBe(200);
    expect(proxy.credentials).toEqual([`Basic ${Buffer.from('user:p@ss').toString('base64')}`]);
    expect(upstream.calls[0]?.headers).not.toHaveProperty('proxy-authorization');
  });

  it('stops at once when the client leaves', async () => {
    const { upstream, proxy } = await start((call) => {
      call.open();
      for (const frame of streamOf(chat, 'Hello').slice(0, -2)) call.chunk(frame);
    });
    const gateway = await through(proxy);
    const sent = send(gateway.port, { body: { ...chat.body, stream: true } });
    await sent.waitFor('Hello');
    sent.leave();
    await (
      await upstream.nextCall()
    ).gone;
    await upstream.until(() => upstream.connections === 0);
  });

  it.each([
    ['refuses', async () => (await connectProxy(() => null)).url, /502/],
    ['is not there', async () => `http://127.0.0.1:${await refusingPort()}`, /ECONNREFUSED/],
  ])('fails over where the proxy %s, and the error says why', async (_how, url, why) => {
    const near = await FakeUpstream.start(hello);
    const environment = proxyFromEnvironment({ HTTPS_PROXY: await url(), NO_PROXY: '127.0.0.1' });
    const both = await startGateway(documents(routeYaml({ a: FAR, b: near.url }), CA), { proxy: environment });
    const answer = await request(both.port, { body: { ...chat.body } });
    expect(answer.status).toBe(200);
    expect(answer.headers['x-fairlead-reason']).toBe('failover:ConnectFailure(a)');
    const alone = await startGateway(documents(routeYaml({ a: FAR }), CA), { proxy: environment });
    const failed = await request(alone.port, { body: { ...chat.body } });
    expect(failed.status).toBe(502);
    expect(failed.text).toMatch(why);
  });
});

describe('NO_PROXY', () => {
  it.each(['127.0.0.1', 'localhost,127.0.0.1', '*'])('%s: is called directly', async (noProxy) => {
    const { proxy } = await start();
    const near = await FakeUpstream.start(hello);
    const gateway = await startGateway(routeYaml({ a: near.url }), {
      proxy: proxyFromEnvironment({ HTTP_PROXY: proxy.url, https_proxy: proxy.url, NO_PROXY: noProxy }),
    });
    expect((await request(gateway.port, { body: { ...chat.body } })).status).toBe(200);
    expect(proxy.asked).toEqual([]);
  });
});
