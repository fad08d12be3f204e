import { expect, it } from '@jest/globals';
import { TokenError } from '../credentials/service.ts';
import { ManualClock } from '../lib/clock.ts';
import { RefusedChannel } from '../upstream/connections.ts';
import { Attempt, type AttemptHost } from './attempt.ts';
import { BufferBudget } from './buffer-budget.ts';
import { ClientStream } from './client-stream.ts';
import { Exchange } from './http1/exchange.ts';
import { LoadedExchange, LoadedTarget } from './loaded-table.ts';
import type { Place } from './service-targets.ts';

const TIMEOUTS = { connectMs: 1_000, firstTokenMs: 1_000, idleMs: 1_000, totalMs: 1_000 };

it('tells of a fault in what follows a proof that was not given, which else would end the process', async () => {
  const exchange = new Exchange(
    { outputReady() {}, sendInterim() {}, flowing: true, cut() {} },
    { method: 'POST', url: '/', headers: {}, http11: true, keepAlive: true, expectsContinue: false },
    null,
  );
  const { promise: told, resolve: fault } = Promise.withResolvers<unknown>();
  const broken = new Error('the next target cannot be asked');
  const nothing = (): void => {};
  const host: AttemptHost = {
    clock: new ManualClock(),
    budget: new BufferBudget(1_000),
    clientStream: new ClientStream(exchange),
    stream: false,
    includeUsage: false,
    askedBody: null,
    structuredCheck: () => null,
    replyHead: () => ({ id: '', createdSeconds: 0, model: '', includeUsage: false }),
    attemptFailed() {
      throw broken;
    },
    attemptHead: nothing,
    attemptAnswered: nothing,
    attemptCommitted: nothing,
    attemptFlows: nothing,
    decorateUsage: (_attempt, event) => event,
    attemptEnded: nothing,
    fault,
  };
  const signed = Object.create(LoadedExchange.prototype, {
    sign: { value: async () => Promise.reject(new TokenError('no token')) },
  }) as LoadedExchange;
  const place = { address: null, channel: new RefusedChannel('nowhere') } as Partial<Place> as Place;
  const attempt = new Attempt(host, Object.create(LoadedTarget.prototype) as LoadedTarget, signed, place, TIMEOUTS);
  attempt.send('/', [], Buffer.alloc(0));
  expect(await told).toBe(broken);
});
