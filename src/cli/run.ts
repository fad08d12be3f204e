/** `fairlead run`: serves what the files say, and follows them. */
import { createCompileMemo, type CompileMemo } from '../compile/compile.ts';
import { formatDuration } from '../lib/duration.ts';
import type { RouteTable } from '../routetable/types.ts';
import { chooseTable, configure, type Configuration } from './configuration.ts';
import { parseEnvSecret, withSecrets } from './secrets.ts';
import { CommandFailed, ExitCode, type Io, type StopSignal, UsageError } from './io.ts';
import { keepLastGood } from './last-good.ts';
import { objectLabel, readObjects, type ReadObject } from './read-objects.ts';
import { countFindings, printFindings, printStates, servedNames } from './report.ts';
import { type LogFormat, startServer, type Server } from './server.ts';
import { counted, styleFor } from './style.ts';
import { watchPaths, type WatchOptions } from './watch.ts';

export interface RunOptions {
  readonly files: readonly string[];
  readonly secrets: readonly string[];
  readonly gateway: string | null;
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
  const source = new ConfigurationSource(io, options);
  const table = await source.load();
  printStates(io, source.configuration, table);
  if (table.routes.length === 0) throw new CommandFailed('nothing can be served: the files have no LLMRoute that is accepted');
  const server = await startServer(io, table, {
    host: options.host,
    port: options.port ?? table.settings.port,
    adminPort: options.adminPort,
    log: options.log ?? (io.stdout.isTTY ? 'text' : 'json'),
  });
  announce(io, server, table, options.host);
  const stopWatching = options.watch
    ? watchPaths(options.files, () => reload(io, source, server, table), options.timing)
    : () => {};
  await stopped(io, server, stopWatching);
  return ExitCode.Ok;
}

/** The files, read again and again; what was good once is kept where it has become bad. */
class ConfigurationSource {
  readonly #io: Io;
  readonly #options: RunOptions;
  readonly #memo: CompileMemo = createCompileMemo();
  #lastGood: readonly ReadObject[] = [];
  #keepAsking = false;
  /** The last one with a table. */
  configuration: Configuration = { tables: new Map(), statuses: new Map(), findings: [], gateways: [], standIn: true };
  /** Labels of the objects that the last load kept in an earlier version. */
  kept: readonly string[] = [];

  constructor(io: Io, options: RunOptions) {
    this.#io = io;
    this.#options = options;
  }

  /** Says what is to be said of the files; throws UsageError or CommandFailed where there is no table. */
  async load(): Promise<RouteTable> {
    const { files, secrets, gateway } = this.#options;
    // Before anything is read: a slip in the command line is told first.
    const fromEnv = secrets.map((text) => parseEnvSecret(text, this.#io.env));
    const read = await readObjects(files, this.#io);
    if (read.objects.length === 0 && read.problems.length === 0) throw new CommandFailed('the files are empty');
    const { objects, kept } = keepLastGood(read, this.#lastGood);
    const configuration = configure(withSecrets(objects, fromEnv), read.problems, {
      where: 'Laptop',
      keepAsking: this.#keepAsking,
      memo: this.#memo,
    });
    printFindings(this.#io, configuration.findings);
    const table = chooseTable(configuration, gateway);
    this.#lastGood = objects;
    this.#keepAsking ||= configuration.standIn && table.settings.clientAuth === 'APIKey';
    this.configuration = configuration;
    this.kept = kept.map(({ object }) => objectLabel(object));
    return table;
  }
}

async function reload(io: Io, source: ConfigurationSource, { gateway }: Server, first: RouteTable): Promise<void> {
  const style = styleFor(io.stderr, io.env);
  try {
    const table = await source.load();
    const changed = gateway.table?.table.digest !== table.digest;
    gateway.apply(table);
    if (table.settings.port !== first.settings.port) io.stderr.write('spec.listener.port is taken up at the next start.\n');
    if ((table.settings.tls === null) !== (first.settings.tls === null))
      io.stderr.write('spec.listener.tls is taken up at the next start.\n');
    for (const label of source.kept) io.stderr.write(`${style.yellow('Kept')}: ${label} is served as it was before the edit.\n`);
    const findings = countFindings(source.configuration.findings);
    const what = changed ? `${style.green('Reloaded')}: ${counted(table.routes.length, 'route')}` : 'Nothing to change';
    io.stderr.write(`${what}${findings === '' ? '' : ` (${findings})`}\n`);
  } catch (error) {
    if (!(error instanceof CommandFailed) && !(error instanceof UsageError)) throw error;
    io.stderr.write(`${style.yellow('Not reloaded')}: ${error.message}. What was served before still is.\n`);
  }
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
