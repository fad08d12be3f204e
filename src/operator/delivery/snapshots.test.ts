import { setTimeout as sleep } from 'node:timers/promises';

import { afterEach, describe, expect, it } from '@jest/globals';

import { systemClock } from '../../lib/clock.ts';
import { partOf } from '../../routetable/parts.ts';
import { Replica } from '../../routetable/replica.ts';
import { unpackPart } from '../../routetable/snapshot-pack.ts';
import { GATEWAY, keyEntry, manyRoutes, routeEntry, settingsEntry, tableOf } from '../../routetable/testdata/tables.ts';
import { Snapshots, type SnapshotPart, type SnapshotStore } from './snapshots.ts';

const GATEWAY_ID = `${GATEWAY.namespace}/${GATEWAY.name}`;

/** What the Secrets hold. */
class MemoryStore implements SnapshotStore {
  readonly parts = new Map<number, SnapshotPart>();
  readonly writes: number[] = [];
  looks = 0;
  failures = 0;

  async write(part: SnapshotPart): Promise<void> {
    if (this.failures > 0) {
      this.failures--;
      throw new Error('the API server is down');
    }
    this.writes.push(part.part);
    this.parts.set(part.part, part);
  }

  async stored(): Promise<ReadonlyMap<number, string>> {
    this.looks++;
    return new Map([...this.parts].map(([part, { digest }]) => [part, digest]));
  }

  async table(): Promise<Replica> {
    const replica = new Replica();
    const parts = await Promise.all([...this.parts.values()].map(async ({ bytes }) => unpackPart(bytes)));
    replica.load(parts.flatMap((part) => (part.ok ? [part.value] : [])));
    return replica;
  }
}

const open = new Set<Snapshots>();
afterEach(async () => {
  for (const snapshots of open) await snapshots.close();
  open.clear();
});

function keeper(
  store: SnapshotStore,
  more: { everyMs?: number; lookEveryMs?: number; maxPartBytes?: number } = {},
): Snapshots & { faults: string[] } {
  const faults: string[] = [];
  const snapshots = new Snapshots({
    store,
    clock: systemClock,
    onFault: (_error, what) => faults.push(what),
    everyMs: 0,
    settleMs: 0,
    ...more,
  });
  open.add(snapshots);
  return Object.assign(snapshots, { faults });
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(1);
}

describe('snapshots', () => {
  it('are the table, whole, and after an edit only its part is written again', async () => {
    const store = new MemoryStore();
    const snapshots = keeper(store);
    const routes = manyRoutes(200);
    const table = tableOf(routes, [keyEntry(1)]);
    snapshots.publish(table, 1);
    await sleep(5);
    expect(store.writes).toEqual([]);
    snapshots.lead(4);
    await until(() => store.parts.size === 16);
    const replica = await store.table();
    expect([replica.table?.digest, replica.order]).toEqual([table.digest, { epoch: 4, sequence: 1 }]);

    store.writes.length = 0;
    const edited = tableOf([routeEntry(routes[7]?.id ?? '', 'new'), ...routes.filter((_, index) => index !== 7)], [keyEntry(1)]);
    snapshots.publish(edited, 2);
    await until(async () => (await store.table()).table?.digest === edited.digest);
    expect(store.writes).toEqual([partOf(routes[7]?.id ?? '')]);
    expect((await store.table()).order).toEqual({ epoch: 4, sequence: 2 });
  });

  it('change in every part with the settings', async () => {
    const store = new MemoryStore();
    const snapshots = keeper(store);
    snapshots.lead(1);
    snapshots.publish(tableOf([routeEntry('a/one')]), 1);
    await until(() => store.parts.size === 16);
    snapshots.publish(tableOf([routeEntry('a/one')], [], settingsEntry({ port: 9 })), 2);
    await until(() => [...store.parts.values()].every(({ order }) => order.sequence === 2));
  });

  it('are written no more often than they may, and then as the table is by then', async () => {
    const store = new MemoryStore();
    const snapshots = keeper(store, { everyMs: 1e9 });
    snapshots.lead(1);
    snapshots.publish(tableOf([routeEntry('a/one', 0)]), 1);
    await until(() => store.parts.size === 16);
    for (let step = 1; step < 20; step++) {
      snapshots.publish(tableOf([routeEntry('a/one', step)]), step + 1);
      await sleep(1);
    }
    expect(store.writes.length).toBe(16);
  });

  it('are not written again by the next leader where they are as they should be', async () => {
    const store = new MemoryStore();
    const first = keeper(store);
    first.lead(1);
    first.publish(tableOf(manyRoutes(50)), 1);
    await until(() => store.parts.size === 16);
    await first.close();
    store.writes.length = 0;
    const second = keeper(store);
    second.publish(tableOf([...manyRoutes(50), routeEntry('z/new')]), 1);
    second.lead(2);
    await until(async () => (await store.table()).table?.routes.length === 51);
    expect(store.writes).toEqual([partOf('z/new')]);
  });

  it('are written again soon where somebody deleted a part, or wrote something else there, and only those', async () => {
    const store = new MemoryStore();
    const snapshots = keeper(store, { lookEveryMs: 1 });
    snapshots.lead(1);
    const table = tableOf(manyRoutes(50));
    snapshots.publish(table, 1);
    await until(() => store.parts.size === 16);
    const lookedBefore = store.looks;
    await until(() => store.looks > lookedBefore + 2);
    expect(store.writes).toHaveLength(16);

    store.writes.length = 0;
    store.parts.delete(3);
    const [part] = [...store.parts.values()].filter((each) => each.part === 5);
    if (part !== undefined) store.parts.set(5, { ...part, digest: 'another' });
    await until(() => store.writes.length === 2);
    expect(store.writes).toEqual([3, 5]);
    expect((await store.table()).table?.digest).toBe(table.digest);
  });

  it('that could not be written are tried again', async () => {
    const store = new MemoryStore();
    store.failures = 1;
    const snapshots = keeper(store);
    snapshots.lead(1);
    snapshots.publish(tableOf([routeEntry('a/one')]), 1);
    await until(() => store.parts.size === 16);
    expect(snapshots.faults).toEqual([`the snapshot of ${GATEWAY_ID}, part 0`]);
  });

  it('tell what they have no room for, until they have; the next leader tells it too', async () => {
    const store = new MemoryStore();
    const big = routeEntry('a/big', Array.from({ length: 4_000 }, (_, i) => (i * 7_919) % 9_973).join(' '));
    const table = tableOf([big, ...manyRoutes(100)]);
    const first = keeper(store, { maxPartBytes: 8_000 });
    first.lead(1);
    first.publish(table, 1);
    await until(() => first.leftOut(GATEWAY_ID).length > 0);
    expect(first.leftOut(GATEWAY_ID)).toEqual([{ kind: 'route', key: 'a/big', id: 'a/big' }]);
    await until(() => store.parts.size === 16);
    await first.close();

    const second = keeper(store, { maxPartBytes: 8_000 });
    const told: string[] = [];
    second.onLeftOut((gateway) => told.push(gateway));
    second.publish(table, 1);
    second.lead(2);
    await until(() => second.leftOut(GATEWAY_ID).length > 0);
    second.publish(tableOf(manyRoutes(100)), 2);
    await until(() => second.leftOut(GATEWAY_ID).length === 0);
    expect(told).toEqual([GATEWAY_ID, GATEWAY_ID]);
  });

  it('tell of no want of room that another leader has ended meanwhile', async () => {
    const store = new MemoryStore();
    const big = routeEntry('a/big', Array.from({ length: 4_000 }, (_, i) => (i * 7_919) % 9_973).join(' '));
    const first = keeper(store, { maxPartBytes: 8_000 });
    first.lead(1);
    first.publish(tableOf([big, ...manyRoutes(100)]), 1);
    await until(() => first.leftOut(GATEWAY_ID).length > 0);
    await until(() => store.parts.size === 16);
    first.resign();

    const second = keeper(store, { maxPartBytes: 8_000 });
    second.publish(tableOf(manyRoutes(100)), 1);
    second.lead(2);
    await until(() => store.parts.get(partOf('a/big'))?.order.epoch === 2);
    await second.close();
    first.publish(tableOf(manyRoutes(100)), 2);
    first.lead(3);
    await until(() => first.leftOut(GATEWAY_ID).length === 0);
  });

  it('are written by a leader only', async () => {
    const store = new MemoryStore();
    const snapshots = keeper(store);
    snapshots.lead(1);
    snapshots.resign();
    snapshots.publish(tableOf([routeEntry('a/one')]), 1);
    await sleep(10);
    expect(store.writes).toEqual([]);
  });
});
