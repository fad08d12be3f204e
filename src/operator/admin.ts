/** The operator's own port: /healthz, /readyz, /metrics. Plain HTTP, nothing secret. */
import http from 'node:http';
import type { AddressInfo } from 'node:net';

export interface AdminOptions {
  /** null: ready; else what it waits for. */
  readonly notReady: () => string | null;
  readonly metrics: { readonly contentType: string; render(): Promise<string> };
  readonly onError: (error: unknown) => void;
}

export interface Admin {
  readonly port: number;
  close(): Promise<void>;
}

export async function startAdmin(port: number, options: AdminOptions): Promise<Admin> {
  const server = http.createServer((request, response) => {
    void answer(request, response, options);
  });
  server.requestTimeout = 10_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(request: http.IncomingMessage, response: http.ServerResponse, options: AdminOptions): Promise<void> {
  const text = (status: number, body: string, type = 'text/plain; charset=utf-8'): void => {
    response.writeHead(status, { 'content-type': type }).end(body);
  };
  try {
    switch (request.url?.split('?')[0]) {
      case '/healthz':
        text(200, 'ok\n');
        break;
      case '/readyz': {
        const waits = options.notReady();
        if (waits === null) text(200, 'ok\n');
        else text(503, `${waits}\n`);
        break;
      }
      case '/metrics':
        text(200, await options.metrics.render(), options.metrics.contentType);
        break;
      default:
        text(404, 'there are /healthz, /readyz and /metrics\n');
    }
  } catch (error) {
    options.onError(error);
    if (!response.headersSent) text(500, 'see the log\n');
    else response.end();
  }
}
