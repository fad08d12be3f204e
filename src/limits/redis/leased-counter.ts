import type { Period } from '../../lib/calendar.ts';
import type { Clock } from '../../lib/clock.ts';
import type { StoredCounter } from '../counter-store.ts';
import type { OwnUse } from '../counters.ts';
import { AloneShare } from './alone-share.ts';
import { type CounterKind, leaseArguments, type LeaseCall, type LeaseReply, PARTS } from './lease-call.ts';
import { leaseTerms, type LeaseTerms } from './lease-terms.ts';
import { Reports } from './reports.ts';

/** What a counter needs of the limiter that it is of. */
export interface LeaseHost {
  readonly clock: Clock;
  /** Id of this process, another one at each start. */
  readonly pod: string;
  /** False while Redis is known not to answer. */
  readonly reachable: boolean;
  /** Runs lease.lua; rejects where no answer came in time. */
  lease(key: string, args: readonly (string | number)[]): Promise<LeaseReply>;
  /** Redis' clock showed this a moment ago. */
  tellDate(redisMs: number): void;
  /** Has `upkeep` called again and again until it says that nothing is left to do; not asked again before that. */
  tend(counter: LeasedCounter): void;
}

/** A request under way that ends when its slot is taken away. */
export interface SlotHolder {
  slotLost(): void;
}

export interface CounterIdentity {
  readonly key: string;
  readonly kind: CounterKind;
  /** sliding: the window; else 0. */
  readonly windowMs: number;
  /** fixed: what is counted, on Redis' clock; else null. */
  readonly period: Period | null;
}

interface Waiter {
  readonly amount: number;
  readonly resolve: (outcome: Acquired) => void;
}

interface OpenCall {
  readonly lease: LeaseCall;
  sentMs: number;
  waiters: readonly Waiter[];
}

/** The part in which it was booked (0 or more), or one of those below. */
export type Acquired = number;
export const REFUSED = -1;
/** No answer from Redis: the gateway's policy decides. */
export const AWAY = -2;

/** The counter's period is not now: the limit has another counter. */
export const NOT_NOW = -3;

/** Clocks of machines differ by less than this share. */
const DRIFT = 0.001;
/** The part of what is booked while the counter's clock is not known. */
const UNTIMED = 0;
/** Clocks of tests may begin below zero. */
const CALLS_BASE = 1e12;
/** What was learned of a counter is kept a while, though nothing depends on it. */
const FORGOTTEN_AFTER_MS = 10_000;
/** After so many calls without an answer nobody waits for the next one: a Cluster may have lost the master of this key alone. */
const PATIENCE = 2;
/** A lease is worth giving back, but not waiting for. */
const FAREWELLS = 3;
/** What Redis said is believed so long where it is only told on. */
const FRESH_MS = 1_000;
const SHORTEST_DEMAND_MS = 20;
/** A failure that is told this late says that this process was paused, not that Redis was away. */
const LATE_MS = 1_000;

/**
 * This pod's view of one shared counter: its lease, what it used and has not told, what waits. All of it in one thread: what
 * `ready` promises holds until the caller's turn ends.
 */
export class LeasedCounter implements StoredCounter {
  /** Everything this pod admitted within the window, by its own clock. */
  readonly own: OwnUse;
  /** For when Redis is away. */
  readonly alone: AloneShare;
  readonly #host: LeaseHost;
  readonly #identity: CounterIdentity;
  readonly #terms: LeaseTerms;
  readonly #slots: boolean;
  readonly #partMs: number;
  readonly #reports = new Reports();
  readonly #running = new Set<SlotHolder>();

  #limit: number;
  #hold = 0;
  #busy = 0;
  #deadlineMs = Number.NEGATIVE_INFINITY;
  /** Begins beyond every number that a forgotten counter of the same key has used. */
  #calls: number;
  #epoch = '';
  /** Redis' clock showed at most #redisMs at #sentMs of ours; NaN: not known. */
  #redisMs = Number.NaN;
  #sentMs = 0;
  /** Booked while that was not known. */
  #untimed = 0;
  #open: OpenCall | null = null;
  #inFlight = false;
  #join = true;
  #waiters: Waiter[] = [];
  /** Requests were admitted that no lease covers, because Redis was away. */
  #beyond = false;
  #cutOff = false;
  /** Its period is over: nothing that is still said of it matters. */
  #ended = false;
  /** Calls in a row without an answer. */
  #failures = 0;

  #usedSince = 0;
  #composedMs: number;
  #perMs = 0;
  #tending = false;
  /** `upkeep` is called. */
  #tended = false;
  /** What it keeps beyond what requests wait for. */
  #share = 0;
  /** Asks for more before it has less than this. */
  #low = 0;
  #prefetchMs = Number.NEGATIVE_INFINITY;

  #free = 0;
  #pods = 1;
  #refusedUntilMs = Number.NEGATIVE_INFINITY;
  #waitMs = 0;
  #resetMs = 0;
  #answeredMs = 0;

  constructor(host: LeaseHost, identity: CounterIdentity, own: OwnUse, limit: number) {
    this.#host = host;
    this.#identity = identity;
    this.own = own;
    this.#limit = limit;
    this.#terms = leaseTerms(identity.kind, identity.windowMs);
    this.#slots = identity.kind === 'slots';
    const agesMs = { sliding: identity.windowMs, slots: this.#terms.leaseMs, fixed: null }[identity.kind];
    this.alone = new AloneShare(own, agesMs);
    this.#partMs = identity.windowMs / PARTS;
    this.#composedMs = host.clock.nowMs();
    this.#calls = Math.floor(this.#composedMs * 1_000) + CALLS_BASE;
  }

  /** Redis has told of it. */
  get known(): boolean {
    return this.#epoch !== '';
  }

  /** May be taken from the lease at once. */
  ready(limit: number, amount: number, nowMs: number): boolean {
    this.#limit = limit;
    return amount === 0 || (amount <= this.#hold && nowMs < this.#deadlineMs && this.#waiters.length === 0);
  }

  /** Redis said a moment ago that there is not so much. */
  refuses(amount: number, nowMs: number): boolean {
    return nowMs < this.#refusedUntilMs && amount > Math.max(0, this.#hold) + Math.max(0, this.#free);
  }

  /** Takes what `ready` has just promised, or what no lease covers while Redis is away; answers the part it is booked in. */
  take(amount: number, nowMs: number): number {
    if (nowMs >= this.#deadlineMs || amount > this.#hold) this.#beyond = true;
    this.#hold -= amount;
    this.#usedSince += amount;
    this.own.room(this.#limit, nowMs);
    this.own.take(amount);
    let part = UNTIMED;
    if (this.#slots) this.#busy += 1;
    else if (amount !== 0) part = this.#book(amount, nowMs);
    if (this.#hold < this.#low && !this.#inFlight && nowMs >= this.#prefetchMs && this.#host.reachable) this.#pump();
    this.#tend();
    return part;
  }

  /** Asks Redis, as part of the next call. */
  async acquire(amount: number): Promise<Acquired> {
    if (this.#ended) return NOT_NOW;
    if (this.#failures >= PATIENCE) {
      // `upkeep` tries again.
      this.#tend();
      return AWAY;
    }
    const { promise, resolve } = Promise.withResolvers<Acquired>();
    this.#waiters.push({ amount, resolve });
    if (!this.#inFlight) this.#pump();
    return promise;
  }

  /** Asks Redis where it stands, where that is not known from a moment ago. False: its period is over, or has not begun. */
  async refresh(): Promise<boolean> {
    const known = this.#epoch !== '' && this.#host.clock.nowMs() - this.#answeredMs < FRESH_MS;
    if (known || !this.#host.reachable) return !this.#ended;
    return (await this.acquire(0)) !== NOT_NOW;
  }

  /** Ends one `take`, once: the difference goes back, or is owed. */
  settle(part: number, taken: number, used: number, takenAtMs: number, nowMs: number): void {
    this.own.settle(taken, used, takenAtMs, nowMs);
    if (this.#slots) {
      this.#busy -= 1;
      this.#hold += 1;
      return;
    }
    if (used === taken || this.#ended) return;
    this.#usedSince += used - taken;
    if (used > taken) {
      this.#hold -= used - taken;
      this.#book(used - taken, nowMs);
    } else if (Number.isNaN(this.#redisMs)) {
      this.#untimed -= taken - used;
    } else if (part !== UNTIMED || this.#identity.kind === 'fixed') {
      if (this.#reports.giveBack(part, taken - used)) this.#hold += taken - used;
    }
    this.#tend();
  }

  holdSlot(holder: SlotHolder): void {
    if (this.#slots) this.#running.add(holder);
  }

  freeSlot(holder: SlotHolder): void {
    if (this.#slots) this.#running.delete(holder);
  }

  /** What all pods have left together, as far as this one knows. */
  room(limit: number, nowMs: number): number {
    const hold = nowMs < this.#deadlineMs ? this.#hold : 0;
    return Math.max(0, Math.min(limit, this.#free + hold));
  }

  waitMs(_limit: number, _amount: number, nowMs: number): number {
    return Math.max(1, Math.ceil(this.#waitMs - (nowMs - this.#answeredMs)));
  }

  resetMs(nowMs: number): number {
    return Math.max(0, Math.ceil(this.#resetMs - (nowMs - this.#answeredMs)));
  }

  idle(nowMs: number): boolean {
    return (
      nowMs - this.#composedMs > FORGOTTEN_AFTER_MS && this.own.idle(nowMs) && this.#isSettled() && this.#waiters.length === 0
    );
  }

  /** Renews the lease in time, or gives it back. False: nothing is left to do. */
  upkeep(nowMs: number): boolean {
    this.#tended = this.#renew(nowMs);
    return this.#tended;
  }

  #tend(): void {
    if (this.#tended) return;
    this.#tended = true;
    this.#host.tend(this);
  }

  #renew(nowMs: number): boolean {
    if (this.#inFlight) return true;
    if (!this.#host.reachable) {
      this.#cutOff = true;
      return !this.#isSettled();
    }
    if (this.#open === null) {
      if (this.#isSettled()) return false;
      const { leaseMs, quietMs } = this.#terms;
      // What this pod has too much of, and others may be refused for want of, goes back at once.
      const hoards = this.#hold > this.#share && this.#free < this.#limit / 4;
      const dueMs = hoards
        ? this.#composedMs + quietMs
        : Math.max(this.#deadlineMs - leaseMs / 3, this.#composedMs + leaseMs / 2);
      if (nowMs < dueMs) return true;
      this.#tending = true;
    }
    this.#pump();
    return true;
  }

  /** Gives everything back that nobody uses; for the end of the process. */
  async close(): Promise<void> {
    if (!this.#host.reachable || (this.#isSettled() && this.#open === null)) return;
    for (let attempt = 0; attempt < FAREWELLS; attempt++) {
      this.#usedSince = 0;
      this.#perMs = 0;
      if ((await this.acquire(0)) !== AWAY) return;
    }
  }

  #isSettled(): boolean {
    return this.#hold === 0 && this.#busy === 0 && this.#reports.empty && this.#open === null && !this.#inFlight;
  }

  /** Where Redis' clock is now at most. */
  #redisNow(nowMs: number): number {
    return this.#redisMs + (nowMs - this.#sentMs) * (1 + DRIFT);
  }

  #partOf(nowMs: number): number {
    return this.#identity.kind === 'sliding' ? Math.floor(this.#redisNow(nowMs) / this.#partMs) : 0;
  }

  #book(amount: number, nowMs: number): number {
    if (Number.isNaN(this.#redisMs)) {
      this.#untimed += amount;
      return UNTIMED;
    }
    const part = this.#partOf(nowMs);
    this.#reports.book(part, amount);
    return part;
  }

  #pump(): void {
    if (this.#inFlight) return;
    this.#open ??= this.#compose(this.#host.clock.nowMs());
    this.#send(this.#open);
  }

  #compose(nowMs: number): OpenCall {
    const { kind, windowMs, period } = this.#identity;
    const { leaseMs, horizonMs } = this.#terms;
    const lapsed = nowMs >= this.#deadlineMs;
    if (lapsed || (this.#hold < 0 && (this.#beyond || !this.#slots))) this.#hold = 0;
    const perMs = this.#usedSince / Math.max(SHORTEST_DEMAND_MS, nowMs - this.#composedMs);
    this.#perMs = perMs === 0 || this.#perMs === 0 ? perMs : (this.#perMs + perMs) / 2;
    this.#usedSince = 0;
    this.#composedMs = nowMs;
    const ahead = Math.ceil(this.#perMs * horizonMs);
    // What is left is shared among the pods; the script grants by the same rule.
    this.#share = Math.min(ahead, Math.floor(Math.max(0, this.#free + this.#hold) / (4 * this.#pods)));
    this.#low = Math.floor(ahead / 3);
    let need = 0;
    for (const waiter of this.#waiters) need += waiter.amount;
    // While requests come, what is held is soon used; a quiet moment is for giving back.
    const kept = (this.#tending ? this.#share : ahead) + need;
    this.#tending = false;
    if (this.#hold > kept) this.#hold = kept;
    this.#calls += 1;
    const used = this.#slots ? [] : this.#report(nowMs);
    const lease: LeaseCall = {
      kind,
      limit: this.#limit,
      spanMs: period?.endMs ?? windowMs,
      startMs: period?.startMs ?? 0,
      call: this.#calls,
      hold: this.#hold + this.#busy,
      need: Math.max(0, need - this.#hold),
      want: Math.max(0, ahead + need - this.#hold),
      step: this.#waiters[0]?.amount ?? 0,
      leaseMs,
      // Where own use is still to be placed on a clock that is not known, no epoch fits: the answer brings the clock.
      epoch: this.#join ? 'unknown' : this.#epoch,
      standing: this.#standing(used !== null, nowMs),
      keep: this.#cutOff || !lapsed,
      used: used ?? [],
    };
    const waiters = this.#waiters;
    this.#waiters = [];
    return { lease, sentMs: 0, waiters };
  }

  #standing(tellsAll: boolean, nowMs: number): LeaseCall['standing'] {
    if (this.#join) return tellsAll ? 'join' : 'any';
    // Beyond the window Redis forgets who has nothing in it.
    return this.#identity.kind === 'sliding' && nowMs - this.#answeredMs < this.#identity.windowMs ? 'known' : 'any';
  }

  /** null: it can only be told when Redis' clock is known. */
  #report(nowMs: number): number[] | null {
    if (!this.#join) return this.#reports.tell(this.#calls, nowMs);
    const pairs: number[] = [];
    for (const { endMs, amount } of this.own.parts(nowMs)) {
      if (Number.isNaN(this.#redisMs)) return null;
      pairs.push(this.#partOf(endMs), amount);
    }
    this.#reports.clear();
    return pairs;
  }

  #send(open: OpenCall): void {
    this.#inFlight = true;
    open.sentMs = this.#host.clock.nowMs();
    this.#host.lease(this.#identity.key, leaseArguments(open.lease, this.#host.pod)).then(
      (reply) => this.#answered(open, reply),
      () => this.#unanswered(open),
    );
    this.#tend();
  }

  #unanswered(open: OpenCall): void {
    this.#inFlight = false;
    this.#failures += 1;
    // After a pause of this process every timer has passed at once: that says nothing about Redis.
    if (this.#host.clock.nowMs() - open.sentMs < LATE_MS) this.#cutOff = true;
    const waiters = [...open.waiters, ...this.#waiters];
    open.waiters = [];
    this.#waiters = [];
    for (const { resolve } of waiters) resolve(AWAY);
  }

  #answered(open: OpenCall, reply: LeaseReply): void {
    this.#inFlight = false;
    this.#failures = 0;
    this.#open = null;
    const nowMs = this.#host.clock.nowMs();
    this.#epoch = reply.epoch;
    // One more, because the script cuts its clock to whole milliseconds.
    this.#redisMs = reply.nowMs + 1;
    this.#sentMs = open.sentMs;
    if (this.#untimed > 0) this.#reports.book(this.#partOf(nowMs), this.#untimed);
    this.#untimed = 0;
    this.#free = reply.free;
    this.#pods = reply.pods;
    this.#waitMs = reply.waitMs;
    this.#resetMs = reply.resetMs;
    this.#answeredMs = nowMs;
    this.#host.tellDate(reply.nowMs);
    if (reply.status === 'OK') {
      this.#granted(open, reply, nowMs);
      return;
    }
    if (reply.status === 'OVER') {
      this.#outside(open, reply);
      return;
    }
    this.#waiters.unshift(...open.waiters);
    if (reply.status === 'LOST') this.#join = true;
    else this.#repeat(open, reply);
    this.#pump();
  }

  /** The period has ended on Redis' clock, or (this process' clock is fast) not begun. */
  #outside(open: OpenCall, { nowMs }: LeaseReply): void {
    this.#ended = nowMs >= (this.#identity.period?.endMs ?? 0);
    this.#hold = 0;
    this.#deadlineMs = Number.NEGATIVE_INFINITY;
    if (this.#ended) this.#reports.clear();
    else this.#reports.lostAfter(open.lease.call - 1);
    const waiters = [...open.waiters, ...this.#waiters];
    this.#waiters = [];
    for (const { resolve } of waiters) resolve(NOT_NOW);
  }

  /** Redis knows this counter, but has lost calls: their reports are told again, with a call that it takes as it is. */
  #repeat(open: OpenCall, { lastCall }: LeaseReply): void {
    this.#reports.lostAfter(lastCall);
    const call = this.#compose(this.#host.clock.nowMs());
    this.#open = { ...call, lease: { ...call.lease, standing: 'join' }, sentMs: open.sentMs };
  }

  #granted(open: OpenCall, reply: LeaseReply, nowMs: number): void {
    this.#join = false;
    this.#cutOff = false;
    this.#beyond = false;
    this.#hold += reply.granted;
    this.alone.heard(this.#limit, reply.free, this.#hold, nowMs);
    this.#deadlineMs = open.sentMs + reply.leaseMs * (1 - DRIFT) - 1;
    if (reply.granted < 0 && this.#hold < 0) this.#endSlots(-this.#hold);
    const { quietMs } = this.#terms;
    // A call that brought less than it asked for would bring no more at once.
    this.#prefetchMs = this.#hold < this.#low ? nowMs + quietMs : Number.NEGATIVE_INFINITY;
    for (const { amount, resolve } of open.waiters) {
      if (amount <= this.#hold && nowMs < this.#deadlineMs) {
        resolve(this.take(amount, nowMs));
      } else if (amount > this.#hold) {
        this.#refusedUntilMs = nowMs + Math.min(quietMs, Math.max(1, reply.waitMs));
        resolve(REFUSED);
      } else if (this.#identity.kind === 'fixed' && reply.leaseMs < this.#terms.leaseMs) {
        // The period ends too soon for a lease: the next one decides.
        setTimeout(resolve, reply.leaseMs, NOT_NOW);
      } else {
        resolve(AWAY);
      }
    }
    const waiting = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiting) {
      if (waiter.amount <= this.#hold && nowMs < this.#deadlineMs) waiter.resolve(this.take(waiter.amount, nowMs));
      else this.#waiters.push(waiter);
    }
    if (this.#waiters.length > 0) this.#pump();
  }

  /** Their slots went to others while this pod slept; the youngest go. */
  #endSlots(count: number): void {
    const youngest = [...this.#running].slice(-count);
    for (const holder of youngest) {
      this.#running.delete(holder);
      holder.slotLost();
    }
  }
}
