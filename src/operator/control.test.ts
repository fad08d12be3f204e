import { describe, expect, it } from '@jest/globals';

import { CERTIFICATE_PEM, PRIVATE_KEY_PEM } from '../compile/testdata/certificate.ts';
import type { KubeClient } from '../kube/client.ts';
import type { KubeObject } from '../kube/objects.ts';
import { createLog } from '../telemetry/log.ts';
import { OperatorMetrics } from '../telemetry/operator-metrics.ts';
import { ControlLoop } from './control.ts';
import type { SnapshotKeeper } from './delivery/delivery.ts';
import { HttpsTableServer } from './delivery/table-server.ts';
import { World } from './testdata/world.ts';

const NAMESPACE = 'fairlead-system';
const GATEWAY = `${NAMESPACE}/default`;

function gateway(generation: number): KubeObject {
  return {
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'LLMGateway',
    metadata: { name: 'default', namespace: NAMESPACE, uid: 'u', generation, resourceVersion: String(generation) },
    spec: { listener: { maxConnectionAge: `${generation}m` } },
  };
}

/** A loop that has read everything, with a real server that nobody asks; `kept`: the gateways whose snapshots are kept. */
async function looping({
  unread = [],
  namespaces = [NAMESPACE],
}: { unread?: readonly string[]; namespaces?: readonly string[] } = {}): Promise<{
  world: World;
  control: ControlLoop;
  server: HttpsTableServer;
  kept: Set<string>;
}> {
  const world = new World();
  for (const what of unread) world.unread.add(what);
  const kept = new Set<string>();
  const server = new HttpsTableServer({
    clock: world.timers,
    random: () => 0,
    reviewToken: async () => ({ ok: false, reason: 'nobody asks' }),
    onFault: () => {},
  });
  const refuse = async (): Promise<unknown> => ({ ok: false, error: { kind: 'guarded', message: 'a test' } });
  const client = { ...world.client, patchStatus: refuse, createEvent: refuse } as unknown as KubeClient;
  const snapshots: SnapshotKeeper = {
    lead: () => {},
    resign: () => {},
    publish: ({ gateway: { namespace, name } }) => kept.add(`${namespace}/${name}`),
    forget: (id) => kept.delete(id),
    leftOut: () => [],
    onLeftOut: () => () => {},
    close: async () => {},
  };
  const control: ControlLoop = new ControlLoop({
    watch: world.watch,
    client,
    leader: client,
    timers: world.timers,
    server,
    snapshots,
    metrics: new OperatorMetrics(false),
    log: createLog({ level: 'silent', clock: world.timers, fd: 2, onDropped: () => {}, onError: () => {} }).logger,
    gatewayNamespaces: namespaces,
    secretNamespaces: [],
    keyNamespaces: [],
    // As the operator does.
    onGateway: (id) => {
      if (control.gather.entry('LLMGateway', id) !== undefined) return;
      server.forget(id);
      snapshots.forget(id);
    },
  });
  world.tell({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE, resourceVersion: '1' } });
  world.tell(gateway(1));
  await world.timers.run(1_000);
  return { world, control, server, kept };
}

describe('a leader that begins', () => {
  it('publishes what is compiled, but no gateway that was deleted since', async () => {
    const { world, control, server, kept } = await looping();
    expect([server.sequence(GATEWAY) > 0, kept.has(GATEWAY)]).toEqual([true, true]);
    // What closely follows a compile waits for the next.
    world.tell(gateway(2));
    world.remove('LLMGateway', GATEWAY);
    expect(server.sequence(GATEWAY)).toBe(0);
    control.lead();
    expect([server.sequence(GATEWAY), kept.has(GATEWAY)]).toEqual([0, false]);
    await world.timers.run(1_000);
    expect([server.sequence(GATEWAY), kept.has(GATEWAY)]).toEqual([0, false]);
    control.stop();
    await server.close();
  });
});

describe('a gateway whose certificate is gone', () => {
  it('is served with the one before, and without the client keys that are revoked meanwhile', async () => {
    const { world, control, server } = await looping();
    const secret = (name: string, data: Readonly<Record<string, string>>, labels = {}): KubeObject => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, namespace: NAMESPACE, resourceVersion: '1', labels },
      data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')])),
    });
    world.hold(secret('tls', { 'tls.crt': CERTIFICATE_PEM, 'tls.key': PRIVATE_KEY_PEM }));
    world.tell({ ...gateway(2), spec: { listener: { tls: { secretRef: { name: 'tls' } } } } });
    world.tell(secret('alice', { sha256: 'a'.repeat(64) }, { 'fairlead.dev/api-key': 'true' }));
    await world.timers.run(10_000);
    expect(control.compiled?.tables.get(GATEWAY)?.clientKeys).toHaveLength(1);
    world.fail(`Secret/${NAMESPACE}/tls`, 'not_found');
    await world.timers.run(600_000);
    expect(control.compiled?.tables.has(GATEWAY)).toBe(false);
    const before = server.sequence(GATEWAY);
    world.remove('Secret', `${NAMESPACE}/alice`);
    await world.timers.run(1_000);
    expect(server.sequence(GATEWAY)).toBe(before + 1);
    control.stop();
    await server.close();
  });
});

describe('a gateway whose name is too long for a Service and a label', () => {
  it('has no snapshot, which the API server would refuse again and again: its status says why', async () => {
    const { world, control, server, kept } = await looping();
    control.lead();
    for (const name of ['a'.repeat(63), 'a'.repeat(64)])
      world.tell({ ...gateway(1), metadata: { ...gateway(1).metadata, name } });
    await world.timers.run(1_000);
    expect([...kept].sort()).toEqual([`${NAMESPACE}/${'a'.repeat(63)}`, GATEWAY]);
    control.stop();
    await server.close();
  });
});

describe('a replica that starts', () => {
  it('is ready once it has read everything, though the last of it were pods of which there are none', async () => {
    const { world, control, server } = await looping({ unread: [`Pod ${NAMESPACE}`] });
    expect(control.ready).toBe(false);
    world.read(`Pod ${NAMESPACE}`);
    await world.timers.run(1_000);
    expect(control.ready).toBe(true);
    control.stop();
    await server.close();
  });

  it('does not wait for the pods of a namespace that was deleted, and with it the right to read them', async () => {
    const { control, server } = await looping({ unread: ['Pod team-gone'], namespaces: [NAMESPACE, 'team-gone'] });
    expect(control.ready).toBe(true);
    control.stop();
    await server.close();
  });
});
