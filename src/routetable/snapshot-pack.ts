/**
 * A table as it lies in Secrets for the cold start of a pod while no leader is up: in parts, each small enough for a Secret and
 * valid alone (settings, its share of routes and client keys, its own place in the order). Entries go to parts by a hash of their
 * key, so that an edit rewrites one part. A part is the stream's lines, under a first line of its own.
 */
import { hash } from 'node:crypto';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { err, ok, type Result } from '../lib/result.ts';
import { attempt, integer, line, object, oneOf } from './decoder.ts';
import { tableDigest } from './digest.ts';
import { keyOfClientKey, keyOfRoute, type EntryName } from './entries.ts';
import { byText } from './order.ts';
import { entryLine, readStreamLine, SPOKEN_VERSIONS, type EntryLine, type TableOrder } from './stream-messages.ts';
import {
  ROUTE_TABLE_VERSION,
  type ClientKey,
  type GatewaySettings,
  type ObjectName,
  type Route,
  type RouteTable,
} from './types.ts';

const compress = promisify(gzip);
const uncompress = promisify<Buffer, { maxOutputLength: number }, Buffer>(gunzip);

/** A pod declares as many optional Secrets up front; those of parts that are not there stay absent. */
export const SNAPSHOT_PARTS = 16;
/** Compressed, of one part: a Secret takes 1 MiB, its other fields included. */
export const SNAPSHOT_PART_MAX_BYTES = 900_000;
/** More than a part can be when it is unpacked: what is larger is no part of ours. */
const UNPACKED_MAX_BYTES = 512 * 1024 * 1024;
/** The one key of a part's Secret. */
export const SNAPSHOT_KEY = 'table.jsonl.gz';

/** `part`: 0 to `SNAPSHOT_PARTS` − 1. */
export function snapshotSecretName(gatewayName: string, part: number): string {
  return `${gatewayName}-table-${part}`;
}

/** Under the directory of snapshots: one projected volume of `SNAPSHOT_PARTS` optional Secrets, each with its key at this path. */
export function snapshotFile(part: number): string {
  return `part-${part}.jsonl.gz`;
}

export interface PartHead {
  readonly gateway: ObjectName;
  readonly part: number;
  readonly order: TableOrder;
  /** Wall clock. */
  readonly writtenMs: number;
}

export interface PartContents {
  readonly head: PartHead;
  readonly entries: readonly EntryLine[];
}

/** One part's share of a table. */
export interface Share {
  readonly gateway: ObjectName;
  readonly part: number;
  readonly settings: GatewaySettings;
  readonly clientKeys: readonly ClientKey[];
  readonly routes: readonly Route[];
  /** Of what is in it: equal for shares that mean the same, whatever their order. */
  readonly digest: string;
}

export interface PackedPart {
  /** gzip of JSON lines, **with credentials in clear**. */
  readonly bytes: Buffer;
  /** Those that the part has no room for, the largest ones. */
  readonly leftOut: readonly (EntryName & { readonly id: string })[];
}

/** Which part has the entry of this key: the same for all time, whatever else there is. */
export function partOf(key: string): number {
  return Number.parseInt(hash('sha256', key, 'hex').slice(0, 4), 16) % SNAPSHOT_PARTS;
}

/** All parts' shares, by part. */
export function sharesOf(table: RouteTable): readonly Share[] {
  const { gateway, settings } = table;
  const clientKeys = spread(table.clientKeys, keyOfClientKey);
  const routes = spread(table.routes, keyOfRoute);
  return clientKeys.map((keys, part) => {
    const share = { gateway, part, settings, clientKeys: keys, routes: routes[part] ?? [] };
    return { ...share, digest: tableDigest(gateway, settings, keys, share.routes) };
  });
}

function spread<T>(items: readonly T[], keyOf: (item: T) => string): readonly (readonly T[])[] {
  const parts: T[][] = Array.from({ length: SNAPSHOT_PARTS }, () => []);
  for (const item of items) parts[partOf(keyOf(item))]?.push(item);
  return parts;
}

/** Not on the thread of its caller: packing a large part takes longer than an edit may. */
export async function packPart(
  share: Share,
  order: TableOrder,
  writtenMs: number,
  maxBytes: number = SNAPSHOT_PART_MAX_BYTES,
): Promise<PackedPart> {
  const head: PartHead = { gateway: share.gateway, part: share.part, order, writtenMs };
  const first = `${JSON.stringify({ version: ROUTE_TABLE_VERSION, ...head })}\n${entryLine('settings', '', share.settings)}`;
  // Client keys before routes: without its key a request is refused at every route.
  const entries = [
    ...share.clientKeys.map((key) => ({
      kind: 'clientKey' as const,
      key: key.sha256,
      id: key.id,
      text: lineOf('clientKey', key),
    })),
    ...bySize(
      share.routes.map((route) => ({ kind: 'route' as const, key: route.id, id: route.id, text: lineOf('route', route) })),
    ),
  ];
  const packed = async (count: number): Promise<Buffer> =>
    compress(
      first +
        entries
          .slice(0, count)
          .map(({ text }) => text)
          .join(''),
    );
  let bytes = await packed(entries.length);
  let fits = entries.length;
  if (bytes.length > maxBytes) {
    let low = 0;
    for (let high = entries.length - 1; low < high;) {
      const middle = (low + high + 1) >>> 1;
      if ((await packed(middle)).length <= maxBytes) low = middle;
      else high = middle - 1;
    }
    fits = low;
    bytes = await packed(fits);
  }
  return { bytes, leftOut: entries.slice(fits).map(({ kind, key, id }) => ({ kind, key, id })) };
}

function lineOf(kind: 'clientKey' | 'route', item: ClientKey | Route): string {
  return entryLine(kind, 'sha256' in item ? item.sha256 : item.id, item);
}

function bySize<T extends { readonly key: string; readonly text: string }>(entries: readonly T[]): readonly T[] {
  return entries.toSorted((a, b) => a.text.length - b.text.length || byText(a.key, b.key));
}

/** Reads a part. The error says what is wrong with it, free of its contents. */
export async function unpackPart(bytes: Buffer): Promise<Result<PartContents, string>> {
  let text: string;
  try {
    text = (await uncompress(bytes, { maxOutputLength: UNPACKED_MAX_BYTES })).toString();
  } catch {
    return err('it is not gzip, or damaged');
  }
  const [first = '', ...lines] = text.split('\n');
  const parsed = parseJson(first);
  const head = parsed.ok ? attempt(partHead, parsed.value) : parsed;
  if (!head.ok) return err(`its first line: ${head.error}`);
  const { gateway, part, order, writtenMs } = head.value;
  const entries: EntryLine[] = [];
  for (const [index, given] of lines.entries()) {
    if (given === '') continue;
    const json = parseJson(given);
    const found = json.ok ? readStreamLine(json.value) : json;
    if (!found.ok) return err(`line ${index + 2}: ${found.error}`);
    if (found.value?.type === 'entry') entries.push(found.value);
  }
  return ok({ head: { gateway, part, order, writtenMs }, entries });
}

const partHead = object<PartHead & { version: number }>({
  version: oneOf(...SPOKEN_VERSIONS),
  gateway: object<ObjectName>({ namespace: line, name: line }),
  part: oneOf(...Array.from({ length: SNAPSHOT_PARTS }, (_, part) => part)),
  order: object<TableOrder>({ epoch: integer(0), sequence: integer(0) }),
  writtenMs: integer(0),
});

/** The parser's own message repeats what it read. */
function parseJson(text: string): Result<unknown, string> {
  try {
    return ok(JSON.parse(text) as unknown);
  } catch {
    return err('it is not JSON');
  }
}
