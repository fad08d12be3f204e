import { describe, expect, it } from '@jest/globals';

import { Replica } from './replica.ts';
import { partOf } from './parts.ts';
import { packPart, sharesOf, unpackPart, type PartContents } from './snapshot-pack.ts';
import { commonVersion, readReport, readStreamLine, readStreamRequest, type StreamLine } from './stream-messages.ts';
import { encodeEntry } from './codec.ts';
import { GATEWAY, keyEntry, routeEntry, settingsEntry, tableOf } from './testdata/tables.ts';
import type { Route, RouteTable } from './types.ts';

/** A line as another version may write it. */
function line(value: unknown): StreamLine | null {
  const read = readStreamLine(JSON.parse(JSON.stringify(value)));
  if (!read.ok) throw new Error(read.error);
  return read.value;
}

function plain(entry: Parameters<typeof encodeEntry>[0]): Record<string, unknown> {
  return JSON.parse(encodeEntry(entry)) as Record<string, unknown>;
}

function sent(replica: Replica, kind: string, key: string, value: Record<string, unknown>): void {
  const read = line({ type: 'entry', kind, key, digest: value['digest'], value });
  if (read?.type !== 'entry') throw new Error('not an entry');
  replica.entry(read);
}

function replicaWith(table: RouteTable): Replica {
  const replica = new Replica();
  replica.begin(1, GATEWAY);
  sent(replica, 'settings', '', plain(table.settings));
  for (const key of table.clientKeys) sent(replica, 'clientKey', key.sha256, plain(key));
  for (const route of table.routes) sent(replica, 'route', route.id, plain(route));
  replica.commit(1, table.digest);
  return replica;
}

const names = (replica: Replica): readonly string[] => (replica.table?.routes ?? []).map(({ id }) => id);
const flavour = (replica: Replica, id: string): string | null | undefined =>
  replica.table?.routes.find((route) => route.id === id)?.targets[0]?.model;

function withStrategy(route: Route, strategy: string): Record<string, unknown> {
  const value = plain(route);
  return { ...value, rules: (value['rules'] as Record<string, unknown>[]).map((rule) => ({ ...rule, strategy })) };
}

describe('an entry that is refused', () => {
  const table = tableOf([routeEntry('a/one', 1), routeEntry('a/two', 1)]);

  it('is refused alone where reading it fails', () => {
    const replica = replicaWith(table);
    const newer = tableOf([routeEntry('a/one', 2), routeEntry('a/two', 2)]);
    const value = Object.defineProperty(plain(routeEntry('a/one', 2)), 'targets', {
      get: () => {
        throw new RangeError('planted: sk-secret');
      },
    });
    replica.entry({ type: 'entry', kind: 'route', key: 'a/one', digest: 'd', value });
    sent(replica, 'route', 'a/two', plain(routeEntry('a/two', 2)));
    expect(replica.commit(2, newer.digest).ok).toBe(true);
    expect([flavour(replica, 'a/one'), flavour(replica, 'a/two')]).toEqual(['1', '2']);
    expect(replica.nacks).toMatchObject([{ key: 'a/one', reason: 'it could not be read: RangeError', kept: true }]);
  });

  it('keeps its last good version, and the others apply', () => {
    const replica = replicaWith(table);
    const newer = tableOf([routeEntry('a/one', 2), routeEntry('a/two', 2)]);
    sent(replica, 'route', 'a/one', withStrategy(routeEntry('a/one', 2), 'Utility'));
    sent(replica, 'route', 'a/two', plain(routeEntry('a/two', 2)));
    expect(replica.commit(2, newer.digest).ok).toBe(true);
    expect([flavour(replica, 'a/one'), flavour(replica, 'a/two')]).toEqual(['1', '2']);
    expect(replica.nacks).toEqual([
      {
        kind: 'route',
        key: 'a/one',
        id: 'a/one',
        digest: routeEntry('a/one', 2).digest,
        kept: true,
        reason: 'rules[0].strategy: "Utility" is not known here, only Weighted, RoundRobin, LeastBusy',
      },
    ]);
    expect(replica.table?.digest).not.toBe(newer.digest);
    expect(replica.verify()).toBe(true);
  });

  it('is absent where there was none, and is asked for again by the next leader', () => {
    const replica = replicaWith(table);
    sent(replica, 'route', 'a/new', withStrategy(routeEntry('a/new'), 'Utility'));
    replica.commit(2, 'd');
    expect(names(replica)).toEqual(['a/one', 'a/two']);
    expect(replica.nacks).toMatchObject([{ key: 'a/new', kept: false }]);
    expect(replica.inventory?.routes.map(([id]) => id)).toEqual(['a/one', 'a/two']);
  });

  it('is refused no more once it is good, or gone', () => {
    const replica = replicaWith(table);
    sent(replica, 'route', 'a/one', withStrategy(routeEntry('a/one', 2), 'Utility'));
    sent(replica, 'route', 'a/two', withStrategy(routeEntry('a/two', 2), 'Utility'));
    replica.commit(2, 'd');
    expect(replica.nacks).toHaveLength(2);
    sent(replica, 'route', 'a/one', plain(routeEntry('a/one', 3)));
    replica.gone('route', 'a/two');
    const after = tableOf([routeEntry('a/one', 3)]);
    replica.commit(3, after.digest);
    expect(replica.nacks).toEqual([]);
    expect(replica.table?.digest).toBe(after.digest);
  });

  it('counts as it was sent last before the commit', () => {
    const replica = replicaWith(table);
    sent(replica, 'route', 'a/one', plain(routeEntry('a/one', 2)));
    sent(replica, 'route', 'a/one', withStrategy(routeEntry('a/one', 3), 'Utility'));
    replica.commit(2, 'd');
    expect(flavour(replica, 'a/one')).toBe('1');
    expect(replica.nacks).toHaveLength(1);
  });

  it('as settings leaves those before them, and without any there is no table, until there are', () => {
    const replica = replicaWith(table);
    sent(replica, 'settings', '', { ...plain(settingsEntry({ port: 1 })), clientAuth: 'Retina' });
    replica.commit(2, 'd');
    expect(replica.table?.settings.port).toBe(8080);
    expect(replica.nacks).toMatchObject([{ kind: 'settings', kept: true }]);

    const fresh = new Replica();
    fresh.begin(1, GATEWAY);
    sent(fresh, 'settings', '', { ...plain(settingsEntry()), clientAuth: 'Retina' });
    sent(fresh, 'route', 'a/one', plain(routeEntry('a/one')));
    fresh.commit(1, 'd');
    expect(fresh.table).toBeNull();
    sent(fresh, 'settings', '', plain(settingsEntry()));
    fresh.commit(2, tableOf([routeEntry('a/one')]).digest);
    expect(names(fresh)).toEqual(['a/one']);
    expect(fresh.verify()).toBe(true);
  });

  it('as settings that only their use has shown to be bad, leaves those before them', () => {
    const replica = replicaWith(table);
    sent(replica, 'settings', '', plain(settingsEntry({ port: 9 })));
    replica.commit(2, 'd');
    replica.refuseSettings('the certificate is not one');
    expect(replica.table?.settings.port).toBe(8080);
    expect(replica.nacks).toMatchObject([{ kind: 'settings', kept: true, reason: 'the certificate is not one' }]);
  });

  it('repeats no credential in its reason', () => {
    const replica = replicaWith(table);
    const value = plain(routeEntry('a/one', 2));
    for (const member of Object.keys(value)) {
      if (member === 'digest') continue;
      sent(replica, 'route', 'a/one', { ...value, [member]: value['targets'] });
      replica.commit(2, 'd');
      expect(JSON.stringify(replica.nacks)).not.toContain('sk-canary');
    }
  });
});

describe('one version apart', () => {
  const table = tableOf([routeEntry('a/one')], [keyEntry(1)]);

  it('a newer operator: members that are not known are passed over, wherever they stand', () => {
    const replica = new Replica();
    const hello = line({
      type: 'hello',
      version: 1,
      epoch: 4,
      gateway: { ...GATEWAY, uid: 'x' },
      heartbeatMs: 500,
      leader: 'pod-1',
    });
    expect(hello).toEqual({ type: 'hello', version: 1, epoch: 4, gateway: GATEWAY, heartbeatMs: 500, readyPods: null });
    replica.begin(4, GATEWAY);
    sent(replica, 'settings', '', { ...plain(table.settings), tracing: { sample: 1 } });
    sent(replica, 'clientKey', keyEntry(1).sha256, { ...plain(keyEntry(1)), budget: 5 });
    const route = plain(routeEntry('a/one'));
    const targets = route['targets'] as Record<string, unknown>[];
    sent(replica, 'route', 'a/one', { ...route, later: {}, targets: targets.map((target) => ({ ...target, region: 'x' })) });
    expect(replica.commit(1, table.digest).ok).toBe(true);
    expect(replica.nacks).toEqual([]);
    expect(replica.table?.digest).toBe(table.digest);
    expect(replica.verify()).toBe(true);
  });

  it('a newer operator: kinds of entries and of lines', () => {
    const replica = replicaWith(table);
    sent(replica, 'quota', 'a/q', { id: 'a/q', digest: 'q1' });
    expect(line({ type: 'advice', text: 'hurry' })).toBeNull();
    expect(replica.commit(2, table.digest).ok).toBe(true);
    expect(names(replica)).toEqual(['a/one']);
    expect(replica.nacks).toMatchObject([{ kind: 'quota', id: 'a/q', digest: 'q1', kept: false }]);
    replica.gone('quota', 'a/q');
    replica.commit(3, table.digest);
    expect(replica.nacks).toEqual([]);
  });

  it('an older operator: what it does not say yet has a meaning', () => {
    expect(line({ type: 'hello', version: 1, epoch: 4, gateway: GATEWAY })).toMatchObject({ heartbeatMs: 2_000 });
  });

  it('a newer or an older pod: its report counts all the same', () => {
    const report = {
      seenEpoch: 1,
      number: 5,
      acked: { epoch: 1, sequence: 2 },
      digest: 'd',
      ready: true,
      version: '0.2',
      nacks: [],
    };
    expect(readReport(report)).toMatchObject({ ok: true, value: { leaving: false, upstreams: [] } });
    const upstream = { upstreamId: 'u', credentialId: null, state: 'Ejected', reason: 'Timeout', sinceMs: 1 };
    const newer = { ...report, leaving: false, mood: 'good', upstreams: [{ ...upstream, state: 'Dreaming' }, upstream] };
    expect(readReport(newer)).toMatchObject({ ok: true, value: { upstreams: [upstream] } });
    expect(readStreamRequest({ speaks: [2, 1], version: '9', seenEpoch: 0, have: null, wants: 'more' })).toMatchObject({
      ok: true,
    });
  });

  it('a pod that tells of what cannot be is not believed: an epoch that no Lease can count above, a moment of no calendar', () => {
    const seenEpoch = 2 ** 31 - 2;
    const refusal = { ok: false, error: expect.stringContaining('seenEpoch') };
    expect(readStreamRequest({ speaks: [1], version: '9', seenEpoch, have: null })).toMatchObject(refusal);
    const report = { number: 5, acked: null, digest: 'd', ready: true, version: '0.2', nacks: [] };
    expect(readReport({ ...report, seenEpoch })).toMatchObject(refusal);
    const upstreams = [{ upstreamId: 'u', credentialId: null, state: 'Ejected', reason: 'Timeout', sinceMs: 9e15 }];
    expect(readReport({ ...report, seenEpoch: 1, upstreams })).toMatchObject({ ok: true, value: { upstreams: [] } });
  });

  it('both speak the best version that the other speaks too', () => {
    expect(commonVersion([2, 1], [1])).toBe(1);
    expect(commonVersion([1], [2, 1])).toBe(1);
    expect(commonVersion([2, 1], [3, 2])).toBe(2);
    expect(commonVersion([3], [2, 1])).toBeNull();
  });
});

describe('order', () => {
  it('a leader of the past is refused, before anything of it is read', () => {
    const replica = replicaWith(tableOf([routeEntry('a/one')]));
    replica.sawEpoch(3);
    expect(replica.begin(2, GATEWAY)).toEqual({ ok: false, error: 'its leader is of epoch 2, one of epoch 3 was seen already' });
    expect(replica.begin(3, GATEWAY).ok).toBe(true);
  });

  it('a sequence of the past is refused', () => {
    const replica = replicaWith(tableOf([routeEntry('a/one')]));
    replica.commit(5, replica.table?.digest ?? '');
    expect(replica.commit(4, 'd')).toEqual({ ok: false, error: 'it is at 1.4, and 1.5 is served already' });
    expect(names(replica)).toEqual(['a/one']);
  });

  it('a table of another gateway takes nothing of the one before', () => {
    const replica = replicaWith(tableOf([routeEntry('a/one')]));
    replica.begin(2, { namespace: 'other', name: 'gateway' });
    sent(replica, 'settings', '', plain(settingsEntry()));
    replica.commit(1, 'd');
    expect(names(replica)).toEqual([]);
  });

  it('a copy that is not what its leader means is found out', () => {
    const replica = replicaWith(tableOf([routeEntry('a/one')]));
    replica.commit(2, tableOf([routeEntry('a/two')]).digest);
    expect(replica.verify()).toBe(false);
  });
});

describe('a snapshot', () => {
  const order = { epoch: 1, sequence: 1 };
  async function read(table: RouteTable, at = order, maxBytes?: number): Promise<{ parts: PartContents[]; leftOut: string[] }> {
    const parts: PartContents[] = [];
    const leftOut: string[] = [];
    for (const share of sharesOf(table)) {
      const packed = await packPart(share, at, 5, maxBytes);
      if (maxBytes !== undefined) expect(packed.bytes.length).toBeLessThanOrEqual(maxBytes);
      leftOut.push(...packed.leftOut.map(({ id }) => id));
      const found = await unpackPart(packed.bytes);
      if (!found.ok) throw new Error(found.error);
      parts.push(found.value);
    }
    return { parts, leftOut };
  }

  it('each part serves alone', async () => {
    const table = tableOf([routeEntry('a/one'), routeEntry('b/two'), routeEntry('c/three')], [keyEntry(1)]);
    const { parts } = await read(table);
    for (const part of parts) {
      const replica = new Replica();
      replica.load([part]);
      expect(replica.table?.settings.digest).toBe(table.settings.digest);
      expect(names(replica)).toEqual(table.routes.map(({ id }) => id).filter((id) => partOf(id) === part.head.part));
    }
  });

  it('leaves the largest routes out where a part has no room, names them, and keeps every client key', async () => {
    const big = routeEntry('a/one', Array.from({ length: 4_000 }, (_, i) => (i * 7_919) % 9_973).join(' '));
    const others = Array.from({ length: 200 }, (_, i) => routeEntry(`b/r${i}`));
    const table = tableOf([big, ...others], [keyEntry(1), keyEntry(2)]);
    const { parts, leftOut } = await read(table, order, 8_000);
    expect(leftOut).toEqual(['a/one']);
    const replica = new Replica();
    replica.load(parts);
    expect(names(replica)).toEqual(table.routes.map(({ id }) => id).filter((id) => id !== 'a/one'));
    expect(replica.table?.clientKeys).toHaveLength(2);
  });

  it('that is damaged or of another version is refused with the reason, and without what is in it', async () => {
    const [share] = sharesOf(tableOf([routeEntry('a/one')]));
    if (share === undefined) throw new Error('no share');
    const { bytes } = await packPart(share, order, 0);
    expect(await unpackPart(bytes.subarray(0, 40))).toEqual({ ok: false, error: 'it is not gzip, or damaged' });
    expect(await unpackPart(Buffer.from('sk-canary'))).toMatchObject({ ok: false });
  });
});
