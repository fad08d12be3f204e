/**
 * How long a route takes from its POST to the API server until every gateway process answers by it:
 * `node test/bench/propagation/main.ts [ROUTES [EDITS]]` (default 3000, 200). A real API server whose etcd waits for the disk, one
 * operator and three gateways, each a process of its own. Prints one line of JSON, milliseconds: `mean`, `p99`, `max` until the
 * last of the three answers; `watch` the same until the bare event of a watch is here, which no operator can beat; `errors` counts
 * answers that are neither the route's nor a 404.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { startControlPlane } from '../../controlplane/control-plane.ts';
import { NAMESPACE } from '../../operator/support/operator.ts';
import { Api, RouteWatch } from './api.ts';
import { Asker } from './asker.ts';
import { figures, say } from './figures.ts';
import { type Fleet, startFleet } from './fleet.ts';
import { makeTeams, pathOf, route } from './routes.ts';
import { startUpstream } from './upstream.ts';

const ROUTES = Number(process.argv[2] ?? 3_000);
const EDITS = Number(process.argv[3] ?? 200);
const PODS = 3;
/** Edits before the measured ones: connections, and the code of every process, are warm then. Their answers count as errors, too. */
const WARM_UPS = 10;
/** Between two routes, plus as much again by chance, so that nothing keeps step with the operator's pauses. */
const PAUSE_MS = 60;
const POLL_MS = 1;
const GIVE_UP_MS = 10_000;

/** One gateway, asked over one connection. */
class Client {
  readonly #asker: Asker;
  /** Answers that are neither of the route nor a 404. */
  readonly wrong: string[] = [];

  constructor(port: number) {
    this.#asker = new Asker(port);
  }

  /** When it first answered by the route; null: it has not. */
  async firstAnswer(model: string): Promise<number | null> {
    const endMs = performance.now() + GIVE_UP_MS;
    while (performance.now() < endMs) {
      const { status, body } = await this.#asker.ask(model);
      const nowMs = performance.now();
      if (status === 200 && body.includes(`"content":"${model}"`)) return nowMs;
      if (status !== 404) this.wrong.push(`${model}: ${status} ${body.slice(0, 200)}`);
      await sleep(POLL_MS);
    }
    return null;
  }

  close(): void {
    this.#asker.close();
  }
}

async function measure(api: Api, fleet: Fleet, upstreamPort: number, firstRoute: number): Promise<void> {
  const watch = await RouteWatch.open(api);
  say('waiting until every status is written');
  await watch.quiet(3_000, 300_000);
  const clients = fleet.ports.map((port) => new Client(port));
  const served: number[] = [];
  const seen: number[] = [];
  let lost = 0;
  for (let edit = -WARM_UPS; edit < EDITS; edit++) {
    await sleep(PAUSE_MS * (1 + Math.random()));
    const name = `route-${firstRoute + WARM_UPS + edit}`;
    const event = watch.event(name);
    const startMs = performance.now();
    await api.create(pathOf(name), route(name, upstreamPort));
    // From the POST's own answer on, as a user would: what is served before that counts as served then.
    const answered = await Promise.all(clients.map((client) => client.firstAnswer(name)));
    const eventMs = (await event) - startMs;
    if (answered.includes(null)) lost++;
    if (edit < 0) continue;
    seen.push(eventMs);
    if (!answered.includes(null)) served.push(Math.max(...answered.map((ms) => (ms ?? Infinity) - startMs)));
  }
  watch.close();
  for (const client of clients) client.close();
  const wrong = clients.flatMap((client) => client.wrong);
  for (const text of wrong.slice(0, 5)) say(`wrong: ${text}`);
  const { mean, p50, p99, max } = figures(served);
  const bare = figures(seen);
  console.log(
    JSON.stringify({
      routes: firstRoute,
      pods: fleet.ports.length,
      edits: EDITS,
      warmUps: WARM_UPS,
      meanMs: mean,
      p50Ms: p50,
      p99Ms: p99,
      maxMs: max,
      errors: wrong.length + lost,
      watchMeanMs: bare.mean,
      watchP99Ms: bare.p99,
      watchMaxMs: bare.max,
      operatorRssMiB: fleet.operatorRssMiB(),
    }),
  );
}

const plane = await startControlPlane({ release: 'newest', fsync: true });
const upstream = await startUpstream();
let fleet: Fleet | null = null;
try {
  const api = new Api(plane);
  say(`making ${ROUTES} routes`);
  const gateway = { replicas: PODS, clientAuth: { type: 'None' }, upstreams: { allow: ['127.0.0.1'] } };
  fleet = await startFleet(plane, gateway, PODS, async () => {
    await makeTeams(api);
    const names = Array.from({ length: ROUTES }, (_, index) => `route-${index}`);
    await api.createAll(names.map((name) => ({ path: pathOf(name), object: route(name, upstream.port) })));
  });
  for (const port of fleet.ports) {
    const client = new Client(port);
    if ((await client.firstAnswer(`route-${ROUTES - 1}`)) === null) throw new Error(`nothing is served: ${fleet.words()}`);
    client.close();
  }
  say(`${fleet.ports.length} gateways of ${NAMESPACE} serve them`);
  await measure(api, fleet, upstream.port, ROUTES);
} finally {
  await fleet?.stop();
  await upstream.close();
  await plane.stop();
}
