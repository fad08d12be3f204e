import { describe, expect, it } from '@jest/globals';

import { ManualTimers } from '../../lib/timers.ts';
import { NamedReader, wantedKey, type ReadOutcome, type Wanted } from './named-reader.ts';

const secret = (namespace: string, name: string): Wanted => ({ kind: 'Secret', namespace, name });

function found(resourceVersion: string): ReadOutcome {
  return { outcome: 'Found', object: { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'x', uid: 'u', resourceVersion } } };
}

/** A reader whose reads take 1 ms of a clock that the test moves. */
function reading(answer: (wanted: Wanted) => ReadOutcome) {
  const timers = new ManualTimers();
  const reads: { key: string; atMs: number }[] = [];
  const changes: string[] = [];
  const reader = new NamedReader({
    timers,
    read: (wanted) =>
      new Promise((resolve) => {
        reads.push({ key: wantedKey(wanted), atMs: timers.nowMs() });
        timers.after(1, () => resolve(answer(wanted)));
      }),
    onChange: (wanted, { outcome }) => changes.push(`${wantedKey(wanted)} ${outcome}`),
  });
  const pass = (ms: number): Promise<void> => timers.run(ms);
  return { timers, reader, reads, changes, pass };
}

describe('NamedReader', () => {
  it('reads at once what is named, again every 5 s, and tells changes only', async () => {
    let version = '1';
    const { reader, reads, changes, pass } = reading(() => found(version));
    reader.acquire(secret('a', 'x'));
    expect(reader.known(secret('a', 'x'))).toBeNull();
    await pass(10_500);
    expect(reads.map(({ atMs }) => Math.round(atMs / 1_000))).toEqual([0, 5, 10]);
    version = '2';
    await pass(5_000);
    expect(changes).toEqual(['Secret/a/x Found', 'Secret/a/x Found']);
    reader.stop();
  });

  it('forgets what nobody names, and does not tell a read that was under way then', async () => {
    const { reader, reads, changes, pass } = reading(() => found('1'));
    reader.acquire(secret('a', 'x'));
    reader.acquire(secret('a', 'x'));
    reader.release(secret('a', 'x'));
    expect(reader.size).toBe(1);
    reader.release(secret('a', 'x'));
    await pass(20_000);
    expect(reads).toHaveLength(1);
    expect(changes).toEqual([]);
    expect(reader.size).toBe(0);
    reader.stop();
  });

  it('looks every second, for a while, for what is not there yet', async () => {
    let there = false;
    const { reader, reads, changes, pass } = reading(() => (there ? found('1') : { outcome: 'Missing' }));
    reader.acquire(secret('a', 'x'));
    await pass(3_500);
    there = true;
    await pass(1_000);
    expect(changes).toEqual(['Secret/a/x Missing', 'Secret/a/x Found']);
    expect(reads.length).toBeLessThanOrEqual(5);
    reader.stop();
  });

  it('knows what it knew through failures, and gives up on what it never could read', async () => {
    let answer: ReadOutcome = found('1');
    const { reader, changes, pass } = reading(({ name }) =>
      name === 'never' ? { outcome: 'Failed', reason: 'HTTP 500' } : answer,
    );
    reader.acquire(secret('a', 'x'));
    reader.acquire(secret('a', 'never'));
    await pass(100);
    answer = { outcome: 'Failed', reason: 'HTTP 503' };
    expect(reader.unread).toBe(1);
    await pass(25_000);
    expect(reader.known(secret('a', 'x'))).toBe('Found');
    expect(reader.known(secret('a', 'never'))).toBe('Failed');
    expect(changes).toEqual(['Secret/a/x Found', 'Secret/a/never Failed']);
    reader.stop();
  });

  it('lets one namespace that names thousands slow down nobody but itself', async () => {
    const { reader, reads, pass } = reading(() => found('1'));
    const many = Array.from({ length: 10_000 }, (_, index) => secret('hostile', `s${index}`));
    for (const each of [...many, secret('victim', 'x')]) reader.acquire(each);
    await pass(30_000);
    const victim = reads.filter(({ key }) => key === 'Secret/victim/x').map(({ atMs }) => atMs);
    expect(victim[0]).toBeLessThan(5);
    for (const [index, atMs] of victim.entries()) if (index > 0) expect(atMs - (victim[index - 1] ?? 0)).toBeLessThan(6_000);
    const again = reads.length - 10_001;
    expect(again).toBeLessThanOrEqual(30 * 200 + 20);
    reader.stop();
  });

  it('reads anew at once what it is asked to', async () => {
    const { reader, reads, pass } = reading(() => found('1'));
    reader.acquire(secret('a', 'x'));
    await pass(100);
    reader.refresh(secret('a', 'x'));
    await pass(10);
    expect(reads).toHaveLength(2);
    reader.stop();
  });

  it('does not take a name for unreadable that failed once after it had long waited for its turn', async () => {
    const timers = new ManualTimers();
    const changes: string[] = [];
    let failed = false;
    const reader = new NamedReader({
      timers,
      read: ({ name }) =>
        new Promise((resolve) => {
          if (name !== 'late') return void timers.after(9_000, () => resolve(found('1')));
          timers.after(1, () => resolve(failed ? found('1') : { outcome: 'Failed', reason: 'too many requests' }));
          timers.after(2, () => (failed = true));
        }),
      onChange: ({ name }, { outcome }) => {
        if (name === 'late') changes.push(outcome);
      },
    });
    for (let index = 0; index < 64; index++) reader.acquire(secret('a', `slow-${index}`));
    reader.acquire(secret('a', 'late'));
    await timers.run(60_000);
    expect(changes).toEqual(['Found']);
    reader.stop();
  });
});
