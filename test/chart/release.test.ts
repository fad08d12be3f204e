/** A release on a real API server, without nodes: what Helm makes, keeps and leaves behind. */
import { spawn } from 'node:child_process';
import http from 'node:http';
import type { AddressInfo } from 'node:net';

import { describe, expect, it } from '@jest/globals';

import { whyNoBinary } from '../controlplane/binaries.ts';
import type { ControlPlane } from '../controlplane/control-plane.ts';
import { describeWithControlPlane } from '../controlplane/describe.ts';
import { CHART, helm, RELEASE, renderChart } from './helm.ts';

const NAMESPACE = RELEASE.namespace;

describeWithControlPlane('a release', (plane) => {
  it('is installed with its CRDs, and says how to make a key and a request', async () => {
    const notes = await release(plane(), 'install', RELEASE.name, CHART, '--create-namespace', '--set', 'redis.mode=Bundled');
    expect(notes).toContain(
      `kubectl -n ${NAMESPACE} exec deploy/fairlead-operator -- fairlead key create --name me --namespace ${NAMESPACE} | kubectl apply -f -`,
    );
    expect(notes).toContain('curl -H "authorization: Bearer $KEY" http://127.0.0.1:8080/v1/models');
    expect(notes).toContain('kubectl apply --server-side --force-conflicts -f charts/fairlead/crds/');
    expect(await names(plane(), 'llmgateways')).toEqual(['default']);
    expect(await names(plane(), 'deployments')).toEqual(['fairlead-operator', 'fairlead-redis']);
    const gateway = await plane().kubectl(['-n', NAMESPACE, 'get', 'llmgateway', 'default', '-o', 'json']);
    expect(JSON.parse(gateway)).toMatchObject({
      metadata: { annotations: { 'fairlead.dev/is-default-gateway': 'true' } },
      spec: { redis: { mode: 'Standalone', addressRef: { name: 'fairlead-redis', key: 'url' }, onUnavailable: 'LocalShare' } },
    });
  });

  it('gives the operator its rights in fact, and not the nearest ones beyond them', async () => {
    const may = async (...argv: readonly string[]): Promise<string> => {
      const as = `--as=system:serviceaccount:${NAMESPACE}:fairlead-operator`;
      return (
        await plane()
          .kubectl(['auth', 'can-i', as, '--quiet=false', ...argv])
          .catch((error: unknown) => String(error))
      ).includes('yes')
        ? 'yes'
        : 'no';
    };
    const allowed = [
      ['patch', 'llmroutes.fairlead.dev', '--subresource=status', '-n', 'team-a'],
      ['get', 'secrets', '-n', 'team-a'],
      ['create', 'deployments.apps', '-n', NAMESPACE],
      ['update', 'leases.coordination.k8s.io', '-n', NAMESPACE],
      ['create', 'tokenreviews.authentication.k8s.io'],
    ];
    const denied = [
      ['update', 'llmroutes.fairlead.dev', '-n', 'team-a'],
      ['list', 'secrets', '-n', 'team-a'],
      ['create', 'deployments.apps', '-n', 'team-a'],
      ['get', 'pods', '-n', 'team-a'],
      ['create', 'rolebindings.rbac.authorization.k8s.io', '-n', NAMESPACE],
      ['create', 'serviceaccounts', '--subresource=token', '-n', NAMESPACE],
      ['create', 'pods', '-n', NAMESPACE],
      ['create', 'pods', '--subresource=exec', '-n', NAMESPACE],
    ];
    for (const argv of allowed) expect(`${argv.join(' ')}: ${await may(...argv)}`).toBe(`${argv.join(' ')}: yes`);
    for (const argv of denied) expect(`${argv.join(' ')}: ${await may(...argv)}`).toBe(`${argv.join(' ')}: no`);
  });

  it('keeps the password of the bundled Redis over an upgrade', async () => {
    const password = async (): Promise<string> =>
      plane().kubectl(['-n', NAMESPACE, 'get', 'secret', 'fairlead-redis', '-o', 'jsonpath={.data.url} {.data.password}']);
    const before = await password();
    expect(before.length).toBeGreaterThan(80);
    await release(plane(), 'upgrade', RELEASE.name, CHART, '--set', 'redis.mode=Bundled', '--set', 'operator.replicas=1');
    expect(await password()).toBe(before);
  });

  it('takes away what it made when it is uninstalled, and neither CRDs nor routes', async () => {
    const route = {
      apiVersion: 'fairlead.dev/v1alpha1',
      kind: 'LLMRoute',
      metadata: { name: 'kept', namespace: NAMESPACE },
      spec: {
        modelNames: ['chat'],
        models: [{ name: 'gpt', provider: { type: 'OpenAI' }, auth: { type: 'None' } }],
        rules: [{ name: 'default', targets: [{ model: 'gpt' }] }],
      },
    };
    await plane().kubectl(['apply', '--server-side', '-f', '-'], JSON.stringify(route));
    await release(plane(), 'uninstall', RELEASE.name);
    expect(await names(plane(), 'llmroutes')).toEqual(['kept']);
    for (const kind of ['llmgateways', 'deployments', 'services', 'roles', 'networkpolicies', 'poddisruptionbudgets']) {
      expect({ kind, left: await names(plane(), kind) }).toEqual({ kind, left: [] });
    }
    // No finalizer of ours holds anything.
    await plane().kubectl(['delete', 'namespace', NAMESPACE, '--timeout=60s']);
  });
});

describe('helm test', () => {
  const why = whyNoBinary('helm');
  if (why !== undefined) {
    it(`absent: helm: ${why}`, () => undefined);
    return;
  }

  it('ends well once operator and gateway answer, a gateway that wants a key included', async () => {
    const asked: string[] = [];
    // Not ready at first, as after an install.
    const server = http.createServer((request, response) => {
      asked.push(request.url ?? '');
      response.writeHead(asked.length === 1 ? 503 : request.url === '/readyz' ? 200 : 401).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const pod = (await renderChart({})).find(({ kind }) => kind === 'Pod');
      if (pod === undefined) throw new Error('the chart has no pod for helm test');
      const { containers } = pod['spec'] as {
        readonly containers: readonly { readonly command: readonly string[]; readonly args: readonly string[] }[];
      };
      const [container] = containers;
      const child = spawn(process.execPath, [...(container?.command.slice(1) ?? []), ...(container?.args ?? [])], {
        env: { URLS: `${base}/readyz ${base}/v1/models` },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let said = '';
      for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (said += text));
      const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
      expect(`${code}: ${said}`).toBe(`0: ok: ${base}/readyz answers 200\nok: ${base}/v1/models answers 401\n`);
      expect(asked).toEqual(['/readyz', '/readyz', '/v1/models']);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});

async function release(api: ControlPlane, verb: string, ...argv: readonly string[]): Promise<string> {
  const { code, out, errors } = await helm(verb, ...argv, '--namespace', NAMESPACE, '--kubeconfig', api.kubeconfig);
  if (code !== 0) throw new Error(`helm ${verb} ended with ${code}: ${errors}${out}`);
  return out;
}

/** Without what every namespace has of its own. */
async function names(api: ControlPlane, kind: string): Promise<readonly string[]> {
  const out = await api.kubectl(['-n', NAMESPACE, 'get', kind, '-o', 'jsonpath={range .items[*]}{.metadata.name}{"\\n"}{end}']);
  return out.split('\n').filter((name) => name !== '');
}
