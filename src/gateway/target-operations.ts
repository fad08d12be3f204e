/** Which operations a target has, and which of them in another dialect than the client's: asked of its provider once. */
import { type Operation, OPERATIONS } from '../lib/operation.ts';
import { providerFor } from '../providers/index.ts';
import type { Target } from '../routetable/types.ts';

interface TargetOperations {
  /** null: its provider has all. */
  readonly lacked: ReadonlySet<Operation> | null;
  readonly translated: readonly Operation[];
}

const known = new WeakMap<Target, TargetOperations>();

function operationsOf(target: Target): TargetOperations {
  let found = known.get(target);
  if (found === undefined) {
    const provider = providerFor(target.provider);
    const lacked = new Set<Operation>();
    const translated: Operation[] = [];
    for (const operation of OPERATIONS) {
      const exchange = provider.exchange(target, operation);
      if (exchange === null) lacked.add(operation);
      else if (exchange.translation !== null) translated.push(operation);
    }
    known.set(target, (found = { lacked: lacked.size === 0 ? null : lacked, translated }));
  }
  return found;
}

/** What a target's provider does not have; null: nothing. */
export function lackedOperations(target: Target): ReadonlySet<Operation> | null {
  return operationsOf(target).lacked;
}

/** What some of these targets have in another dialect than the client's. */
export function translatedOperations(targets: readonly Target[]): ReadonlySet<Operation> {
  return new Set(targets.flatMap((target) => operationsOf(target).translated));
}
