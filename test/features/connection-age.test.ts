// Promise: a client's connection ends after `listener.maxConnectionAge`, between two requests, so that new pods get traffic.
import http from 'node:http';
import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../src/lib/clock.ts';
import { onCleanUp } from './support/clean-up.ts';
import { request, send, type Answer } from './support/client.ts';
import { chat } from './support/dialects.ts';
import { serve } from './support/faults.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { FakeUpstream } from './support/upstream.ts';
import { routeYaml } from './support/yaml.ts';

const MINUTE_MS = 60_000;
/** Connections end within a tenth of it, by chance. */
const YOUNG_MS = 0.89 * MINUTE_MS;
const OLD_MS = 1.11 * MINUTE_MS;

/** Keeps its one connection as long as it may. */
function client({ port }: TestGateway): { ask: () => Promise<Answer>; stream: () => ReturnType<typeof send> } {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  onCleanUp(() => agent.destroy());
  return {
    ask: () => request(port, { body: chat.body, agent }),
    stream: () => send(port, { body: { ...chat.body, stream: true }, agent }),
  };
}

async function start(upstream: FakeUpstream): Promise<{ gateway: TestGateway; clock: ManualClock }> {
  const clock = new ManualClock();
  clock.advance(1);
  const aged = `
apiVersion: fairlead.dev/v1alpha1
kind: LLMGateway
metadata: {name: default, namespace: default, annotations: {fairlead.dev/is-default-gateway: "true"}}
spec: {clientAuth: {type: None}, listener: {maxConnectionAge: 1m}}
---
${routeYaml({ a: upstream.url })}`;
  return { gateway: await startGateway(aged, { clock }), clock };
}

describe('a connection of a client', () => {
  it('is kept while it is young, and ends with an answer once it is old; the next one begins anew', async () => {
    const upstream = await FakeUpstream.start(serve(chat, 'a'));
    const { gateway, clock } = await start(upstream);
    const { ask } = client(gateway);
    for (let life = 0; life < 3; life++) {
      expect((await ask()).headers.connection).not.toBe('close');
      clock.advance(YOUNG_MS);
      expect((await ask()).headers.connection).not.toBe('close');
      clock.advance(OLD_MS - YOUNG_MS);
      const last = await ask();
      expect(last).toMatchObject({ status: 200, complete: true, text: chat.whole('a') });
      expect(last.headers.connection).toBe('close');
    }
  });

  it('that grows old within a stream brings it to its end', async () => {
    const upstream = await FakeUpstream.start();
    const { gateway, clock } = await start(upstream);
    const { ask, stream } = client(gateway);
    const sent = stream();
    const call = await upstream.nextCall();
    call.open();
    call.chunk(chat.text('one'));
    await sent.waitFor('one');
    clock.advance(OLD_MS);
    upstream.respond(serve(chat, 'a'));
    for (const part of [chat.text('two'), ...chat.ending]) call.chunk(part);
    call.end();
    const whole = [chat.text('one'), chat.text('two'), ...chat.ending].join('');
    expect(await sent.answer).toMatchObject({ status: 200, complete: true, text: whole });
    expect((await ask()).headers.connection).toBe('close');
  });
});
