import type { Operation } from '../lib/operation.ts';
import { SlidingCount } from '../lib/sliding-count.ts';
import { FactVersion, type HealthFact, type HealthSharing } from './health-fact.ts';
import type { TargetSignals } from './types.ts';

export type HealthState = 'Healthy' | 'Ejected' | 'CoolingDown';

/** For metrics, logs and Events; told once, when the state changes. */
export interface HealthTransition {
  readonly upstreamId: string;
  /** null: the whole upstream, whatever the credential. */
  readonly credentialId: string | null;
  readonly from: HealthState;
  readonly to: HealthState;
  /** The failover reason that led to it, e.g. `RateLimited`; for `Healthy`, what it has recovered from. */
  readonly reason: string;
  /** Set where one operation alone is out. */
  readonly operation: Operation | null;
  /** How long it is out; 0 for `Healthy`. */
  readonly forMs: number;
  /** Another pod has seen it, and told. */
  readonly told: boolean;
}

export interface HealthOptions {
  /** [0, 1), for the jitter of ejections. */
  random(): number;
  onTransition?(transition: HealthTransition): void;
  /** What the others know an upstream or a credential by. */
  keyOf?(id: string): string;
}

/** What all health of one pod stands on. */
export interface SharedHealth {
  readonly options: HealthOptions;
  /** null: this pod is alone. */
  sharing: HealthSharing | null;
}

export const EJECT_AFTER_CONSECUTIVE = 5;
export const EJECT_AT_RATIO = 0.5;
export const EJECT_AT_RATIO_OF_AT_LEAST = 20;
const WINDOW_BUCKET_MS = 1_000;
const WINDOW_BUCKETS = 10;
const EJECTION_BASE_MS = 5_000;
const EJECTION_MAX_MS = 300_000;
/** The pod that ejected an upstream probes it; after so long, where it has not, any other does. */
const PROBE_GRACE_MS = 2_000;
/** Who probes says so again before this is over. */
const PROBE_MAX_MS = 5_000;
/** An ejection so soon after a recovery continues the growth of the one before: the upstream flaps. */
const FLAPPING_MS = 60_000;
/** That something is well again is repeated for so long. */
export const REPEAT_WELL_MS = 60_000;

/** The circuit of one upstream. `Ejected` with its time over is half-open; `Probing` is half-open with the probe out. */
export class UpstreamHealth {
  readonly id: string;
  state: TargetSignals['health'] = 'Healthy';
  ejectedUntilMs = 0;
  reason = '';
  inFlight = 0;
  nextAttempt = 1;
  readonly key: string;
  readonly #shared: SharedHealth;
  readonly #version = new FactVersion();
  readonly #outcomes = new SlidingCount(WINDOW_BUCKET_MS, WINDOW_BUCKETS);
  readonly #faults = new SlidingCount(WINDOW_BUCKET_MS, WINDOW_BUCKETS);
  #consecutiveFaults = 0;
  /** Ejections in a row, less one: the exponent of the next one's length. */
  #growth = -1;
  #recoveredAtMs = Number.NEGATIVE_INFINITY;
  #probe = 0;
  /** Attempts with a lower number began before the last change of state: their outcome is old news. */
  #since = 0;

  constructor(id: string, shared: SharedHealth) {
    this.id = id;
    this.key = shared.options.keyOf?.(id) ?? id;
    this.#shared = shared;
  }

  learn(fact: HealthFact, nowMs: number): void {
    if (!this.#version.learn(fact, nowMs)) return;
    const { forMs, growth, reason, probing } = fact;
    const before = this.state;
    this.#since = this.nextAttempt;
    if (forMs <= 0 && !probing) {
      if (before === 'Healthy') return;
      this.state = 'Healthy';
      this.ejectedUntilMs = 0;
      this.#recoveredAtMs = nowMs;
      this.#tell('Ejected', 'Healthy', 0, true);
      return;
    }
    this.#eject(growth, reason);
    // It is for the other to probe; where that one does not, each waits for another while, so that one comes first.
    const graceMs = probing ? PROBE_MAX_MS : PROBE_GRACE_MS;
    this.ejectedUntilMs = nowMs + Math.min(EJECTION_MAX_MS, forMs) + graceMs * (1 + this.#shared.options.random());
    if (before === 'Healthy') this.#tell('Healthy', 'Ejected', forMs, true);
  }

  facts(found: HealthFact[], nowMs: number): void {
    const { version, by, atMs } = this.#version;
    const sharing = this.#shared.sharing;
    const recent = this.state === 'Healthy' && nowMs - atMs <= REPEAT_WELL_MS;
    // Of what is out only the pod that it was told by knows for how long.
    if (sharing === null || version === 0) return;
    if (recent) found.push(this.#fact(version, by, nowMs));
    if (this.state === 'Healthy' || by !== sharing.pod) return;
    // Anew, because the others wait for no longer than they were told.
    const again = this.state === 'Probing' ? this.#version.next(sharing, nowMs) : { version, by };
    found.push(this.#fact(again.version, again.by, nowMs));
  }

  started(nowMs: number): number {
    const attempt = this.nextAttempt++;
    this.inFlight++;
    if (this.state === 'Ejected' && nowMs >= this.ejectedUntilMs) {
      this.state = 'Probing';
      this.#probe = attempt;
      this.#say(nowMs);
    }
    return attempt;
  }

  finished(attempt: number): void {
    this.inFlight--;
    // A probe that ended without a verdict (its client left, its prompt was filtered): the next request probes.
    if (this.state === 'Probing' && attempt === this.#probe) this.state = 'Ejected';
  }

  succeeded(attempt: number, nowMs: number): void {
    if (attempt < this.#since) return;
    this.#consecutiveFaults = 0;
    if (this.state === 'Healthy') {
      this.#outcomes.add(nowMs);
      return;
    }
    // Any attempt that began after the ejection proves the upstream well: the probe, or one sent because no other target was left.
    this.state = 'Healthy';
    this.ejectedUntilMs = 0;
    this.#recoveredAtMs = nowMs;
    this.#since = this.nextAttempt;
    this.#say(nowMs);
    this.#tell('Ejected', 'Healthy', 0, false);
  }

  failed(attempt: number, reason: string, nowMs: number): void {
    if (attempt < this.#since) return;
    if (this.state === 'Probing') {
      if (attempt >= this.#probe) this.#ejectFor(reason, nowMs);
      return;
    }
    if (this.state === 'Ejected') return;
    this.#consecutiveFaults++;
    this.#outcomes.add(nowMs);
    this.#faults.add(nowMs);
    const outcomes = this.#outcomes.total(nowMs);
    const tooMany = outcomes >= EJECT_AT_RATIO_OF_AT_LEAST && this.#faults.total(nowMs) >= EJECT_AT_RATIO * outcomes;
    if (this.#consecutiveFaults >= EJECT_AFTER_CONSECUTIVE || tooMany) this.#ejectFor(reason, nowMs);
  }

  #ejectFor(reason: string, nowMs: number): void {
    const again = this.state !== 'Healthy';
    const growth = again || nowMs - this.#recoveredAtMs < FLAPPING_MS ? this.#growth + 1 : 0;
    const lengthMs = Math.min(EJECTION_MAX_MS, EJECTION_BASE_MS * 2 ** growth);
    // Jittered downwards, so that pods that ejected it together do not all probe it together.
    const forMs = lengthMs * (0.8 + 0.2 * this.#shared.options.random());
    this.#eject(growth, reason);
    this.ejectedUntilMs = nowMs + forMs;
    this.#since = this.nextAttempt;
    this.#say(nowMs);
    this.#tell(again ? 'Ejected' : 'Healthy', 'Ejected', forMs, false);
  }

  #eject(growth: number, reason: string): void {
    this.#growth = growth;
    this.state = 'Ejected';
    this.reason = reason;
    this.#consecutiveFaults = 0;
    this.#outcomes.clear();
    this.#faults.clear();
  }

  #say(nowMs: number): void {
    const { sharing } = this.#shared;
    if (sharing === null) return;
    const { version, by } = this.#version.next(sharing, nowMs);
    sharing.tell(this.#fact(version, by, nowMs));
  }

  #fact(version: number, by: string, nowMs: number): HealthFact {
    const out = this.state !== 'Healthy';
    return {
      kind: 'ejection',
      key: this.key,
      operation: null,
      version,
      by,
      // Half-open, and the pod that may probe has not yet: as short as can be told.
      forMs: out ? Math.max(1, this.ejectedUntilMs - nowMs) : 0,
      probing: this.state === 'Probing',
      growth: Math.max(0, this.#growth),
      reason: this.reason,
    };
  }

  #tell(from: HealthState, to: HealthState, forMs: number, told: boolean): void {
    this.#shared.options.onTransition?.({
      upstreamId: this.id,
      credentialId: null,
      from,
      to,
      reason: this.reason,
      operation: null,
      forMs,
      told,
    });
  }
}
