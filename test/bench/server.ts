/** A peer that runs: started, answering, and what it has counted itself. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Peer, Site } from './peers/peer.ts';
import { ServerProcess } from './processes.ts';
import { chatBody, CLIENT_KEY, type Target } from './workload.ts';

export interface Server {
  readonly name: string;
  readonly target: Target;
  /** null: the mock upstream itself. */
  readonly process: ServerProcess | null;
  readonly adminPort: number | null;
}

const START_MS = 40_000;
const POLL_MS = 50;

/** Resolves once it has answered a chat request. Throws an Error that says why it does not. */
export async function startServer(name: string, peer: Peer, program: string, site: Site): Promise<Server> {
  const launch = await peer.launch(site, program);
  const process = new ServerProcess(launch.argv, launch.env ?? {}, join(site.dir, `${name}.log`));
  const giveUpAtMs = performance.now() + START_MS;
  let target = launch.target;
  let last = '';
  while (performance.now() < giveUpAtMs && !process.ended) {
    if (launch.portFile !== undefined) target = { ...target, port: Number(readFileSync(launch.portFile, 'utf8')) };
    last = target.port === 0 ? 'has no port yet' : await problemWith(target);
    if (last === '') return { name, target, process, adminPort: launch.adminPort ?? null };
    await sleep(POLL_MS);
  }
  const why = process.ended ? 'ended' : last;
  const words = process.lastWords();
  await process.stop();
  throw new Error(`${why}${words === '' ? '' : `; it said: ${words.slice(0, 300)}`}`);
}

/** Empty where the target answers as it should. */
async function problemWith(target: Target): Promise<string> {
  try {
    const answer = await fetch(`http://127.0.0.1:${target.port}${target.path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${CLIENT_KEY}`, ...target.headers },
      body: chatBody({ model: target.model, sizeBytes: 1024, stream: false }),
      signal: AbortSignal.timeout(5_000),
    });
    const text = await answer.text();
    return answer.status === 200 ? '' : `answered ${answer.status}: ${text.slice(0, 200)}`;
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return `did not answer: ${String(cause)}`;
  }
}

/** The sum over the server's metrics whose names end in `requests_total`; null for a server that has none. */
export async function countedRequests(server: Server): Promise<number | null> {
  if (server.adminPort === null) return null;
  const answer = await fetch(`http://127.0.0.1:${server.adminPort}/metrics`, { signal: AbortSignal.timeout(5_000) });
  return sumOfRequests(await answer.text());
}

export function sumOfRequests(metrics: string): number {
  let sum = 0;
  for (const line of metrics.split('\n')) {
    const sample = /^\w*requests_total(?:\{.*\})? ([^ ]+)/.exec(line);
    if (sample !== null) sum += Number(sample[1]);
  }
  return sum;
}

/** The same once it is `expected`, or what it is after a second: an answer is counted after its last byte has left. */
export async function countedOnceSettled(server: Server, expected: number): Promise<number | null> {
  for (let tries = 0; ; tries++) {
    const counted = await countedRequests(server);
    if (counted === null || counted >= expected || tries === 20) return counted;
    await sleep(POLL_MS);
  }
}
