import https from 'node:https';

import { expect, it } from '@jest/globals';

import { startCluster } from './cluster.ts';
import { describeWithCluster } from './describe.ts';
import { whyNoCluster } from './host.ts';
import { PAUSE_IMAGE } from './node.ts';

it('says in one line what a machine lacks for a cluster', () => {
  expect(whyNoCluster() ?? '').not.toContain('\n');
});

function deployment(name: string, replicas: number): string {
  const labels = { app: name };
  return JSON.stringify({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name, image: PAUSE_IMAGE, imagePullPolicy: 'Never' }] } },
    },
  });
}

describeWithCluster('a cluster', (cluster) => {
  it('runs pods', async () => {
    await cluster().kubectl(['apply', '-f', '-'], deployment('three', 3));
    await cluster().kubectl(['rollout', 'status', 'deployment/three', '--timeout=100s']);
    const addresses = await cluster().kubectl(['get', 'pods', '-l', 'app=three', '-o', 'jsonpath={.items[*].status.podIP}']);
    expect(new Set(addresses.split(' ')).size).toBe(3);
  });

  it('has Services', async () => {
    const { plane, place } = cluster();
    const url = `https://${place.network.servicePrefix}.1/readyz`;
    const answered = new Promise<number | undefined>((resolve, reject) => {
      const headers = { authorization: `Bearer ${plane.token}` };
      https.get(url, { ca: plane.caPem, headers }, ({ statusCode }) => resolve(statusCode)).once('error', reject);
    });
    expect(await answered).toBe(200);
  });

  it('leaves room for another one, and takes nothing of it', async () => {
    const other = await startCluster();
    try {
      expect(other.place.network.address).not.toBe(cluster().place.network.address);
      await other.kubectl(['apply', '-f', '-'], deployment('one', 1));
      await other.kubectl(['rollout', 'status', 'deployment/one', '--timeout=100s']);
    } finally {
      await other.stop();
    }
    expect(await cluster().kubectl(['get', 'deployment', '-o', 'name'])).toBe('deployment.apps/three\n');
    await cluster().kubectl(['rollout', 'status', 'deployment/three', '--timeout=100s']);
  });
});
