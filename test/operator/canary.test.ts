/** Real processes of operator and gateway, with secrets that can be recognised: none of them may show anywhere. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, it } from '@jest/globals';

import type { ControlPlane } from '../controlplane/control-plane.ts';
import { describeWithControlPlane } from '../controlplane/describe.ts';
import { freePorts } from '../controlplane/ports.ts';
import { apply, eventually, install, NAMESPACE } from './support/operator.ts';
import { createGatewayPod, podIdentity } from './support/pod.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const CANARY = 'c4n4ry-9f3b1e';
const KEYS = { first: `${CANARY}-first`, rotated: `${CANARY}-rotated`, cert: `${CANARY}-cert` };

interface Running {
  readonly child: ChildProcess;
  output(): string;
  argv(): string;
}

function run(folder: string, program: 'operator' | 'gateway', env: Readonly<Record<string, string>>): Running {
  const file = join(folder, `${program}.log`);
  const fd = openSync(file, 'a');
  const child = spawn(process.execPath, [join(ROOT, `cmd/${program}/main.ts`)], {
    env: { PATH: process.env['PATH'] ?? '', HOME: folder, ...env },
    stdio: ['ignore', fd, fd],
  });
  closeSync(fd);
  return {
    child,
    output: () => readFileSync(file, 'utf8'),
    argv: () => readFileSync(`/proc/${child.pid ?? 0}/cmdline`, 'utf8') + readFileSync(`/proc/${child.pid ?? 0}/environ`, 'utf8'),
  };
}

async function end({ child }: Running): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
}

async function text(url: string): Promise<string> {
  return (await fetch(url)).text();
}

function secret(name: string, value: string): Readonly<Record<string, unknown>> {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: 'team-a' }, stringData: { 'api-key': value } };
}

function route(name: string, models: readonly unknown[]): Readonly<Record<string, unknown>> {
  return {
    kind: 'LLMRoute',
    metadata: { name, namespace: 'team-a' },
    spec: { modelNames: [name], models, rules: [{ name: 'default', targets: [{ model: 'main' }] }] },
  };
}

const keyed = (name: string, key?: string): unknown => ({
  type: 'APIKey',
  apiKey: { secretKeyRef: { name, ...(key === undefined ? {} : { key }) } },
});

async function programmed(plane: ControlPlane, name: string): Promise<void> {
  await plane.kubectl(['wait', '--for=condition=Programmed', `llmroute/${name}`, '-n', 'team-a', '--timeout=60s']);
}

describeWithControlPlane('secrets', (plane) => {
  it('show in no log, status, event, metric or argument of operator and gateway, rotated and misused as they are', async () => {
    await install(plane());
    await plane().kubectl(['create', 'namespace', 'team-a']);
    const folder = mkdtempSync(join(tmpdir(), 'fairlead-canary-'));
    const [stream = 0, admin = 0, gatewayPort = 0, gatewayAdmin = 0] = await freePorts(4);
    const token = (await plane().kubectl(['create', 'token', 'fairlead-operator', '-n', NAMESPACE])).trim();
    const operator = run(folder, 'operator', {
      KUBECONFIG: plane().kubeconfigFor('canary', token),
      FAIRLEAD_NAMESPACE: NAMESPACE,
      FAIRLEAD_IMAGE: 'fairlead:test',
      FAIRLEAD_STREAM_URL: `https://localhost:${stream}`,
      FAIRLEAD_STREAM_PORT: String(stream),
      FAIRLEAD_ADMIN_PORT: String(admin),
      FAIRLEAD_LOG_LEVEL: 'debug',
    });
    let gateway: Running | null = null;
    try {
      await eventually(
        async () => ((await fetch(`http://127.0.0.1:${admin}/readyz`).catch(() => null))?.status === 200 ? true : null),
        () => operator.output(),
      );
      await createGatewayPod(plane(), 'pod-1', () => operator.output());
      const { token: podToken, ca } = await podIdentity(plane(), 'pod-1', () => operator.output());
      writeFileSync(join(folder, 'token'), podToken);
      writeFileSync(join(folder, 'ca.crt'), ca);
      gateway = run(folder, 'gateway', {
        FAIRLEAD_GATEWAY: `${NAMESPACE}/default`,
        FAIRLEAD_OPERATOR_URL: `https://localhost:${stream}`,
        FAIRLEAD_TOKEN_FILE: join(folder, 'token'),
        FAIRLEAD_CA_FILE: join(folder, 'ca.crt'),
        FAIRLEAD_SNAPSHOT_DIR: join(folder, 'none'),
        FAIRLEAD_PORT: String(gatewayPort),
        FAIRLEAD_ADMIN_PORT: String(gatewayAdmin),
      });

      await apply(
        plane(),
        secret('good', KEYS.first),
        secret('wrong-key', KEYS.first),
        secret('not-a-header', `${KEYS.first}\n${KEYS.first}`),
      );
      await apply(
        plane(),
        route('good', [{ name: 'main', provider: { type: 'OpenAI' }, auth: keyed('good') }]),
        route('wrong-key', [{ name: 'main', provider: { type: 'OpenAI' }, auth: keyed('wrong-key', 'other') }]),
        route('not-a-header', [{ name: 'main', provider: { type: 'OpenAI' }, auth: keyed('not-a-header') }]),
        route('as-ca', [
          {
            name: 'main',
            provider: { type: 'OpenAI' },
            auth: { type: 'None' },
            tls: { caRef: { kind: 'Secret', name: 'good', key: 'api-key' } },
          },
        ]),
      );
      await programmed(plane(), 'good');
      await apply(plane(), secret('good', KEYS.rotated));
      const events = (): Promise<string> => plane().kubectl(['get', 'events', '-A', '-o', 'yaml']);
      await eventually(
        async () => ((await events()).includes('CredentialRotated') ? true : null),
        () => operator.output(),
      );
      const said = gateway;
      const refused = await fetch(`http://127.0.0.1:${gatewayPort}/v1/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${CANARY}-client`, 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'good', messages: [{ role: 'user', content: 'x' }] }),
      });
      expect(refused.status).toBe(401);
      await plane().kubectl([
        'wait',
        '--for=condition=ResolvedRefs=False',
        'llmroute/wrong-key',
        'llmroute/not-a-header',
        'llmroute/as-ca',
        '-n',
        'team-a',
        '--timeout=60s',
      ]);

      const seen = {
        'log of the operator': operator.output(),
        'log of the gateway': said.output(),
        arguments: operator.argv() + said.argv(),
        'metrics of the operator': await text(`http://127.0.0.1:${admin}/metrics`),
        'metrics of the gateway': await text(`http://127.0.0.1:${gatewayAdmin}/metrics`),
        'answer to a client': await refused.text(),
        events: await events(),
        statuses: await plane().kubectl([
          'get',
          'llmroutes,llmgateways,llmbackends,llmquotas',
          '-A',
          '-o',
          'yaml',
          '--show-managed-fields',
        ]),
        'rendered objects': await plane().kubectl([
          'get',
          'deployments,services,configmaps,serviceaccounts,leases',
          '-n',
          NAMESPACE,
          '-o',
          'yaml',
        ]),
      };
      expect(seen['log of the operator']).toContain('this replica leads');
      expect(seen.statuses).toContain('SecretKeyMissing');
      expect(seen['metrics of the operator']).toContain('fairlead_operator_leader 1');
      const base64 = Buffer.from(KEYS.first).toString('base64').slice(0, 12);
      const found = Object.entries(seen).filter(([, all]) => all.includes(CANARY) || all.includes(base64));
      expect(found.map(([where]) => where)).toEqual([]);
      expect(seen.arguments).not.toContain(token);
    } finally {
      if (gateway !== null) await end(gateway);
      await end(operator);
      rmSync(folder, { recursive: true, force: true });
    }
    expect(operator.child.exitCode).toBe(0);
  });
});
