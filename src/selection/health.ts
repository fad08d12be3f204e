/**
 * What the gateway believes of its upstreams, from the outcomes of its calls. Pure state: times (monotonic ms) and random numbers
 * are handed in, expiry is read off the time, there are no timers.
 *
 * Ejection belongs to the upstream (what answers); a time out that an answer imposes on the caller (429, 401, 403, 404) belongs to
 * the upstream with the credential.
 */
import { FAILOVER_REASON, type Failure, type FailureKind } from '../lib/failure.ts';
import { parseJsonOrThrow } from '../lib/json-parse.ts';
import type { Operation } from '../lib/operation.ts';
import type { Target } from '../routetable/types.ts';
import type { RequestFacts } from '../dialects/facts.ts';
import type { HeadroomUnit } from '../lib/headroom-unit.ts';
import { Cooldown } from './cooldown.ts';
import { Headroom } from './headroom.ts';
import { FactVersion, type HealthFact, type HealthSharing } from './health-fact.ts';
import type { Shortage, TargetSignals } from './types.ts';
import { type HealthOptions, type HealthState, REPEAT_WELL_MS, type SharedHealth, UpstreamHealth } from './upstream-health.ts';

export {
  EJECT_AFTER_CONSECUTIVE,
  EJECT_AT_RATIO,
  EJECT_AT_RATIO_OF_AT_LEAST,
  type HealthState,
  type HealthTransition,
} from './upstream-health.ts';

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
  invalid_output: 'none',
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
  readonly #shared: SharedHealth;
  readonly #upstreams = new Map<string, UpstreamHealth>();
  readonly #targets = new Map<string, TargetHealth>();

  constructor(options: HealthOptions) {
    this.#shared = { options, sharing: null };
  }

  /** From now on with other pods, or (null) alone: then what is known stays, and each sees for itself. */
  share(sharing: HealthSharing | null): void {
    this.#shared.sharing = sharing;
  }

  /** What another pod has told. What is of no upstream of ours, or older than what is known, changes nothing. */
  learn(fact: HealthFact, nowMs: number): void {
    const { kind, key } = fact;
    if (kind === 'ejection') {
      for (const upstream of this.#upstreams.values()) if (upstream.key === key) upstream.learn(fact, nowMs);
      return;
    }
    for (const target of this.#targets.values()) if (target.key === key) target.learn(fact, nowMs);
  }

  /** All that others may have missed. */
  facts(nowMs: number): readonly HealthFact[] {
    const found: HealthFact[] = [];
    for (const upstream of this.#upstreams.values()) upstream.facts(found, nowMs);
    for (const target of this.#targets.values()) target.facts(found, nowMs);
    return found;
  }

  /** One object for all targets of the same upstream and credential, updated in place: resolve it when a table is loaded. */
  signals(target: Pick<Target, 'upstreamId' | 'credentialId' | 'model'>): TargetHealth {
    const { upstreamId, credentialId } = target;
    let found = this.#targets.get(credentialId);
    if (found === undefined) {
      let upstream = this.#upstreams.get(upstreamId);
      if (upstream === undefined) {
        upstream = new UpstreamHealth(upstreamId, this.#shared);
        this.#upstreams.set(upstreamId, upstream);
      }
      found = new TargetHealth(upstream, credentialId, target.model === null, this.#shared);
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
  readonly #shared: SharedHealth;
  readonly #rate = new Cooldown();
  readonly #access = new Cooldown();
  #absent: Map<Operation, Cooldown> | null = null;
  /** null: its provider has not said. */
  #headroom: Headroom | null = null;
  readonly key: string;
  /** By kind, and operation. */
  readonly #versions = new Map<string, FactVersion>();

  constructor(upstream: UpstreamHealth, credentialId: string, passesModelThrough: boolean, shared: SharedHealth) {
    this.credentialId = credentialId;
    this.key = shared.options.keyOf?.(credentialId) ?? credentialId;
    this.#upstream = upstream;
    this.#passesModelThrough = passesModelThrough;
    this.#shared = shared;
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

  unproven(operation: Operation, nowMs: number): boolean {
    return this.#rate.unproven(nowMs) || this.#access.unproven(nowMs) || this.#absent?.get(operation)?.unproven(nowMs) === true;
  }

  shortage(facts: RequestFacts, nowMs: number): Shortage | null {
    return this.#headroom === null ? null : this.#headroom.shortage(facts, nowMs);
  }

  /** What is left of each of the provider's limits, as far as it has said. */
  headroom(nowMs: number): Iterable<Shortage> {
    return this.#headroom?.told(nowMs) ?? [];
  }

  /** The answer to this attempt says what is left of one of the provider's own limits: `Headroom.said`. */
  leftOf(unit: HeadroomUnit, amount: number, resetMs: number | null, attempt: number, facts: RequestFacts, nowMs: number): void {
    this.#headroom ??= new Headroom(this.key);
    const of = { attempt, nextAttempt: this.#upstream.nextAttempt, facts };
    this.#headroom.said(unit, amount, resetMs, of, this.#shared.sharing, nowMs);
  }

  /** An attempt begins; if the upstream is half-open it is the probe. Returns the attempt's number, for the calls that follow. */
  started(nowMs: number, facts: RequestFacts | null = null): number {
    if (this.#headroom !== null && facts !== null) this.#headroom.spend(facts);
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
    if (this.#rate.open && this.#rate.succeeded(attempt, false, nowMs)) this.#closed('rate', this.#rate.reason, null, nowMs);
    if (this.#access.open && this.#access.succeeded(attempt, true, nowMs))
      this.#closed('access', this.#access.reason, null, nowMs);
    if (this.#absent !== null && this.#absent.get(operation)?.succeeded(attempt, true, nowMs) === true) {
      this.#absent.delete(operation);
      if (this.#absent.size === 0) this.#absent = null;
      this.#closed('absent', 'NotFound', operation, nowMs);
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
          this.#opened('rate', this.#rate, null, nowMs);
        return;
      case 'rate': {
        const before = this.#rate.untilMs;
        const begins =
          retryAfterMs > 0
            ? this.#rate.lastUntil(nowMs + retryAfterMs, reason, nowMs, next)
            : this.#rate.grow(reason, RATE_LIMIT_BASE_MS, RATE_LIMIT_GROWN_MAX_MS, nowMs, next);
        if (begins) this.#opened('rate', this.#rate, null, nowMs);
        // A longer retry-after than that of before.
        else if (this.#rate.untilMs > before) this.#say('rate', this.#rate.untilMs - nowMs, this.#rate.reason, null, nowMs);
        return;
      }
      case 'quota':
        if (this.#rate.lastUntil(nowMs + (retryAfterMs > 0 ? retryAfterMs : QUOTA_MS), reason, nowMs, next))
          this.#opened('rate', this.#rate, null, nowMs);
        return;
      case 'access':
        // Where the client's model name goes through, a 403 can be about that name: other names may well be allowed.
        if (failure.kind === 'permission' && this.#passesModelThrough) return;
        if (this.#access.grow(reason, ACCESS_BASE_MS, ACCESS_MAX_MS, nowMs, next))
          this.#opened('access', this.#access, null, nowMs);
        return;
      case 'absent': {
        // And a 404 is about the name there: one client's typing error must not take the upstream from all others.
        if (this.#passesModelThrough) return;
        this.#absent ??= new Map();
        let absent = this.#absent.get(operation);
        if (absent === undefined) this.#absent.set(operation, (absent = new Cooldown()));
        if (absent.grow(reason, ACCESS_BASE_MS, ACCESS_MAX_MS, nowMs, next)) this.#opened('absent', absent, operation, nowMs);
        return;
      }
      case 'none':
        return;
    }
  }

  learn(fact: HealthFact, nowMs: number): void {
    const { kind, operation, forMs, reason } = fact;
    if (kind === 'headroom') {
      this.#headroom ??= new Headroom(this.key);
      this.#headroom.learn(fact, this.#upstream.nextAttempt, nowMs);
      return;
    }
    if (kind === 'ejection' || (kind === 'absent') !== (operation !== null)) return;
    if (!this.#version(kind, operation).learn(fact, nowMs)) return;
    if (forMs > 0) {
      const cooldown = this.#cooldown(kind, operation);
      const untilMs = nowMs + Math.min(RETRY_AFTER_MAX_MS, forMs);
      if (cooldown.lastUntil(untilMs, reason, nowMs, this.#upstream.nextAttempt))
        this.#tell('Healthy', 'CoolingDown', reason, operation, untilMs - nowMs, true);
      return;
    }
    const open = operation === null ? this.#cooldown(kind, null) : this.#absent?.get(operation);
    if (open === undefined || !open.open) return;
    // A retry-after is obeyed to its end, whoever has been let in meanwhile.
    if (kind === 'rate' && nowMs < open.untilMs) return;
    open.close();
    this.#tell('CoolingDown', 'Healthy', open.reason, operation, 0, true);
  }

  facts(found: HealthFact[], nowMs: number): void {
    this.#headroom?.facts(found, nowMs);
    for (const [name, { version, by, atMs }] of this.#versions) {
      const { kind, operation } = parseJsonOrThrow(name) as Pick<HealthFact, 'kind' | 'operation'>;
      if (kind === 'ejection' || kind === 'headroom') continue;
      const cooldown = this.#cooldown(kind, operation);
      const forMs = Math.max(0, cooldown.untilMs - nowMs);
      if (forMs === 0 && nowMs - atMs > REPEAT_WELL_MS) this.#versions.delete(name);
      // One whose time is over is as good as well, until somebody has tried.
      else if (forMs > 0 || !cooldown.open)
        found.push({ kind, key: this.key, operation, version, by, forMs, probing: false, growth: 0, reason: cooldown.reason });
    }
  }

  #cooldown(kind: 'rate' | 'access' | 'absent', operation: Operation | null): Cooldown {
    if (operation === null) return kind === 'rate' ? this.#rate : this.#access;
    this.#absent ??= new Map();
    let absent = this.#absent.get(operation);
    if (absent === undefined) this.#absent.set(operation, (absent = new Cooldown()));
    return absent;
  }

  #version(kind: HealthFact['kind'], operation: Operation | null): FactVersion {
    const name = JSON.stringify({ kind, operation });
    let version = this.#versions.get(name);
    if (version === undefined) this.#versions.set(name, (version = new FactVersion()));
    return version;
  }

  #opened(kind: HealthFact['kind'], cooldown: Cooldown, operation: Operation | null, nowMs: number): void {
    const forMs = cooldown.untilMs - nowMs;
    this.#say(kind, forMs, cooldown.reason, operation, nowMs);
    this.#tell('Healthy', 'CoolingDown', cooldown.reason, operation, forMs, false);
  }

  #closed(kind: HealthFact['kind'], reason: string, operation: Operation | null, nowMs: number): void {
    this.#say(kind, 0, reason, operation, nowMs);
    this.#tell('CoolingDown', 'Healthy', reason, operation, 0, false);
  }

  #say(kind: HealthFact['kind'], forMs: number, reason: string, operation: Operation | null, nowMs: number): void {
    const { sharing } = this.#shared;
    if (sharing === null) return;
    const version = this.#version(kind, operation).next(sharing, nowMs);
    sharing.tell({ kind, key: this.key, operation, ...version, forMs, probing: false, growth: 0, reason });
  }

  #tell(from: HealthState, to: HealthState, reason: string, operation: Operation | null, forMs: number, told: boolean): void {
    this.#shared.options.onTransition?.({
      upstreamId: this.upstreamId,
      credentialId: this.credentialId,
      from,
      to,
      reason,
      operation,
      forMs,
      told,
    });
  }
}
