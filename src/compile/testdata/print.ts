/** A compilation as YAML for a reader: what is null, empty or the default is left out, and so are digests of entries. */
import { isDeepStrictEqual } from 'node:util';

import { Document, isCollection, isPair, isScalar, visit, type Node } from 'yaml';

import type { RouteTable } from '../../routetable/types.ts';
import type { Compilation } from '../compile.ts';
import type { Condition, ObjectStatus } from '../status.ts';
import { formatIssue } from '../../lib/issue.ts';
import { parseJsonOrThrow } from '../../lib/json-parse.ts';
import type { Case } from './case.ts';

const DEFAULTS: Readonly<Record<string, unknown>> = {
  unsupported: 'Reject',
  trusted: false,
  wildcard: false,
  strategy: 'Weighted',
  maxAttempts: 3,
  timeouts: { connectMs: 2000, firstTokenMs: 60000, idleMs: 120000, totalMs: 600000 },
  reasons: ['Auth', 'ConnectFailure', 'NotFound', 'Overloaded', 'QuotaExhausted', 'RateLimited', 'ServerError', 'StreamBroken', 'Timeout'],
  settings: { port: 8080, maxRequestBytes: 33554432, clientAuth: 'APIKey', drainTimeoutMs: 300000, maxConnectionAgeMs: 600000, requestLog: 'Metadata' },
};

/** Lists that say something when they are empty. */
const KEPT_EMPTY: ReadonlySet<string> = new Set(['targets', 'reasons', 'addresses']);

export function printCase({ tables, statuses }: Compilation, { rejected, full }: Case): string {
  const printed = {
    ...(rejected.length === 0 ? {} : { rejected: Object.fromEntries(rejected.map((status) => [`${status.kind}/${status.namespace}/${status.name}`, printStatus(status)])) }),
    tables: Object.fromEntries([...tables].map(([id, table]) => [id, full ? jsonOf(table) : (trimmed(withoutIdentity(table)) ?? {})])),
    statuses: Object.fromEntries([...statuses].map(([id, status]) => [id, full ? jsonOf(status) : printStatus(status)])),
  };
  const document = new Document(printed, { aliasDuplicateObjects: false });
  visit(document, {
    Collection(_, node) {
      const values = node.items.map((item) => (isPair(item) ? item.value : item)) as readonly (Node | null)[];
      if (values.every((value) => isScalar(value) || (isCollection(value) && value.items.length === 0))) {
        const text = JSON.stringify(node);
        node.flow = text.length <= MAX_FLOW_CHARS && !text.includes('\\n');
      }
    },
  });
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

/** Small things stand on one line. */
const MAX_FLOW_CHARS = 90;

function printStatus(status: ObjectStatus): unknown {
  return trimmed({
    conditions: status.conditions.map(printCondition),
    parents: Object.fromEntries(status.parents.map(({ parentRef, conditions }) => [`${parentRef.namespace}/${parentRef.name}`, conditions.map(printCondition)])),
    warnings: status.warnings.map((found) => `${found.reason}: ${formatIssue(found)}`),
    notServed: status.notServed.map(({ path, value }) => (value === null ? path : `${path}: ${value}`)),
  });
}

function printCondition({ type, status, reason, message, observedGeneration }: Condition): string {
  return `${type} ${status} ${reason}${observedGeneration === undefined ? '' : ` (generation ${observedGeneration})`}${message === '' ? '' : `: ${message}`}`;
}

function withoutIdentity({ version: _v, gateway: _g, ...rest }: RouteTable): unknown {
  return rest;
}

function jsonOf(value: unknown): unknown {
  return parseJsonOrThrow(JSON.stringify(value, (key, member: unknown) => (key === 'digest' ? undefined : member)));
}

/** undefined where nothing is left. */
function trimmed(value: unknown): unknown {
  const json = jsonOf(value);
  if (Array.isArray(json)) return json.length === 0 ? undefined : json.map((item) => trimmed(item) ?? {});
  if (typeof json !== 'object' || json === null) return json ?? undefined;
  const kept: Record<string, unknown> = {};
  for (const [key, member] of Object.entries(json)) {
    const small = KEPT_EMPTY.has(key) && isDeepStrictEqual(member, []) ? [] : member === null ? undefined : trimmed(member);
    if (small !== undefined && !(Object.hasOwn(DEFAULTS, key) && isDeepStrictEqual(small, DEFAULTS[key]))) kept[key] = small;
  }
  return Object.keys(kept).length === 0 ? undefined : kept;
}
