/** Ways to give compile the same thing differently. */
import { encode } from '../../routetable/codec.ts';
import type { Compilation } from '../compile.ts';
import type { Snapshot } from '../snapshot.ts';

/** Everything that a compilation says, credentials included: equal text is equal byte for byte. */
export function textOf({ tables, statuses }: Compilation): string {
  return [...[...tables].map(([id, table]) => `${id} ${encode(table)}`), ...[...statuses].map(([id, status]) => `${id} ${JSON.stringify(status)}`)].join('\n');
}

/** A small generator (mulberry32), so that a failure can be had again. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function shuffled<T>(items: readonly T[], random: () => number): readonly T[] {
  const copy = [...items];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [copy[i], copy[j]] = [copy[j] as T, copy[i] as T];
  }
  return copy;
}

export function shuffledSnapshot(snapshot: Snapshot, seed: number): Snapshot {
  const random = randomFrom(seed);
  return {
    routes: shuffled(snapshot.routes, random),
    gateways: shuffled(snapshot.gateways, random),
    backends: shuffled(snapshot.backends, random),
    quotas: shuffled(snapshot.quotas ?? [], random),
    secrets: shuffled(snapshot.secrets, random),
    configMaps: shuffled(snapshot.configMaps, random),
    namespaces: shuffled(snapshot.namespaces, random),
    referenceGrants: shuffled(snapshot.referenceGrants, random),
    ...(snapshot.forbiddenSecrets === undefined ? {} : { forbiddenSecrets: shuffled(snapshot.forbiddenSecrets, random) }),
    ...(snapshot.services === undefined ? {} : { services: shuffled(snapshot.services, random) }),
    ...(snapshot.endpoints === undefined
      ? {}
      : {
          endpoints: shuffled(
            snapshot.endpoints.map(({ metadata, ports }) => ({
              metadata,
              ports: shuffled(ports, random).map((port) => ({ ...port, addresses: shuffled(port.addresses, random) })),
            })),
            random,
          ),
        }),
  };
}

export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const member of Object.values(value)) deepFreeze<unknown>(member);
  }
  return value;
}
