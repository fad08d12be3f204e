import { createServer, type Server } from 'node:http';
import express, { type Request, type Response } from 'express';
import { describeTable } from '../routetable/codec.ts';
import type { LoadedTable } from './loaded-table.ts';

export interface AdminSource {
  readonly table: LoadedTable | null;
  readonly draining: boolean;
  renderMetrics(): Promise<{ readonly contentType: string; readonly text: string }>;
}

/** Where a pod's configuration comes from. */
export interface ConfigState {
  /** Why no client should be sent here yet; null: they can be. */
  notReady(): string | null;
  /** Source and age of what is served. */
  describe(): string;
}

/**
 * The admin port: health, readiness and metrics for whoever reaches the pod; the configuration (without secrets) for the loopback
 * alone, which is where `kubectl port-forward` arrives.
 */
export function adminApp(source: AdminSource, config: ConfigState | null = null): express.Express {
  const app = express();
  app.disable('x-powered-by');
  app.get('/healthz', (_request, response) => {
    response.type('text/plain').send('ok\n');
  });
  app.get('/readyz', (_request, response) => {
    const why = source.draining ? 'draining' : config === null ? noTable(source) : config.notReady();
    response
      .status(why === null ? 200 : 503)
      .type('text/plain')
      .send(`${why ?? (config === null ? 'ready' : `ready: ${config.describe()}`)}\n`);
  });
  app.get('/metrics', async (_request, response) => {
    const { contentType, text } = await source.renderMetrics();
    response.set('content-type', contentType).send(text);
  });
  app.get('/config', (request, response) => {
    if (!isLocal(request)) {
      response.status(403).json({ error: 'the configuration is shown on the loopback only; use kubectl port-forward' });
    } else if (source.table === null) {
      response.status(503).json({ error: 'no configuration yet' });
    } else {
      response.type('application/json').send(describeTable(source.table.table));
    }
  });
  app.use((request: Request, response: Response) => {
    response.status(404).json({ error: `${request.path} is not a path of the admin port: /healthz, /readyz, /metrics, /config` });
  });
  return app;
}

function noTable({ table }: AdminSource): string | null {
  return table === null ? 'no configuration yet' : null;
}

/** From this machine, and by a name of it: a page in somebody's browser that resolves its own name to 127.0.0.1 is turned away. */
function isLocal(request: Request): boolean {
  const address = request.socket.remoteAddress ?? '';
  const here = address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
  return here && ['localhost', '127.0.0.1', '[::1]', '::1'].includes(request.hostname);
}

export async function listenAdmin(app: express.Express, port: number, host?: string): Promise<{ server: Server; port: number }> {
  return new Promise((resolve, reject) => {
    const server = createServer(app);
    server.once('error', reject);
    server.listen({ port, host }, () => {
      server.off('error', reject);
      const address = server.address();
      resolve({ server, port: typeof address === 'object' && address !== null ? address.port : port });
    });
  });
}
