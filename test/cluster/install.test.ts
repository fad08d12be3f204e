/** From nothing to answers by every pod, as a user does it; then upgrade and uninstall. Each test stands on those before. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';

import type { Cluster } from './cluster.ts';
import { describeWithCluster } from './describe.ts';
import { until } from './faults.ts';
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
import { ask, GATEWAYS, isWholeStream, Load, metric, readyPods, serviceUrl } from './traffic.ts';

const LIMIT_MS = 5 * 60_000;
const ROUTE_LABEL = `route="${TEAM}/chat"`;

describeWithCluster('a release', (cluster) => {
  let providers: Providers;
  let key = '';
  let base = '';

  beforeAll(async () => {
    providers = await startProviders(cluster());
    await importImage(cluster(), providers);
  }, LIMIT_MS);
  afterAll(() => providers?.close());

  it(
    'is installed by helm, and passes its own test',
    async () => {
      await helmRelease(cluster(), 'install');
      expect(await readyPods(cluster(), GATEWAYS)).toHaveLength(3);
      expect(await cluster().helm(['test', 'fairlead', `--namespace=${NAMESPACE}`])).toContain('Succeeded');
    },
    LIMIT_MS,
  );

  it(
    'serves the README’s route from every pod once it is programmed',
    async () => {
      key = await makeKey(cluster());
      await makeTeam(cluster(), TEAM);
      await applyRoute(cluster());
      const pods = await readyPods(cluster(), GATEWAYS);
      for (const { address } of pods) {
        expect(await ask({ base: `http://${address}:8080`, key })).toMatchObject({ status: 200, cut: false });
      }
      base = await serviceUrl(cluster());
      expect(isWholeStream(await ask({ base, key, stream: true }), STREAM_PIECES)).toBe(true);
      const local = await ask({ base, key, headers: { 'x-data': 'private' } });
      expect(local).toMatchObject({ status: 200, body: expect.stringContaining('from the local model') });
      expect((await ask({ base, key: 'fl-wrong' })).status).toBe(401);
      const printed = await cluster().kubectl(['-n', TEAM, 'get', 'llmr', 'chat']);
      expect(printed).toMatch(/^NAME +MODELS +HEALTHY +PROGRAMMED +READY +ENDPOINT +AGE\nchat +3 +3 +True +True +http/);
    },
    LIMIT_MS,
  );

  it(
    'fails over, and counts it at each pod',
    async () => {
      providers.answerWith(AZURE, 503);
      const pods = await readyPods(cluster(), GATEWAYS);
      for (const pod of pods) {
        const before = await metric(pod, 'fairlead_requests_total', ROUTE_LABEL);
        for (let count = 0; count < 20; count++) {
          const answer = await ask({ base: `http://${pod.address}:8080`, key });
          expect(answer).toMatchObject({ status: 200, body: expect.stringMatching(`from (${OPENAI}|the local model)`) });
        }
        expect(await metric(pod, 'fairlead_requests_total', `${ROUTE_LABEL},operation="chat",status="200"`)).toBe(before + 20);
        expect(await metric(pod, 'fairlead_failovers_total', `${ROUTE_LABEL},from="azure"`)).toBeGreaterThan(0);
      }
      providers.answerWith(AZURE, 200);
    },
    LIMIT_MS,
  );

  it(
    'is upgraded without a failed request',
    async () => {
      await liftLimit(cluster());
      const load = new Load({ base, key });
      await helmRelease(cluster(), 'upgrade', ['operator.logLevel=debug', 'gateway.spec.podTemplate.labels.generation=second']);
      await cluster().kubectl(['-n', NAMESPACE, 'rollout', 'status', 'deployment/default-gateway', '--timeout=200s']);
      expect(await load.stop()).toEqual([]);
      expect(load.answers.length).toBeGreaterThan(100);
      expect(await readyPods(cluster(), `${GATEWAYS},generation=second`)).toHaveLength(3);
    },
    LIMIT_MS,
  );

  it(
    'lets go of a namespace with routes in it at once',
    async () => {
      await makeTeam(cluster(), 'team-b');
      await cluster().kubectl(['apply', '-f', '-'], routeLike('passing', 'team-b', 'passing'));
      await cluster().kubectl(['-n', 'team-b', 'wait', '--for=condition=Programmed', 'llmroute/passing', '--timeout=60s']);
      await cluster().kubectl(['delete', 'namespace', 'team-b', '--timeout=60s']);
      await until('the route is gone', 10_000, async () =>
        (await ask({ base, key, model: 'passing' })).status === 404 ? true : undefined,
      );
    },
    LIMIT_MS,
  );

  it(
    'shows no credential in any log, status or event',
    async () => {
      const pods = await cluster().kubectl([
        'get',
        'pods',
        '-A',
        '-o',
        'jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name}{"\\n"}{end}',
      ]);
      const texts = [
        await cluster().kubectl(['get', 'llmroutes,llmgateways,deployments,pods,events,configmaps', '-A', '-o', 'json']),
      ];
      for (const line of pods.trim().split('\n')) {
        const [namespace = '', name = ''] = line.split(' ');
        texts.push(await logsOf(cluster(), namespace, name));
      }
      for (const secret of [...Object.values(PROVIDER_KEYS), key]) {
        expect(texts.filter((text) => text.includes(secret))).toEqual([]);
      }
      expect(providers.calls(AZURE) + providers.calls(OPENAI)).toBeGreaterThan(0);
    },
    LIMIT_MS,
  );

  it(
    'is uninstalled; what users wrote stays, and blocks nothing',
    async () => {
      await cluster().helm(['uninstall', 'fairlead', `--namespace=${NAMESPACE}`, '--wait', '--timeout=110s']);
      await cluster().kubectl(['-n', NAMESPACE, 'wait', '--for=delete', 'pod', '-l', GATEWAYS, '--timeout=110s']);
      expect(await cluster().kubectl(['-n', TEAM, 'get', 'llmroutes', '-o', 'name'])).toBe('llmroute.fairlead.dev/chat\n');
      await cluster().kubectl(['delete', 'namespace', TEAM, NAMESPACE, '--timeout=110s']);
      expect(await cluster().kubectl(['get', 'llmroutes', '-A', '-o', 'name'])).toBe('');
    },
    LIMIT_MS,
  );
});

/** Empty for a pod of the upgrade before that has gone since it was listed. */
async function logsOf(cluster: Cluster, namespace: string, pod: string): Promise<string> {
  try {
    return await cluster.kubectl(['-n', namespace, 'logs', pod, '--all-containers', '--ignore-errors']);
  } catch (error) {
    if (error instanceof Error && error.message.includes('(NotFound)')) return '';
    throw error;
  }
}
