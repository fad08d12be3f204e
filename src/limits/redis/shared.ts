import { createHash } from 'node:crypto';
import type { Clock } from '../../lib/clock.ts';
import type { Limit, RedisSettings } from '../../routetable/types.ts';
import { bindLimits, type BoundLimits } from '../bound-limit.ts';
import { type CounterPlace, CounterStore } from '../counter-store.ts';
import { newCounter } from '../counters.ts';
import { limitUse, rejection, usedShares } from '../decision.ts';
import type { Decision, LimitedRequest, Limiter, LimitUse, Rejection, Unavailable } from '../limiter.ts';
import { NO_LIMITS } from '../local.ts';
import type { Sharers } from './alone-share.ts';
import { type LeaseReply, readLeaseReply } from './lease-call.ts';
import { AWAY, type CounterIdentity, type LeaseHost, LeasedCounter, NOT_NOW, REFUSED } from './leased-counter.ts';
import { type Script, scriptOf } from './connection.ts';
import { LEASE_SCRIPT } from './scripts.ts';
import { Claim, SharedReservation } from './shared-reservation.ts';

const MAX_COUNTERS = 100_000;
/** Below a third of the shortest lease. */
const TEND_MS = 50;
/** What a client is told to wait where nothing can be said but that Redis is away. */
const AWAY_RETRY_MS = 1_000;
const UNAVAILABLE: Unavailable = { ok: false, reason: 'unavailable', retryAfterMs: AWAY_RETRY_MS };
/** After this many answers that others were quicker to use, everything is asked for at once and held. */
const ROUNDS = 2;
/** A period can end while a request is decided; a clock that disagrees more often than this is no clock. */
const PERIOD_ROUNDS = 5;

/** What the limiter needs of Redis. */
export interface LimitStore extends Sharers {
  readonly reachable: boolean;
  /** Set while this process has only just begun to ask. */
  readonly firstAnswer?: Promise<void> | null;
  run(script: Script, key: string, args: readonly (string | number)[]): Promise<unknown>;
}

export interface SharedLimiterEvents {
  /** A request was decided without Redis. */
  decidedAlone(admitted: boolean): void;
}

export interface SharedLimiterOptions {
  readonly clock: Clock;
  readonly store: LimitStore;
  /** Begins every key: one gateway's limits are not another's. */
  readonly prefix: string;
  readonly pod: string;
  readonly onUnavailable: RedisSettings['onUnavailable'];
  readonly events: SharedLimiterEvents;
  readonly maxCounters?: number;
}

/** The limiter of a fleet: README.md says how its pods share limits and what they do while Redis is away. */
export class SharedLimiter implements Limiter, LeaseHost {
  readonly clock: Clock;
  readonly pod: string;
  onUnavailable: RedisSettings['onUnavailable'];
  readonly #redis: LimitStore;
  readonly #prefix: string;
  readonly #events: SharedLimiterEvents;
  readonly #script = scriptOf(LEASE_SCRIPT);
  readonly #counters: CounterStore<LeasedCounter>;
  readonly #bound = new WeakMap<readonly Limit[], BoundLimits<LeasedCounter>>();
  readonly #tended = new Set<LeasedCounter>();
  /** Redis' clock showed at least #redisMs at #seenMs of ours; NaN: it has not said. */
  #redisMs = Number.NaN;
  #seenMs = 0;
  readonly #dateMs = (): number =>
    Number.isNaN(this.#redisMs) ? this.clock.wallMs() : this.#redisMs + (this.clock.nowMs() - this.#seenMs);
  #timer: NodeJS.Timeout | undefined;

  constructor({ clock, store, prefix, pod, onUnavailable, events, maxCounters = MAX_COUNTERS }: SharedLimiterOptions) {
    this.clock = clock;
    this.pod = pod;
    this.onUnavailable = onUnavailable;
    this.#redis = store;
    this.#prefix = prefix;
    this.#events = events;
    // Who leaves the overflow gets a counter of its own: only the local limiter can start it from what was counted there.
    this.#counters = new CounterStore(maxCounters, (place) => this.#newCounter(place));
  }

  get reachable(): boolean {
    return this.#redis.reachable;
  }

  /** Counters in memory. */
  get size(): number {
    return this.#counters.size;
  }

  async lease(key: string, args: readonly (string | number)[]): Promise<LeaseReply> {
    return readLeaseReply(await this.#redis.run(this.#script, key, args));
  }

  tellDate(redisMs: number): void {
    this.#redisMs = redisMs;
    this.#seenMs = this.clock.nowMs();
  }

  tend(counter: LeasedCounter): void {
    this.#tended.add(counter);
    this.#timer ??= setInterval(() => this.#tendAll(), TEND_MS).unref();
  }

  reserve(request: LimitedRequest): Decision | Promise<Decision> {
    return request.limits.length === 0 ? NO_LIMITS : this.#begin(request, 1);
  }

  #begin(request: LimitedRequest, attempt: number): Decision | Promise<Decision> {
    const nowMs = this.clock.nowMs();
    const { limits } = this.#boundLimits(request);
    const claim = new Claim(request, limits, this.#counters);
    if (!claim.warm(nowMs)) return this.#ask(claim, 1, attempt);
    claim.takeRest(nowMs);
    return new SharedReservation(this.clock, claim);
  }

  usedShares(routeId: string, limits: readonly Limit[], index: number): Iterable<number> {
    const limit = this.#boundLimits({ routeId, limits }).limits[index];
    return limit === undefined ? [] : usedShares(limit.counters(), limit.limit, this.clock.nowMs(), ({ known }) => known);
  }

  refusal(request: LimitedRequest): Rejection | null {
    const nowMs = this.clock.nowMs();
    const claim = new Claim(request, this.#boundLimits(request).limits, this.#counters);
    if (claim.warm(nowMs)) return null;
    const lacking = claim.lacking(nowMs);
    const refused = this.#refusedAmong(claim, lacking, nowMs);
    if (refused.length > 0) return rejection(claim.limits, claim.counters, claim.demand, nowMs, (i) => refused.includes(i));
    const alone = !this.#redis.reachable && this.#redis.firstAnswer == null && this.onUnavailable === 'LocalShare';
    const short = alone ? this.#beyondShare(claim, lacking, nowMs) : [];
    return short.length === 0 ? null : this.#refuseByShare(claim, short, nowMs);
  }

  async look(request: LimitedRequest): Promise<readonly LimitUse[]> {
    // Twice, where a period ended meanwhile: then the limit has another counter.
    for (let attempt = 1; ; attempt++) {
      const { limits } = this.#boundLimits(request);
      const counters = limits.map((limit) => limit.counter(request));
      const current = await Promise.all(counters.map(async (counter) => counter.refresh()));
      if (attempt === 1 && current.includes(false)) continue;
      const nowMs = this.clock.nowMs();
      return limits.flatMap((limit, i) => {
        const counter = counters[i];
        return counter === undefined ? [] : [limitUse(limit, counter, nowMs)];
      });
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all([...this.#tended].map(async (counter) => counter.close()));
  }

  /** The second half of a decision: asks Redis for what is lacking, until all is there or something is refused. */
  #ask(claim: Claim, round: number, attempt: number): Decision | Promise<Decision> {
    const nowMs = this.clock.nowMs();
    const lacking = claim.lacking(nowMs);
    if (lacking.length === 0) {
      claim.takeRest(nowMs);
      return new SharedReservation(this.clock, claim);
    }
    const refused = this.#refusedAmong(claim, lacking, nowMs);
    if (refused.length > 0) return this.#refuse(claim, refused, nowMs);
    if (!this.#redis.reachable) {
      const first = this.#redis.firstAnswer ?? null;
      // A pod that has just started knows nothing of what the others have used, or that they are there.
      return first === null ? this.#alone(claim, lacking, nowMs) : first.then(async () => this.#ask(claim, round, attempt));
    }
    return this.#acquire(claim, round < ROUNDS ? lacking : claim.open(), round, attempt);
  }

  async #acquire(claim: Claim, asked: readonly number[], round: number, attempt: number): Promise<Decision> {
    const outcomes = await Promise.all(asked.map(async (i) => claim.counter(i).acquire(claim.amount(i))));
    const nowMs = this.clock.nowMs();
    const refused: number[] = [];
    const away: number[] = [];
    let elsewhen = false;
    for (const [at, outcome] of outcomes.entries()) {
      const i = asked[at] ?? 0;
      if (outcome === REFUSED) refused.push(i);
      else if (outcome === AWAY) away.push(i);
      else if (outcome === NOT_NOW) elsewhen = true;
      else claim.taken(i, outcome, nowMs);
    }
    if (elsewhen) {
      claim.giveBack(nowMs);
      return attempt < PERIOD_ROUNDS ? this.#begin(claim.request, attempt + 1) : UNAVAILABLE;
    }
    if (refused.length > 0) return this.#refuse(claim, refused, nowMs);
    if (away.length > 0) return this.#alone(claim, claim.lacking(nowMs), nowMs);
    return this.#ask(claim, round + 1, attempt);
  }

  #refuse(claim: Claim, refused: readonly number[], nowMs: number): Rejection {
    claim.giveBack(nowMs);
    return rejection(claim.limits, claim.counters, claim.demand, nowMs, (i) => refused.includes(i));
  }

  /** Redis does not answer: the gateway's policy decides about what no lease covers. */
  #alone(claim: Claim, lacking: readonly number[], nowMs: number): Decision {
    const decision = this.#decideAlone(claim, lacking, nowMs);
    this.#events.decidedAlone(decision.ok);
    return decision;
  }

  #decideAlone(claim: Claim, lacking: readonly number[], nowMs: number): Decision {
    switch (this.onUnavailable) {
      case 'FailOpen':
        break;
      case 'FailClosed':
        claim.giveBack(nowMs);
        return UNAVAILABLE;
      case 'LocalShare': {
        const short = this.#beyondShare(claim, lacking, nowMs);
        if (short.length === 0) break;
        claim.giveBack(nowMs);
        return this.#refuseByShare(claim, short, nowMs);
      }
    }
    claim.takeRest(nowMs);
    return new SharedReservation(this.clock, claim, this.onUnavailable === 'FailOpen' ? 'none' : 'share');
  }

  /** Of those that no lease covers, the ones that Redis is known to refuse. */
  #refusedAmong(claim: Claim, lacking: readonly number[], nowMs: number): number[] {
    return lacking.filter((i) => claim.exceeds(i) || claim.counter(i).refuses(claim.amount(i), nowMs));
  }

  /** Of those that no lease covers, the ones of which this pod has no room in its share. */
  #beyondShare(claim: Claim, lacking: readonly number[], nowMs: number): number[] {
    return lacking.filter((i) => claim.counter(i).alone.room(claim.limits[i]?.limit ?? 0, this.#redis, nowMs) < claim.amount(i));
  }

  #refuseByShare(claim: Claim, short: readonly number[], nowMs: number): Rejection {
    const own = claim.counters.map(({ alone }) => alone.measured(this.#redis));
    return rejection(claim.limits, own, claim.demand, nowMs, (i) => short.includes(i));
  }

  #boundLimits(request: Pick<LimitedRequest, 'routeId' | 'limits'>): BoundLimits<LeasedCounter> {
    const known = this.#bound.get(request.limits);
    if (known?.routeId === request.routeId) return known;
    const bound = bindLimits(request.routeId, request.limits, this.#counters, this.#dateMs);
    this.#bound.set(request.limits, bound);
    return bound;
  }

  #newCounter({ setId, limit, period, group, value }: CounterPlace): LeasedCounter {
    const hash = createHash('sha256')
      .update(JSON.stringify([setId, group, value]))
      .digest('base64url')
      .slice(0, 22);
    const key = `${this.#prefix}{${hash}}`;
    const kind: CounterIdentity['kind'] = period !== null ? 'fixed' : limit.windowMs === null ? 'slots' : 'sliding';
    const identity: CounterIdentity = { key, kind, windowMs: limit.windowMs ?? 0, period };
    return new LeasedCounter(this, identity, newCounter(limit, period, this.#dateMs), limit.limit);
  }

  #tendAll(): void {
    const nowMs = this.clock.nowMs();
    for (const counter of this.#tended) if (!counter.upkeep(nowMs)) this.#tended.delete(counter);
    if (this.#tended.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
