/**
 * How long a route takes from its POST to the API server until every gateway process answers by it:
 * `node test/bench/propagation/main.ts [ROUTES [EDITS]]` (default 3000, 200). A real API server whose etcd waits for the disk, one
 * operator and three gateways, each a process of its own. Prints one line of JSON, milliseconds: `mean`, `p99`, `max` until the
 * last of the three answers; `watch` the same until the bare event of a watch is here, which no operator can beat; `errors` counts
 * answers that are neither the route's nor a 404.
 */
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { startControlPlane } from '../../controlplane/control-plane.ts';
import { NAMESPACE } from '../../operator/support/operator.ts';
import { Api, RouteWatch } from './api.ts';
import { type Fleet, startFleet } from './fleet.ts';

const ROUTES = Number(process.argv[2] ?? 3_000);
const EDITS = Number(process.argv[3] ?? 200);
const PODS = 3;
const TEAMS = 50;
/** Between two routes, plus as much again by chance, so that nothing keeps step with the operator's pauses. */
const PAUSE_MS = 60;
const POLL_MS = 1;
const GIVE_UP_MS = 10_000;

function route(name: string, upstreamPort: number): unknown {
  return {
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'LLMRoute',
    metadata: { name, namespace: teamOf(name) },
    spec: {
      modelNames: [name],
      models: ['main', 'other'].map((model) => ({
        name: model,
        provider: { type: 'OpenAICompatible', openAICompatible: { model: name, baseURL: `http://127.0.0.1:${upstreamPort}/v1` } },
        auth: { type: 'None' },
        pricing: { input: '2.5', output: '10' },
      })),
      rules: [
        { name: 'streams', matches: [{ stream: true }], targets: [{ model: 'main' }, { model: 'other', priority: 1 }] },
        {
          name: 'default',
          targets: [
            { model: 'main', weight: 80 },
            { model: 'other', weight: 20 },
          ],
        },
      ],
      access: { from: 'All' },
      rateLimits: [{ name: 'rpm', per: ['APIKey'], unit: 'Requests', limit: 600_000, window: '1m' }],
    },
  };
}

function teamOf(name: string): string {
  return `team-${Number(name.split('-')[1]) % TEAMS}`;
}

/** Answers with the model that it is asked for. */
async function startUpstream(): Promise<{ port: number; close: () => void }> {
  const server = http.createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      const { model } = JSON.parse(text) as { model: string };
      const choices = [{ index: 0, message: { role: 'assistant', content: model }, finish_reason: 'stop' }];
      const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ id: 'c', object: 'chat.completion', created: 1, model, choices, usage }));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, close: () => server.close() };
}

/** One gateway, asked over one connection. */
class Client {
  readonly #port: number;
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  /** Answers that are neither of the route nor a 404. */
  readonly wrong: string[] = [];

  constructor(port: number) {
    this.#port = port;
  }

  /** When it first answered by the route; null: it has not. */
  async firstAnswer(model: string): Promise<number | null> {
    const endMs = performance.now() + GIVE_UP_MS;
    while (performance.now() < endMs) {
      const { status, text } = await this.#ask(model);
      const nowMs = performance.now();
      if (status === 200 && text.includes(`"content":"${model}"`)) return nowMs;
      if (status !== 404) this.wrong.push(`${model}: ${status} ${text.slice(0, 200)}`);
      await sleep(POLL_MS);
    }
    return null;
  }

  async #ask(model: string): Promise<{ status: number; text: string }> {
    const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'hello' }] });
    return new Promise((resolve, reject) => {
      const request = http.request(
        {
          host: '127.0.0.1',
          port: this.#port,
          method: 'POST',
          path: '/v1/chat/completions',
          agent: this.#agent,
          headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
        },
        (response) => {
          let text = '';
          response.on('data', (chunk: Buffer) => (text += chunk.toString()));
          response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
        },
      );
      request.on('error', reject);
      request.end(body);
    });
  }
}

function figures(values: readonly number[]): { mean: number; p50: number; p99: number; max: number } {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN);
  return { mean: round(sorted.reduce((sum, value) => sum + value, 0) / sorted.length), p50: at(0.5), p99: at(0.99), max: at(1) };
}

const round = (ms: number): number => Math.round(ms * 10) / 10;
const say = (text: string): void => void process.stderr.write(`${text}\n`);

async function measure(api: Api, fleet: Fleet, upstreamPort: number, firstRoute: number): Promise<void> {
  const watch = await RouteWatch.open(api);
  say('waiting until every status is written');
  await watch.quiet(3_000, 300_000);
  const clients = fleet.ports.map((port) => new Client(port));
  const served: number[] = [];
  const seen: number[] = [];
  let lost = 0;
  for (let edit = 0; edit < EDITS; edit++) {
    await sleep(PAUSE_MS * (1 + Math.random()));
    const name = `route-${firstRoute + edit}`;
    const event = watch.event(name);
    const startMs = performance.now();
    const polls = clients.map((client) => client.firstAnswer(name));
    await api.create(`/apis/fairlead.dev/v1alpha1/namespaces/${teamOf(name)}/llmroutes`, route(name, upstreamPort));
    const answered = await Promise.all(polls);
    if (answered.includes(null)) lost++;
    else served.push(Math.max(...answered.map((ms) => (ms ?? Infinity) - startMs)));
    seen.push((await event) - startMs);
  }
  watch.close();
  const wrong = clients.flatMap((client) => client.wrong);
  for (const text of wrong.slice(0, 5)) say(`wrong: ${text}`);
  const { mean, p50, p99, max } = figures(served);
  const bare = figures(seen);
  console.log(
    JSON.stringify({
      routes: firstRoute,
      pods: fleet.ports.length,
      edits: EDITS,
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
    for (let team = 0; team < TEAMS; team++) {
      await api.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: `team-${team}` } });
    }
    const names = Array.from({ length: ROUTES }, (_, index) => `route-${index}`);
    await api.createAll(
      names.map((name) => ({
        path: `/apis/fairlead.dev/v1alpha1/namespaces/${teamOf(name)}/llmroutes`,
        object: route(name, upstream.port),
      })),
    );
  });
  for (const port of fleet.ports) {
    if ((await new Client(port).firstAnswer(`route-${ROUTES - 1}`)) === null)
      throw new Error(`nothing is served: ${fleet.words()}`);
  }
  say(`${fleet.ports.length} gateways of ${NAMESPACE} serve them`);
  await measure(api, fleet, upstream.port, ROUTES);
} finally {
  await fleet?.stop();
  upstream.close();
  await plane.stop();
}
