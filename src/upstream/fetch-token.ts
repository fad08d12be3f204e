import { EnvHttpProxyAgent, fetch } from 'undici';
import type { ConnectionOptions } from './connections.ts';

/**
 * Calls token services: few and small, so not by the pools of the upstreams. Through the environment's proxy, but for what has no TLS:
 * that is the node's own metadata or identity agent, which no proxy reaches. Follows no redirect.
 */
export class TokenFetcher {
  readonly #proxy: EnvHttpProxyAgent | null;

  constructor(proxy: ConnectionOptions['proxy']) {
    this.#proxy = proxy === null ? null : new EnvHttpProxyAgent(proxy);
  }

  fetch = async (
    url: string,
    request: {
      readonly method: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly form: Readonly<Record<string, string>> | null;
    },
    timeoutMs: number,
  ): Promise<{ readonly ok: boolean; readonly status: number; text(): Promise<string> }> => {
    const proxied = this.#proxy !== null && url.startsWith('https:');
    return fetch(url, {
      method: request.method,
      headers: request.headers,
      body: request.form === null ? null : new URLSearchParams(request.form),
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
      ...(proxied ? { dispatcher: this.#proxy } : {}),
    });
  };

  async close(): Promise<void> {
    await this.#proxy?.destroy();
  }
}
