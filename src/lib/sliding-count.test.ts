import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { SlidingCount } from './sliding-count.ts';

describe('SlidingCount', () => {
  it('counts exactly the events of the buckets it covers', () => {
    const steps = fc.array(fc.record({ afterMs: fc.nat(4_000), add: fc.boolean() }), { maxLength: 200 });
    fc.assert(
      fc.property(steps, (sequence) => {
        const window = new SlidingCount(1_000, 10);
        const events: number[] = [];
        let nowMs = 0;
        for (const { afterMs, add } of sequence) {
          nowMs += afterMs;
          if (add) {
            window.add(nowMs);
            events.push(nowMs);
          }
          const oldest = Math.floor(nowMs / 1_000) - 9;
          expect(window.total(nowMs)).toBe(events.filter((at) => Math.floor(at / 1_000) >= oldest).length);
        }
      }),
    );
  });

  it('forgets everything when cleared', () => {
    const window = new SlidingCount(1_000, 10);
    window.add(5);
    window.clear();
    expect(window.total(6)).toBe(0);
  });
});
