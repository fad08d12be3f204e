/** The status of a route through its life, on a real API server: what it says, and how often it is written. */
import { expect, it } from '@jest/globals';

import { describeWithControlPlane } from '../controlplane/describe.ts';
import { apply, eventually, install, NAMESPACE, type ShownStatus, startOperator } from './support/operator.ts';
import { startPod } from './support/pod.ts';

const PRICING = { input: '1', output: '1' };

const route = (name: string, spec: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> => ({
  kind: 'LLMRoute',
  metadata: { name, namespace: 'team-a' },
  spec: {
    modelNames: [name],
    models: [
      { name: 'main', provider: { type: 'OpenAI', openAI: { model: 'a' } }, auth: { type: 'None' }, pricing: PRICING },
      { name: 'other', provider: { type: 'OpenAI', openAI: { model: 'b' } }, auth: { type: 'None' }, pricing: PRICING },
    ],
    rules: [{ name: 'default', targets: [{ model: 'main' }, { model: 'other', priority: 1 }] }],
    rateLimits: [{ name: 'day-usd', per: ['Tenant'], unit: 'USD', limit: '5', calendar: { period: 'Day', timeZone: 'Etc/UTC' } }],
    ...spec,
  },
});

interface Shown {
  readonly metadata: { readonly generation: number; readonly resourceVersion: string };
  readonly status: ShownStatus & {
    readonly backends?: readonly { readonly name: string; readonly state: string; readonly reason: string }[];
    readonly models: { readonly healthy: number };
  };
}

const EXHAUSTED = 'jsonpath={range .items[?(@.reason=="BudgetExhausted")]}{.involvedObject.name}{" "}{.message}{"\\n"}{end}';

describeWithControlPlane('the status of a route', (plane) => {
  it('flips only when it does, is written twice a change at most, and follows pods, Secrets and upstreams', async () => {
    await install(plane());
    const running = await startOperator(plane(), { outageHeldForMs: 200 });
    const pod = await startPod(plane(), running, 'pod-1');
    const show = async (name: string): Promise<Shown> =>
      JSON.parse(await plane().kubectl(['get', 'llmroute', name, '-n', 'team-a', '-o', 'json'])) as Shown;
    const until = (name: string, type: string, reason: string): Promise<Shown> =>
      eventually(
        async () => {
          const shown = await show(name);
          const found = shown.status?.conditions?.find((each) => each.type === type);
          return found?.reason === reason && shown.status.observedGeneration === shown.metadata.generation ? shown : null;
        },
        async () => `${JSON.stringify(await show(name))}\n${await running.logged()}`,
      );
    const writes = async (): Promise<number> =>
      Number(/status_writes_total\{kind="LLMRoute"\} (\d+)/.exec(await running.metrics.render())?.[1] ?? 0);
    await plane().kubectl(['create', 'namespace', 'team-a']);
    await apply(plane(), route('steady'), route('chat'));
    const first = await until('chat', 'Programmed', 'Programmed');
    const steady = await until('steady', 'Programmed', 'Programmed');
    expect(await writes()).toBeLessThanOrEqual(4);

    // An edit that pods take at once: no flip, and the times stay.
    const before = await writes();
    await apply(plane(), route('chat', { access: { from: 'All' } }));
    const second = await until('chat', 'Programmed', 'Programmed');
    expect(second.metadata.generation).toBe(first.metadata.generation + 1);
    expect(second.status.conditions.map((each) => each.lastTransitionTime)).toEqual(
      first.status.conditions.map((each) => each.lastTransitionTime),
    );
    expect((await writes()) - before).toBeLessThanOrEqual(2);

    // One upstream out: Degraded; both: NoHealthyBackend.
    const out = (model: string) =>
      ({
        upstreamId: `https://api.openai.com/v1#${model}`,
        credentialId: null,
        state: 'Ejected',
        reason: 'ServerError',
        sinceMs: Date.UTC(2026, 0, 1),
      }) as const;
    pod.upstreams = [out('a')];
    const degraded = await until('chat', 'Ready', 'Degraded');
    expect(degraded.status.backends).toMatchObject([
      { name: 'main', state: 'Ejected', reason: 'ServerError', since: '2026-01-01T00:00:00Z' },
    ]);
    expect(degraded.status.models.healthy).toBe(1);
    pod.upstreams = [out('a'), out('b')];
    await until('chat', 'Ready', 'NoHealthyBackend');
    pod.upstreams = [];
    expect((await until('chat', 'Ready', 'Ready')).status.backends).toBeUndefined();
    await eventually(async () => {
      const events = await plane().kubectl(['get', 'events', '-n', 'team-a', '-o', 'jsonpath={.items[*].reason}']);
      return ['Programmed', 'BackendEjected', 'BackendRecovered'].every((reason) => events.includes(reason)) ? true : null;
    });

    // A budget that is used up: one event a window, however often pods say so; none of a limit that the route does not have.
    const sinceMs = Date.now();
    const usedUp = { route: 'team-a/chat', quota: null, tenant: 'team-b', sinceMs, untilMs: sinceMs + 86_400_000 };
    pod.exhausted = [
      { ...usedUp, limit: 'invented' },
      { ...usedUp, limit: 'day-usd' },
    ];
    const exhausted = async (): Promise<string> => plane().kubectl(['get', 'events', '-n', 'team-a', '-o', EXHAUSTED]);
    await eventually(async () => ((await exhausted()) === '' ? null : true), exhausted);
    pod.upstreams = [out('a')];
    await until('chat', 'Ready', 'Degraded');
    pod.upstreams = [];
    await until('chat', 'Ready', 'Ready');
    expect((await exhausted()).trim().split('\n')).toEqual([
      'chat limit day-usd is used up, by tenant team-b first: requests beyond it are refused or downgraded, as it says',
    ]);

    // A name that another has: it loses that name, and says to whom.
    await apply(plane(), route('thief', { modelNames: ['chat'] }));
    expect((await until('thief', 'Accepted', 'ModelNameConflict')).status.conditions[0]?.message).toContain('team-a/chat');

    // Limits that are to be shared and are not: the gateway says why, and what its pods do.
    const redis = { addressRef: { name: 'redis', key: 'url' }, onUnavailable: 'FailOpen' };
    const secret = { name: 'redis', namespace: NAMESPACE };
    await apply(plane(), { apiVersion: 'v1', kind: 'Secret', metadata: secret, stringData: { url: 'redis://redis' } });
    const patch = JSON.stringify({ spec: { redis } });
    await plane().kubectl(['patch', 'llmgateway', 'default', '-n', NAMESPACE, '--type=merge', '-p', patch]);
    const limitsShared = ['-n', NAMESPACE, '-o', 'jsonpath={.status.conditions[?(@.type=="LimitsShared")].message}'];
    const told = (): Promise<string> => plane().kubectl(['get', 'llmgateway', 'default', ...limitsShared]);
    pod.limitsProblem = 'NOPERM no permission (the user needs +evalsha)';
    const why = await eventually(async () => (await told()) || null);
    expect(why).toBe(
      'Redis is away, and each pod decides by spec.redis.onUnavailable, FailOpen: NOPERM no permission (the user needs +evalsha)',
    );
    pod.limitsProblem = null;
    await eventually(async () => ((await told()) === '' ? true : null));

    // The last pod is gone: nobody serves it, and the other route's status moved only for reasons of its own.
    await pod.stop();
    await plane().kubectl(['delete', 'pod', 'pod-1', '-n', 'fairlead-system', '--grace-period=0', '--force']);
    await until('chat', 'Programmed', 'NoGatewayPods');
    const after = await until('steady', 'Programmed', 'NoGatewayPods');
    expect(after.metadata.generation).toBe(steady.metadata.generation);
  });
});
