/**
 * Memory under churn: `node test/bench/propagation/soak.ts [MINUTES [ROUTES]]` (default 30, 5000). Routes as large as the README's;
 * each second some are edited, one goes and comes back. Prints one line of JSON, MiB of resident memory: of the operator at its
 * peak, its start with all routes included, and of it and of a gateway in the first and in the last fifth of the time, each its
 * median; `podGrowth` is what a gateway with all routes has over one with a single route.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { startControlPlane } from '../../controlplane/control-plane.ts';
import { Api } from './api.ts';
import { say } from './figures.ts';
import { type Fleet, startFleet } from './fleet.ts';
import { makeTeams, pathOf, readmeRoute } from './routes.ts';

const MINUTES = Number(process.argv[2] ?? 30);
const ROUTES = Number(process.argv[3] ?? 5_000);
const EDITS_A_SECOND = 5;
const SAMPLE_MS = 500;
/** Nobody calls it. */
const UPSTREAM_PORT = 9;

interface Sample {
  readonly operator: number;
  readonly gateway: number;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

async function soak(api: Api, fleet: Fleet, bareGateway: number): Promise<void> {
  const samples: Sample[] = [];
  const sampling = setInterval(() => {
    samples.push({ operator: fleet.operatorRssMiB(), gateway: Math.max(...fleet.gatewaysRssMiB()) });
  }, SAMPLE_MS);
  const endMs = performance.now() + MINUTES * 60_000;
  let edits = 0;
  for (let second = 0; performance.now() < endMs; second++) {
    const nextMs = performance.now() + 1_000;
    for (let edit = 0; edit < EDITS_A_SECOND; edit++) {
      const name = `route-${(edits * 7) % ROUTES}`;
      const { spec } = readmeRoute(name, UPSTREAM_PORT, ++edits) as { spec: unknown };
      await api.merge(`${pathOf(name)}/${name}`, { spec });
    }
    const name = `route-${(second * 13) % ROUTES}`;
    await api.remove(`${pathOf(name)}/${name}`);
    await api.create(pathOf(name), readmeRoute(name, UPSTREAM_PORT, edits));
    await sleep(Math.max(0, nextMs - performance.now()));
    if (second % 60 === 0) say(`${second} s: ${JSON.stringify(samples.at(-1))}`);
  }
  clearInterval(sampling);
  const fifth = Math.floor(samples.length / 5);
  const of = (part: readonly Sample[]): Sample => ({
    operator: median(part.map(({ operator }) => operator)),
    gateway: median(part.map(({ gateway }) => gateway)),
  });
  const first = of(samples.slice(0, fifth));
  const last = of(samples.slice(-fifth));
  console.log(
    JSON.stringify({
      routes: ROUTES,
      minutes: MINUTES,
      edits,
      operatorPeakMiB: fleet.operatorPeakMiB(),
      operatorFirstMiB: first.operator,
      operatorLastMiB: last.operator,
      gatewayFirstMiB: first.gateway,
      gatewayLastMiB: last.gateway,
      podGrowthMiB: last.gateway - bareGateway,
    }),
  );
}

const plane = await startControlPlane({ release: 'newest' });
let fleet: Fleet | null = null;
try {
  const api = new Api(plane);
  const gateway = { replicas: 1, clientAuth: { type: 'None' }, upstreams: { allow: ['127.0.0.1'] } };
  const all = Array.from({ length: ROUTES }, (_, index) => `route-${index}`);
  const make = async (names: readonly string[]): Promise<void> =>
    api.createAll(names.map((name) => ({ path: pathOf(name), object: readmeRoute(name, UPSTREAM_PORT) })));
  say('a gateway with one route');
  fleet = await startFleet(plane, gateway, 1, async () => {
    await makeTeams(api, 'sk-soak');
    await make(all.slice(0, 1));
  });
  await sleep(5_000);
  const bare = median(fleet.gatewaysRssMiB());
  await fleet.stop();
  say(`${bare} MiB; now ${ROUTES} routes, and processes that start with them`);
  fleet = await startFleet(plane, gateway, 1, async () => make(all.slice(1)));
  await soak(api, fleet, bare);
} finally {
  await fleet?.stop();
  await plane.stop();
}
