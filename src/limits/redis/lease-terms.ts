/** How long leases last and how far ahead they reach, by kind of counter. README.md says why. */
import { type CounterKind, PARTS } from './lease-call.ts';

export interface LeaseTerms {
  readonly leaseMs: number;
  /** Demand for this long is leased ahead: with less than half a lease, a counter asks more often than its lease wants to be renewed. */
  readonly horizonMs: number;
  /** A refusal is believed for so long at most. */
  readonly quietMs: number;
}

const LONGEST_LEASE_MS = 10_000;
const SHORTEST_LEASE_MS = 250;
const LONGEST_QUIET_MS = 250;
/** A dead pod's slots are free after this. */
const SLOT_LEASE_MS = 8_000;
/** Free slots are used again and again, so few are kept. */
const SLOT_HORIZON_MS = 250;
/** When a slot comes free nobody can know. */
const SLOT_QUIET_MS = 10;

export function leaseTerms(kind: CounterKind, windowMs: number): LeaseTerms {
  switch (kind) {
    case 'sliding': {
      const leaseMs = Math.round(Math.min(LONGEST_LEASE_MS, Math.max(SHORTEST_LEASE_MS, windowMs / 4)));
      const quietMs = Math.min(LONGEST_QUIET_MS, Math.max(5, windowMs / PARTS));
      return { leaseMs, horizonMs: leaseMs / 2, quietMs };
    }
    case 'fixed':
      return { leaseMs: LONGEST_LEASE_MS, horizonMs: LONGEST_LEASE_MS / 2, quietMs: LONGEST_QUIET_MS };
    case 'slots':
      return { leaseMs: SLOT_LEASE_MS, horizonMs: SLOT_HORIZON_MS, quietMs: SLOT_QUIET_MS };
  }
}
