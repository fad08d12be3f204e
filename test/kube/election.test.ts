import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import type { KubeClient } from '../../src/kube/client.ts';
import { ListWatch } from '../../src/kube/list-watch.ts';
import { systemTimers } from '../../src/lib/timers.ts';
import { describeOnEveryRelease } from '../controlplane/describe.ts';
import { clientFor, CONFIG_MAPS, until } from './support.ts';

interface Candidate {
  readonly name: string;
  readonly child: ChildProcess;
  /** What it said, and when (monotonic). */
  readonly said: { readonly line: string; readonly atMs: number }[];
}

const TAKEOVER_MS = 15_000;
/** One that does not know that the Lease was given back waits for its end: longer than this, for it was renewed within 2 s. */
const HANDOVER_MS = 7000;
const FREEZE_MS = 30_000;
const LEASE_MS = 10_000;

describeOnEveryRelease('one leader among processes on a real API server', (plane) => {
  let client: KubeClient;
  const candidates: Candidate[] = [];
  beforeAll(() => {
    client = clientFor(plane().kubeconfig);
  });
  afterAll(() => client.close());
  afterEach(() => {
    for (const { child } of candidates.splice(0)) child.kill('SIGKILL');
  });

  function start(name: string, lease: string): Candidate {
    const program = join(import.meta.dirname, 'election-process.ts');
    const child = spawn(process.execPath, [program, plane().kubeconfig, name, lease], { stdio: ['ignore', 'pipe', 'inherit'] });
    const candidate: Candidate = { name, child, said: [] };
    createInterface({ input: child.stdout }).on('line', (line) => candidate.said.push({ line, atMs: performance.now() }));
    candidates.push(candidate);
    return candidate;
  }

  const last = ({ said }: Candidate, prefix: string): { readonly line: string; readonly atMs: number } | undefined =>
    said.findLast(({ line }) => line.startsWith(prefix));
  const leads = async (candidate: Candidate): Promise<number> => {
    await until(() => last(candidate, 'wrote') !== undefined);
    return Number(last(candidate, 'lead')?.line.split(' ')[1]);
  };

  test('killed, another takes over within 15 s, with a higher epoch', async () => {
    const first = start('a', 'killed');
    const epoch = await leads(first);
    const second = start('b', 'killed');
    await until(() => last(second, 'sees a') !== undefined);
    expect(last(second, 'lead')).toBeUndefined();
    const killedMs = performance.now();
    first.child.kill('SIGKILL');
    expect(await leads(second)).toBe(epoch + 1);
    expect((last(second, 'lead')?.atMs ?? 0) - killedMs).toBeLessThan(TAKEOVER_MS);
  });

  test('asked to end, it gives the Lease back: another leads before it would have ended', async () => {
    const first = start('a', 'ended');
    const epoch = await leads(first);
    const second = start('b', 'ended');
    await until(() => last(second, 'sees a') !== undefined);
    const endedMs = performance.now();
    first.child.kill('SIGTERM');
    expect(await leads(second)).toBe(epoch + 1);
    expect((last(second, 'lead')?.atMs ?? 0) - endedMs).toBeLessThan(HANDOVER_MS);
    await until(() => last(first, 'released') !== undefined);
    expect(first.said.at(-2)?.line).not.toMatch(/^lead/);
    await until(() => first.child.exitCode !== null);
    expect(first.child.exitCode).toBe(0);
  });

  test('frozen for 30 s and continued, it writes nothing any more', async () => {
    const first = start('a', 'frozen');
    const epoch = await leads(first);
    const written: string[] = [];
    const watch = new ListWatch<string>(
      { client, timers: systemTimers, random: Math.random },
      {
        resource: CONFIG_MAPS,
        fieldSelector: 'metadata.name=frozen-output',
        parse: (object) => JSON.stringify(object['data']),
        onChange: (_key, value) => written.push(value ?? ''),
      },
    );
    await watch.whenSynced();
    const second = start('b', 'frozen');
    await until(() => last(second, 'sees a') !== undefined);
    first.child.kill('SIGSTOP');
    const frozenMs = performance.now();
    expect(await leads(second)).toBe(epoch + 1);
    expect((last(second, 'lead')?.atMs ?? 0) - frozenMs).toBeLessThan(TAKEOVER_MS);
    await new Promise((resolve) => setTimeout(resolve, FREEZE_MS - (performance.now() - frozenMs)));
    const before = written.length;
    first.child.kill('SIGCONT');
    await until(() => last(first, 'end') !== undefined);
    // It has looked at the Lease again: whatever it had in hand is out by now.
    await until(() => last(first, 'sees b') !== undefined);
    // Whoever writes last is the second: the first one's value would have come back otherwise.
    expect(written.slice(before)).toEqual([]);
    expect([...watch.store.values()]).toEqual([JSON.stringify({ by: 'b', epoch: String(epoch + 1) })]);
    watch.stop();
  });

  test('cut off from the API server, it ends at its deadline, before another could begin', async () => {
    const first = start('a', 'cut');
    await leads(first);
    plane().apiServer.signal('SIGSTOP');
    const cutMs = performance.now();
    await until(() => last(first, 'end') !== undefined);
    const tookMs = (last(first, 'end')?.atMs ?? 0) - cutMs;
    plane().apiServer.signal('SIGCONT');
    // The renew deadline counts from the last renewal, which was up to 2 s before; another could begin at the Lease's end.
    expect(tookMs).toBeLessThan(LEASE_MS);
    const ends = first.said.filter(({ line }) => line.startsWith('lead')).length;
    await until(() => first.said.filter(({ line }) => line.startsWith('lead')).length > ends);
  });
});
