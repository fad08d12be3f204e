/** What files say, read once or followed: the one way from a file to what a gateway on this machine serves. */
import { createCompileMemo, type CompileMemo } from '../compile/compile.ts';
import type { RouteTable } from '../routetable/types.ts';
import { chooseTable, configure, type Configuration } from './configuration.ts';
import { CommandFailed, type Io, messageOf } from './io.ts';
import { keepLastGood } from './last-good.ts';
import { objectLabel, readObjects, type ReadObject } from './read-objects.ts';
import { countFindings, printFindings, printSecretHint } from './report.ts';
import { parseEnvSecret, withSecrets } from './secrets.ts';
import type { Server } from './server.ts';
import { counted, styleFor } from './style.ts';
import { type PathsState, stateOf, watchPaths, type WatchOptions } from './watch.ts';

export interface LiveOptions {
  readonly files: readonly string[];
  /** As `--secret` takes them. */
  readonly secrets: readonly string[];
  /** `namespace/name`; null: the only one, or the default one. */
  readonly gateway: string | null;
}

/** The files, read again and again; what was good once is kept where it has become bad. */
export class LiveConfiguration {
  readonly #io: Io;
  readonly #options: LiveOptions;
  readonly #memo: CompileMemo = createCompileMemo();
  #lastGood: readonly ReadObject[] = [];
  #keepAsking = false;
  /** From before they were read: what changes while they are is not missed. */
  #seen: PathsState = '';
  /** The last one that could be served. */
  configuration: Configuration = {
    tables: new Map(),
    heldTables: new Map(),
    statuses: new Map(),
    findings: [],
    gateways: [],
    standIn: true,
    unreadGateway: false,
  };
  /** Labels of the objects that the last load kept in an earlier version. */
  #kept: readonly string[] = [];

  constructor(io: Io, options: LiveOptions) {
    this.#io = io;
    this.#options = options;
  }

  /** Says what is to be said of the files; throws UsageError or CommandFailed where there is no table. */
  async load(): Promise<RouteTable> {
    const { files, secrets, gateway } = this.#options;
    // Before anything is read: a slip in the command line is told first.
    const fromEnv = secrets.map((text) => parseEnvSecret(text, this.#io.env));
    this.#seen = await stateOf(files);
    const read = await readObjects(files, this.#io);
    if (read.objects.length === 0 && read.problems.length === 0) throw new CommandFailed('the files are empty');
    const { objects, kept } = keepLastGood(read, this.#lastGood);
    const configured = configure(withSecrets(objects, fromEnv), read.problems, {
      where: 'Laptop',
      keepAsking: this.#keepAsking,
      memo: this.#memo,
    });
    // Where ours stands in already, it does so until theirs can be read; all else that was edited must not wait for it.
    const standsIn = this.#lastGood.length > 0 && this.configuration.standIn;
    const configuration = { ...configured, unreadGateway: configured.unreadGateway && !standsIn };
    printFindings(this.#io, configuration.findings);
    printSecretHint(this.#io, configuration.findings);
    const table = chooseTable(configuration, gateway);
    this.#lastGood = objects;
    this.#keepAsking ||= table.settings.clientAuth === 'APIKey';
    this.configuration = configuration;
    const held = [...configuration.heldTables].filter(([, one]) => one === table).map(([id]) => `LLMGateway ${id}`);
    this.#kept = [...kept.map(({ object }) => objectLabel(object)), ...held];
    return table;
  }

  /** Serves what the files say whenever they change, until the returned function is called. A bad edit is told and takes nothing away. */
  follow(server: Server, timing: WatchOptions = {}): () => void {
    return watchPaths(this.#options.files, this.#seen, () => this.#reload(server), timing);
  }

  async #reload({ gateway }: Server): Promise<void> {
    const { stderr } = this.#io;
    const style = styleFor(stderr, this.#io.env);
    try {
      const before = gateway.table?.table;
      const table = await this.load();
      const refused = gateway.apply(table);
      if (before !== undefined && !sameListener(before, table)) stderr.write('spec.listener is taken up at the next start.\n');
      for (const { id, reason } of refused) stderr.write(`${style.yellow('Not loaded')}: LLMRoute ${id}: ${reason}.\n`);
      for (const label of this.#kept) stderr.write(`${style.yellow('Kept')}: ${label} is served as it was before the edit.\n`);
      const findings = countFindings(this.configuration.findings);
      const what =
        before?.digest === table.digest
          ? 'Nothing to change'
          : `${style.green('Reloaded')}: ${counted(table.routes.length, 'route')}`;
      stderr.write(`${what}${findings === '' ? '' : ` (${findings})`}\n`);
    } catch (error) {
      stderr.write(`${style.yellow('Not reloaded')}: ${messageOf(error)}. What was served before still is.\n`);
    }
  }
}

/** The sockets are open already; a certificate is taken up all the same. */
function sameListener({ settings: a }: RouteTable, { settings: b }: RouteTable): boolean {
  return a.port === b.port && (a.tls === null) === (b.tls === null);
}
