import { describe, expect, test } from '@jest/globals';
import { ApiClient } from '../../src/kube/api-client.ts';
import { ListWatch } from '../../src/kube/list-watch.ts';
import type { Resource } from '../../src/kube/objects.ts';
import { ManualTimers, type Timers } from '../../src/lib/timers.ts';
import { generator } from './generator.ts';
import { ScriptedServer } from './scripted-server.ts';

/** FUZZ_RUNS says how many schedules; FUZZ_SEED which is the first. */
const RUNS = Number(process.env['FUZZ_RUNS'] ?? 10_000);
const SEED = Number(process.env['FUZZ_SEED'] ?? 1);
const THINGS: Resource = { group: 'test.dev', version: 'v1', plural: 'things', kind: 'Thing', namespaced: true };
const HEALED_WITHIN_MS = 5000;

/** The clock of everybody, and a count of what one of them still waits for. */
function counted(timers: Timers): { readonly timers: Timers; waiting(): number } {
  let waiting = 0;
  return {
    waiting: () => waiting,
    timers: {
      nowMs: () => timers.nowMs(),
      wallMs: () => timers.wallMs(),
      after(ms, callback) {
        waiting++;
        let over = false;
        const end = (): void => {
          if (!over) waiting--;
          over = true;
        };
        const cancel = timers.after(ms, () => {
          end();
          callback();
        });
        return () => {
          end();
          cancel();
        };
      },
    },
  };
}

interface Verdict {
  /** Empty: as promised. */
  readonly wrong: string;
  readonly restored: boolean;
  readonly uninstalled: boolean;
}

async function runSchedule(seed: number): Promise<Verdict> {
  const random = generator(seed);
  const clock = new ManualTimers();
  const server = new ScriptedServer(clock, random);
  const own = counted(clock);
  const client = new ApiClient(server, { timers: own.timers });
  let changes = 0;
  const mirror = new Map<string, number>();
  const watch = new ListWatch<number>(
    { client, timers: own.timers, random },
    {
      resource: THINGS,
      parse: (object) => Number(object['body']),
      onChange(key, value) {
        changes++;
        if (value === null) mirror.delete(key);
        else mirror.set(key, value);
        if (random() < 0.02) throw new Error('a handler that fails');
      },
    },
  );
  const names = Array.from({ length: 2 + Math.floor(random() * 12) }, (_, i) => `t${i}`);
  let backup = server.backup();
  let [restored, uninstalled] = [false, false];
  const act = (): void => {
    const dice = random();
    if (dice < 0.85) server.write(names[Math.floor(random() * names.length)] ?? '', random() < 0.3);
    else if (dice < 0.9) server.compact();
    else if (dice < 0.93) backup = server.backup();
    else if (server.trouble > 0 && dice < 0.94) {
      server.restore(backup);
      restored = true;
      // Often the versions are soon past where they had been.
      if (random() < 0.7)
        for (let i = 0; i < 20; i++) server.write(names[Math.floor(random() * names.length)] ?? '', random() < 0.3);
    } else if (server.trouble > 0 && dice < 0.95) {
      server.uninstall();
      uninstalled = true;
    } else if (server.trouble > 0 && dice < 0.97) server.installed = true;
  };

  server.trouble = 0.2 + random() * 0.8;
  const healMs = 2000 + random() * 18_000;
  const stopMs = random() < 0.3 ? random() * healMs : Number.POSITIVE_INFINITY;
  while (clock.nowMs() < Math.min(healMs, stopMs)) {
    await clock.run(Math.min(random() * 400, Math.min(healMs, stopMs) - clock.nowMs()));
    act();
  }
  if (stopMs === Number.POSITIVE_INFINITY) {
    server.heal();
    if (random() < 0.7) server.installed = true;
    const endMs = clock.nowMs() + HEALED_WITHIN_MS;
    while (clock.nowMs() < endMs) {
      await clock.run(Math.min(random() * 400, endMs - clock.nowMs()));
      // What is written in the last moment needs a moment: a write that nothing disturbs is there at once.
      if (clock.nowMs() < endMs) act();
    }
    const [want, have, seen] = [
      [...server.objects].map(([name, { body }]) => `n/${name}=${body}`),
      texts(watch.store),
      texts(mirror),
    ];
    const wrong =
      want.sort().join() !== have.join()
        ? `store: ${have.join()}; server: ${want.join()}`
        : have.join() !== seen.join()
          ? `told: ${seen.join()}`
          : '';
    if (wrong !== '') return { wrong: `${wrong}; state ${watch.state}, installed ${server.installed}`, restored, uninstalled };
    if (server.installed && watch.state !== 'watching') return { wrong: `state ${watch.state}`, restored, uninstalled };
  }
  watch.stop();
  const told = changes;
  const left = `${own.waiting()} timers, ${server.underWay} requests`;
  await clock.run(0);
  const settled = `${own.waiting()} timers, ${server.underWay} requests`;
  server.trouble = 0;
  for (let i = 0; i < 5; i++) act();
  await clock.run(200_000);
  if (left !== NOTHING_LEFT || settled !== NOTHING_LEFT)
    return { wrong: `after stop at ${stopMs}: ${left}, then ${settled}`, restored, uninstalled };
  return { wrong: changes === told ? '' : 'a callback came after stop', restored, uninstalled };
}

const NOTHING_LEFT = '0 timers, 0 requests';

function texts(map: ReadonlyMap<string, number>): string[] {
  return [...map].map(([key, value]) => `${key}=${value}`).sort();
}

describe('a list-watch under random faults', () => {
  test('equals the server within 5 s of its healing, and leaves nothing when it is stopped', async () => {
    const failures: string[] = [];
    let [restored, uninstalled] = [0, 0];
    for (let run = 0; run < RUNS && failures.length < 5; run++) {
      const verdict = await runSchedule(SEED + run);
      if (verdict.wrong !== '') failures.push(`FUZZ_SEED=${SEED + run}: ${verdict.wrong}`);
      if (verdict.restored) restored++;
      if (verdict.uninstalled) uninstalled++;
    }
    expect(failures).toEqual([]);
    // The schedules do what their names say.
    expect([restored > RUNS / 100, uninstalled > RUNS / 100]).toEqual([true, true]);
  }, 1_800_000);
});
