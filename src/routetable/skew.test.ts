/**
 * Operator and pods one version apart. `testdata/v1-entries.jsonl` is what a build wrote before; it is never written again: a build
 * that does not read it, or that leaves out what a reader of then needs, cannot run beside that one.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from '@jest/globals';

import { ENTRY_DECODERS, encodeEntry } from './codec.ts';
import { attempt } from './decoder.ts';
import type { EntryKind, Item } from './entries.ts';
import { Replica } from './replica.ts';
import { readReport, readStreamLine, readStreamRequest, SPOKEN_VERSIONS } from './stream-messages.ts';

interface Frozen {
  readonly kind: EntryKind;
  readonly value: Readonly<Record<string, unknown>>;
}

const FROZEN = readFileSync(join(import.meta.dirname, 'testdata/v1-entries.jsonl'), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as Frozen);
const DIGEST = '202b1aa084c12ffabbfbb74a44d20c8f814f6945597a374fd2d7fd46cdc588e2';

const KEY_OF: Readonly<Record<EntryKind, string | null>> = { settings: null, clientKey: 'sha256', endpoints: 'id', route: 'id' };

function keyOf({ kind, value }: Frozen): string {
  const member = KEY_OF[kind];
  return member === null ? '' : String(value[member]);
}

function read(kind: EntryKind, value: unknown): Item {
  const found = attempt<Item>(ENTRY_DECODERS[kind], value);
  if (!found.ok) throw new Error(`${kind}: ${found.error}`);
  return found.value;
}

/** Puts a member that nobody knows yet into every object of ours; what a user wrote is their own. */
function grown(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(grown);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).map(([key, member]) => [
    key,
    key === 'defaults' || key === 'override' ? member : grown(member),
  ]);
  return { ...Object.fromEntries(members), fromTheFuture: { any: ['thing'] } };
}

/** A stream of v1, as its leader wrote it: one entry of each name. */
function stream(change: (value: unknown) => unknown = (value) => value): readonly unknown[] {
  const entries = new Map(FROZEN.map((frozen) => [`${frozen.kind} ${keyOf(frozen)}`, frozen]));
  const lines = [...entries.values()].map((frozen) => ({
    type: 'entry',
    kind: frozen.kind,
    key: keyOf(frozen),
    digest: frozen.value['digest'],
    value: change(frozen.value),
  }));
  return [
    { type: 'hello', version: 1, epoch: 3, gateway: { namespace: 'fairlead-system', name: 'default' }, heartbeatMs: 2_000 },
    ...lines,
    { type: 'gone', kind: 'route', key: 'team-a/gone' },
    { type: 'commit', sequence: 7, digest: DIGEST },
    { type: 'heartbeat' },
    { type: 'bye' },
  ];
}

function replicaOf(lines: readonly unknown[]): Replica {
  const replica = new Replica();
  for (const text of lines) {
    const line = readStreamLine(text);
    if (!line.ok) throw new Error(line.error);
    switch (line.value?.type) {
      case 'hello':
        expect(replica.begin(line.value.epoch, line.value.gateway).ok).toBe(true);
        break;
      case 'entry':
        replica.entry(line.value);
        break;
      case 'gone':
        replica.gone(line.value.kind, line.value.key);
        break;
      case 'commit':
        expect(replica.commit(line.value.sequence, line.value.digest).ok).toBe(true);
        break;
      default:
    }
  }
  return replica;
}

describe('a build beside one of v1', () => {
  it('speaks it', () => {
    expect(SPOKEN_VERSIONS).toContain(1);
  });

  it.each(
    FROZEN.map((frozen) => [`${frozen.kind} ${keyOf(frozen)} ${String(frozen.value['digest']).slice(0, 8)}`, frozen] as const),
  )('reads %s, and writes all that was in it', (_, { kind, value }) => {
    expect(JSON.parse(encodeEntry(read(kind, value)))).toMatchObject(value);
  });

  it.each(
    FROZEN.map((frozen) => [`${frozen.kind} ${keyOf(frozen)} ${String(frozen.value['digest']).slice(0, 8)}`, frozen] as const),
  )('reads %s with members that it does not know', (_, { kind, value }) => {
    expect(encodeEntry(read(kind, grown(value)))).toBe(encodeEntry(read(kind, value)));
  });

  it.each([
    ['as it was', stream()],
    ['with members that it does not know', stream(grown).map(grown)],
  ])('follows its stream %s to a table of the digest that its leader gave', (_, lines) => {
    const replica = replicaOf(lines);
    expect(replica.nacks).toEqual([]);
    expect(replica.verify()).toBe(true);
    expect(replica.table?.digest).toBe(DIGEST);
    expect(replica.order).toEqual({ epoch: 3, sequence: 7 });
  });

  it('counts pods by what a leader says, and is told of none by one that does not', () => {
    const told = (line: object): unknown => {
      const read = readStreamLine(line);
      return read.ok && (read.value?.type === 'hello' || read.value?.type === 'heartbeat') ? read.value.readyPods : undefined;
    };
    const [hello] = stream() as [object];
    for (const line of [hello, { type: 'heartbeat' }]) {
      expect(told(line)).toBeNull();
      expect(told({ ...line, readyPods: null })).toBeNull();
      expect(told({ ...line, readyPods: 3 })).toBe(3);
    }
  });

  it('passes over lines, and refuses entries, of kinds that it does not know', () => {
    const future = { type: 'entry', kind: 'fromTheFuture', key: 'x', digest: 'd', value: { id: 'team-a/x' } };
    const [hello, ...rest] = stream();
    const replica = replicaOf([hello, { type: 'fromTheFuture' }, future, ...rest]);
    expect(replica.nacks.map(({ kind, id, kept }) => ({ kind, id, kept }))).toEqual([
      { kind: 'fromTheFuture', id: 'team-a/x', kept: false },
    ]);
    expect(replica.table?.routes.length).toBeGreaterThan(0);
  });

  it('reads what its pods say', () => {
    const nack = { kind: 'route', key: 'a/b', digest: 'd', id: 'a/b', reason: 'why', kept: true };
    const upstream = { upstreamId: 'https://a', credentialId: null, state: 'Ejected', reason: 'Timeout', sinceMs: 5 };
    const load = { inFlightRequests: 1, inFlightStreams: 1, requestsTotal: 9 };
    const report = {
      seenEpoch: 3,
      number: 12,
      acked: { epoch: 3, sequence: 7 },
      digest: DIGEST,
      ready: true,
      leaving: false,
      version: '0.1.0',
      nacks: [nack],
      upstreams: [upstream],
      load,
    };
    expect(readReport(report)).toMatchObject({ ok: true, value: report });
    expect(readReport(grown(report))).toMatchObject({ ok: true, value: report });
    const have = { settings: 'd', clientKeys: [['k', 'd']], routes: [['a/b', 'd']] };
    const request = { speaks: [1], version: '0.1.0', seenEpoch: 3, have };
    expect(readStreamRequest(request)).toMatchObject({ ok: true, value: request });
    expect(readStreamRequest(grown({ ...request, speaks: [2, 1] })).ok).toBe(true);
  });

  it('takes no longer a reason from a pod than a status has room for', () => {
    const report = { seenEpoch: 0, number: 1, acked: null, digest: '', ready: true, version: '', nacks: null };
    const upstream = { upstreamId: 'u', credentialId: null, state: 'Ejected', sinceMs: 0 };
    const upstreams = ['x'.repeat(65), 'RateLimited', '', 'a\nb'].map((reason) => ({ ...upstream, reason }));
    const read = readReport({ ...report, upstreams });
    if (!read.ok) throw new Error(read.error);
    const reasons = read.value.upstreams.map(({ reason }) => reason);
    expect(reasons).toEqual(['x'.repeat(64), 'RateLimited']);
  });
});
