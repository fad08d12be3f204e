import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../lib/clock.ts';
import { LocalLimiter } from '../limits/local.ts';
import type { Reservation } from '../limits/limiter.ts';
import { OutputEstimate } from './output-estimate.ts';

describe('OutputEstimate', () => {
  it('believes the client until it has seen answers, and then what it saw, but never more than the client allows', () => {
    const estimate = new OutputEstimate();
    expect(estimate.tokens(null)).toBe(512);
    expect(estimate.tokens(4_000)).toBe(4_000);
    for (let i = 0; i < 16; i++) estimate.learn(100);
    expect(estimate.tokens(null)).toBe(100);
    expect(estimate.tokens(4_000)).toBe(100);
    expect(estimate.tokens(50)).toBe(50);
  });

  it('follows answers that become longer', () => {
    const estimate = new OutputEstimate();
    for (let i = 0; i < 100; i++) estimate.learn(100);
    for (let i = 0; i < 150; i++) estimate.learn(1_000);
    expect(estimate.tokens(null)).toBeGreaterThan(980);
  });

  it('lets a limit of tokens be used: at least 95 % of it, and at most 1 % more, whose debt the next window pays', () => {
    const clock = new ManualClock();
    const limiter = new LocalLimiter(clock);
    const limit = 1_000_000;
    const limits = [{ name: 'tpm', per: [], unit: 'Tokens', limit, windowMs: 60_000 } as const];
    const estimate = new OutputEstimate();
    const running: { readonly reservation: Reservation; readonly endMs: number; readonly used: number }[] = [];
    const usedIn: number[] = [];
    let seed = 1;
    const random = (): number => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
    for (let ms = 0; ms < 12 * 60_000; ms += 10) {
      for (const done of running.splice(0, running.findIndex(({ endMs }) => endMs > clock.nowMs()) >>> 0)) {
        done.reservation.settle(done.used);
        estimate.learn(done.used);
        const window = Math.floor(clock.nowMs() / 60_000);
        usedIn[window] = (usedIn[window] ?? 0) + done.used;
      }
      // Twice what fits; most answers are short, a few are long, and the client would let all be far longer.
      const decision = limiter.reserve({
        routeId: 'r',
        limits,
        apiKeyId: 'k',
        tenant: 't',
        model: 'm',
        header: () => undefined,
        tokens: estimate.tokens(8_000),
      });
      if (decision.ok)
        running.push({ reservation: decision, endMs: clock.nowMs() + 2_000, used: Math.ceil(-400 * Math.log(1 - random())) });
      clock.advance(10);
    }
    const settled = usedIn.slice(2);
    const mean = settled.reduce((sum, used) => sum + used, 0) / settled.length;
    expect(mean / limit).toBeGreaterThan(0.95);
    expect(mean / limit).toBeLessThanOrEqual(1.01);
  });
});
