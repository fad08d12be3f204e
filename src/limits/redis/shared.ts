import { createHash } from 'node:crypto';
import type { Clock } from '../../lib/clock.ts';
import type { Limit, RedisSettings } from '../../routetable/types.ts';
import { bindLimits, type BoundLimits } from '../bound-limit.ts';
import { type CounterPlace, CounterStore } from '../counter-store.ts';
import { InFlight, SlidingWindow } from '../counters.ts';
import { type Measured, rejection } from '../decision.ts';
import type { Decision, LimitedRequest, Limiter, Rejection } from '../limiter.ts';
import { NO_LIMITS } from '../local.ts';
import { type LeaseReply, readLeaseReply } from './lease-call.ts';
import { AWAY, type LeaseHost, LeasedCounter, REFUSED } from './leased-counter.ts';
import { type Script, scriptOf } from './connection.ts';
import { LEASE_SCRIPT } from './scripts.ts';
import { Claim, SharedReservation } from './shared-reservation.ts';

const MAX_COUNTERS = 100_000;
/** Below a third of the shortest lease. */
const TEND_MS = 50;
/** What a client is told to wait where nothing can be said but that Redis is away. */
const AWAY_RETRY_MS = 1_000;
/** After this many answers that others were quicker to use, everything is asked for at once and held. */
const ROUNDS = 2;

/** What the limiter needs of Redis. */
export interface LimitStore {
  readonly reachable: boolean;
  /** Ready pods of this gateway, at least 1. */
  readonly pods: number;
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

  tend(counter: LeasedCounter): void {
    this.#tended.add(counter);
    this.#timer ??= setInterval(() => this.#tendAll(), TEND_MS).unref();
  }

  reserve(request: LimitedRequest): Decision | Promise<Decision> {
    if (request.limits.length === 0) return NO_LIMITS;
    const nowMs = this.clock.nowMs();
    const { limits } = this.#boundLimits(request);
    // One more than a request can add, so that forgetting keeps up with an attack that invents values.
    this.#counters.evictIdle(limits.length + 1, nowMs);
    const tokens = request.tokens > 0 ? Math.ceil(request.tokens) : 0;
    const counters: LeasedCounter[] = [];
    let warm = true;
    for (const limit of limits) {
      const counter = limit.counter(request);
      counters.push(counter);
      if (!counter.ready(limit.limit, limit.amount(tokens), nowMs)) warm = false;
    }
    const claim = new Claim(limits, counters, tokens);
    if (!warm) return this.#ask(claim, 1);
    claim.takeRest(nowMs);
    return new SharedReservation(this.clock, claim);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all([...this.#tended].map(async (counter) => counter.close()));
  }

  /** The second half of a decision: asks Redis for what is lacking, until all is there or something is refused. */
  #ask(claim: Claim, round: number): Decision | Promise<Decision> {
    const nowMs = this.clock.nowMs();
    const lacking = claim.lacking(nowMs);
    if (lacking.length === 0) {
      claim.takeRest(nowMs);
      return new SharedReservation(this.clock, claim);
    }
    const refused = lacking.filter((i) => claim.exceeds(i) || claim.counter(i).refuses(claim.amount(i), nowMs));
    if (refused.length > 0) return this.#refuse(claim, refused, nowMs);
    if (!this.#redis.reachable) return this.#alone(claim, lacking, nowMs);
    return this.#acquire(claim, round < ROUNDS ? lacking : claim.open(), round);
  }

  async #acquire(claim: Claim, asked: readonly number[], round: number): Promise<Decision> {
    const outcomes = await Promise.all(asked.map(async (i) => claim.counter(i).acquire(claim.amount(i))));
    const nowMs = this.clock.nowMs();
    const refused: number[] = [];
    const away: number[] = [];
    for (const [at, outcome] of outcomes.entries()) {
      const i = asked[at] ?? 0;
      if (outcome === REFUSED) refused.push(i);
      else if (outcome === AWAY) away.push(i);
      else claim.taken(i, outcome, nowMs);
    }
    if (refused.length > 0) return this.#refuse(claim, refused, nowMs);
    if (away.length > 0) return this.#alone(claim, claim.lacking(nowMs), nowMs);
    return this.#ask(claim, round + 1);
  }

  #refuse(claim: Claim, refused: readonly number[], nowMs: number): Rejection {
    claim.giveBack(nowMs);
    return rejection(claim.limits, claim.counters, claim.tokens, nowMs, (i) => refused.includes(i));
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
        return { ok: false, reason: 'unavailable', retryAfterMs: AWAY_RETRY_MS };
      case 'LocalShare': {
        const shares = claim.limits.map((limit) => Math.max(1, Math.floor(limit.limit / this.#redis.pods)));
        const short = lacking.filter((i) => claim.counter(i).own.room(shares[i] ?? 1, nowMs) < claim.amount(i));
        if (short.length === 0) break;
        claim.giveBack(nowMs);
        const own = claim.counters.map((counter, i): Measured => ownShare(counter, shares[i] ?? 1));
        return rejection(claim.limits, own, claim.tokens, nowMs, (i) => short.includes(i));
      }
    }
    claim.takeRest(nowMs);
    return new SharedReservation(this.clock, claim);
  }

  #boundLimits(request: LimitedRequest): BoundLimits<LeasedCounter> {
    const known = this.#bound.get(request.limits);
    if (known?.routeId === request.routeId) return known;
    const bound = bindLimits(request.routeId, request.limits, this.#counters);
    this.#bound.set(request.limits, bound);
    return bound;
  }

  #newCounter({ setId, limit, group, value }: CounterPlace): LeasedCounter {
    const hash = createHash('sha256')
      .update(JSON.stringify([setId, group, value]))
      .digest('base64url')
      .slice(0, 22);
    const key = `${this.#prefix}{${hash}}`;
    return limit.windowMs === null
      ? new LeasedCounter(this, { key, kind: 'slots', windowMs: 0 }, new InFlight(), limit.limit)
      : new LeasedCounter(
          this,
          { key, kind: 'sliding', windowMs: limit.windowMs },
          new SlidingWindow(limit.windowMs),
          limit.limit,
        );
  }

  #tendAll(): void {
    const nowMs = this.clock.nowMs();
    for (const counter of this.#tended) if (!counter.upkeep(nowMs)) this.#tended.delete(counter);
    if (this.#tended.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

/** This pod's part of a limit, for as long as nothing is known of the others. */
function ownShare({ own }: LeasedCounter, share: number): Measured {
  return {
    room: (_limit, nowMs) => own.room(share, nowMs),
    waitMs: (_limit, amount, nowMs) => own.waitMs(share, Math.min(amount, share), nowMs),
    resetMs: (nowMs) => own.resetMs(nowMs),
  };
}
