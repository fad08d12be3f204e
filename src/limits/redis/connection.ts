import { createHash } from 'node:crypto';
import type { Clock } from '../../lib/clock.ts';
import type { RedisSettings } from '../../routetable/types.ts';
import { Breaker } from './breaker.ts';
import { connectRedis, type RedisClient } from './client.ts';
import { PODS_SCRIPT } from './scripts.ts';

/** How long a command may take before whoever waits for it goes on without. */
export const COMMAND_TIMEOUT_MS = 50;
const HEARTBEAT_MS = 1_000;
const PROBE_MS = 100;
/** Of heartbeats: who has been silent for longer is not counted. */
const POD_GONE_MS = 3_500;
/** A connection on which nothing was answered for so long is given up: one that was cut heals only by another. */
const SILENCE_MS = 500;
/** At the start a moment without an answer is nothing to speak of. */
const FIRST_ANSWER_MS = 1_000;

export interface RedisEvents {
  /** Once a change of state. `reason` is for a person and free of secrets. */
  stateChanged(reachable: boolean, reason: string, afterMs: number): void;
  /** Something to put right, such as a policy that evicts limits. */
  warned(message: string): void;
  /** After each command: how long it took, and whether it was answered. */
  commandEnded(ms: number, answered: boolean): void;
}

export interface Script {
  readonly source: string;
  readonly sha: string;
}

export function scriptOf(source: string): Script {
  return { source, sha: createHash('sha1').update(source).digest('hex') };
}

/** A Redis that may be away: commands are answered within their time or fail, and while it is away nobody waits. */
export class RedisConnection {
  /** Pods that use this Redis for this gateway, this one included, when it was last heard of. */
  pods = 1;
  readonly #clock: Clock;
  readonly #client: RedisClient;
  readonly #events: RedisEvents;
  readonly #breaker: Breaker;
  readonly #pod: string;
  readonly #podsKey: string;
  readonly #podsScript = scriptOf(PODS_SCRIPT);
  readonly #startedMs: number;
  readonly #commandTimeoutMs: number;
  #lastError = 'no answer yet';
  #answeredMs: number;
  #reconnectedMs: number;
  #beat: NodeJS.Timeout | undefined;
  #told = false;
  #closed = false;

  /** `podsKey`: where the gateway's pods say that they are there. */
  constructor(
    settings: RedisSettings,
    clock: Clock,
    pod: string,
    podsKey: string,
    events: RedisEvents,
    commandTimeoutMs: number,
  ) {
    this.#commandTimeoutMs = commandTimeoutMs;
    this.#clock = clock;
    this.#pod = pod;
    this.#podsKey = podsKey;
    this.#events = events;
    const nowMs = clock.nowMs();
    this.#startedMs = nowMs;
    this.#answeredMs = nowMs;
    this.#reconnectedMs = nowMs;
    this.#breaker = new Breaker(clock, (closed, reason, afterMs) => {
      events.stateChanged(closed, reason, afterMs);
      this.#told = true;
      if (closed) void this.#inspect();
    });
    this.#client = connectRedis(settings);
    this.#client.on('error', (error: Error) => {
      this.#lastError = reasonOf(error);
    });
    this.#client.on('close', () => {
      if (!this.#closed) this.#breaker.open(`the connection was lost (${this.#lastError})`);
    });
    // With the connection there, the first proof should not wait for its turn.
    this.#client.on('ready', () => this.#heartbeat());
    this.#schedule();
  }

  get reachable(): boolean {
    return this.#breaker.closed;
  }

  /** Rejects where there is no answer in time, or the answer is an error. */
  async run(script: Script, key: string, args: readonly (string | number)[]): Promise<unknown> {
    const sentMs = this.#clock.nowMs();
    try {
      const answer = await this.#inTime(this.#evaluate(script, key, args));
      this.#answered(sentMs);
      return answer;
    } catch (error) {
      const reason = reasonOf(error);
      this.#events.commandEnded(this.#clock.nowMs() - sentMs, false);
      this.#breaker.failed(sentMs, reason);
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#beat);
    if (this.reachable) {
      try {
        await this.#inTime(this.#evaluate(this.#podsScript, this.#podsKey, ['', POD_GONE_MS, this.#pod]));
      } catch (error) {
        // It is forgotten soon all the same.
        this.#lastError = reasonOf(error);
      }
    }
    this.#client.disconnect();
  }

  async #evaluate({ sha, source }: Script, key: string, args: readonly (string | number)[]): Promise<unknown> {
    try {
      return await this.#client.evalsha(sha, 1, key, ...args);
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      return this.#client.eval(source, 1, key, ...args);
    }
  }

  /** What comes later is not listened to: the call is repeated under its number. */
  async #inTime<T>(answer: Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const late = (): void => reject(new Error(`no answer within ${this.#commandTimeoutMs} ms`));
    // Where it was this process that stood still, the answer has come meanwhile and is read before that.
    const timer = setTimeout(() => setImmediate(late), this.#commandTimeoutMs);
    answer.then(resolve, reject).finally(() => clearTimeout(timer));
    return promise;
  }

  #answered(sentMs: number): void {
    this.#answeredMs = this.#clock.nowMs();
    this.#events.commandEnded(this.#answeredMs - sentMs, true);
    this.#breaker.succeeded();
  }

  #schedule(): void {
    clearTimeout(this.#beat);
    if (this.#closed) return;
    this.#beat = setTimeout(() => this.#heartbeat(), this.#breaker.closed ? HEARTBEAT_MS : PROBE_MS);
    this.#beat.unref();
  }

  #heartbeat(): void {
    if (this.#closed) return;
    const nowMs = this.#clock.nowMs();
    const silent = nowMs - Math.max(this.#answeredMs, this.#reconnectedMs) > SILENCE_MS;
    if (!this.#breaker.closed && silent && this.#client.status !== 'connecting' && this.#client.status !== 'reconnecting') {
      this.#reconnectedMs = nowMs;
      this.#client.disconnect(true);
    }
    if (!this.#told && nowMs - this.#startedMs >= FIRST_ANSWER_MS) {
      this.#told = true;
      this.#events.stateChanged(false, this.#lastError, nowMs - this.#startedMs);
    }
    this.run(this.#podsScript, this.#podsKey, [this.#pod, POD_GONE_MS, ''])
      .then(
        (answer) => {
          const count: unknown = Array.isArray(answer) ? answer[0] : null;
          if (typeof count === 'number') this.pods = Math.max(1, count);
        },
        (error: unknown) => {
          this.#lastError = reasonOf(error);
        },
      )
      .finally(() => this.#schedule());
  }

  /** A Redis that evicts keys forgets limits; not everybody may ask it. */
  async #inspect(): Promise<void> {
    try {
      const answer: unknown = await this.#client.config('GET', 'maxmemory*');
      const [memory, policy] = [configured(answer, 'maxmemory'), configured(answer, 'maxmemory-policy')];
      if (memory !== null && memory !== '0' && policy !== null && policy !== 'noeviction') {
        this.#events.warned(
          `Redis may evict limits when its memory is full: maxmemory-policy is ${policy}, and must be noeviction for limits to hold`,
        );
      }
    } catch (error) {
      this.#lastError = reasonOf(error);
    }
  }
}

function configured(answer: unknown, name: string): string | null {
  if (!Array.isArray(answer)) return null;
  const fields: readonly unknown[] = answer;
  const at = fields.indexOf(name);
  const value = at === -1 ? null : fields[at + 1];
  return typeof value === 'string' ? value : null;
}

/** What Redis or the network said, in one line; neither repeats a password. */
function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return text.split('\n')[0]?.slice(0, 200) ?? '';
}
