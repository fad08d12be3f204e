/**
 * A release on any cluster, with nothing but its kubeconfig: what is asked of gateways is asked from inside, and the model is a pod of
 * the same image. For clusters that others made (kind, a cloud's): nothing of their machines is touched, and all of ours goes again.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect } from '@jest/globals';

import { binary } from '../controlplane/binaries.ts';
import { runKubectl } from '../controlplane/control-plane.ts';
import { runHelm } from './cluster.ts';
import { CHART, localModel } from './release.ts';

/** What was seen of a release, for a test to judge. */
export interface Tried {
  /** Of each gateway pod: the statuses of its answers. */
  readonly statuses: readonly (readonly number[])[];
  /** Pods of the model that answered, once there were three. */
  readonly models: ReadonlySet<string>;
  /** What of ours is left at the end. */
  readonly left: string;
}

/** Two pods that answer everything, from each pod of the model; and nothing left of it. */
export function judge({ statuses, models, left }: Tried): void {
  expect(statuses).toHaveLength(2);
  expect(new Set(statuses.flat())).toEqual(new Set([200]));
  expect(models.size).toBe(3);
  expect(left).toBe('');
}

const WAIT = '--timeout=180s';
const QUESTIONS = 20;

/** `image`: with its tag, on the cluster's nodes or where they can pull it. */
export async function tryRelease(kubeconfig: string, image: string): Promise<Tried> {
  const api = await binary('api');
  const helm = await binary('helm');
  const cache = mkdtempSync(join(tmpdir(), 'fairlead-kubectl-'));
  const name = `fairlead-${randomBytes(3).toString('hex')}`;
  const team = `${name}-team`;
  const said = (argv: readonly string[], input?: string) => runKubectl(api, kubeconfig, argv, input, cache);
  const kubectl = async (argv: readonly string[], input?: string): Promise<string> => (await said(argv, input)).out;
  const definitions = (): Promise<string> => kubectl(['get', 'crd', '-o', 'name']);
  const before = new Set((await definitions()).split('\n'));
  try {
    const colon = image.lastIndexOf(':');
    const values = [
      `image.repository=${image.slice(0, colon)}`,
      `image.tag=${image.slice(colon + 1)}`,
      'image.pullPolicy=IfNotPresent',
      'gateway.spec.replicas=2',
    ];
    await runHelm(helm, kubeconfig, [
      ...['install', name, CHART, `--namespace=${name}`, '--create-namespace', '--wait', WAIT],
      ...values.map((value) => `--set=${value}`),
    ]);
    await kubectl(['-n', name, 'wait', '--for=condition=Programmed', 'llmgateway/default', WAIT]);
    await kubectl(['-n', name, 'rollout', 'status', 'deployment/default-gateway', WAIT]);
    const operator = ['-n', name, 'exec', '-i', `deploy/${name}-operator`, '--'];
    const made = await said([...operator, 'fairlead', 'key', 'create', '--name', 'me', '--namespace', name]);
    const key = /^\s+(\S{30,})$/m.exec(made.errors)?.[1] ?? '';
    await kubectl(['apply', '-f', '-'], made.out);

    await kubectl(['create', 'namespace', team]);
    const items = localModel(image, 'IfNotPresent');
    await kubectl(['-n', team, 'apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    await kubectl(['-n', team, 'scale', 'deployment/ollama', '--replicas=3']);
    await kubectl(['-n', team, 'rollout', 'status', 'deployment/ollama', WAIT]);
    await kubectl(['apply', '-f', '-'], routeTo(name, team));
    await kubectl(['-n', team, 'wait', '--for=condition=Programmed', 'llmroute/chat', WAIT]);
    const pods = ['-n', name, 'get', 'pods', '-l', 'fairlead.dev/gateway=default', '-o', 'jsonpath={.items[*].status.podIP}'];
    const statuses: number[][] = [];
    const models = new Set<string>();
    for (const address of (await kubectl(pods)).split(' ')) {
      // The key goes by stdin: whoever lists processes must not read it.
      const input = JSON.stringify({ address, key, questions: QUESTIONS });
      const answers = JSON.parse(await kubectl([...operator, '/usr/local/bin/node', '-e', ASK], input)) as readonly Answer[];
      statuses.push(answers.map(({ status }) => status));
      for (const { body } of answers) models.add(/local model at ([\w-]+)/.exec(body)?.[1] ?? body);
    }
    await kubectl(['delete', 'namespace', team, WAIT]);
    await runHelm(helm, kubeconfig, ['uninstall', name, `--namespace=${name}`, '--wait', WAIT]);
    // A namespace that still has them is looked at again after half of the time that a drain may take.
    await kubectl(['-n', name, 'wait', '--for=delete', 'pod', '-l', 'fairlead.dev/gateway', WAIT]);
    await kubectl(['delete', 'namespace', name, WAIT]);
    const everywhere = ['get', 'namespaces,clusterroles,clusterrolebindings', '-o', 'name'];
    const left = (await kubectl(everywhere)).split('\n').filter((line) => line.includes(name));
    return { statuses, models, left: left.join('\n') };
  } finally {
    // What is left where something failed; of a whole run nothing is.
    await runHelm(helm, kubeconfig, ['uninstall', name, `--namespace=${name}`, '--ignore-not-found']).catch(() => '');
    await kubectl(['delete', 'namespace', team, name, '--ignore-not-found', '--wait=false']);
    const ours = (await definitions()).split('\n').filter((line) => line.endsWith('.fairlead.dev') && !before.has(line));
    if (ours.length > 0) await kubectl(['delete', ...ours]);
    rmSync(cache, { recursive: true, force: true });
  }
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Runs inside of the cluster. */
const ASK = `
let text = '';
process.stdin.on('data', (part) => (text += part)).on('end', async () => {
  const { address, key, questions } = JSON.parse(text);
  const host = address.includes(':') ? '[' + address + ']' : address;
  const answers = [];
  for (let asked = 0; asked < questions; asked++) {
    const answer = await fetch('http://' + host + ':8080/v1/chat/completions', {
      method: 'POST',
      headers: { authorization: 'Bearer ' + key, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'chat', messages: [{ role: 'user', content: 'Hello' }] }),
    });
    answers.push({ status: answer.status, body: await answer.text() });
  }
  process.stdout.write(JSON.stringify(answers));
});
`;

function routeTo(gateway: string, namespace: string): string {
  const serviceRef = { name: 'ollama', port: 11434 };
  return JSON.stringify({
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'LLMRoute',
    metadata: { name: 'chat', namespace },
    spec: {
      parentRefs: [{ name: 'default', namespace: gateway }],
      modelNames: ['chat'],
      models: [
        {
          name: 'local',
          provider: { type: 'OpenAICompatible', openAICompatible: { model: 'llama3.2', serviceRef } },
          auth: { type: 'None' },
        },
      ],
      rules: [{ name: 'default', targets: [{ model: 'local' }] }],
    },
  });
}
