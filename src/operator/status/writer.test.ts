import { describe, expect, it } from '@jest/globals';

import { condition } from '../../compile/status.ts';
import type { KubeObject } from '../../kube/objects.ts';
import type { KubeFailureKind, KubeResult } from '../../kube/outcome.ts';
import { ManualTimers } from '../../lib/timers.ts';
import type { Progress } from './evidence.ts';
import { observedConditions } from './observed.ts';
import { programmed } from './route-status.ts';
import { StatusWriter, type Standing, type Wish } from './writer.ts';

/** An API server of a few objects, whose watch the test delivers by hand or at once. */
class Server {
  readonly timers = new ManualTimers();
  readonly objects = new Map<string, Standing>();
  /** As the operator's store sees them. */
  readonly store = new Map<string, Standing>();
  readonly wishes = new Map<string, Wish>();
  readonly writes: { readonly id: string; readonly atMs: number; readonly status: unknown }[] = [];
  readonly failures: string[] = [];
  fail: KubeFailureKind | null = null;
  watching = true;
  looks = 0;
  /** A member of `status` that an older CRD does not know: the API server drops it. */
  prunes = '';
  patches = 0;
  #version = 0;
  readonly writer = new StatusWriter({
    timers: this.timers,
    patch: (_, ref, resourceVersion, status) =>
      Promise.resolve(this.#patch(`${ref.namespace ?? ''}/${ref.name}`, resourceVersion, status)),
    standing: (_, id) => this.store.get(id) ?? null,
    wish: (_, id) => {
      this.looks++;
      return this.wishes.get(id) ?? null;
    },
    onWritten: () => {},
    onFailure: (_, id, { kind }) => this.failures.push(`${id} ${kind}`),
  });

  constructor() {
    this.writer.start();
  }

  add(id: string, status?: unknown): void {
    const standing = { resourceVersion: String(++this.#version), status };
    this.objects.set(id, standing);
    this.store.set(id, standing);
  }

  want(id: string, progress: Progress | null, stage: Wish['stage'], generation = 1): void {
    const conditions = [
      condition('Accepted', 'True', 'Accepted', '', generation),
      ...(progress === null ? [] : [programmed(progress, generation)]),
    ];
    this.wishes.set(id, { desired: { observedGeneration: generation, conditions }, stage });
    this.writer.touch('LLMRoute', id);
  }

  see(id: string): void {
    const standing = this.objects.get(id);
    if (standing !== undefined) this.store.set(id, standing);
    this.writer.touch('LLMRoute', id);
  }

  #patch(id: string, resourceVersion: string, status: Readonly<Record<string, unknown>>): KubeResult<KubeObject> {
    const kind = this.fail ?? (this.objects.get(id)?.resourceVersion === resourceVersion ? null : 'conflict');
    if (kind !== null) return { ok: false, error: { kind, message: kind } };
    this.patches++;
    const before = this.objects.get(id)?.status ?? {};
    const kept = Object.fromEntries(Object.entries(status).filter(([name]) => name !== this.prunes));
    const after = { ...before, ...kept };
    // What changes nothing makes no new version.
    const version = JSON.stringify(after) === JSON.stringify(before) ? resourceVersion : String(++this.#version);
    const standing = { resourceVersion: version, status: after };
    this.objects.set(id, standing);
    this.writes.push({ id, atMs: this.timers.nowMs(), status: standing.status });
    if (this.watching) queueMicrotask(() => this.see(id));
    return {
      ok: true,
      value: {
        apiVersion: 'v1',
        kind: 'X',
        metadata: { name: 'x', resourceVersion: standing.resourceVersion },
        status: standing.status,
      },
    };
  }
}

const ALL: Progress = { readyPods: 3, programmedPods: 3, rejected: [] };
const NONE: Progress = { readyPods: 3, programmedPods: 0, rejected: [] };

describe('StatusWriter', () => {
  it('does not write again and again what an older CRD has no room for, and writes on what it has', async () => {
    const server = new Server();
    server.prunes = 'observedGeneration';
    server.add('a/x');
    server.want('a/x', ALL, 'decided');
    await server.timers.run(60_000);
    expect(server.patches).toBeLessThanOrEqual(2);
    server.want('a/x', null, 'decided');
    await server.timers.run(60_000);
    expect(server.patches).toBeLessThanOrEqual(4);
    expect(observedConditions(server.objects.get('a/x')?.status)).toHaveLength(1);
  });

  it('writes once what is decided at once, and nothing in steady state', async () => {
    const server = new Server();
    server.add('a/x');
    server.want('a/x', NONE, 'waiting');
    await server.timers.run(15);
    server.want('a/x', ALL, 'decided');
    await server.timers.run(10_000);
    expect(server.writes).toHaveLength(1);
    for (let again = 0; again < 20; again++) {
      server.see('a/x');
      await server.timers.run(1_000);
    }
    expect(server.writes).toHaveLength(1);
  });

  it('looks once at what happens within a moment, and writes no later for it', async () => {
    const server = new Server();
    server.add('a/x');
    for (let pod = 0; pod < 3; pod++) {
      server.want('a/x', { readyPods: 3, programmedPods: pod, rejected: [] }, 'waiting');
      await server.timers.run(3);
    }
    server.want('a/x', ALL, 'decided');
    expect(server.looks).toBe(0);
    await server.timers.run(11);
    expect(server).toMatchObject({ looks: 2, writes: [{ atMs: 20 }] });
  });

  it('writes twice at most where pods take their time', async () => {
    const server = new Server();
    server.add('a/x');
    server.want('a/x', NONE, 'waiting');
    await server.timers.run(700);
    expect(server.writes).toHaveLength(1);
    for (const programmedPods of [1, 2]) {
      server.want('a/x', { readyPods: 3, programmedPods, rejected: [] }, 'hanging');
      await server.timers.run(3_000);
    }
    server.want('a/x', ALL, 'decided');
    await server.timers.run(3_000);
    expect(server.writes).toHaveLength(2);
    expect(server.writes.at(-1)?.atMs).toBeLessThan(7_000);
  });

  it('moves lastTransitionTime on a flip only', async () => {
    const server = new Server();
    server.add('a/x');
    const times = (): unknown[] =>
      observedConditions(server.objects.get('a/x')?.status).map(
        ({ type, lastTransitionTime }) => `${type} ${lastTransitionTime}`,
      );
    server.want('a/x', ALL, 'decided', 1);
    await server.timers.run(1_000);
    const first = times();
    await server.timers.run(60_000);
    server.want('a/x', ALL, 'decided', 2);
    await server.timers.run(1_000);
    expect(times()).toEqual(first);
    server.want('a/x', NONE, 'decided', 2);
    await server.timers.run(1_000);
    expect(times()).toEqual([first[0], 'Programmed 2026-01-01T00:01:02Z']);
  });

  it('does not write again what the store has not seen yet', async () => {
    const server = new Server();
    server.watching = false;
    server.add('a/x');
    server.want('a/x', NONE, 'decided');
    await server.timers.run(1_000);
    server.want('a/x', NONE, 'decided');
    await server.timers.run(1_000);
    expect(server.writes).toHaveLength(1);
    server.want('a/x', ALL, 'decided');
    await server.timers.run(1_000);
    expect(server.writes).toHaveLength(2);
    expect(server.failures).toEqual([]);
  });

  it('leaves to others what is theirs, and corrects what somebody wrote over ours', async () => {
    const server = new Server();
    server.add('a/x', {
      learned: [{ rule: 'x' }],
      conditions: [{ type: 'Accepted', status: 'False' }],
      endpoint: 'http://wrong',
    });
    server.want('a/x', ALL, 'decided');
    await server.timers.run(1_000);
    expect(server.objects.get('a/x')?.status).toMatchObject({
      learned: [{ rule: 'x' }],
      endpoint: null,
      conditions: [{ status: 'True' }, { type: 'Programmed' }],
    });
  });

  it('tries again after a conflict and a failure, not after it was told to stop', async () => {
    const server = new Server();
    server.add('a/x');
    server.objects.set('a/x', { resourceVersion: '99', status: undefined });
    server.want('a/x', ALL, 'decided');
    await server.timers.run(300);
    expect(server.writes).toEqual([]);
    server.see('a/x');
    server.fail = 'unavailable';
    await server.timers.run(1_000);
    server.fail = null;
    await server.timers.run(5_000);
    expect(server.writes).toHaveLength(1);
    expect(server.failures[0]).toBe('a/x unavailable');
    server.want('a/x', NONE, 'decided');
    server.writer.stop();
    await server.timers.run(5_000);
    expect(server.writes).toHaveLength(1);
    expect(server.timers.pending).toBe(0);
  });

  it('writes at most 50 a second, and lets no namespace wait for the thousands of another', async () => {
    const server = new Server();
    for (let index = 0; index < 1_000; index++) {
      server.add(`many/x${index}`);
      server.want(`many/x${index}`, ALL, 'decided');
    }
    server.add('one/x');
    server.want('one/x', ALL, 'decided');
    await server.timers.run(40_000);
    expect(server.writes).toHaveLength(1_001);
    for (const from of [0, 1_000, 5_000, 10_000])
      expect(server.writes.filter(({ atMs }) => atMs >= from && atMs < from + 1_000).length).toBeLessThanOrEqual(
        from === 0 ? 61 : 51,
      );
    expect(server.writes.find(({ id }) => id === 'one/x')?.atMs).toBeLessThan(100);
  });
});
