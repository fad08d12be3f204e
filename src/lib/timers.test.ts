import { describe, expect, test } from '@jest/globals';
import { ManualTimers, systemTimers } from './timers.ts';

describe('timers', () => {
  test('fire in the order of their times, each at its own, and what they start comes in its turn', async () => {
    const timers = new ManualTimers();
    const seen: string[] = [];
    timers.after(30, () => seen.push(`c ${timers.nowMs()}`));
    timers.after(10, () => {
      seen.push(`a ${timers.nowMs()}`);
      timers.after(10, () => seen.push(`b ${timers.nowMs()}`));
    });
    const cancel = timers.after(15, () => seen.push('never'));
    cancel();
    await timers.run(29);
    expect(seen).toEqual(['a 10', 'b 20']);
    expect(timers.nextMs).toBe(30);
    await timers.run(1);
    expect(seen).toEqual(['a 10', 'b 20', 'c 30']);
    expect([timers.pending, timers.nextMs, timers.nowMs()]).toEqual([0, null, 30]);
  });

  test('of the machine call back, and not once taken back', async () => {
    const seen: string[] = [];
    const cancel = systemTimers.after(0, () => seen.push('never'));
    cancel();
    await new Promise<void>((resolve) => {
      systemTimers.after(1, resolve);
    });
    cancel();
    expect(seen).toEqual([]);
  });
});
