import type { Caller } from '../auth/client-keys.ts';
import type { Operation } from '../lib/operation.ts';
import type { GatewayCore } from './core.ts';
import type { Exchange } from './http1/exchange.ts';
import type { LoadedRoute, LoadedTable } from './loaded-table.ts';

/** One request as far as it has come; what its answer, its metrics and its log line are made from. */
export interface RequestContext {
  readonly core: GatewayCore;
  /** The table it began with; a new one does not reach it. */
  readonly table: LoadedTable;
  readonly exchange: Exchange;
  readonly requestId: string;
  /** Monotonic. */
  readonly startedMs: number;
  /** Monotonic; when the body was there. 0 before. */
  readonly bodyReadMs: number;
  readonly bytesIn: number;
  readonly caller: Caller;
  readonly operation: Operation | null;
  /** As the client named it; '' before the body is read. */
  readonly model: string;
  readonly loaded: LoadedRoute | null;
  /** No target will need the body again. */
  bodyDone(): void;
  /** The answer is out or given up: what the request held is given back. */
  finished(): void;
  /** An invariant broke. */
  fault(error: unknown): void;
}
