import { cpSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { KubeClient } from '../../src/kube/client.ts';
import { ListWatch } from '../../src/kube/list-watch.ts';
import { systemTimers } from '../../src/lib/timers.ts';
import { describeOnEveryRelease } from '../controlplane/describe.ts';
import { FaultyLine, type LineFault } from './faulty-line.ts';
import { clientFor, CONFIG_MAPS, configMap, until, valueOf } from './support.ts';

const FAULTS: readonly LineFault[] = ['reset', 'refused', 'dead', 'slow', 'deaf'];
const SCHEDULES = 20;
/**
 * That it takes 5 s at most, watch-faults-property.test.ts shows on a clock of its own. Whoever waited for a call of before the healing
 * would need this long for that alone.
 */
const HEALED_WITHIN_MS = 10_000;
const APPLY = { fieldManager: 'test', force: true };

function watchOf(client: KubeClient, namespace: string): ListWatch<string> {
  return new ListWatch<string>(
    { client, timers: systemTimers, random: Math.random },
    { resource: CONFIG_MAPS, namespace, parse: ({ metadata }) => metadata.resourceVersion ?? '' },
  );
}

describeOnEveryRelease('a list-watch on a real API server over a line that fails', (plane) => {
  let writer: KubeClient;
  beforeAll(() => {
    writer = clientFor(plane().kubeconfig);
  });
  afterAll(() => writer.close());

  const versions = async (namespace: string): Promise<string[]> =>
    valueOf(await writer.listAll(CONFIG_MAPS, { namespace })).items.map(
      ({ metadata }) => `${namespace}/${metadata.name}=${metadata.resourceVersion}`,
    );

  /** All at once, each on a line of its own: how long one takes is mostly waiting. */
  test('equals the server soon after its healing, whatever broke before, and leaves no connection', async () => {
    const runs = Array.from({ length: SCHEDULES }, async (_, run) => {
      const namespace = `faults-${run}`;
      await plane().kubectl(['create', 'namespace', namespace]);
      const line = await new FaultyLine(plane().url).start();
      const client = clientFor(plane().kubeconfig, line.url);
      const watch = watchOf(client, namespace);
      const log: string[] = [];
      const write = async (step: number): Promise<void> => {
        const name = `c${Math.floor(Math.random() * 5)}`;
        if (Math.random() < 0.25) valueOf(await writer.delete(CONFIG_MAPS, { namespace, name }));
        else valueOf(await writer.apply(CONFIG_MAPS, configMap(name, { step: String(step) }, namespace), APPLY));
      };
      await watch.whenSynced();
      for (let step = 0; step < 4; step++) {
        // Each kind of fault is met first by some run.
        const fault = FAULTS[(run + step * (1 + Math.floor(run / FAULTS.length))) % FAULTS.length] ?? 'reset';
        log.push(fault);
        await line.fail(fault);
        const endMs = performance.now() + 500 + Math.random() * 3500;
        while (performance.now() < endMs) {
          await write(step);
          await new Promise((resolve) => setTimeout(resolve, Math.random() * 300));
        }
        await line.heal();
      }
      const healedMs = performance.now();
      await write(99);
      const want = (await versions(namespace)).sort().join();
      const have = (): string =>
        [...watch.store]
          .map(([key, version]) => `${key}=${version}`)
          .sort()
          .join();
      while (have() !== want && performance.now() - healedMs < 30_000) await new Promise((resolve) => setTimeout(resolve, 20));
      const tookMs = performance.now() - healedMs;
      // What comes now comes by the watch, not by a list.
      await until(() => watch.state === 'watching');
      const last = valueOf(await writer.apply(CONFIG_MAPS, configMap('last', {}, namespace), APPLY));
      await until(() => watch.store.get(`${namespace}/last`) === last.metadata.resourceVersion);
      watch.stop();
      client.close();
      await until(() => line.open === 0);
      await line.stop();
      return { log: log.join(), tookMs, same: have() !== '' };
    });
    const results = await Promise.all(runs);
    expect(results.filter(({ tookMs }) => tookMs > HEALED_WITHIN_MS)).toEqual([]);
  }, 180_000);

  test('stopped at any instant it leaves no connection, and nothing is told any more', async () => {
    const line = await new FaultyLine(plane().url).start();
    for (let run = 0; run < 30; run++) {
      const client = clientFor(plane().kubeconfig, line.url);
      let told = 0;
      let stopped = false;
      const watch = new ListWatch<string>(
        { client, timers: systemTimers, random: Math.random },
        {
          resource: CONFIG_MAPS,
          parse: ({ metadata }) => metadata.name,
          onChange: () => {
            if (stopped) told++;
          },
        },
      );
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 60));
      watch.stop();
      stopped = true;
      client.close();
      await watch.whenSynced();
      await until(() => line.open === 0);
      expect([told, watch.state]).toEqual([0, 'stopped']);
    }
    await line.stop();
  });

  test('an API server that is killed and started again is followed', async () => {
    const client = clientFor(plane().kubeconfig);
    const watch = watchOf(client, 'default');
    await watch.whenSynced();
    valueOf(await writer.apply(CONFIG_MAPS, configMap('before', {}), APPLY));
    await until(() => watch.store.has('default/before'));
    await plane().apiServer.kill();
    await until(() => watch.state === 'retrying');
    expect(watch.store.has('default/before')).toBe(true);
    plane().apiServer.start();
    await plane().ready();
    const readyMs = performance.now();
    valueOf(await writer.apply(CONFIG_MAPS, configMap('after', {}), APPLY));
    await until(() => watch.store.has('default/after'));
    expect(performance.now() - readyMs).toBeLessThan(HEALED_WITHIN_MS);
    watch.stop();
    client.close();
  });

  test('an etcd that was restored from a backup is followed', async () => {
    const client = clientFor(plane().kubeconfig);
    const watch = watchOf(client, 'default');
    const data = join(plane().folder, 'etcd');
    const backup = join(plane().folder, 'etcd-backup');
    const whileStopped = async (act: () => void): Promise<void> => {
      await plane().apiServer.kill();
      await plane().etcd.stop();
      act();
      plane().etcd.start();
      plane().apiServer.start();
      await plane().ready();
    };
    const write = async (name: string, text: string): Promise<void> => {
      valueOf(await writer.apply(CONFIG_MAPS, configMap(name, { text }), APPLY));
    };
    for (const name of ['kept', 'changed', 'deleted']) await write(name, 'backed up');
    await whileStopped(() => cpSync(data, backup, { recursive: true }));
    for (const name of ['changed', 'new']) await write(name, 'lost');
    valueOf(await writer.delete(CONFIG_MAPS, { namespace: 'default', name: 'deleted' }));
    for (let i = 0; i < 50; i++) await write('moving', String(i));
    await until(() => watch.store.has('default/moving') && watch.store.has('default/new') && !watch.store.has('default/deleted'));
    await whileStopped(() => {
      rmSync(data, { recursive: true });
      renameSync(backup, data);
    });
    const have = (): string =>
      [...watch.store]
        .map(([key, version]) => `${key}=${version}`)
        .sort()
        .join();
    await until(async () => have() === (await versions('default')).sort().join());
    expect([watch.store.has('default/new'), watch.store.has('default/deleted')]).toEqual([false, true]);
    // The watch is not waiting for the old moment to come again.
    await write('afterwards', '1');
    await until(() => watch.store.has('default/afterwards'));
    watch.stop();
    client.close();
  });
});
