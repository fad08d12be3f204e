/** What a team does with a release day by day, on a cluster: share limits, scale a model, take consent back, be watched. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, it } from '@jest/globals';

import { installCrds, REFERENCE_GRANTS } from '../controlplane/crds.ts';
import { packProgram } from '../image/image.ts';
import { redisAbsent } from '../limits/redis-process.ts';
import { CHECKOUT } from './cluster.ts';
import { describeWithCluster } from './describe.ts';
import { processOf, until } from './faults.ts';
import { judge, tryRelease } from './given.ts';
import { startProviders, type Providers } from './providers.ts';
import { applyRoute, helmRelease, importImage, makeKey, makeTeam, NAMESPACE, PROVIDER_KEYS, TEAM } from './release.ts';
import { ask, GATEWAYS, Load, OPERATORS, readyPods, serviceUrl, type Answer } from './traffic.ts';

const LIMIT_MS = 8 * 60_000;
/** The bound for whatever is taken back. */
const REVOKED_MS = 10_000;
const REDIS_IMAGE = 'fairlead.test/redis:1';
const PLATFORM_KEY = 'canary-platform-55d0';
const ADMITTED = 200;
const QUOTA = 40;
const SAMPLES = join(CHECKOUT, 'manifests', 'samples');

const OLLAMA = {
  provider: { type: 'OpenAICompatible', openAICompatible: { model: 'llama3.2', serviceRef: { name: 'ollama', port: 11434 } } },
  auth: { type: 'None' },
};

function route(name: string, model: object, spec: object = {}): string {
  return JSON.stringify({
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'LLMRoute',
    metadata: { name, namespace: TEAM },
    spec: {
      modelNames: [name],
      models: [{ name: 'main', ...model }],
      rules: [{ name: 'default', targets: [{ model: 'main' }] }],
      ...spec,
    },
  });
}

/** A kind of somebody else's, with any contents: what matters is that the API server serves it. */
function definition(group: string, version: string, kind: string, plural: string): string {
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  return JSON.stringify({
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` },
      versions: [{ name: version, served: true, storage: true, schema }],
    },
  });
}

describeWithCluster('a release in use', (cluster) => {
  let providers: Providers;
  let key = '';
  let base = '';
  const put = (text: string): Promise<string> => cluster().kubectl(['apply', '-f', '-'], text);
  const programmed = (name: string): Promise<string> =>
    cluster().kubectl(['-n', TEAM, 'wait', '--for=condition=Programmed', `llmroute/${name}`, '--timeout=60s']);
  const everyPod = async (model: string): Promise<Answer[]> => {
    const pods = await readyPods(cluster(), GATEWAYS);
    return Promise.all(pods.map(({ address }) => ask({ base: `http://${address}:8080`, key, model })));
  };

  beforeAll(async () => {
    providers = await startProviders(cluster());
    await importImage(cluster(), providers);
  }, LIMIT_MS);

  it(
    'may come and go on a cluster of which nothing is known but its kubeconfig',
    async () => {
      judge(await tryRelease(cluster().plane.kubeconfig, 'fairlead:test'));
    },
    LIMIT_MS,
  );

  it(
    'is installed with its Redis',
    async () => {
      const values: string[] = [];
      if (redisAbsent === null) {
        const { file } = packProgram('/usr/bin/redis-server', REDIS_IMAGE, join(cluster().place.folder, 'redis.tar'));
        await cluster().node.importImage(file);
        // Whatever a busy machine does to Redis' answers, nothing is admitted without one.
        values.push('redis.mode=Bundled', `redis.bundled.image=${REDIS_IMAGE}`, 'redis.onUnavailable=FailClosed');
      }
      await installCrds(cluster().plane, [REFERENCE_GRANTS]);
      await helmRelease(cluster(), 'install', values);
      key = await makeKey(cluster());
      await makeTeam(cluster(), TEAM);
      base = await serviceUrl(cluster());
    },
    LIMIT_MS,
  );
  afterAll(() => providers?.close());

  it(
    'serves every sample',
    async () => {
      await applyRoute(cluster());
      await cluster().kubectl(['apply', '-f', SAMPLES]);
      await cluster().kubectl(['-n', TEAM, 'wait', '--for=condition=Programmed', 'llmroutes', '--all', '--timeout=60s']);
      await cluster().kubectl(['-n', NAMESPACE, 'wait', '--for=condition=Programmed', 'llmquotas', '--all', '--timeout=60s']);
      const names = await cluster().kubectl(['get', 'llmroutes,llmquotas', '-A', '-o', 'name']);
      expect(names.trim().split('\n')).toHaveLength(readdirSync(SAMPLES).length);
      // What follows has limits of its own.
      await cluster().kubectl(['-n', NAMESPACE, 'delete', 'llmquotas', '--all']);
    },
    LIMIT_MS,
  );

  if (redisAbsent === null) {
    it(
      'holds a limit to the request over three pods and one Redis, while the pods are replaced',
      async () => {
        const limit = { name: 'of-the-key', per: ['APIKey'], unit: 'Requests', limit: ADMITTED, window: '1h' };
        await put(route('counted', OLLAMA, { rateLimits: [limit] }));
        await programmed('counted');
        const before = await readyPods(cluster(), GATEWAYS);
        const load = new Load({ base, key, model: 'counted' }, 2);
        await until('some are admitted', 60_000, async () => (load.answers.length > ADMITTED / 8 ? true : undefined));
        await cluster().kubectl(['-n', NAMESPACE, 'rollout', 'restart', 'deployment/default-gateway']);
        await cluster().kubectl(['-n', NAMESPACE, 'rollout', 'status', 'deployment/default-gateway', '--timeout=300s']);
        await until('every pod refuses', 60_000, async () =>
          (await everyPod('counted')).every(({ status }) => status === 429) ? true : undefined,
        );
        await load.stop();
        const names = (await readyPods(cluster(), GATEWAYS)).map(({ name }) => name);
        expect(before.filter(({ name }) => names.includes(name))).toEqual([]);
        const counts = new Map<number, number>();
        for (const { status } of load.answers) counts.set(status, (counts.get(status) ?? 0) + 1);
        expect(counts.get(200)).toBe(ADMITTED);
        expect([...counts.keys()].filter((status) => ![200, 429, 503].includes(status))).toEqual([]);
      },
      LIMIT_MS,
    );

    it(
      'holds a quota over two routes with three pods and one Redis, as it is edited, until it is deleted',
      async () => {
        const models = ['first', 'second'];
        for (const name of models) await put(route(name, OLLAMA));
        for (const name of models) await programmed(name);
        const quota = async (limit: number): Promise<void> => {
          const targetRefs = models.map((name) => ({ kind: 'LLMRoute', name, namespace: TEAM }));
          const limits = [{ name: 'all', unit: 'Requests', limit, window: '1h' }];
          const metadata = { name: 'fair', namespace: NAMESPACE };
          await put(
            JSON.stringify({ apiVersion: 'fairlead.dev/v1alpha1', kind: 'LLMQuota', metadata, spec: { targetRefs, limits } }),
          );
          await cluster().kubectl(['-n', NAMESPACE, 'wait', '--for=condition=Programmed', 'llmquota/fair', '--timeout=60s']);
        };
        let admitted = 0;
        // More than once: what one pod gives back, another may still admit.
        const untilRefused = (): Promise<unknown> => {
          let refused = 0;
          return until('every pod refuses both, again and again', 120_000, async () => {
            const answers = (await Promise.all(models.map(everyPod))).flat();
            admitted += answers.filter(({ status }) => status === 200).length;
            refused = answers.every(({ status }) => status === 429) ? refused + 1 : 0;
            return refused === 5 ? true : undefined;
          });
        };
        await quota(QUOTA);
        await untilRefused();
        expect(admitted).toBe(QUOTA);
        const [pod] = await readyPods(cluster(), GATEWAYS);
        expect((await ask({ base: `http://${pod?.address ?? ''}:8080`, key, model: 'first' })).body).toContain(
          `${NAMESPACE}/fair/all`,
        );
        expect(await cluster().kubectl(['-n', NAMESPACE, 'get', 'llmq', 'fair'])).toMatch(
          /^NAME +OVER +TARGET +LIMIT +PROGRAMMED +AGE\nfair +LLMRoute +first +all +True /,
        );
        await quota(2 * QUOTA);
        await untilRefused();
        expect(admitted).toBe(2 * QUOTA);
        await cluster().kubectl(['-n', NAMESPACE, 'delete', 'llmquota', 'fair']);
        await until('every pod serves both again', 60_000, async () =>
          (await Promise.all(models.map(everyPod))).flat().every(({ status }) => status === 200) ? true : undefined,
        );
      },
      LIMIT_MS,
    );
  } else {
    it(`absent: a limit over three pods and one Redis: ${redisAbsent}`, () => undefined);
  }

  it(
    'loses no request while a model is scaled up and down, and uses each of its pods',
    async () => {
      await put(route('scaled', OLLAMA));
      await programmed('scaled');
      const status = async (): Promise<string> =>
        cluster().kubectl(['-n', TEAM, 'get', 'llmroute', 'scaled', '-o', 'jsonpath={.metadata.resourceVersion}']);
      const written = await status();
      const load = new Load({ base, key, model: 'scaled' });
      const pods = (): Set<string> =>
        new Set(load.answers.slice(-60).flatMap(({ body }) => /local model at ([\w-]+)/.exec(body)?.[1] ?? []));
      for (const replicas of [3, 1, 3, 1]) {
        await cluster().kubectl(['-n', TEAM, 'scale', 'deployment/ollama', `--replicas=${replicas}`]);
        await cluster().kubectl(['-n', TEAM, 'rollout', 'status', 'deployment/ollama', '--timeout=100s']);
        await until(`${replicas} pods of the model answer`, 60_000, async () => (pods().size === replicas ? true : undefined));
      }
      expect(await load.stop()).toEqual([]);
      expect(load.answers.length).toBeGreaterThan(100);
      expect(await status()).toBe(written);
    },
    LIMIT_MS,
  );

  it(
    'refuses what lost its consent in time, at a pod that restarts just then, too',
    async () => {
      await cluster().kubectl(['create', 'namespace', 'platform']);
      const secret = {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'shared', namespace: 'platform' },
        stringData: { 'api-key': PLATFORM_KEY },
      };
      const grant = {
        apiVersion: 'gateway.networking.k8s.io/v1beta1',
        kind: 'ReferenceGrant',
        metadata: { name: 'shared', namespace: 'platform' },
        spec: {
          from: [{ group: 'fairlead.dev', kind: 'LLMRoute', namespace: TEAM }],
          to: [{ group: 'fairlead.dev', kind: 'LLMBackend', name: 'shared' }],
        },
      };
      const backend = {
        apiVersion: 'fairlead.dev/v1alpha1',
        kind: 'LLMBackend',
        metadata: { name: 'shared', namespace: 'platform' },
        spec: {
          provider: { type: 'OpenAI', openAI: { model: 'gpt-4o' } },
          auth: { type: 'APIKey', apiKey: { secretKeyRef: { name: 'shared', key: 'api-key' } } },
        },
      };
      await put(JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [secret, grant, backend] }));
      await put(route('granted', { backendRef: { kind: 'LLMBackend', name: 'shared', namespace: 'platform' } }));
      await until('every pod serves it', 60_000, async () =>
        (await everyPod('granted')).every(({ status }) => status === 200) ? true : undefined,
      );
      const [first] = await readyPods(cluster(), GATEWAYS);
      const pid = await processOf(cluster(), first ?? { name: '', address: '' });
      await cluster().kubectl(['-n', 'platform', 'delete', 'referencegrant', 'shared']);
      process.kill(pid, 'SIGKILL');
      const revokedMs = performance.now();
      let servedMs = revokedMs;
      await until('no pod serves it, and all are back', 120_000, async () => {
        const statuses = (await everyPod('granted')).map(({ status }) => status);
        if (statuses.includes(200)) servedMs = performance.now();
        return statuses.length === 3 && statuses.every((status) => status === 503) ? true : undefined;
      });
      expect(servedMs - revokedMs).toBeLessThan(REVOKED_MS);
    },
    LIMIT_MS,
  );

  it(
    'is watched by Prometheus and scaled by KEDA where they are, also if they come later',
    async () => {
      await put(definition('monitoring.coreos.com', 'v1', 'PodMonitor', 'podmonitors'));
      await put(definition('keda.sh', 'v1alpha1', 'ScaledObject', 'scaledobjects'));
      await until('the gateways have a PodMonitor', 120_000, async () => {
        const found = await cluster().kubectl(['-n', NAMESPACE, 'get', 'podmonitors', '-o', 'name', '--ignore-not-found']);
        return found.includes('/default-gateway') ? true : undefined;
      });
      await cluster().kubectl([
        ...['-n', NAMESPACE, 'patch', 'llmgateway', 'default', '--type=merge', '-p'],
        JSON.stringify({
          spec: { replicas: null, autoscaling: { minReplicas: 2, maxReplicas: 6, keda: { inFlightStreams: 100 } } },
        }),
      ]);
      // KEDA's question goes to Prometheus, and the operator must know where that is.
      const reason = ['-n', NAMESPACE, 'get', 'llmgateway', 'default', '-o', 'jsonpath={.status.conditions[*].reason}'];
      await until('the missing Prometheus is named', 60_000, async () =>
        (await cluster().kubectl(reason)).includes('ScalerUnavailable') ? true : undefined,
      );
      await helmRelease(cluster(), 'upgrade', [
        ...['prometheus.url=http://prometheus.monitoring.svc:9090', 'prometheus.podMonitor.enabled=true'],
        ...['gateway.spec.replicas=null', 'gateway.spec.autoscaling.minReplicas=2', 'gateway.spec.autoscaling.maxReplicas=6'],
        'gateway.spec.autoscaling.keda.inFlightStreams=100',
      ]);
      const { value } = await until('there is a ScaledObject', 60_000, async () => {
        const found = await cluster().kubectl(['-n', NAMESPACE, 'get', 'scaledobjects', '-o', 'json']);
        const { items } = JSON.parse(found) as { readonly items: readonly { readonly spec: unknown }[] };
        return items[0]?.spec;
      });
      expect(value).toMatchObject({ minReplicaCount: 2, maxReplicaCount: 6, scaleTargetRef: { name: 'default-gateway' } });
      // Turning it on takes no pod away.
      expect(await readyPods(cluster(), GATEWAYS)).toHaveLength(3);
    },
    LIMIT_MS,
  );

  it(
    'shows no credential in any object, log, metric or argument of a process',
    async () => {
      const kinds = (await cluster().kubectl(['api-resources', '--verbs=list', '-o', 'name'])).trim().split('\n');
      const shown = kinds.filter((kind) => kind !== 'secrets');
      const texts = new Map([['objects', await cluster().kubectl(['get', shown.join(','), '-A', '-o', 'json'])]]);
      const pods = await cluster().kubectl([
        ...['get', 'pods', '-A', '-o'],
        'jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name}{"\\n"}{end}',
      ]);
      for (const line of pods.trim().split('\n')) {
        const [namespace = '', name = ''] = line.split(' ');
        texts.set(
          `log of ${name}`,
          await cluster().kubectl(['-n', namespace, 'logs', name, '--all-containers', '--ignore-errors']),
        );
      }
      for (const { name, address } of [...(await readyPods(cluster(), GATEWAYS)), ...(await readyPods(cluster(), OPERATORS))]) {
        const response = await fetch(`http://${address}:9090/metrics`, { signal: AbortSignal.timeout(10_000) });
        expect(response.status).toBe(200);
        texts.set(`metrics of ${name}`, await response.text());
      }
      const arguments_ = argumentsBelow(cluster().place.cgroup);
      expect([...arguments_.values()].filter((text) => text.includes('bin/fairlead')).length).toBeGreaterThan(3);
      for (const [pid, text] of arguments_) texts.set(`arguments of ${pid}`, text);
      const redis = await cluster().kubectl([
        '-n',
        NAMESPACE,
        'get',
        'secret',
        'fairlead-redis',
        '-o',
        'jsonpath={.data.password}',
        '--ignore-not-found',
      ]);
      const password = Buffer.from(redis, 'base64').toString();
      for (const secret of [...Object.values(PROVIDER_KEYS), PLATFORM_KEY, key, ...(password === '' ? [] : [password])]) {
        const where = [...texts].filter(([, text]) => text.includes(secret)).map(([name]) => name);
        expect(where).toEqual([]);
      }
    },
    LIMIT_MS,
  );
});

/** Of all processes in pods of a cluster: argv and environment. */
function argumentsBelow(cgroup: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (!readFileSync(`/proc/${pid}/cgroup`, 'utf8').includes(cgroup)) continue;
      found.set(pid, readFileSync(`/proc/${pid}/cmdline`, 'utf8') + readFileSync(`/proc/${pid}/environ`, 'utf8'));
    } catch {
      // It ended while it was looked at.
    }
  }
  return found;
}
