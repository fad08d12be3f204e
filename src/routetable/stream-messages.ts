/**
 * What operator and gateway pod say to each other, one JSON object a line. Additive: a reader leaves out members that it does not
 * know and gives a meaning to those that an older writer leaves out; lines of a type that it does not know it passes over, and an
 * entry of a kind that it does not know it refuses.
 */
import type { Result } from '../lib/result.ts';
import { encodeEntry } from './codec.ts';
import { attempt, bool, integer, line, list, nullable, object, oneOf, orElse, pair, text, type Decoder } from './decoder.ts';
import type { EntryKind, Inventory, Item } from './entries.ts';
import { ROUTE_TABLE_VERSION, type ObjectName } from './types.ts';

/** A pod asks for its table here, and tells what became of it there. */
export const STREAM_PATH = '/v1/stream';
export const REPORT_PATH = '/v1/report';
/** Of an answer to a report: the epoch of the leader that took it, which may not be the one of the stream. */
export const EPOCH_HEADER = 'x-fairlead-epoch';

/** The versions of the table that this build reads and writes, the best one first. A version is dropped one release after its successor came. */
export const SPOKEN_VERSIONS: readonly number[] = [ROUTE_TABLE_VERSION];

/** The best version that both sides speak; null: they have none in common. */
export function commonVersion(ours: readonly number[], theirs: readonly number[]): number | null {
  return ours.find((version) => theirs.includes(version)) ?? null;
}

/** Where a table stands among all of its gateway: by epoch, then by sequence. */
export interface TableOrder {
  /** The Lease's transitions when its leader began. */
  readonly epoch: number;
  /** Counts the changes of one gateway's table under one leader, from 1. */
  readonly sequence: number;
}

/** An entry that a pod does not take. */
export interface Nack {
  /** An entry's kind, as its sender calls it: the pod may not know it. */
  readonly kind: string;
  readonly key: string;
  /** Of the version that was refused. */
  readonly digest: string;
  /** The route's or the client key's Secret's `namespace/name` where it can be read; else its key. */
  readonly id: string;
  /** For a person: path inside the entry, what is there, what is known here. Free of credentials. */
  readonly reason: string;
  /** Its last good version serves on; else it is absent. */
  readonly kept: boolean;
}

/** An upstream, or one credential's way to it, that a pod keeps traffic from. */
export interface UpstreamReport {
  readonly upstreamId: string;
  /** null: the whole upstream, whatever the credential. */
  readonly credentialId: string | null;
  readonly state: 'Ejected' | 'CoolingDown';
  /** A failover reason, e.g. `RateLimited`. */
  readonly reason: string;
  /** Wall clock. */
  readonly sinceMs: number;
}

/** What a pod is doing, and has done since it started. */
export interface Load {
  readonly inFlightRequests: number;
  readonly inFlightStreams: number;
  readonly requestsTotal: number;
}

/** A limit in USD that somebody whom it counts has used up. */
export interface ExhaustedBudget {
  /** Whose request it was, `namespace/name`. */
  readonly route: string;
  /** Of the LLMQuota that it is of, `namespace/name`; null: the route's own. */
  readonly quota: string | null;
  readonly limit: string;
  /** Who used it up first. */
  readonly tenant: string;
  /** Wall clock, as `untilMs`. */
  readonly sinceMs: number;
  /** Its period, or a whole window since, is over. */
  readonly untilMs: number;
}

/** What a pod sends to open its stream. */
export interface StreamRequest {
  readonly speaks: readonly number[];
  /** Of the software, for a person. */
  readonly version: string;
  /** The highest epoch that this pod has seen of any leader; 0: none. */
  readonly seenEpoch: number;
  readonly have: Inventory | null;
}

/** Everything that a pod has to tell, each time: what it leaves out has not changed since its last report that was answered. */
export interface Report {
  readonly seenEpoch: number;
  /** Grows with each report of one process: an older one that comes late is nothing new. */
  readonly number: number;
  /** All of the table up to here is applied or refused; null: nothing of any leader yet. */
  readonly acked: TableOrder | null;
  /** Of the table that is served; empty: none. */
  readonly digest: string;
  readonly ready: boolean;
  /** It ends: it is not to be waited for. */
  readonly leaving: boolean;
  readonly version: string;
  /** All that are refused now; null: as before. */
  readonly nacks: readonly Nack[] | null;
  readonly upstreams: readonly UpstreamReport[];
  /** For a person: why limits are not shared with other pods, though the settings say so; null: they are, or are not to be. */
  readonly limitsProblem: string | null;
  readonly load: Load;
  /** Those of its limits in USD that are used up now. */
  readonly exhausted: readonly ExhaustedBudget[];
}

/** What the leader says on a stream. */
export type StreamLine =
  | HelloLine
  | EntryLine
  | { readonly type: 'gone'; readonly kind: string; readonly key: string }
  /** What came since the last commit, together with what was there before, is the table of this sequence and digest. */
  | { readonly type: 'commit'; readonly sequence: number; readonly digest: string }
  | { readonly type: 'heartbeat'; readonly readyPods: number | null }
  /** The stream ends as planned: connect again at once. */
  | { readonly type: 'bye' };

/** The first one. */
export interface HelloLine {
  readonly type: 'hello';
  readonly version: number;
  readonly epoch: number;
  readonly gateway: ObjectName;
  /** At least one line comes in each such time. */
  readonly heartbeatMs: number;
  /** Of this gateway, counting the pod that reads it as ready; null: the leader does not know yet. */
  readonly readyPods: number | null;
}

export interface EntryLine {
  readonly type: 'entry';
  readonly kind: string;
  readonly key: string;
  readonly digest: string;
  /** As `ENTRY_DECODERS` read it. */
  readonly value: unknown;
}

export const HEARTBEAT_MS = 2_000;

/** **With the entry's credentials in clear.** */
export function entryLine(kind: EntryKind, key: string, item: Item): string {
  const head = JSON.stringify({ type: 'entry', kind, key, digest: item.digest });
  return `${head.slice(0, -1)},"value":${encodeEntry(item)}}\n`;
}

export function messageLine(message: Exclude<StreamLine, EntryLine>): string {
  return `${JSON.stringify(message)}\n`;
}

/**
 * The Lease counts in 32 bits: a leader that went above all of them, for one pod that says so, would be the last. With a leader a second, what
 * is left above this lasts for years.
 */
const MAX_EPOCH = 2_000_000_000;
/** RFC 3339, in which a status tells a moment, has years of four digits. */
const MAX_WALL_MS = 253_402_300_799_000;
const seenEpoch = integer(0, MAX_EPOCH);
const wallMs = integer(0, MAX_WALL_MS);

const objectName = object<ObjectName>({ namespace: line, name: line });
const order = object<TableOrder>({ epoch: integer(0), sequence: integer(0) });
const inventory = object<Inventory>({
  settings: nullable(text),
  clientKeys: list(pair(text, text)),
  endpoints: orElse(list(pair(text, text)), []),
  routes: list(pair(text, text)),
});

const streamRequest = object<StreamRequest>({
  speaks: list(integer(0)),
  version: text,
  seenEpoch,
  have: nullable(inventory),
});

const nack = object<Nack>({ kind: text, key: text, digest: text, id: text, reason: text, kept: bool });
/** A status has room for so many characters, and one that has no room for a pod's word could never be written. */
const REASON_CHARS = 64;
const upstream = object<UpstreamReport>({
  upstreamId: text,
  credentialId: nullable(text),
  state: oneOf('Ejected', 'CoolingDown'),
  reason: (value) => line(value).slice(0, REASON_CHARS),
  sinceMs: wallMs,
});
const load = object<Load>({ inFlightRequests: integer(0), inFlightStreams: integer(0), requestsTotal: integer(0) });
const exhausted = object<ExhaustedBudget>({
  route: text,
  quota: nullable(text),
  limit: text,
  tenant: text,
  sinceMs: wallMs,
  untilMs: wallMs,
});
const NO_LOAD: Load = { inFlightRequests: 0, inFlightStreams: 0, requestsTotal: 0 };

const report = object<Report>({
  seenEpoch,
  number: integer(0),
  acked: nullable(order),
  digest: text,
  ready: bool,
  leaving: orElse(bool, false),
  version: text,
  nacks: nullable(list(nack)),
  upstreams: orElse(known(upstream), []),
  limitsProblem: orElse(nullable(text), null),
  load: orElse(load, NO_LOAD),
  exhausted: orElse(known(exhausted), []),
});

/** Of a list, the items that can be read: a newer pod's state of an upstream is no reason to lose its ACK. */
function known<T>(decode: Decoder<T>): Decoder<readonly T[]> {
  const items = list((value) => value);
  return (value) =>
    items(value).flatMap((item) => {
      const found = attempt(decode, item);
      return found.ok ? [found.value] : [];
    });
}

const readyPods = orElse(nullable(integer(1)), null);

const lineType = object<{ type: string }>({ type: text });
const LINES: { readonly [T in StreamLine['type']]: Decoder<Extract<StreamLine, { type: T }>> } = {
  hello: object({
    type: oneOf('hello'),
    version: integer(0),
    epoch: integer(0),
    gateway: objectName,
    heartbeatMs: orElse(integer(1), HEARTBEAT_MS),
    readyPods,
  }),
  entry: object({ type: oneOf('entry'), kind: text, key: text, digest: line, value: (value) => value }),
  gone: object({ type: oneOf('gone'), kind: text, key: text }),
  commit: object({ type: oneOf('commit'), sequence: integer(0), digest: line }),
  heartbeat: object({ type: oneOf('heartbeat'), readyPods }),
  bye: object({ type: oneOf('bye') }),
};

/** null: a line of a type that is not known here. */
const streamLine: Decoder<StreamLine | null> = (value) => {
  const { type } = lineType(value);
  return isLineType(type) ? LINES[type](value) : null;
};

function isLineType(type: string): type is StreamLine['type'] {
  return Object.hasOwn(LINES, type);
}

export const readStreamRequest = (value: unknown): Result<StreamRequest, string> => attempt(streamRequest, value);
export const readReport = (value: unknown): Result<Report, string> => attempt(report, value);
export const readStreamLine = (value: unknown): Result<StreamLine | null, string> => attempt(streamLine, value);
