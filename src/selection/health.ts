/**
 * What the gateway believes of its upstreams, from the outcomes of its calls. Pure state: times (monotonic ms) and random numbers
 * are handed in, expiry is read off the time, there are no timers.
 *
 * Ejection belongs to the upstream (what answers); a time out that an answer imposes on the caller (429, 401, 403, 404) belongs to
 * the upstream with the credential.
 */
import { FAILOVER_REASON, type Failure, type FailureKind } from '../lib/failure.ts';
import type { Operation } from '../lib/operation.ts';
import { SlidingCount } from '../lib/sliding-count.ts';
import type { Target } from '../routetable/types.ts';
import { Cooldown } from './cooldown.ts';
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
}

export interface HealthOptions {
  /** [0, 1), for the jitter of ejections. */
  random(): number;
  onTransition?(transition: HealthTransition): void;
}

export const EJECT_AFTER_CONSECUTIVE = 5;
export const EJECT_AT_RATIO = 0.5;
export const EJECT_AT_RATIO_OF_AT_LEAST = 20;
const WINDOW_BUCKET_MS = 1_000;
const WINDOW_BUCKETS = 10;
const EJECTION_BASE_MS = 5_000;
const EJECTION_MAX_MS = 300_000;
/** An ejection so soon after a recovery continues the growth of the one before: the upstream flaps. */
const FLAPPING_MS = 60_000;

const RATE_LIMIT_BASE_MS = 1_000;
const RATE_LIMIT_GROWN_MAX_MS = 60_000;
const QUOTA_MS = 60_000;
const RETRY_AFTER_MAX_MS = 3_600_000;
const ACCESS_BASE_MS = 30_000;
const ACCESS_MAX_MS = 300_000;

/** What each kind of failure says of its upstream. `none`: it is about the request, or the client, and says nothing. */
const EFFECT: Readonly<Record<FailureKind, 'fault' | 'rate' | 'quota' | 'access' | 'absent' | 'none'>> = {
  rate_limited: 'rate',
  quota_exhausted: 'quota',
  content_filtered: 'none',
  refusal: 'none',
  context_exceeded: 'none',
  payload_too_large: 'none',
  invalid_request: 'none',
  conflict: 'none',
  auth: 'access',
  permission: 'access',
  not_found: 'absent',
  overloaded: 'fault',
  server_error: 'fault',
  timeout: 'fault',
  network: 'fault',
  malformed: 'fault',
  stream_broken: 'fault',
  client_gone: 'none',
};

export class HealthBook {
  readonly #options: HealthOptions;
  readonly #upstreams = new Map<string, UpstreamHealth>();
  readonly #targets = new Map<string, TargetHealth>();

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  /** One object for all targets of the same upstream and credential, updated in place: resolve it when a table is loaded. */
  signals(target: Pick<Target, 'upstreamId' | 'credentialId' | 'model'>): TargetHealth {
    const { upstreamId, credentialId } = target;
    let found = this.#targets.get(credentialId);
    if (found === undefined) {
      let upstream = this.#upstreams.get(upstreamId);
      if (upstream === undefined) {
        upstream = new UpstreamHealth(upstreamId, this.#options);
        this.#upstreams.set(upstreamId, upstream);
      }
      found = new TargetHealth(upstream, credentialId, target.model === null, this.#options);
      this.#targets.set(credentialId, found);
    }
    return found;
  }

  /** Forgets what no table names any more, unless calls to it are still under way (the next prune finds it). */
  prune(credentialIds: ReadonlySet<string>): void {
    const kept = new Set<string>();
    for (const [id, target] of this.#targets) {
      if (credentialIds.has(id) || target.inFlight > 0) kept.add(target.upstreamId);
      else this.#targets.delete(id);
    }
    for (const id of this.#upstreams.keys()) if (!kept.has(id)) this.#upstreams.delete(id);
  }

  /** Everything known, for metrics and status. */
  targets(): Iterable<TargetHealth> {
    return this.#targets.values();
  }
}

/**
 * Live signals of one upstream with one credential. The outcome of each attempt is told as
 * `started` → `succeeded`? → `failed`? → `finished`, each at most once: a stream that breaks after its first output is both.
 */
export class TargetHealth implements TargetSignals {
  readonly credentialId: string;
  readonly #upstream: UpstreamHealth;
  readonly #passesModelThrough: boolean;
  readonly #options: HealthOptions;
  readonly #rate = new Cooldown();
  readonly #access = new Cooldown();
  #absent: Map<Operation, Cooldown> | null = null;

  constructor(upstream: UpstreamHealth, credentialId: string, passesModelThrough: boolean, options: HealthOptions) {
    this.credentialId = credentialId;
    this.#upstream = upstream;
    this.#passesModelThrough = passesModelThrough;
    this.#options = options;
  }

  get upstreamId(): string {
    return this.#upstream.id;
  }

  get health(): TargetSignals['health'] {
    return this.#upstream.state;
  }

  get coolUntilMs(): number {
    return Math.max(this.#upstream.ejectedUntilMs, this.#rate.untilMs, this.#access.untilMs);
  }

  get coolReason(): string {
    const untilMs = this.coolUntilMs;
    if (untilMs === this.#upstream.ejectedUntilMs) return this.#upstream.reason;
    return untilMs === this.#rate.untilMs ? this.#rate.reason : this.#access.reason;
  }

  get inFlight(): number {
    return this.#upstream.inFlight;
  }

  absentUntilMs(operation: Operation): number {
    return this.#absent === null ? 0 : (this.#absent.get(operation)?.untilMs ?? 0);
  }

  /** An attempt begins; if the upstream is half-open it is the probe. Returns the attempt's number, for the calls that follow. */
  started(nowMs: number): number {
    return this.#upstream.started(nowMs);
  }

  /** An attempt is over, however it ended. Exactly once for each `started`. */
  finished(attempt: number): void {
    this.#upstream.finished(attempt);
  }

  /** The upstream has answered this attempt as it should (for a stream: its first output is there). */
  succeeded(attempt: number, operation: Operation, nowMs: number): void {
    this.#upstream.succeeded(attempt, nowMs);
    // A retry-after is obeyed even if another request slips through; a credential that works again works for all.
    if (this.#rate.open && this.#rate.succeeded(attempt, false, nowMs)) this.#closed(this.#rate.reason, null);
    if (this.#access.open && this.#access.succeeded(attempt, true, nowMs)) this.#closed(this.#access.reason, null);
    if (this.#absent !== null && this.#absent.get(operation)?.succeeded(attempt, true, nowMs) === true) {
      this.#absent.delete(operation);
      if (this.#absent.size === 0) this.#absent = null;
      this.#closed('NotFound', operation);
    }
  }

  failed(attempt: number, failure: Failure, operation: Operation, nowMs: number): void {
    const reason = FAILOVER_REASON[failure.kind] ?? failure.kind;
    const retryAfterMs =
      'retryAfterMs' in failure && failure.retryAfterMs !== null ? Math.min(RETRY_AFTER_MAX_MS, failure.retryAfterMs) : 0;
    const next = this.#upstream.nextAttempt;
    switch (EFFECT[failure.kind]) {
      case 'fault':
        this.#upstream.failed(attempt, reason, nowMs);
        if (retryAfterMs > 0 && this.#rate.lastUntil(nowMs + retryAfterMs, reason, nowMs, next))
          this.#opened(this.#rate, null, nowMs);
        return;
      case 'rate': {
        const begins =
          retryAfterMs > 0
            ? this.#rate.lastUntil(nowMs + retryAfterMs, reason, nowMs, next)
            : this.#rate.grow(reason, RATE_LIMIT_BASE_MS, RATE_LIMIT_GROWN_MAX_MS, nowMs, next);
        if (begins) this.#opened(this.#rate, null, nowMs);
        return;
      }
      case 'quota':
        if (this.#rate.lastUntil(nowMs + (retryAfterMs > 0 ? retryAfterMs : QUOTA_MS), reason, nowMs, next))
          this.#opened(this.#rate, null, nowMs);
        return;
      case 'access':
        // Where the client's model name goes through, a 403 can be about that name: other names may well be allowed.
        if (failure.kind === 'permission' && this.#passesModelThrough) return;
        if (this.#access.grow(reason, ACCESS_BASE_MS, ACCESS_MAX_MS, nowMs, next)) this.#opened(this.#access, null, nowMs);
        return;
      case 'absent': {
        // And a 404 is about the name there: one client's typing error must not take the upstream from all others.
        if (this.#passesModelThrough) return;
        this.#absent ??= new Map();
        let absent = this.#absent.get(operation);
        if (absent === undefined) this.#absent.set(operation, (absent = new Cooldown()));
        if (absent.grow(reason, ACCESS_BASE_MS, ACCESS_MAX_MS, nowMs, next)) this.#opened(absent, operation, nowMs);
        return;
      }
      case 'none':
        return;
    }
  }

  #opened(cooldown: Cooldown, operation: Operation | null, nowMs: number): void {
    this.#tell('Healthy', 'CoolingDown', cooldown.reason, operation, cooldown.untilMs - nowMs);
  }

  #closed(reason: string, operation: Operation | null): void {
    this.#tell('CoolingDown', 'Healthy', reason, operation, 0);
  }

  #tell(from: HealthState, to: HealthState, reason: string, operation: Operation | null, forMs: number): void {
    this.#options.onTransition?.({
      upstreamId: this.upstreamId,
      credentialId: this.credentialId,
      from,
      to,
      reason,
      operation,
      forMs,
    });
  }
}

/** The circuit of one upstream. `Ejected` with its time over is half-open; `Probing` is half-open with the probe out. */
class UpstreamHealth {
  readonly id: string;
  state: TargetSignals['health'] = 'Healthy';
  ejectedUntilMs = 0;
  reason = '';
  inFlight = 0;
  nextAttempt = 1;
  readonly #options: HealthOptions;
  readonly #outcomes = new SlidingCount(WINDOW_BUCKET_MS, WINDOW_BUCKETS);
  readonly #faults = new SlidingCount(WINDOW_BUCKET_MS, WINDOW_BUCKETS);
  #consecutiveFaults = 0;
  /** Ejections in a row, less one: the exponent of the next one's length. */
  #growth = -1;
  #recoveredAtMs = Number.NEGATIVE_INFINITY;
  #probe = 0;
  /** Attempts with a lower number began before the last change of state: their outcome is old news. */
  #since = 0;

  constructor(id: string, options: HealthOptions) {
    this.id = id;
    this.#options = options;
  }

  started(nowMs: number): number {
    const attempt = this.nextAttempt++;
    this.inFlight++;
    if (this.state === 'Ejected' && nowMs >= this.ejectedUntilMs) {
      this.state = 'Probing';
      this.#probe = attempt;
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
    this.#tell('Ejected', 'Healthy', 0);
  }

  failed(attempt: number, reason: string, nowMs: number): void {
    if (attempt < this.#since) return;
    if (this.state === 'Probing') {
      if (attempt >= this.#probe) this.#eject(reason, nowMs);
      return;
    }
    if (this.state === 'Ejected') return;
    this.#consecutiveFaults++;
    this.#outcomes.add(nowMs);
    this.#faults.add(nowMs);
    const outcomes = this.#outcomes.total(nowMs);
    const tooMany = outcomes >= EJECT_AT_RATIO_OF_AT_LEAST && this.#faults.total(nowMs) >= EJECT_AT_RATIO * outcomes;
    if (this.#consecutiveFaults >= EJECT_AFTER_CONSECUTIVE || tooMany) this.#eject(reason, nowMs);
  }

  #eject(reason: string, nowMs: number): void {
    const again = this.state !== 'Healthy';
    this.#growth = again || nowMs - this.#recoveredAtMs < FLAPPING_MS ? this.#growth + 1 : 0;
    const lengthMs = Math.min(EJECTION_MAX_MS, EJECTION_BASE_MS * 2 ** this.#growth);
    // Jittered downwards, so that pods that ejected it together do not all probe it together.
    const forMs = lengthMs * (0.8 + 0.2 * this.#options.random());
    this.state = 'Ejected';
    this.reason = reason;
    this.ejectedUntilMs = nowMs + forMs;
    this.#since = this.nextAttempt;
    this.#consecutiveFaults = 0;
    this.#outcomes.clear();
    this.#faults.clear();
    this.#tell(again ? 'Ejected' : 'Healthy', 'Ejected', forMs);
  }

  #tell(from: HealthState, to: HealthState, forMs: number): void {
    this.#options.onTransition?.({
      upstreamId: this.id,
      credentialId: null,
      from,
      to,
      reason: this.reason,
      operation: null,
      forMs,
    });
  }
}
