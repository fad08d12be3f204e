/**
 * Edits of routes while they serve: `node test/bench/propagation/edits.ts [EDITS [ROUTES]]` (default 1000, 300). Clients ask every
 * gateway for every route without a pause, while one route after the other is edited: each time another model of its pool has all
 * the weight, so that its entry, its choice and its connections change. Prints one line of JSON; `failed` counts
 * answers other than a whole 200.
 */
import { startControlPlane } from '../../controlplane/control-plane.ts';
import { Api } from './api.ts';
import { Asker } from './asker.ts';
import { say } from './figures.ts';
import { type Fleet, startFleet } from './fleet.ts';
import { makeTeams, pathOf, route } from './routes.ts';
import { startUpstream } from './upstream.ts';

const EDITS = Number(process.argv[2] ?? 1_000);
const ROUTES = Number(process.argv[3] ?? 300);
const PODS = 3;
const CLIENTS_A_POD = 2;

interface Traffic {
  stop(): Promise<{ readonly requests: number; readonly failed: readonly string[] }>;
}

function startTraffic(ports: readonly number[]): Traffic {
  const failed: string[] = [];
  let requests = 0;
  let stopping = false;
  const run = async (port: number, offset: number): Promise<void> => {
    const asker = new Asker(port);
    for (let turn = offset; !stopping; turn += 7) {
      const model = `route-${turn % ROUTES}`;
      requests++;
      try {
        const { status, body } = await asker.ask(model);
        if (status !== 200 || !body.includes(`"content":"${model}"`)) failed.push(`${model}: ${status} ${body.slice(0, 200)}`);
      } catch (error) {
        failed.push(`${model}: ${String(error)}`);
      }
    }
    asker.close();
  };
  const all = ports.flatMap((port, pod) =>
    Array.from({ length: CLIENTS_A_POD }, (_, client) => run(port, pod * 31 + client * 17)),
  );
  return {
    async stop() {
      stopping = true;
      await Promise.all(all);
      return { requests, failed };
    },
  };
}

function weights(edit: number): unknown {
  const main = edit % 2 === 0 ? 100 : 1;
  return {
    spec: {
      rules: [
        { name: 'streams', matches: [{ stream: true }], targets: [{ model: 'main' }, { model: 'other', priority: 1 }] },
        {
          name: 'default',
          targets: [
            { model: 'main', weight: main },
            { model: 'other', weight: 101 - main },
          ],
        },
      ],
      rateLimits: [{ name: 'rpm', per: ['APIKey'], unit: 'Requests', limit: 600_000 + edit, window: '1m' }],
    },
  };
}

const plane = await startControlPlane({ release: 'newest' });
const upstream = await startUpstream();
let fleet: Fleet | null = null;
try {
  const api = new Api(plane);
  const names = Array.from({ length: ROUTES }, (_, index) => `route-${index}`);
  const gateway = { replicas: PODS, clientAuth: { type: 'None' }, upstreams: { allow: ['127.0.0.1'] } };
  fleet = await startFleet(plane, gateway, PODS, async () => {
    await makeTeams(api);
    await api.createAll(names.map((name) => ({ path: pathOf(name), object: route(name, upstream.port) })));
  });
  say(`${ROUTES} routes are served; ${EDITS} edits`);
  const traffic = startTraffic(fleet.ports);
  const startMs = performance.now();
  for (let edit = 0; edit < EDITS; edit++) {
    const name = names[(edit * 11) % ROUTES] ?? '';
    await api.merge(`${pathOf(name)}/${name}`, weights(edit));
  }
  const seconds = Math.round((performance.now() - startMs) / 100) / 10;
  const last = `${pathOf(names[((EDITS - 1) * 11) % ROUTES] ?? '')}/${names[((EDITS - 1) * 11) % ROUTES] ?? ''}`;
  const programmed = await api.programmed(last);
  const { requests, failed } = await traffic.stop();
  for (const text of failed.slice(0, 5)) say(`failed: ${text}`);
  console.log(JSON.stringify({ edits: EDITS, routes: ROUTES, pods: PODS, seconds, requests, failed: failed.length, programmed }));
  if (failed.length > 0 || !programmed) process.exitCode = 1;
} finally {
  await fleet?.stop();
  await upstream.close();
  await plane.stop();
}
