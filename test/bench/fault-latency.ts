/**
 * What a fault before the first output costs a client where there is nothing to wait for: the built gateway over an upstream that
 * fails and one that answers, each request beside one without a fault. Prints a line each kind of fault: the share that the other
 * target answered, and the ms added (p50, p99, max), from the request's start to the last byte, over the median of those without.
 * Last come those without a fault, whose p99 and max are the machine's. Exit code 1: one was not answered.
 * `node test/bench/fault-latency.ts [REQUESTS of a kind, default 100] [PART of its name]`
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { cleanUp, onCleanUp } from '../features/support/clean-up.ts';
import { request } from '../features/support/client.ts';
import { chat } from '../features/support/dialects.ts';
import { type Fault, FAULTS, serve } from '../features/support/faults.ts';
import { FakeUpstream, refusingPort } from '../features/support/upstream.ts';
import { freePort, ServerProcess } from './processes.ts';

const REQUESTS = Number(process.argv[2] ?? 100);
const PART = process.argv[3] ?? '';
/** Of each kind, not counted. */
const WARM_UP = 10;
/** Without a fault, before all. */
const WARM_UP_ALL = 500;
const START_MS = 60_000;
const MAIN = join(import.meta.dirname, '../../dist/cmd/fairlead/main.js');

interface Case {
  readonly name: string;
  readonly stream: boolean;
  /** null: `url` is no upstream of ours. */
  readonly bad: FakeUpstream | null;
  readonly url: string;
}

/** Of those that were answered: ms beyond the median of those without a fault. */
interface Measured {
  readonly addedMs: readonly number[];
  readonly plainAddedMs: readonly number[];
}

async function casesOf(): Promise<readonly Case[]> {
  const found: Case[] = [];
  for (const [name, fault] of Object.entries(FAULTS)) {
    for (const stream of modesOf(fault)) {
      const bad = await FakeUpstream.start(fault.respond);
      found.push({ name, stream, bad, url: bad.url });
    }
  }
  const refused = `http://127.0.0.1:${await refusingPort()}/v1`;
  for (const [name, url] of [
    ['a connection that is refused', refused],
    ['a name that does not resolve', 'http://no-such-host..invalid/v1'],
  ] as const)
    for (const stream of [false, true]) found.push({ name, stream, bad: null, url });
  return found.filter(({ name }) => name.includes(PART));
}

const modesOf = ({ on }: Fault): readonly boolean[] => (on === undefined ? [false, true] : [on === 'stream']);
const modelOf = (index: number, round: number): string => `fault-${index}-${round}`;

/**
 * A route for each request: a target that has failed is left out for a while, and its upstream is another one for each path. JSON is
 * YAML.
 */
function routeYaml(model: string, goodUrl: string, badUrl: string | null): string {
  const upstream = (name: string, baseURL: string): object => ({
    name,
    provider: { type: 'OpenAICompatible', openAICompatible: { model: name, baseURL } },
    auth: { type: 'None' },
  });
  const bad = badUrl === null ? [] : [upstream('bad', badUrl)];
  const deadlines = { connect: '1h', firstToken: '1h', idle: '1h', total: '1h' };
  const failover = { timeouts: deadlines, contentFilter: { mode: 'Failover', targets: ['good'] } };
  const targets = [...bad.map(() => ({ model: 'bad', priority: 0 })), { model: 'good', priority: 1 }];
  return JSON.stringify({
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'LLMRoute',
    metadata: { name: model },
    spec: {
      modelNames: [model],
      models: [...bad, upstream('good', goodUrl)],
      rules: [{ name: 'default', targets, failover }],
    },
  });
}

/** Resolves with its port. */
async function startGateway(yaml: readonly string[]): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-bench-faults-'));
  onCleanUp(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'routes.yaml');
  writeFileSync(file, yaml.join('\n---\n'));
  const port = await freePort();
  const ports = ['--port', String(port), '--admin-port', String(await freePort())];
  const argv = [process.execPath, '--max-semi-space-size=8', MAIN, 'run', '-f', file, ...ports, '--log', 'json'];
  const gateway = new ServerProcess(argv, { MALLOC_ARENA_MAX: '1', NODE_ENV: 'production' }, join(folder, 'log'));
  onCleanUp(() => gateway.stop());
  const giveUpAtMs = performance.now() + START_MS;
  while (performance.now() < giveUpAtMs && !gateway.ended) {
    if (await listens(port)) return port;
    await sleep(50);
  }
  throw new Error(`the gateway does not serve; it said: ${gateway.lastWords()}`);
}

async function listens(port: number): Promise<boolean> {
  const asked = http.get({ host: '127.0.0.1', port, path: '/v1/models' });
  asked.on('response', (response) => response.resume());
  return once(asked, 'response').then(
    () => true,
    () => false,
  );
}

class Client {
  readonly #port: number;
  readonly #agent = new http.Agent({ keepAlive: true });

  constructor(port: number) {
    this.#port = port;
    onCleanUp(() => this.#agent.destroy());
  }

  /** Ms; null: the good target has not answered in full. Throws where another number of targets was asked than `attempts`. */
  async ask(model: string, stream: boolean, attempts: number): Promise<number | null> {
    const body = { ...chat.body, model, ...(stream ? { stream } : {}) };
    const startMs = performance.now();
    const { status, headers, text, complete } = await request(this.#port, { body, agent: this.#agent });
    const ms = performance.now() - startMs;
    if (headers['x-fairlead-attempts'] !== String(attempts))
      throw new Error(`${model}: not ${attempts} attempts: ${status} ${JSON.stringify(headers)} ${text.slice(0, 500)}`);
    return status === 200 && complete && headers['x-fairlead-model'] === 'good' ? ms : null;
  }

  async measure(index: number, { stream }: Case): Promise<Measured> {
    const without: number[] = [];
    const withFault: number[] = [];
    for (let round = 0; round < WARM_UP + REQUESTS; round++) {
      const plain = await this.ask(NO_FAULT, stream, 1);
      const faulty = await this.ask(modelOf(index, round), stream, 2);
      if (round < WARM_UP) continue;
      if (plain !== null) without.push(plain);
      if (faulty !== null) withFault.push(faulty);
    }
    const usualMs = percentile(sorted(without), 0.5);
    const added = (ms: number): number => ms - usualMs;
    return { addedMs: withFault.map(added), plainAddedMs: without.map(added) };
  }
}

const NO_FAULT = 'no-fault';
const sorted = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b);

function percentile(ascending: readonly number[], share: number): number {
  return ascending[Math.ceil(ascending.length * share) - 1] ?? NaN;
}

function print(name: string, addedMs: readonly number[], asked: number): void {
  const ascending = sorted(addedMs);
  const share = `${((100 * addedMs.length) / asked).toFixed(addedMs.length === asked ? 0 : 2)} %`;
  const figures = [percentile(ascending, 0.5), percentile(ascending, 0.99), ascending.at(-1) ?? NaN];
  console.log(`${name.padEnd(54)}${share.padStart(9)}${figures.map((ms) => ms.toFixed(2).padStart(9)).join('')}`);
}

try {
  const cases = await casesOf();
  const good = await FakeUpstream.start(serve(chat, 'All', ' is', ' well'));
  const faulty = cases.flatMap(({ url }, index) =>
    Array.from({ length: WARM_UP + REQUESTS }, (_, round) =>
      routeYaml(modelOf(index, round), good.url, url.replace(/v1$/, `${round}/v1`)),
    ),
  );
  const client = new Client(await startGateway([routeYaml(NO_FAULT, good.url, null), ...faulty]));
  for (let warmUp = 0; warmUp < WARM_UP_ALL; warmUp++) await client.ask(NO_FAULT, warmUp % 2 === 0, 1);
  console.log(`${'the first target'.padEnd(54)} answered   p50 ms   p99 ms   max ms`);
  const all: number[] = [];
  const plain: number[] = [];
  for (const [index, each] of cases.entries()) {
    const measured = await client.measure(index, each);
    await each.bad?.close();
    all.push(...measured.addedMs);
    plain.push(...measured.plainAddedMs);
    print(`${each.name}${each.stream ? ' (stream)' : ''}`, measured.addedMs, REQUESTS);
  }
  const asked = cases.length * REQUESTS;
  print('all of them', all, asked);
  print('those without a fault', plain, asked);
  if (all.length < asked) process.exitCode = 1;
} finally {
  await cleanUp();
}
