/** One random schedule: which limits, how much demand, and what goes wrong when. Everything follows from its number. */
import type { Limit } from '../../src/routetable/types.ts';

export const PODS = 8;
/** What a token costs. */
export const TOKEN_NANO_USD = 1_001;
/** Demand begins within so long. */
export const DEMAND_MS = 2_300;
/** Clocks are set by up to so much. */
export const STEP_MS = 5 * 60_000;
/** Holds what the check has set Redis' clock forward by, in seconds: Redis has no command for that. */
export const CLOCK_STEP_KEY = 'check:clock-step';

export interface Burst {
  readonly atMs: number;
  readonly pod: number;
  readonly requests: number;
  /** Between one request and the next; 0: all at once. */
  readonly gapMs: number;
}

export type Fault =
  | { readonly kind: 'kill'; readonly atMs: number; readonly pod: number }
  | { readonly kind: 'pause'; readonly atMs: number; readonly pod: number; readonly forMs: number }
  | { readonly kind: 'lose'; readonly atMs: number; readonly forMs: number }
  | { readonly kind: 'delay'; readonly atMs: number; readonly forMs: number; readonly delayMs: number }
  /** FLUSHALL. */
  | { readonly kind: 'flush'; readonly atMs: number }
  /** Redis is killed and comes back empty. */
  | { readonly kind: 'restart'; readonly atMs: number }
  /** The replica is the master from now on, and had heard nothing for so long. */
  | { readonly kind: 'failover'; readonly atMs: number; readonly lostMs: number }
  /** The calendar clock of a pod is set. */
  | { readonly kind: 'clock'; readonly atMs: number; readonly pod: number; readonly byMs: number }
  /** Redis' clock is set. */
  | { readonly kind: 'redis-clock'; readonly atMs: number; readonly byMs: number };

/** What the pods of a fleet are: the limiter alone, or whole gateways that are asked over HTTP. */
export type PodKind = 'limiter' | 'gateway';

export interface Schedule {
  readonly number: number;
  readonly limits: readonly Limit[];
  readonly bursts: readonly Burst[];
  readonly faults: readonly Fault[];
}

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed * 2_654_435_761) >>> 0 || 1;
    for (let i = 0; i < 4; i++) this.next();
  }

  /** 0 to below 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  whole(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  of<T>(...choices: readonly T[]): T {
    const chosen = choices[this.whole(0, choices.length - 1)];
    if (chosen === undefined) throw new Error('nothing to choose from');
    return chosen;
  }
}

/**
 * What a gateway reserves of tokens is what answers of that model have needed so far, not what they need at most, so that no
 * count of tokens is exact in windows this short: `use.test.ts` is about those.
 */
export function scheduleOf(number: number, pods: PodKind): Schedule {
  const random = new Random(number);
  const windowMs = random.of(1_000, 1_000, 2_000);
  const limits: Limit[] = [
    { name: 'requests', per: [], unit: 'Requests', limit: random.of(1, 7, 40, 100, 400), windowMs },
    { name: 'tokens', per: [], unit: 'Tokens', limit: random.of(500, 5_000, 50_000), windowMs: random.of(1_000, 2_000) },
    { name: 'usd', per: [], unit: 'USD', limit: random.of(500_000, 5_000_000, 50_000_000), windowMs: random.of(1_000, 2_000) },
    {
      name: 'budget',
      per: [],
      unit: 'USD',
      limit: random.of(5_000_000, 50_000_000),
      windowMs: null,
      calendar: { period: 'Hour', timeZone: 'Asia/Kathmandu' },
    },
    { name: 'in-flight', per: [], unit: 'Concurrency', limit: random.of(1, 5, 30), windowMs: null },
  ].filter(({ unit }) => random.next() < 0.7 && (unit !== 'Tokens' || pods === 'limiter')) as Limit[];
  if (limits.length === 0) limits.push({ name: 'requests', per: [], unit: 'Requests', limit: 100, windowMs });
  const bursts = Array.from({ length: random.whole(6, 30) }, (): Burst => {
    return {
      atMs: random.whole(0, DEMAND_MS - 100),
      pod: random.whole(0, PODS - 1),
      requests: random.whole(1, 60),
      gapMs: random.of(0, 0, 1, 5, 20),
    };
  });
  const faults: Fault[] = [];
  const at = (): number => random.whole(100, DEMAND_MS - 300);
  const pod = (): number => random.whole(0, PODS - 1);
  if (random.next() < 0.3) faults.push({ kind: 'kill', atMs: at(), pod: pod() });
  for (let i = random.whole(0, 2); i > 0; i--)
    faults.push({ kind: 'pause', atMs: at(), pod: pod(), forMs: random.whole(30, 900) });
  if (random.next() < 0.4) faults.push({ kind: 'lose', atMs: at(), forMs: random.whole(5, 250) });
  if (random.next() < 0.3) faults.push({ kind: 'delay', atMs: at(), forMs: random.whole(50, 600), delayMs: random.whole(1, 20) });
  if (random.next() < 0.2) faults.push({ kind: 'clock', atMs: at(), pod: pod(), byMs: random.whole(-STEP_MS, STEP_MS) });
  // One of these in a schedule: what may follow from it is bounded for each.
  const loss = random.of<Fault['kind'] | null>('flush', 'restart', 'failover', 'redis-clock', null, null, null, null);
  if (loss === 'flush' || loss === 'restart') faults.push({ kind: loss, atMs: at() });
  if (loss === 'failover') faults.push({ kind: loss, atMs: at(), lostMs: random.of(0, random.whole(1, 200)) });
  // A whole gateway takes Redis' clock as it is.
  if (loss === 'redis-clock' && pods === 'limiter')
    faults.push({ kind: loss, atMs: at(), byMs: random.whole(-STEP_MS, STEP_MS) });
  return { number, limits, bursts, faults };
}
