import { once } from 'node:events';
import { createServer } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { TokenFetcher } from './fetch-token.ts';

const ASK = { method: 'GET', headers: { 'metadata-flavor': 'Google' }, form: null } as const;
const TIMEOUT_MS = 10_000;

let proxied: string[] = [];
/** Takes connections of any kind and ends them at once. */
let reached = 0;
let proxy = createServer();
let service = createServer();
let silent: Server = createTcpServer();

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

beforeEach(async () => {
  proxied = [];
  reached = 0;
  proxy = createServer((request, response) => {
    proxied.push(request.url ?? '');
    response.writeHead(502).end();
  });
  proxy.on('connect', (request, socket) => {
    proxied.push(request.url ?? '');
    socket.end('HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n');
  });
  service = createServer((request, response) => response.end(`${request.method} ${request.url}`));
  silent = createTcpServer((socket) => {
    reached += 1;
    socket.destroy();
  });
  for (const server of [proxy, service, silent]) await once(server.listen(0, '127.0.0.1'), 'listening');
});

afterEach(async () => {
  service.closeAllConnections();
  proxy.closeAllConnections();
  for (const server of [proxy, service, silent]) await new Promise((closed) => server.close(closed));
});

describe('a token service', () => {
  test('is asked through the environment’s proxy', async () => {
    const fetcher = new TokenFetcher({ httpsProxy: `http://127.0.0.1:${portOf(proxy)}` });
    await expect(fetcher.fetch('https://sts.eu-central-1.amazonaws.com/', ASK, TIMEOUT_MS)).rejects.toThrow('fetch failed');
    expect(proxied).toEqual(['sts.eu-central-1.amazonaws.com:443']);
    await fetcher.close();
  });

  test('is asked without it where NO_PROXY names it', async () => {
    const fetcher = new TokenFetcher({ httpsProxy: `http://127.0.0.1:${portOf(proxy)}`, noProxy: 'example.com,127.0.0.1' });
    await expect(fetcher.fetch(`https://127.0.0.1:${portOf(silent)}/`, ASK, TIMEOUT_MS)).rejects.toThrow('fetch failed');
    expect(proxied).toEqual([]);
    expect(reached).toBe(1);
    await fetcher.close();
  });

  test('of the node itself is asked without it, whatever NO_PROXY says', async () => {
    const url = `http://127.0.0.1:${portOf(proxy)}`;
    const fetcher = new TokenFetcher({ httpProxy: url, httpsProxy: url });
    const answer = await fetcher.fetch(`http://127.0.0.1:${portOf(service)}/token`, ASK, TIMEOUT_MS);
    expect(await answer.text()).toBe('GET /token');
    expect(proxied).toEqual([]);
    await fetcher.close();
  });

  test('leads nowhere else', async () => {
    service.removeAllListeners('request');
    service.on('request', (_request, response) => {
      response.writeHead(302, { location: `http://127.0.0.1:${portOf(silent)}/` }).end();
    });
    const fetcher = new TokenFetcher(null);
    await expect(fetcher.fetch(`http://127.0.0.1:${portOf(service)}/`, ASK, TIMEOUT_MS)).rejects.toThrow('fetch failed');
    expect(reached).toBe(0);
  });
});
