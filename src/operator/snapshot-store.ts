/** The snapshot's parts as Secrets beside the gateway. */
import type { KubeClient } from '../kube/client.ts';
import type { KubeFailure } from '../kube/outcome.ts';
import { objectLabels } from '../render/names.ts';
import { SNAPSHOT_KEY, SNAPSHOT_PARTS, snapshotSecretName } from '../routetable/snapshot-pack.ts';
import type { SnapshotStore } from './delivery/snapshots.ts';
import { SECRETS } from './resources.ts';

const DIGEST = 'fairlead.dev/snapshot-digest';
const MANAGER = 'fairlead-snapshot';
/** Not the label of a client key, and not that of a rendered object, which would be pruned. */
const SNAPSHOT_LABEL = 'fairlead.dev/snapshot-of';

/** `leader`: refuses to write where this process does not lead. `ownerOf`: the uid of the LLMGateway, so that they go with it. */
export function snapshotStore(
  client: Pick<KubeClient, 'list'>,
  leader: Pick<KubeClient, 'apply'>,
  ownerOf: (gatewayId: string) => string | null,
): SnapshotStore {
  return {
    async write({ gateway: { namespace, name }, part, digest, bytes }) {
      const uid = ownerOf(`${namespace}/${name}`);
      if (uid === null) return;
      const applied = await leader.apply(
        SECRETS,
        {
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: {
            namespace,
            name: snapshotSecretName(name, part),
            labels: { 'app.kubernetes.io/name': objectLabels(name)['app.kubernetes.io/name'] ?? '', [SNAPSHOT_LABEL]: name },
            annotations: { [DIGEST]: digest },
            ownerReferences: [{ apiVersion: 'fairlead.dev/v1alpha1', kind: 'LLMGateway', name, uid, controller: true }],
          },
          type: 'Opaque',
          data: { [SNAPSHOT_KEY]: bytes.toString('base64') },
        },
        { fieldManager: MANAGER, force: true },
      );
      if (!applied.ok && applied.error.kind !== 'guarded') throw failed('write', applied.error);
    },
    async stored({ namespace, name }) {
      const listed = await client.list(SECRETS, { namespace, labelSelector: `${SNAPSHOT_LABEL}=${name}`, metadataOnly: true });
      if (!listed.ok) throw failed('list', listed.error);
      const digests = new Map<number, string>();
      const uid = ownerOf(`${namespace}/${name}`);
      // What is of another gateway of this name, which was deleted, is about to go with it.
      const own = listed.value.items.filter(
        ({ metadata }) => metadata.ownerReferences?.some((owner) => owner.uid === uid) === true,
      );
      for (let part = 0; part < SNAPSHOT_PARTS; part++) {
        const found = own.find(({ metadata }) => metadata.name === snapshotSecretName(name, part));
        const digest = found?.metadata.annotations?.[DIGEST];
        if (digest !== undefined) digests.set(part, digest);
      }
      return digests;
    },
  };
}

function failed(verb: string, { message }: KubeFailure): Error {
  return new Error(`the snapshot's Secrets: ${verb}: ${message}`);
}
