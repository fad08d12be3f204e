import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../lib/clock.ts';
import { type CachedAnswer, decodeAnswer, encodeAnswer } from './cached-answer.ts';
import { MemoryStore } from './memory-store.ts';
import { SingleFlight, type Waiter } from './single-flight.ts';

function answer(text: string): CachedAnswer {
  return { headers: ['content-type', 'application/json'], body: Buffer.from(text), stream: false, storedAtMs: 5 };
}

describe('answers in memory', () => {
  it('go when their time is over', () => {
    const clock = new ManualClock();
    const store = new MemoryStore(clock, 100_000);
    store.set('a', answer('A'), 1_000);
    clock.advance(999);
    expect(store.get('a')?.body.toString()).toBe('A');
    clock.advance(1);
    expect(store.get('a')).toBeNull();
    expect(store.bytes).toBe(0);
  });

  it('take no more room than they may: the one asked for longest ago goes', () => {
    const store = new MemoryStore(new ManualClock(), 3 * 2_048);
    const kilobyte = 'x'.repeat(1_024);
    for (const key of ['a', 'b', 'c']) store.set(key, answer(kilobyte), 1_000);
    expect(store.get('a')).not.toBeNull();
    store.set('d', answer(kilobyte), 1_000);
    expect(store.get('b')).toBeNull();
    expect(['a', 'c', 'd'].map((key) => store.get(key) !== null)).toEqual([true, true, true]);
    store.set('e', answer('x'.repeat(10_000)), 1_000);
    expect(store.get('e')).toBeNull();
    expect(store.bytes).toBe(3 * 2_048);
    store.set('a', answer('small'), 1_000);
    expect(store.bytes).toBeLessThan(3 * 2_048);
    store.clear();
    expect([store.bytes, store.size]).toEqual([0, 0]);
  });
});

describe('answers as they are written down', () => {
  it('come back byte for byte', () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    const made = { ...answer(''), body: bytes, stream: true };
    expect(decodeAnswer(encodeAnswer(made))).toEqual(made);
  });

  it('are none when something is missing', () => {
    const whole = encodeAnswer(answer('{"a":1}'));
    for (let length = 0; length < whole.length; length++) expect(decodeAnswer(whole.subarray(0, length))).toBeNull();
    expect(decodeAnswer(Buffer.concat([whole, Buffer.from(' ')]))).toBeNull();
    for (const text of ['null\n', '{}\n', '{"version":2}\n', '[]\nx']) expect(decodeAnswer(Buffer.from(text))).toBeNull();
  });
});

describe('identical requests at the same moment', () => {
  const told: string[] = [];
  const waiter = (name: string): Waiter => ({
    answered: ({ body }) => told.push(`${name} gets ${body.toString()}`),
    goOn: () => told.push(`${name} goes on`),
    lead: () => told.push(`${name} leads`),
  });

  it('have one who asks; when it leaves, the next one asks and the others go on waiting', () => {
    told.length = 0;
    const flights = new SingleFlight();
    const [b, c, d] = [waiter('b'), waiter('c'), waiter('d')] as const;
    expect(flights.enter('k', waiter('a'))).toBe(true);
    expect([b, c, d].map((next) => flights.enter('k', next))).toEqual([false, false, false]);
    expect(flights.enter('other', waiter('x'))).toBe(true);
    flights.leave('k', c);
    flights.abandoned('k');
    expect(told).toEqual(['b leads']);
    flights.landed('k', answer('A'));
    expect(told).toEqual(['b leads', 'd gets A']);
    expect(flights.enter('k', waiter('a'))).toBe(true);
    flights.abandoned('k');
    expect(flights.enter('k', waiter('a'))).toBe(true);
  });

  it('go on by themselves when who asked has nothing for them', () => {
    told.length = 0;
    const flights = new SingleFlight();
    flights.enter('k', waiter('a'));
    flights.enter('k', waiter('b'));
    flights.enter('k', waiter('c'));
    flights.failed('k');
    expect(told).toEqual(['b goes on', 'c goes on']);
  });
});
