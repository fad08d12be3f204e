/** `make cluster-up`: a cluster that runs until `make cluster-down`, with the image of this checkout in it. */
import { join } from 'node:path';

import { packImage } from '../image/image.ts';
import { CHECKOUT, startCluster } from './cluster.ts';
import { whyNoCluster } from './host.ts';
import { lastingPlaces } from './place.ts';

const IMAGE = process.argv[2] ?? 'fairlead:dev';

const why = whyNoCluster();
const [running] = lastingPlaces(CHECKOUT);
if (why !== undefined) {
  console.error(`no cluster on this machine: ${why}`);
  process.exitCode = 1;
} else if (running !== undefined) {
  console.error(`a cluster of this checkout is running: export KUBECONFIG=${join(running.folder, 'admin.kubeconfig')}`);
  process.exitCode = 1;
} else {
  const { plane, node, place } = await startCluster({ lasting: true });
  const { file } = packImage(CHECKOUT, IMAGE, join(place.folder, 'fairlead.tar'));
  await node.importImage(file);
  const [repository, tag = ''] = IMAGE.split(':');
  console.log(`# A node with pods, ready, and the image ${IMAGE} on it.
export KUBECONFIG=${plane.kubeconfig}
# helm install fairlead charts/fairlead --namespace fairlead-system --create-namespace --wait \\
#   --set image.repository=${repository},image.tag=${tag},image.pullPolicy=Never
# Pods (${place.podPrefix}.0/24) and Services (${place.network.servicePrefix}.0/24) are reached from this machine. The end: make cluster-down`);
}
