/** Which operations a target has, and which of them in another dialect than the client's: asked of its provider once. */
import { type Operation, OPERATIONS } from '../lib/operation.ts';
import { providerFor } from '../providers/index.ts';
import type { Target } from '../routetable/types.ts';

interface TargetOperations {
  /** null: its provider has all. */
  readonly lacked: ReadonlySet<Operation> | null;
  readonly translated: ReadonlySet<Operation>;
}

const known = new WeakMap<Target, TargetOperations>();
/** One for all that have the same operations in it: there are few, and thousands of targets. */
const sets = new Map<string, ReadonlySet<Operation>>();

function setOf(operations: readonly Operation[]): ReadonlySet<Operation> {
  const name = operations.join(' ');
  let found = sets.get(name);
  if (found === undefined) sets.set(name, (found = new Set(operations)));
  return found;
}

function operationsOf(target: Target): TargetOperations {
  let found = known.get(target);
  if (found === undefined) {
    const provider = providerFor(target.provider);
    const lacked: Operation[] = [];
    const translated: Operation[] = [];
    for (const operation of OPERATIONS) {
      const exchange = provider.exchange(target, operation);
      if (exchange === null) lacked.push(operation);
      else if (exchange.translation !== null) translated.push(operation);
    }
    known.set(target, (found = { lacked: lacked.length === 0 ? null : setOf(lacked), translated: setOf(translated) }));
  }
  return found;
}

/** What a target's provider does not have; null: nothing. */
export function lackedOperations(target: Target): ReadonlySet<Operation> | null {
  return operationsOf(target).lacked;
}

/** What some of these targets have in another dialect than the client's. */
export function translatedOperations(targets: readonly Target[]): ReadonlySet<Operation> {
  const all = targets.map((target) => operationsOf(target).translated);
  return setOf(OPERATIONS.filter((operation) => all.some((translated) => translated.has(operation))));
}
