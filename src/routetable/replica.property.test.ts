import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { encode } from './codec.ts';
import { changesFrom, tableChanges, withChanges, type Change } from './entries.ts';
import { Replica } from './replica.ts';
import { partOf } from './parts.ts';
import { packPart, sharesOf, unpackPart, type PartContents } from './snapshot-pack.ts';
import { entryLine, messageLine, readStreamLine, type StreamLine } from './stream-messages.ts';
import { endpointsEntry, GATEWAY, keyEntry, routeEntry, settingsEntry, tableOf } from './testdata/tables.ts';
import type { RouteTable } from './types.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 300);

const ids = ['a/one', 'a/two', 'b/one', 'b/two', 'c/one', 'c/three', 'd/four'];
const routes = fc.uniqueArray(fc.record({ id: fc.constantFrom(...ids), flavour: fc.nat(3) }), { selector: ({ id }) => id });
const keys = fc.uniqueArray(fc.record({ number: fc.nat(5), tenant: fc.constantFrom('x', 'y') }), {
  selector: ({ number }) => number,
});
const services = fc.uniqueArray(fc.record({ id: fc.constantFrom('a/vllm:8000', 'b/vllm:80'), pods: fc.nat(3) }), {
  selector: ({ id }) => id,
});
const tables = fc.record({ routes, keys, services, port: fc.constantFrom(8080, 8081) }).map((made) =>
  tableOf(
    made.routes.map(({ id, flavour }) => routeEntry(id, flavour)),
    made.keys.map(({ number, tenant }) => keyEntry(number, tenant)),
    settingsEntry({ port: made.port }),
    made.services.map(({ id, pods }) => endpointsEntry(id, pods)),
  ),
);

/** As it goes over the wire and back. */
function lineOf(text: string): StreamLine {
  const read = readStreamLine(JSON.parse(text));
  if (!read.ok || read.value === null) throw new Error(text);
  return read.value;
}

function send(replica: Replica, changes: readonly Change[]): void {
  for (const { kind, key, item } of changes) {
    const line = lineOf(item === null ? messageLine({ type: 'gone', kind, key }) : entryLine(kind, key, item));
    if (line.type === 'entry') replica.entry(line);
    else if (line.type === 'gone') replica.gone(line.kind, line.key);
  }
}

async function partsOf(table: RouteTable, epoch: number, sequence: number): Promise<readonly PartContents[]> {
  return Promise.all(
    sharesOf(table).map(async (share) => {
      const read = await unpackPart((await packPart(share, { epoch, sequence }, 0)).bytes);
      if (!read.ok) throw new Error(read.error);
      return read.value;
    }),
  );
}

function expectEqual(replica: Replica, table: RouteTable): void {
  if (replica.table === null) throw new Error('the replica has no table');
  expect(encode(replica.table)).toBe(encode(table));
  expect(replica.verify()).toBe(true);
}

describe('a replica', () => {
  it('is what its leader has after any changes, cuts in the middle, and leaders that know only its inventory', () => {
    const step = fc.record({
      table: tables,
      /** Of the changes, how many arrive before the stream breaks; null: it does not. */
      cutAfter: fc.option(fc.nat(5)),
      newLeader: fc.boolean(),
      reverse: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 8 }), (steps) => {
        const replica = new Replica();
        let epoch = 1;
        let sequence = 0;
        let told: RouteTable | null = null;
        expect(replica.begin(epoch, GATEWAY).ok).toBe(true);
        for (const { table, cutAfter, newLeader, reverse } of steps) {
          sequence++;
          const changes = [...tableChanges(told, table)];
          if (reverse) changes.reverse();
          if (cutAfter !== null || newLeader) {
            send(replica, changes.slice(0, cutAfter ?? 0));
            // The stream is gone; what was staged is nothing.
            if (newLeader) {
              epoch++;
              sequence = 1;
            }
            expect(replica.begin(epoch, GATEWAY).ok).toBe(true);
            const have = replica.inventory;
            send(replica, have === null ? tableChanges(null, table) : changesFrom(have, table));
          } else {
            send(replica, changes);
          }
          expect(replica.commit(sequence, table.digest)).toEqual({ ok: true, value: null });
          told = table;
          expectEqual(replica, table);
        }
      }),
      { numRuns: RUNS },
    );
  });

  it('never goes backwards, in whatever order streams and parts of snapshots come', async () => {
    const moment = fc.record({ epoch: fc.integer({ min: 1, max: 3 }), sequence: fc.integer({ min: 1, max: 4 }) });
    const arrival = fc.record({ by: fc.constantFrom('stream', 'snapshot'), at: moment, parts: fc.nat(0xffff) });
    await fc.assert(
      fc.asyncProperty(fc.array(arrival, { minLength: 1, maxLength: 10 }), async (arrivals) => {
        const replica = new Replica();
        // Its flavour is the moment: what is served shows how old it is.
        const tableAt = (epoch: number, sequence: number): RouteTable =>
          tableOf(ids.map((id) => routeEntry(id, epoch * 10 + sequence)));
        const seen = new Map<string, number>();
        for (const { by, at, parts } of arrivals) {
          const table = tableAt(at.epoch, at.sequence);
          if (by === 'stream') {
            if (replica.begin(at.epoch, GATEWAY).ok) {
              send(replica, replica.inventory === null ? tableChanges(null, table) : changesFrom(replica.inventory, table));
              replica.commit(at.sequence, table.digest);
            }
          } else {
            const all = await partsOf(table, at.epoch, at.sequence);
            replica.load(all.filter(({ head }) => (parts >> head.part) % 2 === 1));
          }
          for (const { id, targets } of replica.table?.routes ?? []) {
            const age = Number(targets[0]?.model);
            expect(age).toBeGreaterThanOrEqual(seen.get(id) ?? 0);
            seen.set(id, age);
          }
        }
      }),
      { numRuns: Math.min(RUNS, 2_000) },
    );
  });

  it('from a whole snapshot is the table', async () => {
    await fc.assert(
      fc.asyncProperty(tables, fc.boolean(), async (table, backwards) => {
        const parts = [...(await partsOf(table, 2, 7))];
        if (backwards) parts.reverse();
        const replica = new Replica();
        expect(replica.load(parts)).toBe(true);
        expectEqual(replica, table);
        expect(replica.order).toEqual({ epoch: 2, sequence: 7 });
        expect(replica.load(parts)).toBe(false);
      }),
      { numRuns: Math.min(RUNS, 300) },
    );
  });
});

const LETTERS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];

describe('withChanges', () => {
  it('gives what a map would', () => {
    const entries = fc.uniqueArray(fc.tuple(fc.constantFrom(...LETTERS), fc.nat(3)), { selector: ([key]) => key });
    const changes = fc.array(fc.tuple(fc.constantFrom(...LETTERS), fc.option(fc.nat(3))));
    fc.assert(
      fc.property(entries, changes, (before, edits) => {
        const list = before.toSorted(([a], [b]) => (a < b ? -1 : 1));
        const wanted = new Map(list);
        const asked = new Map<string, (typeof list)[number] | null>();
        for (const [key, value] of edits) {
          asked.set(key, value === null ? null : [key, value]);
          if (value === null) wanted.delete(key);
          else wanted.set(key, value);
        }
        expect(withChanges(list, asked, ([key]) => key)).toEqual([...wanted].sort(([a], [b]) => (a < b ? -1 : 1)));
      }),
      { numRuns: RUNS },
    );
  });
});

describe('partOf', () => {
  it('spreads routes evenly enough that no part is full long before the others', () => {
    const counts = new Array<number>(16).fill(0);
    for (let index = 0; index < 5_000; index++) {
      const part = partOf(`team-${index % 50}/route-${index}`);
      counts[part] = (counts[part] ?? 0) + 1;
    }
    expect(Math.max(...counts)).toBeLessThan(1.3 * (5_000 / 16));
  });
});
