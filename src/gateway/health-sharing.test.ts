import { afterEach, expect, it, jest } from '@jest/globals';
import { ManualClock } from '../lib/clock.ts';
import { FleetLimits } from '../limits/fleet.ts';
import { HealthBook } from '../selection/health.ts';
import { healthKey, HealthOverRedis } from './health-sharing.ts';

class CountingLimits extends FleetLimits {
  said = 0;

  override publish(): boolean {
    this.said += 1;
    return true;
  }
}

afterEach(() => void jest.useRealTimers());

it('is told again and again, however often the settings come', () => {
  jest.useFakeTimers();
  const clock = new ManualClock();
  const limits = new CountingLimits(clock, {
    stateChanged() {},
    warned() {},
    commandEnded() {},
    decidedAlone() {},
  });
  const book = new HealthBook({ random: () => 0, onTransition() {}, keyOf: healthKey });
  const sharing = new HealthOverRedis(
    book,
    limits,
    clock,
    () => 0,
    () => {},
  );
  for (let seconds = 0; seconds < 10; seconds++) {
    sharing.follow(true);
    jest.advanceTimersByTime(1_000);
  }
  expect(limits.said).toBe(5);
  sharing.close();
  jest.advanceTimersByTime(10_000);
  expect(limits.said).toBe(5);
});
