/** `fairlead demo`: the whole gateway on this machine, with nothing to install, no key and no network. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { demoRoutes } from './demo-routes.ts';
import { playScenes } from './demo-scenes.ts';
import { ExitCode, type Io } from './io.ts';
import { LiveConfiguration } from './live.ts';
import { startMockModels } from './mock-models.ts';
import { stopped } from './run.ts';
import { PortTaken, type ServeOptions, type Server, startServer } from './server.ts';
import { counted, styleFor } from './style.ts';
import { metricTotals } from './metric-totals.ts';
import type { RouteTable } from '../routetable/types.ts';

export interface DemoOptions {
  /** Ends after the requests. */
  readonly once: boolean;
  /** null: 8080, or one that is free. */
  readonly port: number | null;
}

const PORT = 8080;
const ADMIN_PORT = 9090;

export async function demo(io: Io, { once, port }: DemoOptions): Promise<ExitCode> {
  const style = styleFor(io.stdout, io.env);
  io.stdout.write(`${style.bold('Fairlead demo')}: five built-in models behind one gateway, on this machine alone.\n`);
  const models = await startMockModels();
  const folder = await mkdtemp(join(tmpdir(), 'fairlead-demo-'));
  const file = join(folder, 'llmroute.yaml');
  try {
    await writeFile(file, demoRoutes(models.origin));
    const routes = new LiveConfiguration(io, { files: [file], secrets: [], gateway: null });
    const table = await routes.load();
    const server = await startSomewhere(io, table, port);
    try {
      await playScenes(io, style, server.url);
      await printTotals(io, server);
      if (once) return ExitCode.Ok;
      printInvitation(io, server, file);
      await stopped(io, server, routes.follow(server));
    } finally {
      if (!server.gateway.draining) await server.gateway.close(0);
    }
  } finally {
    await models.close();
    await rm(folder, { recursive: true, force: true });
  }
  return ExitCode.Ok;
}

/** A taken port must not end a demo: unless one was asked for, any will do. */
async function startSomewhere(io: Io, table: RouteTable, wanted: number | null): Promise<Server> {
  const options: ServeOptions = {
    host: '127.0.0.1',
    port: wanted ?? PORT,
    adminPort: wanted === null ? ADMIN_PORT : 0,
    log: 'none',
  };
  try {
    return await startServer(io, table, options);
  } catch (error) {
    if (!(error instanceof PortTaken) || wanted !== null) throw error;
    return startServer(io, table, { ...options, port: 0, adminPort: 0 });
  }
}

/** What the gateway itself has counted of all this. */
async function printTotals(io: Io, { adminUrl }: Server): Promise<void> {
  const style = styleFor(io.stdout, io.env);
  const total = metricTotals(await (await fetch(`${adminUrl}/metrics`)).text());
  const tokens = `${total('fairlead_tokens_total', { direction: 'input' })} tokens in, ${total('fairlead_tokens_total', { direction: 'output' })} out`;
  const parts = [
    counted(total('fairlead_requests_total'), 'request'),
    counted(total('fairlead_failovers_total'), 'failover'),
    `${total('fairlead_content_filter_failovers_total')} of them for a content filter`,
    `${total('fairlead_limited_total')} limited`,
    tokens,
  ];
  io.stdout.write(`\n${style.bold('Metrics')}  ${parts.join(', ')}\n`);
}

function printInvitation(io: Io, server: Server, file: string): void {
  const style = styleFor(io.stdout, io.env);
  const row = (name: string, text: string): void => io.stdout.write(`${style.bold(name.padEnd(9))}${text}\n`);
  io.stdout.write(`
${style.bold('Ask it yourself')} (models: chat, steady, guarded, limited, snappy):

  curl -i ${server.url}/v1/chat/completions -H 'content-type: application/json' \\
    -d '{"model": "steady", "messages": [{"role": "user", "content": "Hello"}]}'

`);
  row('API', style.cyan(`${server.url}/v1`));
  row('metrics', `${server.adminUrl}/metrics`);
  row('config', `${server.adminUrl}/config`);
  row('routes', `${file}  ${style.dim('edit it: changes are served at once')}`);
  io.stdout.write(`\n${style.dim('Serving until Ctrl-C. Next, with your own models: fairlead init')}\n`);
}
