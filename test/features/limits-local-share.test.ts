// Promise: a pod whose Redis never answered divides its limits by the ready pods that the operator counts.
import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../src/lib/clock.ts';
import { FORGET_AFTER_MS } from '../../src/operator/delivery/fleet.ts';
import { digestOf } from '../../src/routetable/digest.ts';
import { routeEntry, settingsEntry, tableOf } from '../../src/routetable/testdata/tables.ts';
import type { Limit, Route, RouteTable } from '../../src/routetable/types.ts';
import { settingsFor } from '../limits/pods.ts';
import { send } from './support/client.ts';
import { type Operator, type Pod, podOf, Site, tables, until } from './support/delivery.ts';
import { chat } from './support/dialects.ts';
import { FakeUpstream, refusingPort } from './support/upstream.ts';

const SLOTS: Limit = { name: 'slots', per: [], unit: 'Concurrency', limit: 6, windowMs: null };

describe('without Redis from the start', () => {
  it('limits are divided by the ready pods, as the operator counts them when it knows all, and by its last word when it is gone', async () => {
    const site = await Site.create();
    const upstream = await FakeUpstream.start(() => {});
    const table = await tableWithoutRedis(upstream);
    const lead = async (epoch: number, port = 0): Promise<{ operator: Operator; clock: ManualClock }> => {
      const clock = new ManualClock();
      const operator = await site.operator(port, site.authority, clock);
      operator.server.lead(epoch);
      operator.server.publish(tables(table));
      return { operator, clock };
    };
    const have = async (pods: readonly Pod[], places: number): Promise<void> => {
      for (const pod of pods) await until(`a pod has ${places} places`, async () => (await placesOf(pod, upstream)) === places);
    };
    const first = await lead(1);
    first.clock.advance(FORGET_AFTER_MS);
    const pods = [await site.pod('one'), await site.pod('two'), await site.pod('three')] as const;
    const [one, two, three] = pods;
    for (const name of ['one', 'two', 'three'])
      await until(`${name} is ready`, () => podOf(first.operator, name)?.ready === true);
    await have(pods, 2);
    await three.stop();
    await have([one, two], 3);

    await first.operator.close();
    await two.stop();
    const second = await lead(2, first.operator.port);
    await until('it is with the next leader', () => podOf(second.operator, 'one')?.ready === true);
    // Who has not come to it yet may be on the way.
    expect(await placesOf(one, upstream)).toBe(3);
    second.clock.advance(FORGET_AFTER_MS);
    await have([one], 6);
  });
});

async function tableWithoutRedis({ url }: FakeUpstream): Promise<RouteTable> {
  const { digest: _, ...body } = { ...routeEntry('a/chat', 1, url), limits: [SLOTS] } satisfies Route;
  const redis = settingsFor(await refusingPort(), 'LocalShare');
  return tableOf([{ digest: digestOf(body), ...body }], [], settingsEntry({ redis }));
}

/** How many requests it lets be under way at once; none is afterwards. */
async function placesOf({ pod }: Pod, upstream: FakeUpstream): Promise<number> {
  const before = upstream.calls.length;
  const asked: ReturnType<typeof send>[] = [];
  do {
    const request = send(pod.port, { body: chat.body });
    asked.push(request);
    await Promise.race([request.answer, upstream.until(() => upstream.calls.length === before + asked.length)]);
  } while (upstream.calls.length === before + asked.length);
  const held = upstream.calls.slice(before);
  for (const call of held) call.answer(200, chat.whole('hello'));
  const answers = await Promise.all(asked.map(async ({ answer }) => answer));
  expect(answers.map(({ status }) => status)).toEqual([...held.map(() => 200), 429]);
  for (const { headers } of answers.slice(0, -1)) expect(headers['x-fairlead-limits']).toBe('local-share');
  return held.length;
}
