import { expect, it } from '@jest/globals';
import { type CounterSet, CounterStore } from './counter-store.ts';

/** How often it was asked whether it is idle, which it never is. */
class Busy {
  static asked = 0;

  idle(): boolean {
    Busy.asked += 1;
    return false;
  }
}

function setOf(store: CounterStore<Busy>): CounterSet<Busy> {
  return store.set('team-a/chat', { name: 'rpm', per: [], unit: 'Requests', limit: 1, windowMs: 60_000 });
}

it('looks at as many counters as new ones ask for, and at one request never at more than 100', () => {
  const store = new CounterStore(100_000, () => new Busy());
  const set = setOf(store);
  for (let i = 0; i < 500; i++) set.chosen('', `${i}`, 1_000);
  const looks = Array.from({ length: 12 }, () => {
    const before = Busy.asked;
    store.evictIdle(0);
    return Busy.asked - before;
  });
  expect(looks).toEqual([...Array.from({ length: 10 }, () => 100), 1, 1]);
});

it('tells values apart that come by turns, and one from what the overflow counts', () => {
  const store = new CounterStore(100_000, () => new Busy());
  const set = setOf(store);
  const [a, b] = [set.chosen('x', 'a', 2), set.chosen('x', 'b', 2)];
  expect(a).not.toBe(b);
  const overflow = set.chosen('x', 'c', 2);
  expect([a, b]).not.toContain(overflow);
  for (let i = 0; i < 3; i++) {
    expect(set.chosen('x', 'a', 2)).toBe(a);
    expect(set.chosen('x', 'b', 2)).toBe(b);
    expect(set.chosen('x', 'd', 2)).toBe(overflow);
    expect(set.chosen('y', 'a', 2)).not.toBe(a);
  }
});
