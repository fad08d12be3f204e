/**
 * The gateway beside its peers, on one machine, in one run: see README.md beside this file for how, and --help for what it takes.
 * Exit code 1 where the gateway under test made an error, miscounted or did not run, 2 for arguments that make no sense.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { measureMode, measureOpenStreams, type Bench, type Found } from './measure.ts';
import { LOAD_MODES, OPEN_MODE } from './modes.ts';
import { gatewayUnderTest, litellm, portkey, tensorzero } from './peers/gateways.ts';
import type { Peer, Site } from './peers/peer.ts';
import { envoy, haproxy, nginx } from './peers/proxies.ts';
import { CAN_MEASURE } from './proc.ts';
import { CORES, Helper } from './processes.ts';
import {
  MODE_NAMES,
  thisCommit,
  thisMachine,
  writeResults,
  type Figures,
  type ModeName,
  type ModeResult,
  type Results,
} from './results.ts';
import { startServer, type Server } from './server.ts';
import { renderTable } from './table.ts';
import { judgeTargets } from './targets.ts';
import { CHAT_PATH, ROUTE_MODEL } from './workload.ts';

const ROOT = resolve(import.meta.dirname, '..', '..');
const RESULTS = join(import.meta.dirname, 'results.json');
const GATEWAY = 'gateway';

const HELP = `usage: make bench ARGS="[MODE…] [options]"

modes (default: all)
${Object.entries({ ...LOAD_MODES, open: OPEN_MODE })
  .map(([name, mode]) => `  ${name.padEnd(9)}${mode.what}`)
  .join('\n')}

options
  --peers LIST     of direct, nginx, haproxy, envoy, tensorzero, portkey, litellm, ${GATEWAY} (default: all that can be had)
  --rounds N       of each peer in each mode (default: 5 in thr, else 3)
  --seconds S      of a round (default: about 2)
  --gateway FILE   starts the gateway under test (default: test/bench/gateway)
  --out FILE       where the results go (default: test/bench/results.json; with --peers nowhere)
`;

interface Options {
  readonly modes: readonly ModeName[];
  readonly peers: readonly string[] | null;
  readonly rounds: number | null;
  readonly seconds: number | null;
  readonly gateway: string;
  /** null: nowhere. */
  readonly out: string | null;
}

class UsageError extends Error {}

function readOptions(): Options | null {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { help: { type: 'boolean', short: 'h' }, peers: text, rounds: text, seconds: text, gateway: text, out: text },
  });
  if (values.help === true) return null;
  for (const mode of positionals) {
    if (!isMode(mode)) throw new UsageError(`no mode is called ${mode}: there are ${MODE_NAMES.join(', ')}`);
  }
  return {
    modes: positionals.length === 0 ? MODE_NAMES : positionals.filter(isMode),
    peers: values.peers?.split(',') ?? null,
    rounds: positive('--rounds', values.rounds),
    seconds: positive('--seconds', values.seconds),
    gateway: resolve(values.gateway ?? join(import.meta.dirname, 'gateway')),
    // A run of some peers must not take the others out of what the README shows.
    out: values.out === undefined && values.peers !== undefined ? null : resolve(values.out ?? RESULTS),
  };
}

function isMode(name: string): name is ModeName {
  return MODE_NAMES.some((mode) => mode === name);
}

function positive(flag: string, value: string | undefined): number | null {
  if (value === undefined) return null;
  const number = Number(value);
  if (!(number > 0)) throw new UsageError(`${flag} ${value} is not a number above 0`);
  return number;
}

/** What can run here, with its program; the others are told in one line each. */
function setUpPeers(options: Options, commit: string): Map<string, { peer: Peer; program: string; version: string }> {
  const all: Record<string, Peer> = { nginx, haproxy, envoy, tensorzero, portkey, litellm };
  all[GATEWAY] = gatewayUnderTest(options.gateway, commit);
  const unknown = options.peers?.find((name) => name !== 'direct' && !(name in all));
  if (unknown !== undefined)
    throw new UsageError(`no peer is called ${unknown}: there are direct, ${Object.keys(all).join(', ')}`);
  const ready = new Map<string, { peer: Peer; program: string; version: string }>();
  for (const [name, peer] of Object.entries(all)) {
    if (options.peers !== null && !options.peers.includes(name)) continue;
    const setup = peer.setUp();
    if ('missing' in setup) console.error(`without ${name}: ${setup.missing}`);
    else ready.set(name, { peer, program: setup.program, version: setup.version });
  }
  return ready;
}

/** Those that do not answer are told in a line each, and left out. */
async function startAll(peers: ReturnType<typeof setUpPeers>, site: Site): Promise<Server[]> {
  const servers: Server[] = [];
  for (const name of peers.keys()) {
    const server = await startOne(peers, name, site);
    if (server !== null) servers.push(server);
  }
  return servers;
}

async function startOne(peers: ReturnType<typeof setUpPeers>, name: string, site: Site): Promise<Server | null> {
  const entry = peers.get(name);
  if (entry === undefined) return null;
  try {
    return await startServer(name, entry.peer, entry.program, site);
  } catch (error) {
    console.error(`without ${name}: ${error instanceof Error ? error.message : String(error)}`);
    return null;
  }
}

async function stopAll(servers: readonly Server[]): Promise<void> {
  await Promise.all(servers.map(async (server) => server.process?.stop()));
}

async function bench(options: Options): Promise<Results> {
  const commit = thisCommit(ROOT, relative(ROOT, RESULTS));
  const peers = setUpPeers(options, commit);
  const dir = mkdtempSync(join(tmpdir(), 'fairlead-bench-'));
  // Workers of nginx that are not root look into it.
  chmodSync(dir, 0o755);
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }));

  const upstream = await Helper.start(join(import.meta.dirname, 'upstream.ts'), 'upstream');
  const load = await Helper.start(join(import.meta.dirname, 'load.ts'), 'load');
  const site: Site = { dir, upstreamPort: (upstream.hello as { port: number }).port };
  const hands: Bench = { load: load.helper, upstream: upstream.helper, progress: (line) => console.error(line) };
  const direct: Server = {
    name: 'direct',
    target: { port: site.upstreamPort, path: CHAT_PATH, headers: {}, model: ROUTE_MODEL },
    process: null,
    adminPort: null,
  };

  const modes: Partial<Record<ModeName, ModeResult>> = {};
  const wanted = options.modes.filter((mode) => mode !== 'open');
  const servers = wanted.length === 0 ? [] : await startAll(peers, site);
  for (const name of wanted) {
    const mode = LOAD_MODES[name];
    const extent = { rounds: options.rounds ?? mode.rounds, seconds: options.seconds ?? mode.seconds };
    const fit = servers.filter((server) => !(mode.demanding && peers.get(server.name)?.peer.slow === true));
    const withDirect = mode.againstDirect || options.peers?.includes('direct') === true;
    const at = new Date().toISOString();
    console.error(`\n${name}: ${mode.what}`);
    const found = await measureMode(hands, mode, withDirect ? [direct, ...fit] : fit, extent);
    modes[name] = { at, commit, settings: { ...mode.settings, ...extent }, ...found };
  }
  await stopAll(servers);

  if (options.modes.includes('open')) {
    const at = new Date().toISOString();
    const found: Found = { figures: {}, leftOut: {} };
    console.error(`\nopen: ${OPEN_MODE.what}`);
    for (const [name, { peer }] of peers) {
      if (peer.slow === true || !CAN_MEASURE) continue;
      const server = await startOne(peers, name, site);
      if (server === null) continue;
      found.figures[name] = await measureOpenStreams(hands, server, OPEN_MODE.streams);
      await stopAll([server]);
    }
    modes.open = { at, commit, settings: { streams: OPEN_MODE.streams, ...OPEN_MODE.shape }, ...found };
  }
  await Promise.all([load.helper.stop(), upstream.helper.stop()]);
  const versions = Object.fromEntries([...peers].map(([name, { version }]) => [name, version]));
  return { machine: thisMachine(), node: process.version, versions, modes };
}

function sound(figures: Figures): boolean {
  return figures.errors === 0 && (figures.counted === undefined || figures.counted === figures.answered);
}

try {
  const options = readOptions();
  if (options === null) {
    console.log(HELP);
  } else {
    if (!CAN_MEASURE)
      console.error('CPU time and memory of other processes are read from /proc, which is not here: no such figures');
    if (CORES === null) console.error('no taskset, or one core only: server and load share the cores, figures will vary');
    const busy = loadavg()[0] ?? 0;
    if (busy > 0.5) console.error(`this machine has other things to do (load ${busy.toFixed(1)}): figures will vary`);
    const results = await bench(options);
    if (options.out !== null) writeResults(options.out, results);
    console.log(`\n${renderTable(results)}\n`);
    for (const line of judgeTargets(results)) console.log(line);
    const ours = Object.values(results.modes).map((mode) => mode.figures[GATEWAY]);
    const expected = options.peers === null || options.peers.includes(GATEWAY);
    if (expected && !ours.every((figures) => figures !== undefined && sound(figures))) {
      console.error('the gateway under test did not run, made errors or counted other than what it was sent');
      process.exitCode = 1;
    }
  }
} catch (error) {
  if (!(error instanceof UsageError || (error instanceof TypeError && 'code' in error))) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
