/**
 * A table as it lies in Secrets for the cold start of a pod while no leader is up: in parts, each small enough for a Secret and
 * valid alone (settings, its share of routes and client keys, its own place in the order). Entries go to parts by a hash of their
 * key, so that an edit rewrites one part. A part is the stream's lines, under a first line of its own.
 */
import { promisify } from 'node:util';
import { createGzip, gunzip } from 'node:zlib';
import { parseJsonOrThrow } from '../lib/json-parse.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { attempt, integer, line, object, oneOf } from './decoder.ts';
import type { EntryName, Item } from './entries.ts';
import { byText } from './order.ts';
import { partsOf, shareDigest, TABLE_PARTS, type TablePart } from './parts.ts';
import { entryLine, readStreamLine, SPOKEN_VERSIONS, type EntryLine, type TableOrder } from './stream-messages.ts';
import {
  ROUTE_TABLE_VERSION,
  type ClientKey,
  type Endpoints,
  type GatewaySettings,
  type ObjectName,
  type Route,
  type RouteTable,
} from './types.ts';

const uncompress = promisify<Buffer, { maxOutputLength: number }, Buffer>(gunzip);

/** A pod declares as many optional Secrets up front; those of parts that are not there stay absent. */
export const SNAPSHOT_PARTS = TABLE_PARTS;
/** Compressed, of one part: a Secret takes 1 MiB, its other fields included. */
const SNAPSHOT_PART_MAX_BYTES = 900_000;
/** More than a part can be when it is unpacked: what is larger is no part of ours. */
const UNPACKED_MAX_BYTES = 512 * 1024 * 1024;
/** So many are packed before other work has its turn. */
const ENTRIES_A_TURN = 10;
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
  readonly endpoints: readonly Endpoints[];
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

/** All parts' shares, by part. */
export function sharesOf(table: RouteTable): readonly Share[] {
  return partsOf(table).map((part, number) => shareOf(table, part, number));
}

export function shareOf({ gateway, settings }: RouteTable, part: TablePart, number: number): Share {
  return { ...part, gateway, part: number, settings, digest: shareDigest(gateway, settings, part) };
}

/** A few entries at a time, which are then compressed on another thread: a large part takes longer than an edit may wait. */
export async function packPart(
  share: Share,
  order: TableOrder,
  writtenMs: number,
  maxBytes: number = SNAPSHOT_PART_MAX_BYTES,
): Promise<PackedPart> {
  const head: PartHead = { gateway: share.gateway, part: share.part, order, writtenMs };
  const first = `${JSON.stringify({ version: ROUTE_TABLE_VERSION, ...head })}\n${entryLine('settings', '', share.settings)}`;
  // Client keys before routes: without its key a request is refused at every route. So is, without its addresses, a target.
  const before = [
    ...share.clientKeys.map((item): Packable => ({ kind: 'clientKey', key: item.sha256, id: item.id, item })),
    ...share.endpoints.map((item): Packable => ({ kind: 'endpoints', key: item.id, id: item.id, item })),
  ];
  const routes = share.routes.map((item): Packable => ({ kind: 'route', key: item.id, id: item.id, item }));
  const whole = await packed(first, [...before, ...routes]);
  if (whole.length <= maxBytes) return { bytes: whole, leftOut: [] };
  const entries = [...before, ...bySize(routes)];
  let low = 0;
  for (let high = entries.length - 1; low < high;) {
    const middle = (low + high + 1) >>> 1;
    if ((await packed(first, entries.slice(0, middle))).length <= maxBytes) low = middle;
    else high = middle - 1;
  }
  const bytes = await packed(first, entries.slice(0, low));
  return { bytes, leftOut: entries.slice(low).map(({ kind, key, id }) => ({ kind, key, id })) };
}

interface Packable extends EntryName {
  readonly id: string;
  readonly item: Item;
}

const lineOf = ({ kind, key, item }: Packable): string => entryLine(kind, key, item);

async function packed(first: string, entries: readonly Packable[]): Promise<Buffer> {
  const gzip = createGzip();
  const pieces: Buffer[] = [];
  gzip.on('data', (piece: Buffer) => pieces.push(piece));
  const write = async (text: string): Promise<void> =>
    new Promise((resolve, reject) => gzip.write(text, (error) => (error == null ? resolve() : reject(error))));
  await write(first);
  for (let from = 0; from < entries.length; from += ENTRIES_A_TURN)
    await write(
      entries
        .slice(from, from + ENTRIES_A_TURN)
        .map(lineOf)
        .join(''),
    );
  await new Promise((resolve, reject) => {
    gzip.on('end', resolve).on('error', reject);
    gzip.end();
  });
  return Buffer.concat(pieces);
}

function bySize(entries: readonly Packable[]): readonly Packable[] {
  const sized = entries.map((entry) => ({ entry, size: lineOf(entry).length }));
  return sized.sort((a, b) => a.size - b.size || byText(a.entry.key, b.entry.key)).map(({ entry }) => entry);
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
    return ok(parseJsonOrThrow(text));
  } catch {
    return err('it is not JSON');
  }
}
