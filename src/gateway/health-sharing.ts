import { createHash } from 'node:crypto';
import type { Clock } from '../lib/clock.ts';
import { isObject, parseJson } from '../lib/json.ts';
import { type Operation, OPERATIONS } from '../lib/operation.ts';
import type { FleetLimits } from '../limits/fleet.ts';
import type { BusListener } from '../limits/redis/bus.ts';
import type { HealthFact, HealthSharing } from '../selection/health-fact.ts';
import { isHeadroomUnit } from '../selection/headroom.ts';
import type { HealthBook } from '../selection/health.ts';

/** What was lost on the way is known after this time all the same. */
const REPEAT_MS = 2_000;
/** Who has not even heard itself for so long listens to a dead connection. */
const DEAF_MS = 3 * REPEAT_MS;
/** So that a fleet does not answer a newcomer at one moment. */
const WELCOME_MS = 100;
const MAX_FACTS = 200;
/** Clocks of a Redis and of the replica that takes over. */
const MAX_AHEAD_MS = 600_000;
const KEY = /^[A-Za-z0-9_-]{22}$/;
const MAX_REASON = 64;

interface Message {
  readonly pod: string;
  /** Asks the others for all they know. */
  readonly hello: boolean;
  readonly facts: readonly HealthFact[];
}

/** What stands for an upstream's id outside the process: its base URL is nobody's business there. */
export function healthKey(id: string): string {
  return createHash('sha256').update(id).digest('base64url').slice(0, 22);
}

/** The health of one pod and that of the others: each change is told at once, and all of it again and again. */
export class HealthOverRedis implements HealthSharing, BusListener {
  readonly #book: HealthBook;
  readonly #limits: FleetLimits;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #warn: (message: string) => void;
  #timer: NodeJS.Timeout | undefined;
  #welcome: NodeJS.Timeout | undefined;
  #heardMs: number;
  #refused = '';
  /** The others have not been asked yet for what this pod may have missed. */
  #asks = false;

  constructor(book: HealthBook, limits: FleetLimits, clock: Clock, random: () => number, warn: (message: string) => void) {
    this.#book = book;
    this.#limits = limits;
    this.#clock = clock;
    this.#random = random;
    this.#warn = warn;
    this.#heardMs = clock.nowMs();
  }

  get pod(): string {
    return this.#limits.pod;
  }

  /** After each change of the settings. */
  follow(shared: boolean): void {
    this.#book.share(shared ? this : null);
    if (shared) {
      // Goes on where it stood: settings may come more often than it repeats.
      this.#timer ??= setInterval(() => this.#repeat(), REPEAT_MS).unref();
    } else {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }

  close(): void {
    this.follow(false);
    clearTimeout(this.#welcome);
  }

  version(): number {
    return this.#limits.redisNowMs;
  }

  tell(fact: HealthFact): void {
    this.#say([fact]);
  }

  joined(): void {
    this.#refused = '';
    this.#heardMs = this.#clock.nowMs();
    this.#asks = true;
    this.#say(this.#book.facts(this.#heardMs));
  }

  refused(reason: string): void {
    if (this.#refused === reason) return;
    this.#refused = reason;
    this.#warn(`the health of upstreams is not shared: ${reason}`);
  }

  received(text: string): void {
    const message = parseMessage(text);
    if (message === null) return;
    const nowMs = this.#clock.nowMs();
    this.#heardMs = nowMs;
    if (message.pod === this.pod) return;
    const latest = this.version() + MAX_AHEAD_MS;
    for (const fact of message.facts) if (fact.version <= latest) this.#book.learn(fact, nowMs);
    if (message.hello) this.#welcome ??= setTimeout(() => this.#answerNewcomer(), WELCOME_MS * this.#random()).unref();
  }

  #answerNewcomer(): void {
    this.#welcome = undefined;
    this.#say(this.#book.facts(this.#clock.nowMs()));
  }

  #repeat(): void {
    const nowMs = this.#clock.nowMs();
    this.#say(this.#book.facts(nowMs));
    if (this.#limits.reachable !== true || nowMs - this.#heardMs < DEAF_MS) return;
    this.#heardMs = nowMs;
    this.#limits.renewBus();
  }

  #say(facts: readonly HealthFact[]): void {
    let rest = facts;
    do {
      const message: Message = { pod: this.pod, hello: this.#asks, facts: rest.slice(0, MAX_FACTS) };
      if (!this.#limits.publish(JSON.stringify(message))) return;
      this.#asks = false;
      rest = rest.slice(MAX_FACTS);
    } while (rest.length > 0);
  }
}

/** null: it is none of ours. */
function parseMessage(text: string): Message | null {
  const parsed = parseJson(text);
  if (!isObject(parsed)) return null;
  const { pod, hello, facts } = parsed;
  if (typeof pod !== 'string' || typeof hello !== 'boolean' || !Array.isArray(facts)) return null;
  return { pod, hello, facts: facts.slice(0, MAX_FACTS).filter(isFact) };
}

function isFact(value: unknown): value is HealthFact {
  if (!isObject(value)) return false;
  const { kind, key, operation, version, by, forMs, probing, growth, reason, unit, left } = value;
  return (
    (kind === 'headroom'
      ? isHeadroomUnit(unit) && Number.isFinite(left) && Number(left) >= 0
      : kind === 'ejection' || kind === 'rate' || kind === 'access' || kind === 'absent') &&
    typeof key === 'string' &&
    KEY.test(key) &&
    (operation === null || OPERATIONS.includes(operation as Operation)) &&
    [version, forMs, growth].every((number) => Number.isFinite(number) && Number(number) >= 0) &&
    typeof by === 'string' &&
    typeof probing === 'boolean' &&
    typeof reason === 'string' &&
    reason.length <= MAX_REASON
  );
}
