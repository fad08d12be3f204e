import { cacheKey, type RouteCache } from '../cache/cache-key.ts';
import type { CachedAnswer } from '../cache/cached-answer.ts';
import type { Waiter } from '../cache/single-flight.ts';
import type { ParsedBody } from '../dialects/parsed-body.ts';
import type { Reservation } from '../limits/limiter.ts';
import { AnswerCapture } from './answer-capture.ts';
import { type CacheControl, cacheControl } from './cache-control.ts';
import type { Relay } from './relay.ts';
import type { RequestContext } from './request-context.ts';

/** Beyond it who waits for an identical request asks for itself; of a stream whoever asked would sooner see its first words. */
const WAIT_MAX_MS = 30_000;
const STREAM_WAIT_MAX_MS = 5_000;

/** The request that looks for its answer in the cache; told once, unless the turn is cancelled. */
export interface CacheTurnHost extends RequestContext {
  /** The answer is there. */
  cached(relay: Relay, answer: CachedAnswer, reservation: Reservation): void;
  /** An upstream is to be asked. */
  uncached(relay: Relay, reservation: Reservation): void;
}

/** Between a request's admission and its first attempt: where its route has a cache, looks whether the answer is known already. */
export class CacheTurn implements Waiter {
  readonly #host: CacheTurnHost;
  readonly #relay: Relay;
  readonly #reservation: Reservation;
  readonly #cache: RouteCache;
  readonly #key: string | null;
  readonly #asked: CacheControl;
  #leads = false;
  #timer: NodeJS.Timeout | undefined;
  #over = false;

  constructor(host: CacheTurnHost, relay: Relay, reservation: Reservation, cache: RouteCache) {
    this.#host = host;
    this.#relay = relay;
    this.#reservation = reservation;
    this.#cache = cache;
    this.#asked = cacheControl(relay.header('cache-control'));
    const { body } = relay;
    // Who asks what its own answer costs is not told what another one did.
    const costs = relay.header('x-fairlead-include-cost') === 'true';
    this.#key = body?.kind !== 'json' || costs ? null : this.#keyOf(body);
  }

  start(): void {
    const key = this.#key;
    if (key === null || this.#asked.noStore) {
      this.#relay.cacheHeader = 'bypass';
      this.#askUpstream('bypass');
      return;
    }
    // Wants a new answer, which then is for everybody.
    if (this.#asked.maxAgeMs === 0) {
      this.#askAndKeep(key);
      return;
    }
    const { cache } = this.#host.core;
    if (!cache.flights.enter(key, this)) {
      const waitMs = this.#relay.stream ? STREAM_WAIT_MAX_MS : WAIT_MAX_MS;
      this.#timer = setTimeout(() => this.#waitedEnough(key), waitMs);
      return;
    }
    this.#leads = true;
    const found = cache.lookUp(key);
    if (!(found instanceof Promise)) this.#lookedUp(key, found);
    else
      found
        .then((answer) => this.#lookedUp(key, answer))
        .catch((error: unknown) => {
          this.#host.fault(error);
        });
  }

  /** The client has left, or the request is ended for another reason. */
  cancel(): void {
    if (this.#over) return;
    this.#end();
    this.#reservation.release();
    if (this.#key === null) return;
    const { flights } = this.#host.core.cache;
    if (this.#leads) flights.abandoned(this.#key);
    else flights.leave(this.#key, this);
  }

  answered(answer: CachedAnswer): void {
    // Whoever leads may take an older one than this does.
    if (!this.#isFresh(answer)) this.goOn();
    else this.#onItsOwn(() => this.#answer(answer, 'joined'));
  }

  goOn(): void {
    const key = this.#key;
    if (key !== null) this.#onItsOwn(() => this.#askAndKeep(key));
  }

  lead(): void {
    this.#leads = true;
    this.goOn();
  }

  /** It is called by another request, or by a timer: a fault of its own must not become theirs. */
  #onItsOwn(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#host.fault(error);
    }
  }

  #keyOf(body: ParsedBody): string | null {
    const { caller, loaded } = this.#host;
    if (loaded === null) return null;
    return cacheKey(this.#cache, {
      routeId: loaded.route.id,
      tenant: caller.tenant,
      keyId: caller.keyId,
      rule: loaded.route.rules[this.#relay.plan.rule]?.name ?? '',
      body,
      switches: [
        this.#relay.header('openai-beta'),
        this.#relay.header('anthropic-beta'),
        this.#relay.header('anthropic-version'),
      ],
    });
  }

  #lookedUp(key: string, found: CachedAnswer | null): void {
    // Somebody else leads by now.
    if (this.#over) return;
    if (found === null || !this.#isFresh(found)) {
      this.#askAndKeep(key);
      return;
    }
    this.#host.core.cache.flights.landed(key, found);
    this.#answer(found, 'hit');
  }

  #isFresh({ storedAtMs }: CachedAnswer): boolean {
    const { maxAgeMs } = this.#asked;
    return maxAgeMs === null || this.#host.core.clock.wallMs() - storedAtMs <= maxAgeMs;
  }

  #waitedEnough(key: string): void {
    this.#host.core.cache.flights.leave(key, this);
    this.goOn();
  }

  #answer(answer: CachedAnswer, result: 'hit' | 'joined'): void {
    if (this.#over) return;
    this.#end();
    this.#host.loaded?.metrics.cacheLookedUp(result);
    this.#host.cached(this.#relay, answer, this.#reservation);
  }

  #askAndKeep(key: string): void {
    const { core } = this.#host;
    const { cache } = core;
    const { ttlMs } = this.#cache;
    const leads = this.#leads;
    const { operation } = this.#relay.facts;
    const kind = { stream: this.#relay.stream, needsFinish: operation !== 'embeddings' };
    this.#relay.clientStream.capture = new AnswerCapture(kind, core.budget, (answer) => {
      if (typeof answer !== 'string') {
        cache.keep(key, answer, ttlMs);
        if (leads) cache.flights.landed(key, answer);
        return;
      }
      core.metrics.cache.notStored(answer);
      if (leads && answer === 'client_gone') cache.flights.abandoned(key);
      else if (leads) cache.flights.failed(key);
    });
    const { allowance } = this.#relay.choice;
    // What is left of a budget made this answer what it is: others may have more left.
    if (allowance.beyond !== null || allowance.maxOutputTokens !== null) this.#relay.clientStream.capture.giveUp('not_whole');
    this.#relay.cacheHeader = 'miss';
    this.#askUpstream('miss');
  }

  #askUpstream(result: 'miss' | 'bypass'): void {
    if (this.#over) return;
    this.#end();
    this.#host.loaded?.metrics.cacheLookedUp(result);
    this.#host.uncached(this.#relay, this.#reservation);
  }

  #end(): void {
    this.#over = true;
    clearTimeout(this.#timer);
  }
}
