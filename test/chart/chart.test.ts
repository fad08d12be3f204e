/** The chart as Helm and a real API server judge it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { beforeAll, describe, expect, it } from '@jest/globals';

import { parseObject } from '../../src/api/parse.ts';
import { VERSION } from '../../src/cli/version.ts';
import { LEADER_LABEL, OPERATOR_ENV, POD_PORTS } from '../../src/lib/pod.ts';
import { parseRedisUrl } from '../../src/lib/redis-url.ts';
import { whyNoBinary } from '../controlplane/binaries.ts';
import { describeWithControlPlane } from '../controlplane/describe.ts';
import { pairs } from './combinations.ts';
import { CHART, helm, refusal, RELEASE, renderChart, ROOT, valuesOf, type Manifest, type Values } from './helm.ts';

const OPTIONS = {
  'operator.replicas': [1, 2],
  gatewayNamespaces: [[], ['edge']],
  'secrets.namespaces': [[], ['team-a']],
  'clientKeys.namespaces': [[], ['team-a']],
  imagePullSecrets: [[], [{ name: 'registry' }]],
  'gateway.create': [true, false],
  'gateway.spec': [{}, { replicas: 3, listener: { port: 443, tls: { secretRef: { name: 'tls' } } } }],
  redis: [{ mode: 'None' }, { mode: 'Bundled' }, { mode: 'Existing', existing: { secretName: 'redis' } }],
  prometheus: [
    {},
    {
      monitorLabels: { release: 'stack' },
      podMonitor: { enabled: true },
      serviceMonitor: { enabled: true },
      url: 'http://prometheus:9090',
    },
  ],
  'networkPolicy.enabled': [true, false],
} as const;
const COMBINATIONS = pairs(OPTIONS);
const FULLY_SET = valuesOf(Object.fromEntries(Object.entries(OPTIONS).map(([path, choices]) => [path, choices.at(-1)])));

describe('the chart', () => {
  it('has the version of package.json', () => {
    const chart = readFileSync(join(CHART, 'Chart.yaml'), 'utf8');
    expect(chart).toContain(`\nversion: ${VERSION}\nappVersion: ${VERSION}\n`);
  });

  const why = whyNoBinary('helm');
  if (why !== undefined) it(`absent: helm: ${why}`, () => undefined);
  else {
    it('has nothing that helm lint would say, even strictly', async () => {
      const { code, out } = await helm('lint', CHART, '--strict', '--quiet', '--kube-version', '1.34.0');
      expect(`${code}: ${out}`).toBe('0: ');
    });

    it.each<[string, Values, RegExp]>([
      ['a misspelt value', { operators: {} }, /operators/],
      ['a misspelt field of the gateway', { gateway: { spec: { replica: 3 } } }, /replica/],
      ['a wrong type', { operator: { replicas: 'two' } }, /replicas/],
      ['a Redis of its own kind', { redis: { mode: 'Cluster' } }, /mode/],
      ['an existing Redis without its Secret', { redis: { mode: 'Existing' } }, /redis\.existing\.secretName/],
    ])('refuses %s by name', async (_, values, message) => {
      expect(await refusal(values)).toMatch(message);
    });

    it('tells the operator what it reads, and no more', async () => {
      const deployment = operatorOf(await renderChart({}));
      const names = deployment.env.map(({ name }) => name);
      expect([...names].sort()).toEqual(Object.values(OPERATOR_ENV).sort());
      expect(deployment.ports).toEqual([POD_PORTS.stream, POD_PORTS.admin]);
    });

    it('leads the stream to the leader alone', async () => {
      const manifests = await renderChart({});
      const stream = manifests.find(({ kind, metadata }) => kind === 'Service' && metadata.name === 'fairlead-stream');
      expect(stream?.['spec']).toMatchObject({ selector: { [LEADER_LABEL.key]: LEADER_LABEL.value } });
      const url = operatorOf(manifests).env.find(({ name }) => name === OPERATOR_ENV.streamUrl)?.value;
      expect(url).toBe(`https://fairlead-stream.${RELEASE.namespace}.svc:${POD_PORTS.stream}`);
    });

    it('makes a default gateway that our parser takes', async () => {
      for (const values of [{}, FULLY_SET]) {
        const gateway = (await renderChart({ ...values, gateway: { spec: {} } })).find(({ kind }) => kind === 'LLMGateway');
        expect(parseObject(gateway)).toMatchObject({ ok: true });
        expect(gateway?.metadata).toMatchObject({ name: 'default', annotations: { 'fairlead.dev/is-default-gateway': 'true' } });
      }
    });

    it('bundles a Redis whose URL the gateways can read, with a password that no argument shows', async () => {
      const manifests = await renderChart(valuesOf({ 'redis.mode': 'Bundled' }));
      const secret = manifests.find(({ kind, metadata }) => kind === 'Secret' && metadata.name === 'fairlead-redis');
      const { url = '', password = '' } = (secret?.['stringData'] ?? {}) as Readonly<Record<string, string>>;
      const host = `fairlead-redis.${RELEASE.namespace}.svc`;
      expect(url).toBe(`redis://:${password}@${host}:6379/0`);
      expect(password.length).toBeGreaterThanOrEqual(32);
      expect(parseRedisUrl(url, 'Standalone')).toMatchObject({ ok: true });
      expect(manifests.filter((manifest) => manifest !== secret && JSON.stringify(manifest).includes(password))).toEqual([]);
    });

    it('takes names that look like numbers for names', async () => {
      const values = {
        fullnameOverride: '123',
        gatewayNamespaces: ['2024'],
        'secrets.namespaces': ['2025'],
        'clientKeys.namespaces': ['1e3'],
        'gateway.name': 'n',
      };
      const manifests = await renderChart(valuesOf(values));
      const namespaces = manifests.map(({ metadata }) => metadata.namespace ?? '');
      expect(namespaces.filter((name) => typeof name !== 'string')).toEqual([]);
      expect(namespaces).toEqual(expect.arrayContaining(['2024', '2025', '1e3']));
      expect(JSON.stringify(manifests)).toContain(JSON.stringify({ name: OPERATOR_ENV.lease, value: '123' }));
    });

    it('names another release and another namespace nowhere', async () => {
      const manifests = await renderChart({ fullnameOverride: 'other' });
      expect(
        manifests
          .filter(({ metadata }) => !/^(other-|default$)/.test(metadata.name))
          .map(({ kind, metadata }) => `${kind} ${metadata.name}`),
      ).toEqual([]);
    });
  }
});

describeWithControlPlane('the chart on an API server', (plane) => {
  const restricted = ['edge', 'team-a', RELEASE.namespace];

  beforeAll(async () => {
    await plane().kubectl(['apply', '--server-side', '-f', join(ROOT, 'charts/fairlead/crds')]);
    await plane().kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s']);
    await apply(
      plane,
      [],
      restricted.map((name) => namespace(name)),
    );
    // Of the controllers: no pod is taken before.
    for (const name of restricted)
      await plane().kubectl(['wait', '-n', name, '--for=create', 'serviceaccount/default', '--timeout=60s']);
  });

  it.each(COMBINATIONS.map((choice) => [JSON.stringify(choice), choice] as const))(
    'is taken strictly with %s',
    async (_, choice) => {
      const manifests = (await renderChart(valuesOf(choice))).filter(
        ({ apiVersion }) => apiVersion !== 'monitoring.coreos.com/v1',
      );
      await apply(plane, ['--dry-run=server'], manifests);
    },
  );

  it.each([
    ['-k', 'manifests/base'],
    ['-f', 'manifests/samples'],
  ])('has plain manifests beside it that are taken as strictly: %s %s', async (flag, path) => {
    const said = await plane().kubectl([...DRY_RUN, flag, join(ROOT, path)]);
    expect(said.split('\n').filter((line) => line.includes('serverside-applied')).length).toBeGreaterThanOrEqual(4);
  });

  it('makes no pod that Pod Security would refuse in a namespace that is restricted', async () => {
    const manifests = await renderChart(valuesOf({ 'redis.mode': 'Bundled' }));
    const pods = manifests.flatMap((manifest) => podOf(manifest));
    expect(pods.map(({ metadata }) => metadata.name)).toEqual(
      expect.arrayContaining(['fairlead-operator', 'fairlead-redis', 'fairlead-test']),
    );
    await apply(plane, ['--dry-run=server'], pods);
    const privileged = pods.map((pod) => ({ ...pod, spec: { ...(pod['spec'] as object), hostNetwork: true } }));
    await expect(apply(plane, ['--dry-run=server'], privileged)).rejects.toThrow(/violates PodSecurity/);
  });

  it('lets no container be ended for what it does not answer while it still starts', async () => {
    const containers = (await renderChart(valuesOf({}))).flatMap((manifest) =>
      podOf(manifest).flatMap(
        (pod) => (pod['spec'] as { readonly containers: readonly Readonly<Record<string, unknown>>[] }).containers,
      ),
    );
    const judged = containers.filter((container) => 'livenessProbe' in container);
    expect(judged.map(({ name }) => name)).toEqual(['operator']);
    for (const { startupProbe } of judged) expect(startupProbe).toMatchObject({ periodSeconds: 1, failureThreshold: 300 });
  });
});

const DRY_RUN = ['apply', '--server-side', '--validate=strict', '--dry-run=server'] as const;

type Plane = Parameters<Parameters<typeof describeWithControlPlane>[1]>[0];

async function apply(plane: Plane, flags: readonly string[], manifests: readonly Manifest[]): Promise<void> {
  const input = manifests.map((manifest) => JSON.stringify(manifest)).join('\n---\n');
  await plane().kubectl(['apply', '--server-side', '--validate=strict', ...flags, '-f', '-'], input);
}

function namespace(name: string): Manifest {
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
}

/** The pod that a Deployment would make, or the pod itself, under the ServiceAccount that every namespace has. */
function podOf(manifest: Manifest): readonly Manifest[] {
  const { kind, metadata } = manifest;
  const spec =
    kind === 'Pod'
      ? manifest['spec']
      : kind === 'Deployment'
        ? (manifest['spec'] as { readonly template: { readonly spec: unknown } }).template.spec
        : undefined;
  if (spec === undefined) return [];
  const { serviceAccountName: _, ...rest } = spec as { readonly serviceAccountName?: string };
  return [
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: metadata.name, namespace: RELEASE.namespace },
      spec: { ...rest, automountServiceAccountToken: false },
    },
  ];
}

function operatorOf(manifests: readonly Manifest[]): {
  readonly env: readonly { readonly name: string; readonly value?: string }[];
  readonly ports: readonly number[];
} {
  const deployment = manifests.find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'fairlead-operator');
  if (deployment === undefined) throw new Error('there is no Deployment of the operator');
  const { template } = deployment['spec'] as {
    readonly template: {
      readonly spec: {
        readonly containers: readonly {
          readonly env: readonly { readonly name: string; readonly value?: string }[];
          readonly ports: readonly { readonly containerPort: number }[];
        }[];
      };
    };
  };
  const [container] = template.spec.containers;
  return { env: container?.env ?? [], ports: container?.ports.map(({ containerPort }) => containerPort) ?? [] };
}
