/** The pod that render makes, on a real kubelet: what it may read, what it may not do, and how its parts come by. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, it } from '@jest/globals';

import { GATEWAY_PATHS } from '../../src/lib/pod.ts';
import { renderGateway } from '../../src/render/render.ts';
import { CONTEXT, parseCase } from '../../src/render/testdata/case.ts';
import type { KubeObject } from '../../src/render/types.ts';
import { SNAPSHOT_KEY, snapshotFile, snapshotSecretName } from '../../src/routetable/snapshot-pack.ts';
import { packImage } from '../image/image.ts';
import { CHECKOUT, type Cluster } from './cluster.ts';
import { describeWithCluster } from './describe.ts';

const NAMESPACE = 'fairlead-system';
const IMAGE = 'fairlead.test/fairlead:pod';
const PART = 3;

describeWithCluster('a gateway pod', (cluster) => {
  let scratch = '';

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'fairlead-pod-'));
    const { file } = packImage(CHECKOUT, IMAGE, join(scratch, 'image.tar'));
    await cluster().node.importImage(file);
    await cluster().kubectl(['create', 'namespace', NAMESPACE]);
    await cluster().kubectl(['label', 'namespace', NAMESPACE, 'pod-security.kubernetes.io/enforce=restricted']);
    const part = [`--from-literal=${SNAPSHOT_KEY}=part`];
    await cluster().kubectl(['-n', NAMESPACE, 'create', 'secret', 'generic', snapshotSecretName('default', PART), ...part]);
    await apply(cluster(), rendered());
  });

  afterAll(() => {
    rmSync(scratch, { recursive: true, force: true });
  });

  it('waits for the CA, without which it would trust nobody, and for no part of the snapshot', async () => {
    await events(cluster(), 'FailedMount');
    await cluster().kubectl([
      '-n',
      NAMESPACE,
      'create',
      'configmap',
      CONTEXT.caBundle.configMap,
      `--from-literal=${CONTEXT.caBundle.key}=pem`,
    ]);
    await cluster().kubectl(['-n', NAMESPACE, 'rollout', 'status', 'deployment/default-gateway', '--timeout=180s']);
  });

  it('reads its identity and what there is of the snapshot, though it is not root', async () => {
    const { identity, snapshot } = GATEWAY_PATHS;
    const found = await inPod(
      cluster(),
      `const fs = require('node:fs');
       const read = (path) => { try { return fs.readFileSync(path, 'utf8'); } catch (error) { return error.code; } };
       const claims = JSON.parse(Buffer.from(read('${identity}/token').split('.')[1], 'base64url'));
       console.log(JSON.stringify({
         uid: process.getuid(),
         audience: claims.aud,
         account: claims.sub,
         pod: typeof claims['kubernetes.io'].pod.uid,
         ca: read('${identity}/ca.crt'),
         parts: fs.readdirSync('${snapshot}').filter((name) => !name.startsWith('..')),
         part: read('${snapshot}/${snapshotFile(PART)}'),
         apiToken: read('/var/run/secrets/kubernetes.io/serviceaccount/token'),
       }));`,
    );
    expect(JSON.parse(found)).toEqual({
      uid: 65_532,
      audience: [CONTEXT.stream.audience],
      account: `system:serviceaccount:${NAMESPACE}:default-gateway`,
      pod: 'string',
      ca: 'pem',
      parts: [snapshotFile(PART)],
      part: 'part',
      apiToken: 'ENOENT',
    });
  });

  it('writes nowhere but into what is thrown away, and is told its place', async () => {
    const found = await inPod(
      cluster(),
      `const fs = require('node:fs');
       const write = (path) => { try { fs.writeFileSync(path, 'x'); return 'written'; } catch (error) { return error.code; } };
       console.log(JSON.stringify({
         app: write('/fairlead/x'), tmp: write('/tmp/x'), identity: write('${GATEWAY_PATHS.identity}/x'),
         gateway: process.env.FAIRLEAD_GATEWAY, port: process.env.FAIRLEAD_PORT,
       }));`,
    );
    expect(JSON.parse(found)).toEqual({
      app: 'EROFS',
      tmp: 'EROFS',
      identity: 'EROFS',
      gateway: `${NAMESPACE}/default`,
      port: '8080',
    });
  });

  it('has the command line in it', async () => {
    const made = await cluster().kubectl([...EXEC, 'fairlead', 'key', 'create', '--name', 'me', '--namespace', NAMESPACE]);
    await cluster().kubectl(['apply', '-f', '-'], made);
    const secret = await cluster().kubectl(['-n', NAMESPACE, 'get', 'secret', '-l', 'fairlead.dev/api-key=true', '-o', 'name']);
    expect(secret).toBe('secret/me\n');
  });
});

const EXEC = ['-n', NAMESPACE, 'exec', 'deploy/default-gateway', '--'] as const;

/** One pod as rendered, in which a process merely waits: what a gateway does is tested elsewhere. */
function rendered(): readonly KubeObject[] {
  const gateway = {
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'LLMGateway',
    metadata: { name: 'default', namespace: NAMESPACE },
  };
  const { gateway: parsed } = parseCase('gateway', JSON.stringify(gateway));
  const { objects } = renderGateway(parsed, { ...CONTEXT, image: IMAGE, imagePullPolicy: 'Never' });
  return objects.map((object) => (object.kind === 'Deployment' ? waiting(object) : object));
}

function waiting(deployment: KubeObject): KubeObject {
  return JSON.parse(
    JSON.stringify(deployment, (key, value: unknown) => {
      if (/^(startup|readiness|liveness)Probe$/.test(key) || key === 'lifecycle') return undefined;
      return key === 'args' ? ['/usr/local/bin/node', '-e', 'setInterval(() => {}, 1e9)'] : value;
    }).replace('"args":', '"command":'),
  ) as KubeObject;
}

async function apply(cluster: Cluster, objects: readonly KubeObject[]): Promise<void> {
  await cluster.kubectl(['apply', '--server-side', '-f', '-'], objects.map((object) => JSON.stringify(object)).join('\n---\n'));
}

async function inPod(cluster: Cluster, script: string): Promise<string> {
  return cluster.kubectl([...EXEC, '/usr/local/bin/node', '-e', script]);
}

/** Resolves when the kubelet has said so of a pod. */
async function events(cluster: Cluster, reason: string): Promise<void> {
  await cluster.kubectl(['-n', NAMESPACE, 'wait', '--for=create', 'pod', '-l', 'fairlead.dev/gateway=default', '--timeout=60s']);
  for (;;) {
    const found = await cluster.kubectl(['-n', NAMESPACE, 'get', 'events', `--field-selector=reason=${reason}`, '-o', 'name']);
    if (found !== '') return;
  }
}
