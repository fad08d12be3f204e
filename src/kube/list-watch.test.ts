import { expect, it } from '@jest/globals';

import { ManualTimers } from '../lib/timers.ts';
import type { KubeClient } from './client.ts';
import { ListWatch } from './list-watch.ts';
import type { KubeFailure, KubeResult } from './outcome.ts';
import type { WatchSink } from './watch-call.ts';

const GRANTS = {
  group: 'gateway.networking.k8s.io',
  version: 'v1',
  plural: 'referencegrants',
  kind: 'ReferenceGrant',
  namespaced: true,
};

function failing(kind: 'absent' | 'forbidden' | 'unavailable'): { readonly ok: false; readonly error: KubeFailure } {
  return { ok: false, error: { kind, message: `GET ${GRANTS.plural}: ${kind}` } };
}

it('says so when it has been read for the first time, and be it that its kind is absent', async () => {
  const timers = new ManualTimers();
  const client = { list: async () => failing('absent') } as unknown as KubeClient;
  const seen: unknown[] = [];
  const watch: ListWatch<unknown> = new ListWatch(
    { client, timers, random: () => 0 },
    { resource: GRANTS, parse: (object) => object, onState: (state) => seen.push([state, watch.synced]) },
  );
  await timers.run(1);
  watch.stop();
  expect(seen).toEqual([
    ['listing', true],
    ['absent', true],
  ]);
});

it('tells of a failure once, and again where another follows or it was watched meanwhile', async () => {
  const timers = new ManualTimers();
  let answer: KubeResult<unknown> = failing('unavailable');
  let watching: WatchSink | null = null;
  const client = {
    list: async () => answer,
    watch: (_: unknown, __: unknown, sink: WatchSink) =>
      timers.after(1, () => {
        if (!answer.ok) return sink.onFailure(answer.error);
        watching = sink;
        sink.onOpen();
      }),
  } as unknown as KubeClient;
  const told: string[] = [];
  const watch = new ListWatch<unknown>(
    { client, timers, random: () => 0 },
    { resource: GRANTS, parse: (object) => object, onFailure: ({ kind }) => told.push(kind) },
  );
  await timers.run(10_000);
  const forbidden = failing('forbidden');
  answer = forbidden;
  await timers.run(10_000);
  expect(told).toEqual(['unavailable', 'forbidden']);
  answer = { ok: true, value: { items: [], resourceVersion: '1', continue: null } };
  await timers.run(10_000);
  expect(watch.synced).toBe(true);
  answer = forbidden;
  (watching as WatchSink | null)?.onFailure(forbidden.error);
  await timers.run(60_000);
  watch.stop();
  expect(told).toEqual(['unavailable', 'forbidden', 'forbidden']);
});
