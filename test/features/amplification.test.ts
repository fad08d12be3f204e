// Promise: when every upstream fails, clients' requests become at most 1.2 times as many calls, however many attempts a request may have.
import http from 'node:http';
import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../src/lib/clock.ts';
import { onCleanUp } from './support/clean-up.ts';
import { request } from './support/client.ts';
import { chat } from './support/dialects.ts';
import { startGateway } from './support/gateway.ts';
import { FakeUpstream, type Respond } from './support/upstream.ts';
import { routeYaml } from './support/yaml.ts';

const SECONDS = 30;
/** A hundred a second: so many that the three retries a second which each upstream may always get are few among them. */
const AT_ONCE = 10;
const EVERY_MS = 100;
const REQUESTS = (SECONDS * 1_000 * AT_ONCE) / EVERY_MS;
const AMPLIFICATION = 1.2;

const FAULTS: Readonly<Record<string, Respond>> = {
  'HTTP 500': (call) => call.answer(500, '{}'),
  'HTTP 429': (call) => call.answer(429, '{}'),
  'a cut connection': (call) => call.cut(),
};

describe.each(Object.entries(FAULTS))('every upstream fails for half a minute (%s)', (_, fault) => {
  it.each([1, 2, 3])('calls of %i of them stay below 1.2 a request', async (count) => {
    const upstreams = await Promise.all(Array.from({ length: count }, () => FakeUpstream.start(fault)));
    const clock = new ManualClock();
    const models = Object.fromEntries(upstreams.map(({ url }, index) => [`m${index}`, url]));
    const { port } = await startGateway(routeYaml(models, '    failover: {maxAttempts: 5}'), { clock });
    const agent = new http.Agent({ keepAlive: true });
    onCleanUp(() => agent.destroy());
    for (let sent = 0; sent < REQUESTS; sent += AT_ONCE) {
      const answers = await Promise.all(Array.from({ length: AT_ONCE }, () => request(port, { body: chat.body, agent })));
      expect(answers.filter(({ status }) => status < 400)).toEqual([]);
      clock.advance(EVERY_MS);
    }
    const calls = upstreams.reduce((sum, upstream) => sum + upstream.calls.length, 0);
    expect(calls).toBeLessThanOrEqual(AMPLIFICATION * REQUESTS);
  });
});
