// Promise: a serviceRef is the addresses behind the Service, each with its own health; scaling it loses no request.
import { describe, expect, it } from '@jest/globals';
import { TLSSocket } from 'node:tls';
import { ManualClock } from '../../src/lib/clock.ts';
import { makeAuthority } from './support/certificates.ts';
import { request, send, type Answer } from './support/client.ts';
import { chat } from './support/dialects.ts';
import { serve } from './support/faults.ts';
import { startGateway, type Services, type TestGateway, type TestGatewayOptions } from './support/gateway.ts';
import { documents } from './support/secrets.ts';
import { FakeUpstream, type Respond, type UpstreamOptions } from './support/upstream.ts';
import { chatRouteYaml } from './support/yaml.ts';

const FALLING_OVER = '{model: llama, priority: 0}, {model: other, priority: 1}';

function yaml(targets = '{model: llama}', tls = ''): string {
  return chatRouteYaml(
    `
  - {name: llama, provider: {type: OpenAICompatible, openAICompatible: {model: llama, serviceRef: {name: vllm, port: 8000}}}, auth: {type: None}${tls}}
  - {name: other, provider: {type: OpenAICompatible, openAICompatible: {model: other, serviceRef: {name: other, port: 80}}}, auth: {type: None}}`,
    `  - {name: default, targets: [${targets}]}`,
  );
}

const at = (upstream: FakeUpstream): string => `127.0.0.1:${upstream.port}`;
/** Nobody listens there. */
const DEAD = '127.0.0.1:1';

function behind(vllm: readonly string[], fallback: string | null = null, other: readonly string[] = []): Services {
  return {
    'default/vllm': [{ port: 8000, addresses: vllm, fallback }],
    'default/other': [{ port: 80, addresses: other, fallback: null }],
  };
}

async function pods(count: number, respond: (pod: number) => Respond, options: UpstreamOptions = {}): Promise<FakeUpstream[]> {
  return Promise.all(Array.from({ length: count }, (_, pod) => FakeUpstream.start(respond(pod), options)));
}

const named = (pod: number): Respond => serve(chat, `pod ${pod}`);
const wrong: Respond = (call) => call.answer(500, '{}');
const ask = async ({ port }: TestGateway): Promise<Answer> => request(port, { body: chat.body });

async function cluster(
  services: Services,
  targets?: string,
  options: TestGatewayOptions = {},
): Promise<{ gateway: TestGateway; clock: ManualClock }> {
  const clock = new ManualClock();
  clock.advance(1);
  return { gateway: await startGateway(yaml(targets), { clock, services, ...options }), clock };
}

describe('the addresses of a Service', () => {
  it('take turns, are called by the name of the Service, and the least busy one goes first', async () => {
    const [a, b, c] = await pods(3, named);
    if (a === undefined || b === undefined || c === undefined) throw new Error('three were asked for');
    const { gateway } = await cluster(behind([at(a), at(b), at(c)]));
    for (let turn = 0; turn < 9; turn++) expect((await ask(gateway)).status).toBe(200);
    expect([a, b, c].map(({ calls }) => calls.length)).toEqual([3, 3, 3]);
    for (const { calls } of [a, b, c]) for (const { headers } of calls) expect(headers['host']).toBe('vllm.default.svc:8000');

    // Two stand still: all else goes to the third.
    for (const pod of [a, b, c]) pod.respond(() => {});
    const stuck = [a, b, c].map(() => send(gateway.port, { body: chat.body }));
    const calls = await Promise.all([a, b, c].map((pod) => pod.until(() => pod.calls.length === 4).then(() => pod.calls[3])));
    c.respond(named(2));
    calls[2]?.answer(200, chat.whole('pod 2'));
    await Promise.race(stuck.map(({ answer }) => answer));
    for (let turn = 0; turn < 6; turn++) expect((await ask(gateway)).text).toBe(chat.whole('pod 2'));
  });

  it('are told the name of the Service by TLS too', async () => {
    const authority = makeAuthority('Authority of the test');
    const [pod] = await pods(1, named, { tls: authority.issue(['vllm.default.svc']) });
    if (pod === undefined) throw new Error('one was asked for');
    const ca = `
apiVersion: v1
kind: ConfigMap
metadata: {name: ca, namespace: default}
data: {ca.crt: ${JSON.stringify(authority.certificatePem)}}
`;
    const { port } = await startGateway(documents(yaml('{model: llama}', ', tls: {caRef: {name: ca}}'), ca), {
      services: behind([at(pod)]),
    });
    expect((await request(port, { body: chat.body })).text).toBe(chat.whole('pod 0'));
    const { socket, headers } = await pod.nextCall();
    expect(socket instanceof TLSSocket ? socket.servername : null).toBe('vllm.default.svc');
    expect(headers['host']).toBe('vllm.default.svc:8000');
  });

  it('answer for each other inside one request, before another model is asked', async () => {
    const [good, other] = await pods(2, named);
    if (good === undefined || other === undefined) throw new Error('two were asked for');
    const { gateway } = await cluster(behind([DEAD, at(good)], null, [at(other)]), FALLING_OVER);
    for (let turn = 0; turn < 4; turn++) {
      const { status, headers } = await ask(gateway);
      expect([status, headers['x-fairlead-model']]).toEqual([200, 'llama']);
    }
    expect(other.calls).toHaveLength(0);
    const tried = gateway.requests.flatMap(({ attempts }) =>
      attempts.map(({ address, outcome }) => `${address ?? ''} ${outcome}`),
    );
    expect([...new Set(tried)].sort()).toEqual([`${at(good)} ok`, `${DEAD} network`].sort());
  });

  it('are ejected one by one: the model stays in use while one of them serves, and is out when none does', async () => {
    const [bad, good, other] = await pods(3, named);
    if (bad === undefined || good === undefined || other === undefined) throw new Error('three were asked for');
    bad.respond(wrong);
    const told: string[] = [];
    const { gateway, clock } = await cluster(behind([at(bad), at(good)], null, [at(other)]), FALLING_OVER, {
      onHealth: ({ upstreamId, to, reason }) => told.push(`${upstreamId} ${to} ${reason}`),
    });
    while (bad.calls.length < 5) await ask(gateway);
    const before = bad.calls.length;
    for (let turn = 0; turn < 10; turn++) expect((await ask(gateway)).headers['x-fairlead-model']).toBe('llama');
    expect(bad.calls).toHaveLength(before);
    expect(told).toEqual([]);
    expect((await gateway.gateway.renderMetrics()).text).toContain(
      'fairlead_ejections_total{upstream="http://vllm.default.svc:8000/v1#llama",reason="ServerError"} 1',
    );

    good.respond(wrong);
    const well = good.calls.length;
    while (good.calls.length < well + 6 && told.length === 0) await ask(gateway);
    expect(told).toEqual(['http://vllm.default.svc:8000/v1#llama Ejected ServerError']);
    const tried = bad.calls.length + good.calls.length;
    for (let turn = 0; turn < 5; turn++) expect((await ask(gateway)).headers['x-fairlead-model']).toBe('other');
    expect(bad.calls.length + good.calls.length).toBe(tried);

    good.respond(named(1));
    clock.advance(60_000);
    for (let turn = 0; turn < 4; turn++) await ask(gateway);
    expect(told.at(-1)).toBe('http://vllm.default.svc:8000/v1#llama Healthy ServerError');
    expect((await ask(gateway)).headers['x-fairlead-model']).toBe('llama');
  });

  it('come and go with the pods while requests are under way, and none fails', async () => {
    const [first, second, third] = await pods(3, named);
    if (first === undefined || second === undefined || third === undefined) throw new Error('three were asked for');
    const { gateway } = await cluster(behind([at(first)]));
    let stop = false;
    const statuses: number[] = [];
    const clients = Array.from({ length: 8 }, async () => {
      while (!stop) statuses.push((await ask(gateway)).status);
    });
    const all = [at(first), at(second), at(third)];
    for (let round = 0; round < 10; round++) {
      for (const addresses of [all, all.slice(1), all.slice(2), all.slice(0, 1)]) {
        const done = statuses.length;
        gateway.apply(yaml(), behind(addresses));
        await gateway.until(() => statuses.length >= done + 10);
      }
    }
    stop = true;
    await Promise.all(clients);
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
    expect(second.calls.length).toBeGreaterThan(0);
    expect(third.calls.length).toBeGreaterThan(0);
  });

  it('let a call to one that is taken away run to its end, and keep no connection to it', async () => {
    const [gone, next] = await pods(2, named);
    if (gone === undefined || next === undefined) throw new Error('two were asked for');
    const { gateway } = await cluster(behind([at(gone)]));
    gone.respond(() => {});
    const sent = send(gateway.port, { body: chat.body });
    const call = await gone.nextCall();
    gateway.apply(yaml(), behind([at(next)]));
    expect((await ask(gateway)).text).toBe(chat.whole('pod 1'));
    call.answer(200, chat.whole('from the old one'));
    expect((await sent.answer).text).toBe(chat.whole('from the old one'));
    await call.gone;
    expect(gone.connections).toBe(0);
  });

  it('that are all out of date do not end the service: the address of the Service itself is asked', async () => {
    const [real, other] = await pods(2, named);
    if (real === undefined || other === undefined) throw new Error('two were asked for');
    const { gateway } = await cluster(behind([DEAD, '127.0.0.1:2'], at(real), [at(other)]), '{model: llama}');
    for (let turn = 0; turn < 20; turn++) expect((await ask(gateway)).text).toBe(chat.whole('pod 0'));
    expect(gateway.requests.at(-1)?.attempts).toHaveLength(1);
  });

  it('that are none keep the model out, with the reason, and are asked nowhere else', async () => {
    const [other] = await pods(1, named);
    if (other === undefined) throw new Error('one was asked for');
    const told: string[] = [];
    const onHealth: TestGatewayOptions['onHealth'] = ({ to, reason }) => told.push(`${to} ${reason}`);
    const { gateway } = await cluster(behind([], null, [at(other)]), FALLING_OVER, { onHealth });
    expect(told).toEqual(['Ejected NoEndpoints']);
    const { status, headers } = await ask(gateway);
    expect([status, headers['x-fairlead-model'], headers['x-fairlead-attempts']]).toEqual([200, 'other', '1']);

    gateway.apply(yaml(), behind([]));
    const { status: alone, text } = await ask(gateway);
    expect(alone).toBe(502);
    expect(text).toContain('no address of Service default/vllm:8000 is ready');

    gateway.apply(yaml(), behind([at(other)]));
    expect((await ask(gateway)).status).toBe(200);
    expect(told.at(-1)).toBe('Healthy NoEndpoints');
  });
});
