/**
 * What a compile costs, by the number of routes: `node test/bench/compile.ts [ROUTES…]` (default 1000 5000). Prints milliseconds:
 * cold, then the median of single edits with a memo; with --expose-gc also the heap that the table, the statuses and the memo keep.
 * Target: 5,000 routes cold in 500, one edit among them in 5.
 */
import { compile, createCompileMemo } from '../../src/compile/compile.ts';
import type { Snapshot } from '../../src/compile/snapshot.ts';
import { fleet, FLEET_OPTIONS } from '../../src/compile/testdata/fleet.ts';

const EDITS = 41;

function timed(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

function medianOf(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

/** Of what is reachable; NaN without --expose-gc. */
function heapMiB(): number {
  if (globalThis.gc === undefined) return NaN;
  globalThis.gc();
  return process.memoryUsage().heapUsed / 2 ** 20;
}

/** Snapshots that each differ from the one before by one object. */
function* editsOf(first: Snapshot, kind: 'route' | 'secret' | 'quota' | 'nothing'): Generator<Snapshot> {
  let snapshot = first;
  for (let edit = 0; edit < EDITS; edit++) {
    const at = (edit * 7919) % snapshot.routes.length;
    if (kind === 'route') {
      const routes = snapshot.routes.map((route, index) =>
        index === at ? { ...route, metadata: { ...route.metadata, generation: edit + 2 } } : route,
      );
      snapshot = { ...snapshot, routes };
    } else if (kind === 'secret') {
      const name = `provider-${at}`;
      snapshot = {
        ...snapshot,
        secrets: snapshot.secrets.map((secret) => (secret.metadata.name === name ? { ...secret } : secret)),
      };
    } else if (kind === 'quota') {
      const quotas = snapshot.quotas ?? [];
      // The first is over the gateway: each of its edits is one of every route.
      const edited = 1 + (edit % (quotas.length - 1));
      snapshot = { ...snapshot, quotas: quotas.map((quota, index) => (index === edited ? { ...quota } : quota)) };
    } else {
      snapshot = { ...snapshot, routes: [...snapshot.routes] };
    }
    yield snapshot;
  }
}

const sizes = process.argv.slice(2).map(Number);
for (const size of sizes.length > 0 ? sizes : [1000, 5000]) {
  const snapshot = fleet(size);
  const cold = medianOf(Array.from({ length: 5 }, () => timed(() => compile(snapshot, FLEET_OPTIONS))));
  const memo = createCompileMemo();
  const heapBefore = heapMiB();
  const compiled = compile(snapshot, FLEET_OPTIONS, memo);
  const keptMiB = heapMiB() - heapBefore;
  const figures = (['nothing', 'route', 'secret', 'quota'] as const).map((kind) => {
    const times = [...editsOf(snapshot, kind)].map((edited) => timed(() => compile(edited, FLEET_OPTIONS, memo)));
    return `${kind} ${medianOf(times).toFixed(2)}`;
  });
  const what = `${compiled.tables.size} table of ${size} routes, ${snapshot.secrets.length} Secrets`;
  const heap = Number.isNaN(keptMiB) ? '' : `; keeps ${keptMiB.toFixed(0)} MiB`;
  console.log(`${what}: cold ${cold.toFixed(0)} ms; after an edit of ${figures.join(' ms, ')} ms${heap}`);
}
