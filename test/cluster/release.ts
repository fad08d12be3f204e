/** Fairlead on a cluster, installed as its users install it: image, chart, key, Secrets, route. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { packImage } from '../image/image.ts';
import { CHECKOUT, type Cluster } from './cluster.ts';
import type { Providers } from './providers.ts';

export const NAMESPACE = 'fairlead-system';
export const TEAM = 'team-a';
export const CHART = join(CHECKOUT, 'charts', 'fairlead');
export const ROUTE = join(CHECKOUT, 'manifests', 'samples', 'llmroute.yaml');
const IMAGE = { repository: 'fairlead', tag: 'test' } as const;
const CA_PATH = 'fairlead/test-ca.crt';
/** Shown to nobody: tests look for them in every log. */
export const PROVIDER_KEYS = { 'azure-openai': 'canary-azure-7f3a', openai: 'canary-openai-91bc' } as const;
const WAIT = '--timeout=110s';

/** The image that the Dockerfile makes, with the one certificate authority more that the providers need. */
export async function importImage(cluster: Cluster, providers: Providers): Promise<void> {
  const bytes = Buffer.from(providers.caPem);
  const { file } = packImage(
    CHECKOUT,
    `${IMAGE.repository}:${IMAGE.tag}`,
    join(cluster.place.folder, 'fairlead.tar'),
    undefined,
    {
      env: [`NODE_EXTRA_CA_CERTS=/${CA_PATH}`],
      entries: [{ path: CA_PATH, mode: 0o644, body: { type: 'bytes', bytes } }],
    },
  );
  await cluster.node.importImage(file);
}

/** `verb`: install or upgrade. Ends when the gateways serve, too: Helm waits for its own objects, they are the operator's. */
export async function helmRelease(
  cluster: Cluster,
  verb: 'install' | 'upgrade',
  values: readonly string[] = [],
): Promise<string> {
  const done = cluster.helm([
    verb,
    'fairlead',
    CHART,
    `--namespace=${NAMESPACE}`,
    ...(verb === 'install' ? ['--create-namespace'] : []),
    '--wait',
    '--timeout=110s',
    ...[
      `image.repository=${IMAGE.repository}`,
      `image.tag=${IMAGE.tag}`,
      'image.pullPolicy=Never',
      'gateway.spec.replicas=3',
      ...values,
    ].map((value) => `--set=${value}`),
  ]);
  const told = await explained(cluster, done);
  await explained(cluster, cluster.kubectl(['-n', NAMESPACE, 'wait', '--for=condition=Programmed', 'llmgateway/default', WAIT]));
  await explained(cluster, cluster.kubectl(['-n', NAMESPACE, 'rollout', 'status', 'deployment/default-gateway', WAIT]));
  return told;
}

/** What fails on a cluster is told with how the cluster stands. */
async function explained<T>(cluster: Cluster, done: Promise<T>): Promise<T> {
  try {
    return await done;
  } catch (error) {
    const show = (argv: readonly string[]): Promise<string> => cluster.kubectl(argv).catch(String);
    const texts = [
      await show(['get', 'pods,llmgateways,llmroutes', '-A']),
      await show(['-n', NAMESPACE, 'get', 'events', '--sort-by=.lastTimestamp']),
      await show(['-n', TEAM, 'get', 'llmroutes', '-o', 'jsonpath={.items[*].status}']),
      await show(['-n', NAMESPACE, 'logs', '-l', 'app.kubernetes.io/name=fairlead', '--tail=20', '--prefix', '--ignore-errors']),
    ];
    throw new Error(texts.join('\n'), { cause: error });
  }
}

/** As the chart's notes say it; the key. */
export async function makeKey(cluster: Cluster, name = 'me'): Promise<string> {
  const { out, errors } = await cluster.plane.kubectlSaid([
    `--namespace=${NAMESPACE}`,
    'exec',
    'deploy/fairlead-operator',
    '--',
    ...['fairlead', 'key', 'create', '--name', name, '--namespace', NAMESPACE],
  ]);
  await cluster.kubectl(['apply', '-f', '-'], out);
  const key = /^\s+(\S{30,})$/m.exec(errors)?.[1];
  if (key === undefined) throw new Error(`fairlead key create told no key: ${errors}`);
  return key;
}

/** A namespace as a team has it: its Secrets, and a model of its own behind a Service. */
export async function makeTeam(cluster: Cluster, team: string): Promise<void> {
  await cluster.kubectl(['create', 'namespace', team]);
  for (const [name, key] of Object.entries(PROVIDER_KEYS)) {
    await cluster.kubectl(['-n', team, 'create', 'secret', 'generic', name, `--from-literal=api-key=${key}`]);
  }
  await cluster.kubectl(
    ['-n', team, 'apply', '-f', '-'],
    JSON.stringify({ apiVersion: 'v1', kind: 'List', items: localModel() }),
  );
  await cluster.kubectl(['-n', team, 'rollout', 'status', 'deployment/ollama', WAIT]);
}

export async function applyRoute(cluster: Cluster): Promise<void> {
  await cluster.kubectl(['apply', '-f', ROUTE]);
  await explained(cluster, cluster.kubectl(['-n', TEAM, 'wait', '--for=condition=Programmed', 'llmroute/chat', WAIT]));
}

/** The README's route, with room for a load that goes on for minutes, as fast as the machine is. */
export async function liftLimit(cluster: Cluster): Promise<void> {
  await cluster.kubectl(['apply', '-f', '-'], readFileSync(ROUTE, 'utf8').replace('limit: 200000,', 'limit: 1000000000,'));
}

/** The README's route under another name, in another namespace. */
export function routeLike(name: string, team: string, modelName: string): string {
  const text = readFileSync(ROUTE, 'utf8');
  return text
    .replace('{name: chat, namespace: team-a}', `{name: ${name}, namespace: ${team}}`)
    .replace('modelNames: [chat, "gpt-4o*"]', `modelNames: [${modelName}]`);
}

/** A model server of one file, run by the Node of the image; a Deployment and a Service `ollama`. */
export function localModel(image = `${IMAGE.repository}:${IMAGE.tag}`, imagePullPolicy = 'Never'): unknown[] {
  const labels = { app: 'ollama' };
  const container = {
    name: 'ollama',
    image,
    imagePullPolicy,
    command: ['/usr/local/bin/node', '/model/server.mjs'],
    volumeMounts: [{ name: 'model', mountPath: '/model' }],
    readinessProbe: { tcpSocket: { port: 11434 }, periodSeconds: 1 },
  };
  return [
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'ollama' }, data: { 'server.mjs': LOCAL_MODEL } },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'ollama' },
      spec: {
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            terminationGracePeriodSeconds: 1,
            containers: [container],
            volumes: [{ name: 'model', configMap: { name: 'ollama' } }],
          },
        },
      },
    },
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'ollama' }, spec: { selector: labels, ports: [{ port: 11434 }] } },
  ];
}

const LOCAL_MODEL = `import { createServer } from 'node:http';
createServer((request, response) => {
  request.resume().on('end', () => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({
      id: 'chatcmpl-1', object: 'chat.completion', created: 1, model: 'llama3.2',
      choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'from the local model at ' + process.env.HOSTNAME } }],
      usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
    }));
  });
}).listen(11434);
`;
