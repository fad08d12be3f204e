/**
 * What becomes of an object that our own code fails on: it alone is concerned, and its status says so. Whatever was thrown is for
 * the log: it may repeat what it read, which a status must not.
 */
import { condition, type ObjectStatus } from './status.ts';

/** An object that could not be compiled, and what was thrown. */
export interface CompileFault {
  /** `Kind/namespace/name`. */
  readonly key: string;
  readonly error: unknown;
}

interface Quarantined {
  readonly kind: string;
  readonly metadata: { readonly namespace: string; readonly name: string; readonly generation?: number };
}

const NOT_COMPILED =
  'this operator failed to compile it, which is a fault of the operator and not of the object: its log has the error';

/** `meanwhile`: what is served of it. */
export function quarantinedStatus({ kind, metadata }: Quarantined, meanwhile: string): ObjectStatus {
  const { namespace, name, generation } = metadata;
  const conditions = [condition('Accepted', 'False', 'CompileFailed', `${NOT_COMPILED}; ${meanwhile}`, generation)];
  return { kind, namespace, name, conditions, parents: [], unresolved: [], warnings: [], notServed: [] };
}

/** Collects the faults of one compile. */
export class Quarantine {
  readonly faults: CompileFault[] = [];

  /** What `make` gives, or, where it throws, what stands for it. */
  guard<T>(key: string, make: () => T, instead: () => T): T {
    try {
      return make();
    } catch (error) {
      this.faults.push({ key, error });
      return instead();
    }
  }
}
