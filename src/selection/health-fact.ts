import type { HeadroomUnit } from '../lib/headroom-unit.ts';
import type { Operation } from '../lib/operation.ts';

/**
 * What one pod tells the others of an upstream, or of a credential's way to it. The newer one replaces the older, whoever told it:
 * by `version`, and by `by` where two pods told at the same moment.
 */
export interface HealthFact {
  /** `ejection` is of the upstream, the others are of the credential. */
  readonly kind: 'ejection' | 'rate' | 'access' | 'absent' | 'headroom';
  /** As `HealthOptions.keyOf` makes it: no two upstreams or credentials share one. */
  readonly key: string;
  /** `absent` only. */
  readonly operation: Operation | null;
  readonly version: number;
  /** The pod. */
  readonly by: string;
  /** How long it is out from now on; 0: it is well. */
  readonly forMs: number;
  /** The one request that probes it is out, and `by` sent it. */
  readonly probing: boolean;
  /** `ejection` only: how often in a row. */
  readonly growth: number;
  readonly reason: string;
  /** `headroom` only: of which of the provider's limits so much is left. */
  readonly unit?: HeadroomUnit;
  readonly left?: number;
}

/** What makes the health of one pod that of all. */
export interface HealthSharing {
  /** This pod. */
  readonly pod: string;
  /** A number that grows, about alike on all pods: milliseconds of a clock that they share. */
  version(): number;
  /** Tells the others; once for each change that this pod has seen itself. */
  tell(fact: HealthFact): void;
}

/** The last word on one thing: whose it is and how new. */
export class FactVersion {
  version = 0;
  by = '';
  /** When it was learned or said, monotonic. */
  atMs = Number.NEGATIVE_INFINITY;

  /** False where something at least as new is known. */
  learn({ version, by }: Pick<HealthFact, 'version' | 'by'>, nowMs: number): boolean {
    if (version < this.version || (version === this.version && by <= this.by)) return false;
    this.version = version;
    this.by = by;
    this.atMs = nowMs;
    return true;
  }

  /** Of this pod's own change. */
  next(sharing: HealthSharing, nowMs: number): { readonly version: number; readonly by: string } {
    this.version = Math.max(this.version + 1, Math.floor(sharing.version()));
    this.by = sharing.pod;
    this.atMs = nowMs;
    return { version: this.version, by: this.by };
  }
}
