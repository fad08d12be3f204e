// Promise: the death of a master, under Sentinel or in a Cluster, fails no request and spends no limit twice.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ClusterGroup, SentinelGroup } from '../limits/redis-groups.ts';
import { redisAbsent } from '../limits/redis-process.ts';
import { type Answer, request } from './support/client.ts';
import { chat } from './support/dialects.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { documents } from './support/secrets.ts';
import { FakeUpstream } from './support/upstream.ts';
import { redisGatewayYaml, routeYaml } from './support/yaml.ts';

/** Far more than the test asks for: what is not admitted, Redis' death kept out. */
const PLENTY = 1_000_000;
/** Of so many that each master of a Cluster has some. */
const COUNTERS = Array.from({ length: 12 }, (_, i) => `{name: limit-${i}, unit: Requests, limit: ${PLENTY}, window: 1h}`);
/** A limit beside them, which the test uses up. */
const FEW = 60;
/** Sentinels and nodes agree within seconds; a machine with more to do takes longer. */
const FAILOVER_MS = 120_000;

interface Group {
  readonly nodes: readonly { readonly port: number }[];
  close(): Promise<void>;
}

if (redisAbsent === null) {
  describe('the death of the master', () => {
    let group: Group | null = null;
    let upstream: FakeUpstream;

    const start = async (redis: string, nodes: Group['nodes']): Promise<readonly TestGateway[]> => {
      const model = routeYaml({ m: upstream.url }, '', `  rateLimits: [${COUNTERS.join(', ')}]`);
      const few = `{name: few, unit: Requests, limit: ${FEW}, window: 1h}`;
      const scarce = routeYaml({ m: upstream.url }, '', `  rateLimits: [${few}]`)
        .replace('metadata: {name: chat', 'metadata: {name: scarce')
        .replace('modelNames: [chat]', 'modelNames: [scarce]');
      const yaml = documents(
        redisGatewayYaml(nodes, { spec: 'clientAuth: {type: None}', redis: `${redis}, onUnavailable: LocalShare` }),
        model.replace('namespace: default', 'namespace: platform'),
        scarce.replace('namespace: default', 'namespace: platform'),
      );
      const pods = [await startGateway(yaml), await startGateway(yaml)];
      for (const pod of pods) {
        while (!(await pod.gateway.renderMetrics()).text.includes('fairlead_limit_store_reachable 1\n')) await ask(pod);
      }
      return pods;
    };
    /** Both pods are asked on and on; ends once some were decided without Redis, and then all by it. */
    const liveThrough = async (pods: readonly TestGateway[]): Promise<readonly Answer[]> => {
      const answers: Answer[] = [];
      let alone = false;
      for (;;) {
        const round = await Promise.all(pods.map(async (pod) => ask(pod)));
        answers.push(...round);
        const byItself = round.some(({ headers }) => headers['x-fairlead-limits'] !== undefined);
        if (alone && !byItself) return answers;
        alone ||= byItself;
      }
    };

    beforeEach(async () => {
      upstream = await FakeUpstream.start((call) => call.answer(200, chat.whole('Hello')));
    });
    afterEach(async () => {
      await group?.close();
      group = null;
    });

    it(
      'under Sentinel fails no request, and what was used is not there again',
      async () => {
        const sentinels = await SentinelGroup.start();
        group = sentinels;
        const pods = await start(`mode: Sentinel, sentinel: {masterName: ${SentinelGroup.masterName}}`, sentinels.nodes);
        const before = await spend(pods, FEW / 2);
        await sentinels.master.replicated();
        await sentinels.killMaster();
        const answers = await liveThrough(pods);
        expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
        expectNotSpentTwice(before, await spend(pods, FEW));
      },
      FAILOVER_MS,
    );

    it(
      'in a Cluster fails no request, whichever master has its counters, and what was used is not there again',
      async () => {
        const cluster = await ClusterGroup.start();
        group = cluster;
        const pods = await start('mode: Cluster', cluster.nodes);
        const before = await spend(pods, FEW / 2);
        for (const master of cluster.masters) await master.replicated();
        await cluster.killMaster();
        const answers = await liveThrough(pods);
        expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
        expectNotSpentTwice(before, await spend(pods, FEW));
      },
      FAILOVER_MS,
    );
  });
} else {
  it(`absent: a gateway over Sentinel and Cluster: ${redisAbsent}`, () => undefined);
}

async function ask(pod: TestGateway, model = 'chat'): Promise<Answer> {
  return request(pod.port, { body: { ...chat.body, model } });
}

/** Requests of the scarce limit to both pods in turns: those that were admitted. Nothing but 200 and 429 is an answer. */
async function spend(pods: readonly TestGateway[], requests: number): Promise<readonly Answer[]> {
  const admitted: Answer[] = [];
  for (let i = 0; i < requests; i++) {
    const answer = await ask(pods[i % pods.length] as TestGateway, 'scarce');
    expect([200, 429]).toContain(answer.status);
    if (answer.status === 200) admitted.push(answer);
  }
  return admitted;
}

/** What Redis admits counts what was used before it died. A pod that finds it away once more has its own share, and says so. */
function expectNotSpentTwice(before: readonly Answer[], after: readonly Answer[]): void {
  const alone = after.filter(({ headers }) => headers['x-fairlead-limits'] !== undefined);
  expect(before.length + after.length - alone.length).toBeLessThanOrEqual(FEW);
  expect(alone.length).toBeLessThanOrEqual(FEW - before.length);
}
