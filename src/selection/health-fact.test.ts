import { describe, expect, it } from '@jest/globals';
import type { Failure } from '../lib/failure.ts';
import { outNow } from './eligible.ts';
import type { HealthFact } from './health-fact.ts';
import { HealthBook, type TargetHealth } from './health.ts';
import { facts } from './testdata/fixtures.ts';

const MODEL = { upstreamId: 'up', credentialId: 'up#1', model: 'gpt' };
const BROKEN: Failure = { kind: 'server_error', message: '' };
const limited = (retryAfterMs: number): Failure => ({ kind: 'rate_limited', scope: 'requests', retryAfterMs, message: '' });

interface Pod {
  readonly book: HealthBook;
  readonly health: TargetHealth;
}

/** Pods that hear each other at once, unless the line is cut. */
class Fleet {
  nowMs = 1_000;
  cut = false;
  said = 0;
  readonly pods: Pod[];

  constructor(count: number) {
    this.pods = Array.from({ length: count }, (_, i) => this.#pod(`pod-${i}`));
  }

  get states(): (string | null)[] {
    return this.pods.map(({ health }) => outNow(health, facts(), this.nowMs));
  }

  pod(index: number): Pod {
    const pod = this.pods[index];
    if (pod === undefined) throw new Error('no such pod');
    return pod;
  }

  /** One whole attempt of this pod. */
  attempt(index: number, failure: Failure | null, times = 1): void {
    const { health } = this.pod(index);
    for (let i = 0; i < times; i++) {
      const number = health.started(this.nowMs);
      if (failure === null) health.succeeded(number, 'chat', this.nowMs);
      else health.failed(number, failure, 'chat', this.nowMs);
      health.finished(number);
    }
  }

  /** The answer to this pod's next request says that so many requests are left. Returns the attempt's number. */
  told(index: number, left: number, resetMs: number, attempt?: number): number {
    const { health } = this.pod(index);
    const number = attempt ?? health.started(this.nowMs, facts());
    health.leftOf('requests', left, resetMs, number, facts(), this.nowMs);
    return number;
  }

  /** The periodic full state of one pod. */
  repeat(index: number): void {
    for (const fact of this.pod(index).book.facts(this.nowMs)) this.#tell(this.pod(index).book, fact);
  }

  #pod(pod: string): Pod {
    const book = new HealthBook({ random: () => 1 });
    book.share({ pod, version: () => this.nowMs, tell: (fact) => this.#tell(book, fact) });
    return { book, health: book.signals(MODEL) };
  }

  #tell(from: HealthBook, fact: HealthFact): void {
    this.said += 1;
    if (this.cut) return;
    for (const { book } of this.pods) if (book !== from) book.learn(fact, this.nowMs);
  }
}

describe('the health of a fleet', () => {
  it('is that of the pod that sees an upstream fail, and of the one that sees it recover', () => {
    const fleet = new Fleet(3);
    fleet.attempt(0, BROKEN, 5);
    expect(fleet.states).toEqual(['ejected', 'ejected', 'ejected']);
    fleet.nowMs += 5_000;
    fleet.attempt(0, null);
    expect(fleet.states).toEqual([null, null, null]);
  });

  it('is probed by the one pod that ejected it, and the others wait for what comes of it', () => {
    const fleet = new Fleet(3);
    fleet.attempt(1, BROKEN, 5);
    fleet.nowMs += 5_000;
    expect(fleet.states).toEqual(['ejected', null, 'ejected']);
    const { health } = fleet.pod(1);
    const probe = health.started(fleet.nowMs);
    expect(fleet.states).toEqual(['ejected', 'probing', 'ejected']);
    for (let repeats = 0; repeats < 10; repeats++) {
      fleet.nowMs += 2_000;
      fleet.repeat(1);
      expect(fleet.states).toEqual(['ejected', 'probing', 'ejected']);
    }
    health.failed(probe, BROKEN, 'chat', fleet.nowMs);
    health.finished(probe);
    fleet.nowMs += 9_999;
    expect(fleet.states).toEqual(['ejected', 'ejected', 'ejected']);
    fleet.nowMs += 1;
    expect(fleet.states).toEqual(['ejected', null, 'ejected']);
  });

  it('is probed by another where the pod that ejected it is gone, and then by that one alone', () => {
    const fleet = new Fleet(3);
    fleet.attempt(0, BROKEN, 5);
    fleet.nowMs += 9_000;
    expect(fleet.states).toEqual([null, null, null]);
    fleet.pod(2).health.started(fleet.nowMs);
    expect(fleet.states).toEqual(['ejected', 'ejected', 'probing']);
  });

  it('obeys a retry-after that any pod was told, to its end', () => {
    const fleet = new Fleet(3);
    fleet.attempt(0, limited(30_000));
    fleet.attempt(1, limited(40_000));
    fleet.attempt(2, null);
    fleet.nowMs += 39_999;
    expect(fleet.states).toEqual(['coolingDown', 'coolingDown', 'coolingDown']);
    fleet.nowMs += 1;
    expect(fleet.states).toEqual([null, null, null]);
  });

  it('is well for all where one pod finds that a credential works again', () => {
    const fleet = new Fleet(2);
    fleet.attempt(0, { kind: 'auth', message: '' });
    expect(fleet.states).toEqual(['coolingDown', 'coolingDown']);
    fleet.attempt(1, null);
    expect(fleet.states).toEqual([null, null]);
  });

  it('leaves one operation out on all pods, and no other', () => {
    const fleet = new Fleet(2);
    fleet.attempt(0, { kind: 'not_found', message: '' });
    expect(fleet.states).toEqual(['coolingDown', 'coolingDown']);
    expect(outNow(fleet.pod(1).health, facts({ operation: 'embeddings' }), fleet.nowMs)).toBe(null);
  });

  it('is told again to who missed it: that something is out, and that it is well again', () => {
    const fleet = new Fleet(2);
    fleet.cut = true;
    fleet.attempt(0, BROKEN, 5);
    fleet.attempt(0, limited(60_000));
    expect(fleet.states).toEqual(['ejected', null]);
    fleet.cut = false;
    fleet.nowMs += 2_000;
    fleet.repeat(0);
    expect(fleet.states).toEqual(['ejected', 'ejected']);
    fleet.nowMs += 60_000;
    fleet.cut = true;
    fleet.attempt(0, null);
    fleet.cut = false;
    fleet.repeat(0);
    expect(fleet.states).toEqual([null, null]);
    expect(fleet.pod(1).health.health).toBe('Healthy');
  });

  it('is not changed by what is older than what is known', () => {
    const fleet = new Fleet(2);
    const old: HealthFact[] = [];
    fleet.attempt(0, BROKEN, 5);
    old.push(...fleet.pod(0).book.facts(fleet.nowMs));
    fleet.nowMs += 5_000;
    fleet.attempt(0, null);
    for (const fact of old) fleet.pod(1).book.learn(fact, fleet.nowMs);
    expect(old).toHaveLength(1);
    expect(fleet.states).toEqual([null, null]);
  });

  it('is what each pod sees itself while they cannot hear each other', () => {
    const fleet = new Fleet(2);
    fleet.cut = true;
    fleet.attempt(0, BROKEN, 5);
    expect(fleet.states).toEqual(['ejected', null]);
    fleet.nowMs += 5_000;
    fleet.attempt(0, null);
    expect(fleet.states).toEqual([null, null]);
  });

  it('is not repeated for ever', () => {
    const fleet = new Fleet(1);
    fleet.attempt(0, BROKEN, 5);
    fleet.nowMs += 5_000;
    fleet.attempt(0, null);
    fleet.nowMs += 60_001;
    expect(fleet.pod(0).book.facts(fleet.nowMs)).toEqual([]);
  });
});

describe('the headroom of a fleet', () => {
  it('is what the provider told one of its pods last, until the reset', () => {
    const fleet = new Fleet(2);
    fleet.told(0, 0, 2_000);
    expect(fleet.states).toEqual(['headroom', 'headroom']);
    fleet.nowMs += 1_999;
    expect(fleet.states).toEqual(['headroom', 'headroom']);
    fleet.nowMs += 1;
    expect(fleet.states).toEqual([null, null]);
  });

  it('is nobody’s business while enough is left, and told once where many answers say the same', () => {
    const fleet = new Fleet(2);
    for (let i = 0; i < 50; i++) fleet.told(0, 500, 2_000);
    expect(fleet.said).toBe(0);
    for (let i = 0; i < 50; i++) fleet.told(0, 0, 2_000);
    expect(fleet.said).toBe(1);
  });

  it('is nobody’s business where it is whole again before it is known', () => {
    const fleet = new Fleet(2);
    for (let i = 0; i < 50; i++) {
      fleet.told(0, 0, 10);
      fleet.nowMs += 200;
    }
    expect(fleet.said).toBe(0);
  });

  it('is back for all as soon as an answer says so to a request that was sent after it ran out, and no older one', () => {
    const fleet = new Fleet(2);
    const older = fleet.pod(0).health.started(fleet.nowMs, facts());
    fleet.told(0, 0, 2_000);
    fleet.nowMs += 10;
    fleet.told(0, 7, 2_000, older);
    expect(fleet.states).toEqual(['headroom', 'headroom']);
    fleet.told(0, 7, 2_000);
    expect(fleet.states).toEqual([null, null]);
  });

  it('is known to a pod that has missed it with the next full state', () => {
    const fleet = new Fleet(2);
    fleet.cut = true;
    fleet.told(0, 0, 2_000);
    expect(fleet.states).toEqual(['headroom', null]);
    fleet.cut = false;
    fleet.nowMs += 500;
    fleet.repeat(0);
    expect(fleet.states).toEqual(['headroom', 'headroom']);
    fleet.nowMs += 1_500;
    expect(fleet.states).toEqual([null, null]);
  });

  it('goes down with each request that is sent meanwhile', () => {
    const fleet = new Fleet(1);
    fleet.told(0, 2, 2_000);
    fleet.pod(0).health.started(fleet.nowMs, facts());
    expect(fleet.states).toEqual([null]);
    fleet.pod(0).health.started(fleet.nowMs, facts());
    expect(fleet.states).toEqual(['headroom']);
  });
});
