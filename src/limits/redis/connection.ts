import { createHash } from 'node:crypto';
import type { Clock } from '../../lib/clock.ts';
import type { RedisSettings } from '../../routetable/types.ts';
import { Breaker } from './breaker.ts';
import { connectRedis, type RedisClient } from './client.ts';
import { reasonOf, type RedisRun, saysNothing } from './reason.ts';
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
  /** Pods of this gateway, this one included, by the newest word: Redis' own with each heartbeat, or that of who else counts them. */
  pods = 1;
  /** What Redis said last of how many they are, and which of them this one is. */
  #ranked = { pods: 0, rank: -1 };
  readonly #clock: Clock;
  readonly #client: RedisClient;
  readonly #events: RedisEvents;
  readonly #breaker: Breaker;
  readonly #pod: string;
  readonly #podsKey: string;
  readonly #podsScript = scriptOf(PODS_SCRIPT);
  readonly #startedMs: number;
  readonly #commandTimeoutMs: number;
  /** Since it last answered; empty: none. */
  #lastError = '';
  #heardMs: number;
  /** The connection was made, or given up, last. */
  #anewMs: number;
  #beat: NodeJS.Timeout | undefined;
  #told = false;
  #closed = false;
  #answeredSinceReady = true;
  readonly #run: RedisRun;
  /** Of its clock before ours. */
  #redisAheadMs = 0;
  /** Ends with the first answer, or where there is none in time; null: that is over. */
  firstAnswer: Promise<void> | null;

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
    this.#run = { mode: settings.mode, tls: settings.address.tls };
    this.#clock = clock;
    this.#pod = pod;
    this.#podsKey = podsKey;
    this.#events = events;
    const nowMs = clock.nowMs();
    this.#startedMs = nowMs;
    this.#heardMs = nowMs;
    this.#anewMs = nowMs;
    const { promise, resolve } = Promise.withResolvers<void>();
    const begun = (): void => {
      clearTimeout(patience);
      this.firstAnswer = null;
      resolve();
    };
    const patience = setTimeout(begun, FIRST_ANSWER_MS).unref();
    this.firstAnswer = promise;
    this.#breaker = new Breaker(clock, (closed, reason, afterMs) => {
      begun();
      this.#lastError = closed ? '' : reason;
      events.stateChanged(closed, reason, afterMs);
      this.#told = true;
      if (closed) void this.#inspect();
    });
    this.#client = connectRedis(settings);
    const failed = (error: Error): void => {
      if (!saysNothing(error)) this.#lastError = this.#reasonOf(error);
      // It is we who hang up: for silence, or for something that is not Redis' protocol, which says more than its end.
      if (/^(Socket timeout|Unknown RESP type)/.test(error.message)) this.#answeredSinceReady = true;
    };
    // The last two are a Sentinel's and a Cluster's.
    this.#client.on('error', failed).on('sentinelError', failed).on('node error', failed);
    this.#client.on('close', () => this.#disconnected());
    // With the connection there, the first proof should not wait for its turn.
    this.#client.on('ready', () => {
      this.#answeredSinceReady = false;
      // However long it took to come about: it has been silent for no time yet.
      this.#anewMs = clock.nowMs();
      this.#heartbeat();
    });
    this.#schedule();
  }

  /** Which of the pods this is, from 0 on; null: nobody knows, or they are others by now. */
  get rank(): number | null {
    const { pods, rank } = this.#ranked;
    return rank >= 0 && pods === this.pods ? rank : null;
  }

  get reachable(): boolean {
    return this.#breaker.closed;
  }

  /** Why it is away, and what to put right, free of secrets; null: it answers, or has had no time to. */
  get problem(): string | null {
    return this.#told && !this.#breaker.closed ? this.#problem : null;
  }

  /** What Redis' clock shows, to about a round trip; this process' own where it has not answered yet. */
  get redisNowMs(): number {
    return this.#clock.nowMs() + this.#redisAheadMs;
  }

  /** To who listens at this moment. False: Redis is away, and nobody hears it. */
  publish(channel: string, message: string): boolean {
    if (!this.reachable) return false;
    this.#client.publish(channel, message).catch((error: unknown) => {
      if (!saysNothing(error)) this.#lastError = this.#reasonOf(error);
    });
    return true;
  }

  /** Rejects where there is no answer in time, or the answer is an error. */
  async run(script: Script, key: string, args: readonly (string | number)[]): Promise<unknown> {
    return this.command(async () => this.#evaluate(script, key, args));
  }

  /** The same for any command. A time of its own is for what nobody waits for: its failure says nothing of the others. */
  async command<T>(send: (client: RedisClient) => Promise<T>, timeoutMs = this.#commandTimeoutMs): Promise<T> {
    const sentMs = this.#clock.nowMs();
    try {
      const sent = send(this.#client);
      // One that comes too late still says that the connection is alive.
      sent.then(
        () => (this.#heardMs = this.#clock.nowMs()),
        () => {},
      );
      const answer = await this.#inTime(sent, timeoutMs);
      this.#answered(sentMs);
      return answer;
    } catch (error) {
      const reason = this.#reasonOf(error);
      this.#events.commandEnded(this.#clock.nowMs() - sentMs, false);
      if (timeoutMs === this.#commandTimeoutMs) this.#breaker.failed(sentMs, reason);
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
        this.#lastError = this.#reasonOf(error);
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
  async #inTime<T>(answer: Promise<T>, timeoutMs = this.#commandTimeoutMs): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const late = (): void => reject(new Error(`no answer within ${timeoutMs} ms`));
    // Where it was this process that stood still, the answer has come meanwhile and is read before that.
    const timer = setTimeout(() => setImmediate(late), timeoutMs);
    answer.then(resolve, reject).finally(() => clearTimeout(timer));
    return promise;
  }

  #answered(sentMs: number): void {
    this.#answeredSinceReady = true;
    this.#events.commandEnded(this.#clock.nowMs() - sentMs, true);
    this.#breaker.succeeded();
  }

  #disconnected(): void {
    if (this.#closed) return;
    // A server that waits for a TLS handshake hangs up on anything else without a word.
    if (!this.#answeredSinceReady) this.#lastError = this.#reasonOf(new Error('the connection was closed before any answer'));
    this.#breaker.open(this.#lastError === '' ? 'the connection was lost' : `the connection was lost (${this.#lastError})`);
  }

  get #problem(): string {
    return this.#lastError === '' ? 'no answer yet' : this.#lastError;
  }

  #reasonOf(error: unknown): string {
    return reasonOf(error, this.#run);
  }

  #schedule(): void {
    clearTimeout(this.#beat);
    if (this.#closed) return;
    // Where it was this process that stood still, what has come meanwhile is read before it counts as silence.
    const beat = (): unknown => setImmediate(() => this.#heartbeat());
    this.#beat = setTimeout(beat, this.#breaker.closed ? HEARTBEAT_MS : PROBE_MS);
    this.#beat.unref();
  }

  #heartbeat(): void {
    if (this.#closed) return;
    const nowMs = this.#clock.nowMs();
    this.#revive(nowMs);
    if (!this.#told && nowMs - this.#startedMs >= FIRST_ANSWER_MS) {
      this.#told = true;
      this.#events.stateChanged(false, this.#problem, nowMs - this.#startedMs);
    }
    this.run(this.#podsScript, this.#podsKey, [this.#pod, POD_GONE_MS, ''])
      .then(
        (answer) => {
          const fields: readonly unknown[] = Array.isArray(answer) ? answer : [];
          const [count, redisMs, rank] = fields;
          if (typeof count === 'number') this.pods = Math.max(1, count);
          if (typeof rank === 'number') this.#ranked = { pods: this.pods, rank };
          if (typeof redisMs === 'number') this.#redisAheadMs = redisMs - this.#clock.nowMs();
        },
        (error: unknown) => {
          if (!saysNothing(error)) this.#lastError = this.#reasonOf(error);
        },
      )
      .finally(() => this.#schedule());
  }

  #revive(nowMs: number): void {
    const { status } = this.#client;
    if (status === 'end') {
      // A failover that is told while the client asks for the master ends it for good.
      this.#client.connect().catch((error: unknown) => {
        if (!saysNothing(error)) this.#lastError = this.#reasonOf(error);
      });
      return;
    }
    const silent = nowMs - Math.max(this.#heardMs, this.#anewMs) > SILENCE_MS;
    if (this.#breaker.closed || !silent || status === 'connecting' || status === 'reconnecting') return;
    this.#anewMs = nowMs;
    // It is we who hang up.
    this.#answeredSinceReady = true;
    this.#client.disconnect(true);
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
    } catch {
      // Then the README's word must do.
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
