/** `fairlead run`: serves what the files say, and follows them. */
import { formatDuration } from '../lib/duration.ts';
import type { RouteTable } from '../routetable/types.ts';
import { CommandFailed, ExitCode, type Io, type StopSignal, UsageError } from './io.ts';
import { LiveConfiguration, type LiveOptions } from './live.ts';
import { printStates, servedNames } from './report.ts';
import { type LogFormat, startServer, type Server } from './server.ts';
import { counted, styleFor } from './style.ts';
import type { WatchOptions } from './watch.ts';

export interface RunOptions extends LiveOptions {
  readonly host: string;
  /** null: the LLMGateway's. */
  readonly port: number | null;
  readonly adminPort: number;
  readonly watch: boolean;
  /** null: text at a terminal, else json. */
  readonly log: LogFormat | null;
  /** For tests. */
  readonly timing?: WatchOptions;
}

export async function run(io: Io, options: RunOptions): Promise<ExitCode> {
  if (options.watch && options.files.includes('-')) throw new UsageError('--watch needs files: stdin (-f -) is read once');
  const source = new LiveConfiguration(io, options);
  const table = await source.load();
  printStates(io, source.configuration, table);
  if (table.routes.every(({ targets }) => targets.length === 0)) {
    throw new CommandFailed(
      `nothing can be served: ${table.routes.length === 0 ? 'no LLMRoute is accepted' : 'no model is left in any route'}`,
    );
  }
  const server = await startServer(io, table, {
    host: options.host,
    port: options.port ?? table.settings.port,
    adminPort: options.adminPort,
    log: options.log ?? (io.stdout.isTTY ? 'text' : 'json'),
  });
  announce(io, server, table, options.host);
  const stopWatching = options.watch ? source.follow(server, options.timing) : () => {};
  await stopped(io, server, stopWatching);
  return ExitCode.Ok;
}

function announce(io: Io, server: Server, table: RouteTable, host: string): void {
  const style = styleFor(io.stderr, io.env);
  const { settings, clientKeys } = table;
  const keys = settings.clientAuth === 'APIKey' ? `for ${counted(clientKeys.length, 'client key')}` : 'without a client key';
  const row = (name: string, text: string): void => io.stderr.write(`${style.bold(name.padEnd(9))}${text}\n`);
  io.stderr.write('\n');
  row('API', `${style.cyan(`${server.url}/v1`)}  ${keys}`);
  row('models', servedNames(table).join(', '));
  row('metrics', `${server.adminUrl}/metrics`);
  row('config', `${server.adminUrl}/config`);
  if (settings.clientAuth === 'None' && !isLoopback(host)) {
    io.stderr.write(
      `${style.yellow('warning: ')}whoever reaches ${host} can use these models: client keys are made with \`fairlead key create\`\n`,
    );
  }
  io.stderr.write('\n');
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

/** Waits for a signal, then for the requests under way: until the drain's end or a second signal. */
export async function stopped(io: Io, { gateway }: Server, before: () => void = () => {}): Promise<void> {
  const drained = Promise.withResolvers<void>();
  let draining = false;
  const onSignal = (signal: StopSignal): void => {
    if (draining) {
      drained.resolve();
      return;
    }
    draining = true;
    before();
    const timeoutMs = gateway.table?.table.settings.drainTimeoutMs ?? 0;
    const running = gateway.running.size;
    if (running > 0) {
      const again = signal === 'SIGINT' ? 'Ctrl-C' : 'the signal';
      io.stderr.write(
        `Waiting for ${counted(running, 'request')}, ${formatDuration(timeoutMs)} at most; ${again} again ends at once.\n`,
      );
    }
    gateway.close(timeoutMs).then(drained.resolve, drained.reject);
  };
  const forget = io.onStop(onSignal);
  try {
    await drained.promise;
  } finally {
    forget();
  }
}
