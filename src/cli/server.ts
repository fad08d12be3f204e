/** A gateway in this process: its log, its two ports, its end. */
import { Gateway } from '../gateway/gateway.ts';
import type { RouteTable } from '../routetable/types.ts';
import { createLog, type Log, type RequestLine } from '../telemetry/log.ts';
import type { GatewayMetrics } from '../telemetry/metrics.ts';
import { proxyFromEnvironment } from '../upstream/connections.ts';
import { codeOf, CommandFailed, type Io, messageOf } from './io.ts';
import { requestText, timeOfDay } from './log-text.ts';
import { styleFor } from './style.ts';

export const LOG_FORMATS = ['json', 'text', 'none'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

export interface ServeOptions {
  readonly host: string;
  /** 0: one that is free. */
  readonly port: number;
  readonly adminPort: number;
  readonly log: LogFormat;
}

export interface Server {
  readonly gateway: Gateway;
  readonly port: number;
  readonly adminPort: number;
  /** `http://127.0.0.1:8080` */
  readonly url: string;
  readonly adminUrl: string;
}

/** Throws CommandFailed where a port cannot be had. */
export async function startServer(io: Io, table: RouteTable, options: ServeOptions): Promise<Server> {
  const losses = new LogLosses(io);
  const gateway = new Gateway({
    clock: io.clock,
    random: () => io.random(),
    log: logFor(io, options.log, losses),
    loopbackAllowed: true,
    proxy: proxyFromEnvironment(io.env),
  });
  losses.metrics = gateway.metrics;
  gateway.apply(table);
  try {
    const { port, adminPort } = await gateway.listen({
      host: options.host,
      port: options.port,
      adminHost: options.host,
      adminPort: options.adminPort,
    });
    const scheme = table.settings.tls === null ? 'http' : 'https';
    const name = nameOf(options.host);
    return { gateway, port, adminPort, url: `${scheme}://${name}:${port}`, adminUrl: `http://${name}:${adminPort}` };
  } catch (error) {
    await gateway.close(0);
    throw listenFailure(error, options);
  }
}

export class PortTaken extends CommandFailed {}

function listenFailure(error: unknown, { host }: ServeOptions): unknown {
  const code = codeOf(error);
  if (code === null) return error;
  const port: unknown = typeof error === 'object' && error !== null && 'port' in error ? error.port : undefined;
  const where = `cannot listen on ${host}${typeof port === 'number' ? `:${port}` : ''}`;
  switch (code) {
    case 'EADDRINUSE':
      return new PortTaken(`${where}: the port is in use; choose others with --port and --admin-port`, { cause: error });
    case 'EACCES':
      return new CommandFailed(`${where}: not permitted; choose a port above 1023 with --port`, { cause: error });
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new CommandFailed(`${where}: ${host} is not an address of this machine`, { cause: error });
    default:
      return new CommandFailed(`${where}: ${messageOf(error)}`, { cause: error });
  }
}

/** What a client on this machine calls the address. */
function nameOf(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}

/** Lines that the log could not write: counted, and a failure told once. */
class LogLosses {
  readonly #io: Io;
  #told = false;
  /** The log is there before the gateway is. */
  metrics: GatewayMetrics | null = null;

  constructor(io: Io) {
    this.#io = io;
  }

  readonly onDropped = (lines: number): void => {
    this.metrics?.logDropped.add(lines);
  };

  readonly onError = (error: Error): void => {
    this.metrics?.logErrors.add(1);
    if (this.#told) return;
    this.#told = true;
    this.#io.stderr.write(`the log cannot be written: ${error.message}\n`);
  };
}

/** json: every line on stdout. text: requests for a person on stdout. Otherwise only what is wrong with the gateway, on stderr. */
function logFor(io: Io, format: LogFormat, { onDropped, onError }: LogLosses): Log {
  const { clock } = io;
  if (format === 'json') return createLog({ level: 'info', clock, fd: io.logTo.stdout, onDropped, onError });
  const faults = createLog({ level: 'error', clock, fd: io.logTo.stderr, onDropped, onError });
  if (format === 'none') return { ...faults, request: () => {} };
  const style = styleFor(io.stdout, io.env);
  const request = (line: RequestLine): void => io.stdout.write(`${requestText(line, timeOfDay(clock.wallMs()), style)}\n`);
  return { ...faults, request };
}
