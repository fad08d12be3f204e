/** Clients of the gateways on a cluster, and what the gateways count. */
import http from 'node:http';

import { NAMESPACE } from './release.ts';
import type { Cluster } from './cluster.ts';

export interface Answer {
  readonly status: number;
  readonly body: string;
  /** Ended before its end. */
  readonly cut: boolean;
}

export interface Ask {
  /** `http://address:port` */
  readonly base: string;
  readonly key: string;
  readonly model?: string;
  readonly stream?: boolean;
  readonly headers?: Readonly<Record<string, string>>;
}

/** On a connection of its own; a connection that fails is an answer with status 0. */
export function ask({ base, key, model = 'chat', stream = false, headers = {} }: Ask): Promise<Answer> {
  const body = JSON.stringify({ model, stream, messages: [{ role: 'user', content: 'Hello' }] });
  return new Promise((resolve) => {
    const request = http.request(`${base}/v1/chat/completions`, {
      method: 'POST',
      agent: false,
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    });
    request.once('error', (error) => resolve({ status: 0, body: error.message, cut: true }));
    request.once('response', (response) => {
      let text = '';
      const end = (cut: boolean): void => resolve({ status: response.statusCode ?? 0, body: text, cut });
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response
        .once('end', () => end(false))
        .once('error', () => end(true))
        .once('aborted', () => end(true));
    });
    request.end(body);
  });
}

/** A stream that came to its end, with everything in it. */
export function isWholeStream({ status, body, cut }: Answer, pieces: number): boolean {
  return status === 200 && !cut && body.endsWith('data: [DONE]\n\n') && body.split('"content":"word "').length === pieces + 1;
}

/** Asks again and again, one request after the other, until it is told to stop. */
export class Load {
  readonly answers: Answer[] = [];
  #stopped = false;
  readonly #done: Promise<unknown>;

  constructor(request: Ask, clients = 4) {
    const one = async (): Promise<void> => {
      while (!this.#stopped) this.answers.push(await ask(request));
    };
    this.#done = Promise.all(Array.from({ length: clients }, one));
  }

  /** What was not a 200. */
  async stop(): Promise<readonly Answer[]> {
    this.#stopped = true;
    await this.#done;
    return this.answers.filter(({ status, cut }) => status !== 200 || cut);
  }
}

/** Base URL of the Service, by its address: this machine is outside of the cluster and has not its DNS. */
export async function serviceUrl(cluster: Cluster): Promise<string> {
  const argv = ['-n', NAMESPACE, 'get', 'service', 'default', '-o', 'jsonpath={.spec.clusterIP}:{.spec.ports[0].port}'];
  return `http://${await cluster.kubectl(argv)}`;
}

export interface Pod {
  readonly name: string;
  readonly address: string;
}

export async function readyPods(cluster: Cluster, selector: string): Promise<Pod[]> {
  const text = await cluster.kubectl(['-n', NAMESPACE, 'get', 'pods', '-l', selector, '-o', 'json']);
  const { items } = JSON.parse(text) as {
    readonly items: readonly {
      readonly metadata: { readonly name: string; readonly deletionTimestamp?: string };
      readonly status: { readonly podIP?: string; readonly conditions?: readonly { type: string; status: string }[] };
    }[];
  };
  return items
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .filter(({ status }) => status.conditions?.some(({ type, status: holds }) => type === 'Ready' && holds === 'True'))
    .map(({ metadata, status }) => ({ name: metadata.name, address: status.podIP ?? '' }));
}

export const GATEWAYS = 'fairlead.dev/gateway=default';
export const OPERATORS = 'app.kubernetes.io/component=operator';
export const LEADER = 'fairlead.dev/leader=true';

/** Sum of a metric's series whose labels contain `labels`, at one pod. */
export async function metric(pod: Pod, name: string, labels = ''): Promise<number> {
  const response = await fetch(`http://${pod.address}:9090/metrics`, { signal: AbortSignal.timeout(10_000) });
  const lines = (await response.text()).split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  return lines.filter((line) => line.includes(labels)).reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}
