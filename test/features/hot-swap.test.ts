// Promise: a new table reaches the next request, and loses none that is under way.
import http from 'node:http';
import { describe, expect, it } from '@jest/globals';
import { type Answer, request, send } from './support/client.ts';
import { chat, streamOf } from './support/dialects.ts';
import { serve } from './support/faults.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { FakeUpstream } from './support/upstream.ts';
import { routeYaml } from './support/yaml.ts';

const streaming = { body: { ...chat.body, stream: true } };
const ask = async (gateway: TestGateway): Promise<Answer> => request(gateway.port, { body: chat.body });

describe('a table that is swapped', () => {
  it('under load: every request and every stream is answered, by one of the tables', async () => {
    const a = await FakeUpstream.start(serve(chat, 'same', ' words'));
    const b = await FakeUpstream.start(serve(chat, 'same', ' words'));
    const tables = [
      routeYaml({ a: a.url, b: b.url }),
      routeYaml({ b: b.url }),
      routeYaml({ a: a.url }),
      routeYaml({ b: b.url, a: a.url }),
    ];
    const gateway = await startGateway(tables[0] ?? '');
    const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
    let swaps = 0;
    let running = true;
    const client = async (stream: boolean): Promise<number> => {
      let answered = 0;
      while (running) {
        const answer = await request(gateway.port, { ...(stream ? streaming : { body: chat.body }), agent });
        expect(answer).toMatchObject({
          status: 200,
          complete: true,
          text: stream ? streamOf(chat, 'same', ' words').join('') : chat.whole('same words'),
        });
        answered++;
      }
      return answered;
    };
    const clients = Array.from({ length: 16 }, (_, index) => client(index % 2 === 0));
    while (swaps < 200) {
      gateway.apply(tables[++swaps % tables.length] ?? '');
      await new Promise((resolve) => setImmediate(resolve));
    }
    running = false;
    const answered = await Promise.all(clients);
    expect(Math.min(...answered)).toBeGreaterThan(0);
    expect(gateway.requests.every(({ errorCode }) => errorCode === null)).toBe(true);
    agent.destroy();
  });

  it('a stream goes on to its end although nothing of its route is left', async () => {
    const a = await FakeUpstream.start();
    const other = await FakeUpstream.start(serve(chat, 'other'));
    const gateway = await startGateway(routeYaml({ a: a.url }));
    const sent = send(gateway.port, streaming);
    const call = await a.nextCall();
    call.open();
    call.chunk(chat.text('one'));
    await sent.waitFor('one');
    gateway.apply(routeYaml({ other: other.url }));
    expect((await ask(gateway)).headers['x-fairlead-model']).toBe('other');
    for (const part of [chat.text('two'), ...chat.ending]) call.chunk(part);
    call.end();
    expect((await sent.answer).text).toBe([chat.text('one'), chat.text('two'), ...chat.ending].join(''));
    // Its connection is closed once it is over.
    await a.until(() => a.connections === 0);
  });

  it('a request keeps the table it began with: it fails over to a target that is no longer there', async () => {
    const a = await FakeUpstream.start();
    const b = await FakeUpstream.start(serve(chat, 'b'));
    const other = await FakeUpstream.start(serve(chat, 'other'));
    const gateway = await startGateway(routeYaml({ a: a.url, b: b.url }));
    const sent = send(gateway.port, { body: chat.body });
    const call = await a.nextCall();
    gateway.apply(routeYaml({ other: other.url }));
    call.answer(500, '{}');
    expect((await sent.answer).headers).toMatchObject({
      'x-fairlead-model': 'b',
      'x-fairlead-reason': 'failover:ServerError(a)',
    });
    // What an old table opened late is closed with the next one.
    gateway.apply(routeYaml({ other: other.url }, '    failover: {maxAttempts: 2}'));
    await b.until(() => b.connections === 0);
  });

  it('closes the idle connections of an upstream that is gone, and of no other', async () => {
    const a = await FakeUpstream.start((call) => call.answer(500, '{}'));
    const b = await FakeUpstream.start(serve(chat, 'b'));
    const gateway = await startGateway(routeYaml({ a: a.url, b: b.url }));
    await ask(gateway);
    expect([a.connections, b.connections]).toEqual([1, 1]);
    gateway.apply(routeYaml({ b: b.url }));
    await a.until(() => a.connections === 0);
    await ask(gateway);
    expect(b).toMatchObject({ accepted: 1, connections: 1 });
  });

  it('an edit of a route does not cost the connections of its targets', async () => {
    const a = await FakeUpstream.start(serve(chat, 'a'));
    const gateway = await startGateway(routeYaml({ a: a.url }));
    for (const maxAttempts of [1, 2, 3]) {
      gateway.apply(routeYaml({ a: a.url }, `    failover: {maxAttempts: ${maxAttempts}}`));
      await ask(gateway);
    }
    expect(a.accepted).toBe(1);
  });

  it('is looked through for what it leaves behind only where an edit may have left something', async () => {
    const a = await FakeUpstream.start(serve(chat, 'a'));
    const b = await FakeUpstream.start(serve(chat, 'b'));
    const both = { a: a.url, b: b.url };
    const gateway = await startGateway(routeYaml(both));
    await ask(gateway);
    const leaves = (yaml: string): boolean | undefined => {
      gateway.apply(yaml);
      return gateway.gateway.table?.leavesBehind;
    };
    expect(leaves(routeYaml(both, '    failover: {maxAttempts: 2}'))).toBe(false);
    const more = routeYaml({ b: b.url }).replace('name: chat', 'name: more').replace('[chat]', '[more]');
    expect(leaves(`${routeYaml(both)}---${more}`)).toBe(false);
    expect(leaves(routeYaml(both))).toBe(true);
    expect(leaves(routeYaml({ a: a.url }))).toBe(true);
    expect(leaves(routeYaml({ a: b.url }))).toBe(true);
    expect(leaves(routeYaml({ a: { url: b.url, more: 'tls: {serverName: other}' } }))).toBe(true);
  });

  it('health survives it: an upstream that was ejected stays so', async () => {
    const a = await FakeUpstream.start((call) => call.answer(401, '{}'));
    const b = await FakeUpstream.start(serve(chat, 'b'));
    const gateway = await startGateway(routeYaml({ a: a.url, b: b.url }));
    await ask(gateway);
    gateway.apply(routeYaml({ a: a.url, b: b.url }, '    failover: {maxAttempts: 2}'));
    expect((await ask(gateway)).headers['x-fairlead-reason']).toBe('spilled');
  });
});
