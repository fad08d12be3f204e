/**
 * Arranging the targets of one tier: each function orders `order[start..]` in place, the chosen one first, and allocates nothing.
 * `…Of` arrays are by target index; weights and capacities are above 0.
 */
import type { TargetSignals } from './types.ts';

/** 1/φ: of all additive recurrences it spreads most evenly over [0, 1). */
const GOLDEN_STEP = (Math.sqrt(5) - 1) / 2;

/**
 * A low-discrepancy sequence in [0, 1): after n picks each weight has had its share of n to within a few requests, where a
 * random sequence would be off by √n. One sequence a rule: a sequence shared by several rules would be exact for none.
 */
export function goldenSequence(seed: number): () => number {
  let at = seed - Math.floor(seed);
  return () => {
    const pick = at;
    at += GOLDEN_STEP;
    if (at >= 1) at -= 1;
    return pick;
  };
}

/** By weight: the first by `pick`, each further one drawn by its weight from those that are left. */
export function arrangeWeighted(
  order: number[],
  start: number,
  weightOf: readonly number[],
  pick: number,
  source: { random(): number },
): void {
  const last = order.length - 1;
  let total = 0;
  for (let i = start; i <= last; i++) total += weightOf[order[i] ?? 0] ?? 0;
  let draw = pick;
  for (let at = start; at < last; at++) {
    let rest = draw * total;
    let drawn = at;
    // Stops at the last one whatever rounding left over.
    for (; drawn < last; drawn++) {
      rest -= weightOf[order[drawn] ?? 0] ?? 0;
      if (rest < 0) break;
    }
    swap(order, at, drawn);
    if (at + 1 < last) {
      total -= weightOf[order[at] ?? 0] ?? 0;
      draw = source.random();
    }
  }
}

/** In turn: rotated left by `turn` places, by three reversals. */
export function arrangeRoundRobin(order: number[], start: number, turn: number): void {
  const middle = start + (turn % (order.length - start));
  reverse(order, start, middle);
  reverse(order, middle, order.length);
  reverse(order, start, order.length);
}

/** By load (in-flight over capacity), the least loaded first; among equals `pick` decides which is the first. */
export function arrangeLeastBusy(
  order: number[],
  start: number,
  capacityOf: readonly number[],
  signals: readonly TargetSignals[],
  pick: number,
): void {
  for (let i = start + 1; i < order.length; i++) {
    const target = order[i] ?? 0;
    const load = loadOf(target, capacityOf, signals);
    let at = i;
    for (; at > start && loadOf(order[at - 1] ?? 0, capacityOf, signals) > load; at--) order[at] = order[at - 1] ?? 0;
    order[at] = target;
  }
  const least = loadOf(order[start] ?? 0, capacityOf, signals);
  let equals = 1;
  while (start + equals < order.length && loadOf(order[start + equals] ?? 0, capacityOf, signals) === least) equals++;
  swap(order, start, start + Math.floor(pick * equals));
}

function loadOf(target: number, capacityOf: readonly number[], signals: readonly TargetSignals[]): number {
  return (signals[target]?.inFlight ?? 0) / (capacityOf[target] ?? 1);
}

function reverse(order: number[], start: number, end: number): void {
  for (let low = start, high = end - 1; low < high; low++, high--) swap(order, low, high);
}

function swap(order: number[], a: number, b: number): void {
  const moved = order[a] ?? 0;
  order[a] = order[b] ?? 0;
  order[b] = moved;
}
