import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ManualClock } from '../lib/clock.ts';
import type { Limit } from '../routetable/types.ts';
import { LocalLimiter } from './local.ts';
import type { LimitedRequest, Rejection, Reservation } from './limiter.ts';

const MINUTE = 60_000;

interface Settings {
  readonly windowMs: number;
  readonly rpm: number;
  readonly tpm: number;
  readonly concurrency: number;
}

interface Counted {
  readonly atMs: number;
  amount: number;
}

interface Running {
  readonly reservation: Reservation;
  readonly tenant: string;
  readonly request: Counted;
  readonly tokens: Counted;
}

/** Drives a limiter and keeps its own books, by brute force: every amount, with the time from which it counts. */
class Ledger {
  readonly clock = new ManualClock();
  readonly #settings: Settings;
  readonly #limits: readonly Limit[];
  readonly #limiter = new LocalLimiter(this.clock);
  readonly #requests: Counted[] = [];
  readonly #tokens = new Map<string, Counted[]>([
    ['a', []],
    ['b', []],
  ]);
  readonly #running: Running[] = [];

  constructor(settings: Settings) {
    this.#settings = settings;
    const { windowMs, rpm, tpm, concurrency } = settings;
    this.#limits = [
      { name: 'rpm', unit: 'Requests', limit: rpm, per: [], windowMs },
      { name: 'tpm', unit: 'Tokens', limit: tpm, per: [{ kind: 'Tenant' }], windowMs: 2 * windowMs },
      { name: 'inflight', unit: 'Concurrency', limit: concurrency, per: [{ kind: 'Tenant' }], windowMs: null },
    ];
  }

  reserve(tenant: string, tokens: number): Reservation | Rejection {
    const request: LimitedRequest = {
      routeId: 'team-a/chat',
      limits: this.#limits,
      apiKeyId: 'key',
      tenant,
      model: 'chat',
      header: () => undefined,
      tokens,
    };
    return this.#limiter.reserve(request);
  }

  admit(reservation: Reservation, tenant: string, amount: number): void {
    const atMs = this.clock.nowMs();
    const running = { reservation, tenant, request: { atMs, amount: 1 }, tokens: { atMs, amount } };
    this.#requests.push(running.request);
    this.#tokens.get(tenant)?.push(running.tokens);
    this.#running.push(running);
  }

  /** Ends one of the running requests: with so many tokens, or (null) as if it had never been. */
  end(which: number, actual: number | null): void {
    const [running] = this.#running.splice(which % Math.max(1, this.#running.length), 1);
    if (running === undefined) return;
    if (actual === null) {
      running.reservation.release();
      running.request.amount = 0;
      running.tokens.amount = 0;
      return;
    }
    running.reservation.settle(actual);
    const overrun = actual - running.tokens.amount;
    if (overrun > 0) this.#tokens.get(running.tenant)?.push({ atMs: this.clock.nowMs(), amount: overrun });
    else running.tokens.amount = actual;
  }

  running(tenant: string): number {
    return this.#running.filter((one) => one.tenant === tenant).length;
  }

  /** Which limits are broken now. */
  broken(tenant: string): string[] {
    const { windowMs, rpm, tpm, concurrency } = this.#settings;
    const broken: string[] = [];
    if (this.#inWindow(this.#requests, windowMs) > rpm) broken.push('rpm');
    if (this.#inWindow(this.#tokens.get(tenant) ?? [], 2 * windowMs) > tpm) broken.push('tpm');
    if (this.running(tenant) > concurrency) broken.push('inflight');
    return broken;
  }

  /**
   * Waits as the rejection says while nothing else comes: then the same request must get in, unless the running ones keep it
   * out. Leaves nothing behind. Returns what was untrue.
   */
  untrue(rejection: Rejection, tenant: string, tokens: number): string[] {
    const untrue: string[] = [];
    if (rejection.impossible) untrue.push('impossible');
    if (!Number.isInteger(rejection.retryAfterMs) || rejection.retryAfterMs < 1) untrue.push(`after ${rejection.retryAfterMs}`);
    this.clock.advance(rejection.retryAfterMs);
    const retried = this.reserve(tenant, tokens);
    if (retried.ok !== this.running(tenant) < this.#settings.concurrency) untrue.push(`still ${rejection.limitName}`);
    if (retried.ok) {
      retried.release();
      retried.settle(1_000);
    }
    return untrue;
  }

  #inWindow(log: readonly Counted[], windowMs: number): number {
    const sinceMs = this.clock.nowMs() - windowMs;
    return log.reduce((sum, { atMs, amount }) => (atMs > sinceMs ? sum + amount : sum), 0);
  }
}

describe('LocalLimiter', () => {
  const settings = fc.record({
    windowMs: fc.constantFrom(10_000, MINUTE, 997),
    rpm: fc.constantFrom(7, 1_000),
    tpm: fc.constantFrom(120, 300),
    concurrency: fc.constantFrom(1, 4, 1_000),
  });
  const step = fc.record({
    afterMs: fc.oneof(
      { weight: 20, arbitrary: fc.constant(0) },
      { weight: 20, arbitrary: fc.integer({ min: 0, max: 3_000 }) },
      { weight: 20, arbitrary: fc.double({ min: 0, max: 100, noNaN: true }) },
      { weight: 1, arbitrary: fc.constant(90_000) },
    ),
    tenant: fc.constantFrom('a', 'b'),
    tokens: fc.integer({ min: 0, max: 120 }),
    ends: fc.option(fc.record({ which: fc.nat(), actual: fc.option(fc.integer({ min: 0, max: 200 })) })),
  });

  it('admits no more than the limit in any window, keeps concurrency, and tells a true retryAfterMs', () => {
    fc.assert(
      fc.property(settings, fc.array(step, { maxLength: 150 }), (given, steps) => {
        const ledger = new Ledger(given);
        for (const { afterMs, tenant, tokens, ends } of steps) {
          ledger.clock.advance(afterMs);
          if (ends !== null) ledger.end(ends.which, ends.actual);
          const outcome = ledger.reserve(tenant, tokens);
          if (outcome.ok) ledger.admit(outcome, tenant, tokens);
          expect(outcome.ok ? ledger.broken(tenant) : ledger.untrue(outcome, tenant, tokens)).toEqual([]);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('leaves at least 95 % of the limit to steady demand', () => {
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 2_000 }), fc.double({ min: 1, max: 3, noNaN: true }), (rpm, load) => {
        const ledger = new Ledger({ windowMs: MINUTE, rpm, tpm: 1, concurrency: 1 });
        const everyMs = MINUTE / (rpm * load);
        let admitted = 0;
        while (ledger.clock.nowMs() < 10 * MINUTE) {
          const outcome = ledger.reserve('a', 0);
          if (outcome.ok) {
            outcome.settle(0);
            admitted++;
          }
          ledger.clock.advance(everyMs);
        }
        expect(admitted / 10).toBeGreaterThanOrEqual(0.95 * rpm);
      }),
      { numRuns: 15 },
    );
  });
});
