/** The API server as the measurement uses it: over connections that are open already. */
import https from 'node:https';
import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

import type { ControlPlane } from '../../controlplane/control-plane.ts';

const CONNECTIONS = 16;
const PROGRAMMED_MS = 30_000;

interface ApiObject {
  readonly metadata: { readonly generation?: number };
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly observedGeneration?: number }[];
  };
}

export class Api {
  readonly #plane: ControlPlane;
  readonly #agent = new https.Agent({ keepAlive: true, maxSockets: CONNECTIONS });

  constructor(plane: ControlPlane) {
    this.#plane = plane;
  }

  async create(path: string, object: unknown): Promise<void> {
    await this.#text('POST', path, object);
  }

  async merge(path: string, patch: unknown): Promise<void> {
    await this.#text('PATCH', path, patch);
  }

  async remove(path: string): Promise<void> {
    await this.#text('DELETE', path);
  }

  /** Whether the object's `Programmed` comes to be True for what is applied now. */
  async programmed(path: string): Promise<boolean> {
    const endMs = performance.now() + PROGRAMMED_MS;
    while (performance.now() < endMs) {
      const { metadata, status } = JSON.parse(await this.#text('GET', path)) as ApiObject;
      const found = status?.conditions?.find(({ type }) => type === 'Programmed');
      if (found?.status === 'True' && found.observedGeneration === metadata.generation) return true;
      await sleep(100);
    }
    return false;
  }

  async createAll(objects: readonly { readonly path: string; readonly object: unknown }[]): Promise<void> {
    let next = 0;
    await Promise.all(
      Array.from({ length: CONNECTIONS }, async () => {
        for (let one = objects[next++]; one !== undefined; one = objects[next++]) await this.create(one.path, one.object);
      }),
    );
  }

  async #text(method: string, path: string, body?: unknown): Promise<string> {
    const response = await this.send(method, path, body);
    let text = '';
    for await (const chunk of response as AsyncIterable<Buffer>) text += chunk.toString();
    const { statusCode = 0 } = response;
    if (statusCode < 200 || statusCode > 299) throw new Error(`${method} ${path}: ${statusCode} ${text.slice(0, 500)}`);
    return text;
  }

  async send(method: string, path: string, body?: unknown): Promise<IncomingMessage> {
    const { url, caPem, token } = this.#plane;
    const text = body === undefined ? '' : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const request = https.request(
        new URL(path, url),
        {
          method,
          ca: caPem,
          agent: this.#agent,
          headers: {
            authorization: `Bearer ${token}`,
            'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
            'content-length': Buffer.byteLength(text),
          },
        },
        resolve,
      );
      request.on('error', reject);
      request.end(text);
    });
  }
}

/** A bare watch of all LLMRoutes: when the event of a new one is here. */
export class RouteWatch {
  readonly #response: IncomingMessage;
  readonly #waiting = new Map<string, (atMs: number) => void>();
  #lastMs = performance.now();

  private constructor(response: IncomingMessage) {
    this.#response = response;
    let rest = '';
    response.setEncoding('utf8').on('data', (text: string) => {
      this.#lastMs = performance.now();
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#take(line);
    });
  }

  static async open(api: Api): Promise<RouteWatch> {
    const path = '/apis/fairlead.dev/v1alpha1/llmroutes';
    const list = await api.send('GET', `${path}?limit=1`);
    let text = '';
    for await (const chunk of list as AsyncIterable<Buffer>) text += chunk.toString();
    const { metadata } = JSON.parse(text) as { metadata: { resourceVersion: string } };
    return new RouteWatch(await api.send('GET', `${path}?watch=1&resourceVersion=${metadata.resourceVersion}`));
  }

  /** When the route of this name was seen to be added. */
  async event(name: string): Promise<number> {
    return new Promise((resolve) => this.#waiting.set(name, resolve));
  }

  /** Resolves when nothing has happened for `forMs`, at the latest after `atMostMs`. */
  async quiet(forMs: number, atMostMs: number): Promise<void> {
    const endMs = performance.now() + atMostMs;
    this.#lastMs = performance.now();
    while (performance.now() - this.#lastMs < forMs && performance.now() < endMs) await sleep(100);
  }

  close(): void {
    this.#response.destroy();
  }

  #take(line: string): void {
    if (this.#waiting.size === 0 || !line.startsWith('{"type":"ADDED"')) return;
    const nowMs = performance.now();
    const { object } = JSON.parse(line) as { object: { metadata: { name: string } } };
    this.#waiting.get(object.metadata.name)?.(nowMs);
    this.#waiting.delete(object.metadata.name);
  }
}
