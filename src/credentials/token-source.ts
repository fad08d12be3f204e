/** Tokens and keys of the clouds, for calls that carry no credential of their own: cached, renewed ahead of time, asked for once at a time. */
import { digestOf } from '../routetable/digest.ts';
import type { CloudIdentity } from '../routetable/types.ts';
import { type AwsKeys, requestAwsKeys } from './aws.ts';
import { type AccessToken, requestToken, type TokenIdentity } from './exchange.ts';
import type { Expiring, TokenEnvironment } from './service.ts';

/** Renewed when less than this part of its life is left, a little earlier on some pods than on others. */
const RENEW_AT = 0.2;
const RENEW_JITTER = 0.1;
/** What is about to end would end under way. */
const LEAST_LEFT_MS = 10_000;
/** After a refresh that failed, or that a refusal asked for. */
const RETRY_AFTER_MS = 5_000;
/** A service that has just refused is not asked again by every request that comes. */
const REFUSED_FOR_MS = 1_000;

export class TokenSource<T extends Expiring> {
  readonly #request: () => Promise<T>;
  readonly #environment: Pick<TokenEnvironment, 'wallMs' | 'random'>;
  #held: T | null = null;
  #renewAtMs = 0;
  #pending: Promise<T> | null = null;
  #askedAtMs = 0;
  #failed: { readonly answer: Promise<T>; readonly atMs: number } | null = null;

  constructor(request: () => Promise<T>, environment: Pick<TokenEnvironment, 'wallMs' | 'random'>) {
    this.#request = request;
    this.#environment = environment;
  }

  /** At once where there is one that is good for this call. Rejects with a message that names no secret. */
  get(): T | Promise<T> {
    const nowMs = this.#environment.wallMs();
    const held = this.#held;
    if (held === null || held.expiresAtMs - nowMs < LEAST_LEFT_MS) {
      const failed = this.#failed;
      return failed !== null && isWithin(nowMs - failed.atMs, REFUSED_FOR_MS) ? failed.answer : this.#renew();
    }
    if (nowMs >= this.#renewAtMs) {
      // The old one serves on until its end, whatever becomes of this.
      this.#renewAtMs = nowMs + RETRY_AFTER_MS;
      this.#renew().catch(() => undefined);
    }
    return held;
  }

  /** What it gave was refused where it was shown: the next call has another one asked for. Until that is there it serves on. */
  refused(): void {
    if (!isWithin(this.#environment.wallMs() - this.#askedAtMs, RETRY_AFTER_MS)) this.#renewAtMs = 0;
  }

  #renew(): Promise<T> {
    if (this.#pending !== null) return this.#pending;
    this.#askedAtMs = this.#environment.wallMs();
    const answer = this.#request()
      .then((fresh) => {
        this.#held = fresh;
        this.#failed = null;
        const nowMs = this.#environment.wallMs();
        const left = RENEW_AT + RENEW_JITTER * this.#environment.random();
        this.#renewAtMs = nowMs + (fresh.expiresAtMs - nowMs) * (1 - left);
        return fresh;
      })
      .catch((error: unknown) => {
        this.#failed = { answer, atMs: this.#environment.wallMs() };
        throw error;
      })
      .finally(() => {
        this.#pending = null;
      });
    this.#pending = answer;
    return answer;
  }
}

/** Where the clock was set back, no time is within. */
function isWithin(sinceMs: number, ms: number): boolean {
  return sinceMs >= 0 && sinceMs < ms;
}

const MAX_SOURCES = 5_000;

/** One source an identity, whatever routes share it; it outlives tables. */
export class TokenSources {
  readonly #environment: TokenEnvironment;
  readonly #tokens = new Map<string, TokenSource<AccessToken>>();
  readonly #keys = new Map<string, TokenSource<AwsKeys>>();

  constructor(environment: TokenEnvironment) {
    this.#environment = environment;
  }

  tokens(identity: TokenIdentity): TokenSource<AccessToken> {
    return this.#of(this.#tokens, identity, () => requestToken(identity, this.#environment));
  }

  awsKeys(identity: Extract<CloudIdentity, { kind: 'AwsPods' }>): TokenSource<AwsKeys> {
    return this.#of(this.#keys, identity, () => requestAwsKeys(identity.region, this.#environment));
  }

  #of<T extends Expiring>(
    sources: Map<string, TokenSource<T>>,
    identity: CloudIdentity,
    request: () => Promise<T>,
  ): TokenSource<T> {
    const id = digestOf(identity);
    let found = sources.get(id);
    if (found === undefined) {
      if (sources.size >= MAX_SOURCES) sources.clear();
      sources.set(id, (found = new TokenSource(request, this.#environment)));
    }
    return found;
  }
}
