import { CHAT_PATH, ROUTE_MODEL, type Target } from '../workload.ts';

/** Of one run. */
export interface Site {
  /** The mock upstream's, on 127.0.0.1. */
  readonly upstreamPort: number;
  /** For configuration and logs; removed afterwards. */
  readonly dir: string;
}

/** A peer that can run here, or why it cannot. */
export type Setup = { readonly version: string; readonly program: string } | { readonly missing: string };

export interface Launch {
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly target: Target;
  /** Where the server's port will be written, if it chooses one itself; it takes the place of the target's. */
  readonly portFile?: string;
  /** Where /metrics is, if what it counts is to be compared with what was sent. */
  readonly adminPort?: number;
}

/**
 * What the gateway is compared with. All have one worker, keep connections open on both sides, put the upstream's credential into
 * `authorization` where they know of one, and write no access log.
 */
export interface Peer {
  readonly setUp: () => Setup;
  /** Writes what it needs into `site.dir`. `program`: as `setUp` found it. */
  readonly launch: (site: Site, program: string) => Promise<Launch>;
  /** Serves tens of requests a second only: left out where a rate is asked of it. */
  readonly slow?: boolean;
}

export const UPSTREAM_CREDENTIAL = 'Bearer sk-upstream';

export function chatTarget(port: number, over: Partial<Target> = {}): Target {
  return { port, path: CHAT_PATH, headers: {}, model: ROUTE_MODEL, ...over };
}
