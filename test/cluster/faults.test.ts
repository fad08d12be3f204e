/** What a user must not notice, or must notice in time, when parts of a real cluster fail. Each test leaves the release whole. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { describeWithCluster } from './describe.ts';
import {
  copyOver,
  inSnapshotOf,
  leader,
  leaders,
  leadership,
  nodeSeen,
  processOf,
  takeover,
  until,
  versions,
  withDatastoreDown,
} from './faults.ts';
import { AZURE, OPENAI, startProviders, STREAM_PIECES, type Providers } from './providers.ts';
import {
  applyRoute,
  helmRelease,
  importImage,
  liftLimit,
  makeKey,
  makeTeam,
  NAMESPACE,
  PROVIDER_KEYS,
  routeLike,
  TEAM,
} from './release.ts';
import { ask, GATEWAYS, isWholeStream, Load, metric, readyPods, serviceUrl, type Ask } from './traffic.ts';

const LIMIT_MS = 8 * 60_000;
/** After half a minute without an API server controllers and kubelets look for it again up to a minute late, one after the other. */
const WATCHED_AGAIN_S = 300;
/** The bounds, for a leader that is gone and for one that was asked to go. */
const TAKEOVER_MS = 15_000;
const HANDOVER_MS = 3_000;
/** The Secrets that routes name are looked at every 5 s. */
const ROTATION_MS = 10_000;
/** And a few more until it is noticed. */
const LEASE_SECONDS = 10 + 5;
const RESTORE_MS = 30_000;
const STREAMS = 300;
/** With this pace a stream takes about eight seconds: shorter than the drain. */
const PACE_MS = 200;
/** How long the API server stays away; the restarts of the containers go on meanwhile. */
const OUTAGE_MS = Number(process.env['FAULT_OUTAGE_SECONDS'] ?? 30) * 1_000;

describeWithCluster('a release under faults', (cluster) => {
  let providers: Providers;
  let request: Ask;
  const loads: Load[] = [];
  const underLoad = (): Load => {
    const load = new Load(request);
    loads.push(load);
    return load;
  };
  const allReady = (): Promise<unknown> =>
    until('every gateway pod is ready', 120_000, async () =>
      (await readyPods(cluster(), GATEWAYS)).length === 3 ? true : undefined,
    );

  beforeAll(async () => {
    providers = await startProviders(cluster());
    await importImage(cluster(), providers);
    await helmRelease(cluster(), 'install');
    const key = await makeKey(cluster());
    await makeTeam(cluster(), TEAM);
    await applyRoute(cluster());
    await liftLimit(cluster());
    request = { base: await serviceUrl(cluster()), key };
  }, LIMIT_MS);
  afterAll(() => providers?.close());
  afterEach(async () => {
    // Those of a test that failed, too.
    for (const load of loads.splice(0)) await load.stop();
  });
  beforeEach(async () => {
    providers.pace(0);
    await leader(cluster());
    await cluster().kubectl(['-n', NAMESPACE, 'rollout', 'status', 'deployment/default-gateway', '--timeout=200s']);
    await cluster().kubectl(['-n', NAMESPACE, 'rollout', 'status', 'deployment/fairlead-operator', '--timeout=200s']);
    await allReady();
  }, LIMIT_MS);

  it(
    'brings every open stream to its end while all pods are replaced',
    async () => {
      const before = await readyPods(cluster(), GATEWAYS);
      providers.pace(PACE_MS);
      const streams = Array.from({ length: STREAMS }, () => ask({ ...request, stream: true }));
      const load = underLoad();
      await until('all streams are open', 60_000, async () => {
        const open = await Promise.all(before.map((pod) => metric(pod, 'fairlead_in_flight_streams')));
        return open.reduce((sum, count) => sum + count, 0) >= STREAMS ? true : undefined;
      });
      await cluster().kubectl(['-n', NAMESPACE, 'rollout', 'restart', 'deployment/default-gateway']);
      const ended = await Promise.all(streams);
      await cluster().kubectl(['-n', NAMESPACE, 'rollout', 'status', 'deployment/default-gateway', '--timeout=300s']);
      expect(await load.stop()).toEqual([]);
      expect(ended.filter((stream) => !isWholeStream(stream, STREAM_PIECES))).toEqual([]);
      const names = (await readyPods(cluster(), GATEWAYS)).map(({ name }) => name);
      expect(before.filter(({ name }) => names.includes(name))).toEqual([]);
    },
    LIMIT_MS,
  );

  it(
    'has another leader soon after one is killed, and at once after one is asked to go',
    async () => {
      const load = underLoad();
      const first = await leader(cluster());
      const beforeKill = await leadership(cluster());
      process.kill(await processOf(cluster(), first), 'SIGKILL');
      expect(await takeover(cluster(), beforeKill, 60_000)).toBeLessThan(TAKEOVER_MS);
      const second = await leader(cluster());
      expect(second.name).not.toBe(first.name);

      await cluster().kubectl(['-n', NAMESPACE, 'rollout', 'status', 'deployment/fairlead-operator', '--timeout=200s']);
      const beforeEnd = await leadership(cluster());
      await cluster().kubectl(['-n', NAMESPACE, 'delete', 'pod', second.name, '--wait=false']);
      expect(await takeover(cluster(), beforeEnd, 60_000)).toBeLessThan(HANDOVER_MS);
      expect(await load.stop()).toEqual([]);
    },
    LIMIT_MS,
  );

  it(
    'has one leader when a frozen one thaws, and nothing that it writes counts',
    async () => {
      const frozen = await leader(cluster());
      const before = await leadership(cluster());
      const pid = await processOf(cluster(), frozen);
      process.kill(pid, 'SIGSTOP');
      try {
        expect(await takeover(cluster(), before, 60_000)).toBeLessThan(TAKEOVER_MS);
        await sleep(30_000 - TAKEOVER_MS);
        await cluster().kubectl(['-n', TEAM, 'annotate', 'llmroute/chat', 'while=frozen', '--overwrite']);
      } finally {
        process.kill(pid, 'SIGCONT');
      }
      const next = await leadership(cluster());
      const written = await versions(cluster());
      // As long as a Lease lasts: a leader that did not know better would have written by then.
      await sleep(10_000);
      expect(await leadership(cluster())).toEqual(next);
      expect((await leaders(cluster())).map(({ name }) => name)).toEqual([next.holder]);
      expect(await versions(cluster())).toBe(written);
    },
    LIMIT_MS,
  );

  it(
    'serves on while the API server is away and its containers are restarted one by one',
    async () => {
      const pods = await readyPods(cluster(), GATEWAYS);
      const pids = await Promise.all(pods.map((pod) => processOf(cluster(), pod)));
      // What was applied a moment ago, the kubelet has not brought yet.
      for (const pid of pids) {
        await until('the route and the client key are in the snapshot of every pod', 120_000, async () => {
          const kept = await inSnapshotOf(pid);
          return kept.includes(`route ${TEAM}/chat`) && kept.some((entry) => entry.startsWith('clientKey ')) ? true : undefined;
        });
      }
      const { apiServer } = cluster().plane;
      await apiServer.kill();
      const killedMs = performance.now();
      try {
        for (const [index, pod] of pods.entries()) {
          process.kill(pids[index] ?? 0, 'SIGKILL');
          const { tookMs } = await until(`${pod.name} serves again`, 60_000, async () =>
            (await ask({ ...request, base: `http://${pod.address}:8080` })).status === 200 ? true : undefined,
          );
          const others = pods.filter((other) => other !== pod);
          for (const other of others) expect((await ask({ ...request, base: `http://${other.address}:8080` })).status).toBe(200);
          await sleep(Math.max(0, OUTAGE_MS / pods.length - tookMs));
        }
        // A leader holds on for as long as its Lease does; from then on nobody vouches for what is served, and the metric says so.
        const awaySeconds = (performance.now() - killedMs) / 1_000;
        for (const pod of pods) {
          expect(await metric(pod, 'fairlead_config_age_seconds')).toBeGreaterThan(awaySeconds - LEASE_SECONDS);
        }
      } finally {
        apiServer.start();
        await cluster().plane.ready();
      }
      // Until the node is heard of again its pods are taken for unready, whatever they are.
      await nodeSeen(cluster(), 120_000);
      await allReady();
    },
    LIMIT_MS + OUTAGE_MS,
  );

  it(
    'serves on without an operator, new pods included',
    async () => {
      const load = underLoad();
      await cluster().kubectl(['-n', NAMESPACE, 'scale', 'deployment/fairlead-operator', '--replicas=0']);
      await cluster().kubectl([
        '-n',
        NAMESPACE,
        'wait',
        '--for=delete',
        'pod',
        '-l',
        'app.kubernetes.io/component=operator',
        `--timeout=${WATCHED_AGAIN_S}s`,
      ]);
      try {
        const [first] = await readyPods(cluster(), GATEWAYS);
        await cluster().kubectl(['-n', NAMESPACE, 'delete', 'pod', first?.name ?? '', '--wait=false']);
        const { value: fresh } = await until('a new pod is ready', 120_000, async () => {
          const pods = await readyPods(cluster(), GATEWAYS);
          return pods.length === 3 && pods.every(({ name }) => name !== first?.name) ? pods : undefined;
        });
        for (const { address } of fresh) expect((await ask({ ...request, base: `http://${address}:8080` })).status).toBe(200);
        expect(await load.stop()).toEqual([]);
      } finally {
        await cluster().kubectl(['-n', NAMESPACE, 'scale', 'deployment/fairlead-operator', '--replicas=2']);
      }
    },
    LIMIT_MS,
  );

  it(
    'uses a rotated credential in time, without a failed request',
    async () => {
      providers.demand(AZURE, PROVIDER_KEYS['azure-openai']);
      const load = underLoad();
      const rotated = 'canary-azure-rotated';
      // The provider takes the new one alone, from this moment on: what the old one meets until then is a 401.
      providers.demand(AZURE, rotated);
      await cluster().kubectl(
        ['-n', TEAM, 'apply', '-f', '-'],
        JSON.stringify({
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: { name: 'azure-openai' },
          stringData: { 'api-key': rotated },
        }),
      );
      const { tookMs } = await until('Azure answers at every pod', 60_000, async () => {
        const bodies = [];
        for (const { address } of await readyPods(cluster(), GATEWAYS)) {
          const answers = await Promise.all(
            Array.from({ length: 12 }, () => ask({ ...request, base: `http://${address}:8080` })),
          );
          bodies.push(answers.some(({ body }) => body.includes(AZURE)));
        }
        return bodies.every(Boolean) ? true : undefined;
      });
      expect(await load.stop()).toEqual([]);
      expect(tookMs).toBeLessThan(ROTATION_MS);
      providers.demand(AZURE, undefined);
    },
    LIMIT_MS,
  );

  it(
    'refuses a revoked client key in time, at a pod that restarts just then, too',
    async () => {
      const key = await makeKey(cluster(), 'leaving');
      const pods = await readyPods(cluster(), GATEWAYS);
      const statuses = (): Promise<number[]> =>
        Promise.all(pods.map(async ({ address }) => (await ask({ ...request, key, base: `http://${address}:8080` })).status));
      await until('the key is known at every pod', 60_000, async () =>
        (await statuses()).every((status) => status === 200) ? true : undefined,
      );
      const pid = await processOf(cluster(), pods[0] ?? { name: '', address: '' });
      await cluster().kubectl(['-n', NAMESPACE, 'delete', 'secret', 'leaving']);
      process.kill(pid, 'SIGKILL');
      const revokedMs = performance.now();
      let takenMs = revokedMs;
      // The pod that restarts may not answer for longer, when the kubelet holds it back; what counts is who still takes the key.
      await until('every pod refuses the key', 120_000, async () => {
        const now = await statuses();
        if (now.includes(200)) takenMs = performance.now();
        return now.every((status) => status === 401) ? true : undefined;
      });
      expect(takenMs - revokedMs).toBeLessThan(ROTATION_MS);
    },
    LIMIT_MS,
  );

  it(
    'follows a datastore that was put back to a backup',
    async () => {
      const backup = join(cluster().place.folder, 'etcd-backup');
      await withDatastoreDown(cluster(), (data) => copyOver(data, backup));
      await leader(cluster());
      await cluster().kubectl(['apply', '-f', '-'], routeLike('later', TEAM, 'later'));
      await cluster().kubectl(['-n', TEAM, 'wait', '--for=condition=Programmed', 'llmroute/later', '--timeout=60s']);
      expect((await ask({ ...request, model: 'later' })).status).toBe(200);
      await withDatastoreDown(cluster(), (data) => copyOver(backup, data));
      const { tookMs } = await until('what came after the backup is gone', 120_000, async () =>
        (await ask({ ...request, model: 'later' })).status === 404 ? true : undefined,
      );
      expect(tookMs).toBeLessThan(RESTORE_MS);
      expect((await ask(request)).status).toBe(200);
      expect(providers.calls(OPENAI)).toBeGreaterThan(0);
    },
    LIMIT_MS,
  );
});
