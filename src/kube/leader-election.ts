import type { CallOptions } from './client.ts';
import { LEASES, microTime } from './builtins.ts';
import type { LeaderElectionOptions, LeaderElectionView } from './contract.ts';
import { isRecord } from './json.ts';
import type { KubeObject } from './objects.ts';

const LEASE_MS = 10_000;
const RENEW_DEADLINE_MS = 7000;
const RETRY_MS = 2000;
/** A Lease that was given back is anybody's after this. */
const RELEASED_SECONDS = 1;

/** What a Lease says. */
interface LeaseRecord {
  readonly object: KubeObject;
  readonly holder: string;
  readonly leaseMs: number;
  readonly transitions: number;
  readonly acquireTime: unknown;
}

/**
 * One leader among several by a Lease, as client-go elects one, so that both understand each other. The holder renews; others take a Lease that they have
 * watched not to change for its whole duration (by their own clock: clocks of machines are never compared). Every write is bound to the
 * resourceVersion that was read. The leader stops at its renew deadline, 3 s before another may begin.
 */
export class LeaderElection implements LeaderElectionView {
  readonly #options: LeaderElectionOptions;
  readonly #leaseMs: number;
  readonly #renewDeadlineMs: number;
  readonly #retryMs: number;
  readonly #abort = new AbortController();
  #started = false;
  #ended = false;
  #cancel = (): void => {};
  #cancelDeadline = (): void => {};
  #turn: Promise<void> = Promise.resolve();

  /** The Lease as last read or written, and since when (monotonic) it has been unchanged as far as we know. */
  #seen: LeaseRecord | null = null;
  #seenMs = 0;
  /** Leading until these, by both clocks; null: not leading. */
  #until: { readonly nowMs: number; readonly wallMs: number } | null = null;
  #epoch = 0;
  /** The epoch that `onChange` was last told of. */
  #told: number | null = null;
  #above = 0;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#leaseMs = options.leaseMs ?? LEASE_MS;
    this.#renewDeadlineMs = options.renewDeadlineMs ?? RENEW_DEADLINE_MS;
    this.#retryMs = options.retryMs ?? RETRY_MS;
  }

  start(): void {
    if (this.#started) return;
    this.#started = true;
    this.#schedule(0);
  }

  isLeader(): boolean {
    const { timers } = this.#options;
    return this.#until !== null && timers.nowMs() < this.#until.nowMs && timers.wallMs() < this.#until.wallMs;
  }

  get epoch(): number {
    return this.isLeader() ? this.#epoch : 0;
  }

  get holder(): string | null {
    return this.#seen === null || this.#seen.holder === '' ? null : this.#seen.holder;
  }

  raiseEpoch(above: number): void {
    this.#above = Math.max(this.#above, above);
  }

  async release(): Promise<void> {
    if (this.#ended) return this.#turn;
    this.#ended = true;
    this.#cancel();
    this.#stepDown();
    this.#abort.abort();
    await this.#turn;
    this.#turn = this.#giveBack();
    return this.#turn;
  }

  /** Twice where it must: a renewal that was under way may have won after all. */
  async #giveBack(): Promise<void> {
    const { client, name, identity, onError } = this.#options;
    const call = { timeoutMs: this.#retryMs };
    for (let attempt = 1; attempt <= 2; attempt++) {
      const seen = this.#seen;
      if (seen === null || seen.holder !== identity) return;
      const written = await client.replace(LEASES, this.#lease(seen, '', RELEASED_SECONDS, seen.transitions), call);
      if (written.ok) return;
      if (attempt === 2) onError(new Error(`Lease ${name} was not given back: ${written.error.message}`));
      else await this.#read(call);
    }
  }

  #schedule(ms: number): void {
    this.#cancel = this.#options.timers.after(ms, () => {
      this.#turn = this.#step();
    });
  }

  async #step(): Promise<void> {
    try {
      await this.#tryOnce();
    } catch (error) {
      this.#options.onError(error);
    }
    if (this.#ended) return;
    if (!this.isLeader()) this.#stepDown();
    this.#schedule(this.#nextMs());
  }

  /** A fifth of jitter downwards; one who waits for a Lease to run out is there right then. */
  #nextMs(): number {
    const { timers, random } = this.#options;
    const retryMs = this.#retryMs * (0.8 + 0.2 * random());
    if (this.isLeader() || this.#seen === null || this.#seen.holder === '') return retryMs;
    const runsOutMs = this.#seenMs + this.#seen.leaseMs - timers.nowMs();
    return runsOutMs > 0 ? Math.min(retryMs, runsOutMs + 1) : retryMs;
  }

  async #tryOnce(): Promise<void> {
    const call = { signal: this.#abort.signal, timeoutMs: this.#retryMs };
    // A leader knows what it wrote; only where that is refused does it read again.
    if (!this.isLeader() && !(await this.#read(call))) return;
    if ((await this.#write(call)) === 'refused' && (await this.#read(call))) await this.#write(call);
  }

  async #read(call: CallOptions): Promise<boolean> {
    const { client, namespace, name, onError } = this.#options;
    const read = await client.get(LEASES, { namespace, name }, call);
    if (read.ok) this.#observe(readLease(read.value));
    else if (read.error.kind === 'not_found') this.#observe(null);
    else if (!this.#ended) onError(new Error(read.error.message));
    return read.ok || read.error.kind === 'not_found';
  }

  /** `refused`: the Lease is not what we thought. `kept`: it is another's. */
  async #write(call: CallOptions): Promise<'done' | 'kept' | 'refused' | 'failed'> {
    const { client, identity, timers, onError } = this.#options;
    const seen = this.#seen;
    const mine = seen !== null && seen.holder === identity;
    if (this.#ended) return 'failed';
    if (seen !== null && seen.holder !== '' && !mine && timers.nowMs() - this.#seenMs < seen.leaseMs) return 'kept';
    const renewal = mine && this.isLeader() && this.#epoch > this.#above;
    const epoch = renewal ? this.#epoch : Math.max(seen?.transitions ?? 0, this.#above, this.#epoch) + 1;
    // Time counts from before the question: its answer may be long under way.
    const until = { nowMs: timers.nowMs() + this.#renewDeadlineMs, wallMs: timers.wallMs() + this.#renewDeadlineMs };
    const lease = this.#lease(seen, identity, Math.ceil(this.#leaseMs / 1000), epoch);
    const written = seen === null ? await client.create(LEASES, lease, call) : await client.replace(LEASES, lease, call);
    if (written.ok) {
      this.#observe(readLease(written.value));
      // An epoch that has ended does not begin again: the next attempt takes a new one. Nor does one begin whose answer came too late.
      const inTime = timers.nowMs() < until.nowMs && timers.wallMs() < until.wallMs;
      if (!this.#ended && inTime && (!renewal || this.isLeader())) this.#lead(epoch, until);
      return 'done';
    }
    const { kind, message } = written.error;
    if (kind === 'conflict' || kind === 'already_exists' || kind === 'not_found') return 'refused';
    if (!this.#ended) onError(new Error(message));
    return 'failed';
  }

  #observe(record: LeaseRecord | null): void {
    const changed = record?.object.metadata.resourceVersion !== this.#seen?.object.metadata.resourceVersion;
    this.#seen = record;
    if (changed) this.#seenMs = this.#options.timers.nowMs();
  }

  #lead(epoch: number, until: { readonly nowMs: number; readonly wallMs: number }): void {
    const { timers } = this.#options;
    this.#until = until;
    this.#epoch = epoch;
    this.#cancelDeadline();
    this.#cancelDeadline = timers.after(until.nowMs - timers.nowMs(), () => {
      if (!this.isLeader()) this.#stepDown();
    });
    if (this.#told === epoch) return;
    if (this.#told !== null) this.#tell(null);
    this.#tell(epoch);
  }

  #stepDown(): void {
    this.#cancelDeadline();
    this.#until = null;
    if (this.#told !== null) this.#tell(null);
  }

  #tell(epoch: number | null): void {
    this.#told = epoch;
    try {
      this.#options.onChange(epoch);
    } catch (error) {
      this.#options.onError(error);
    }
  }

  #lease(seen: LeaseRecord | null, holder: string, seconds: number, transitions: number): KubeObject {
    const { namespace, name, timers } = this.#options;
    const now = microTime(timers.wallMs());
    const taken = seen === null || seen.holder !== holder || seen.transitions !== transitions;
    return {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: seen?.object.metadata ?? { namespace, name },
      spec: {
        holderIdentity: holder,
        leaseDurationSeconds: seconds,
        acquireTime: taken ? now : seen.acquireTime,
        renewTime: now,
        leaseTransitions: transitions,
      },
    };
  }
}

/** A Lease that somebody has edited may say anything; without a duration it lasts as ours do. */
function readLease(object: KubeObject): LeaseRecord {
  const spec = isRecord(object['spec']) ? object['spec'] : {};
  const { holderIdentity, leaseDurationSeconds, leaseTransitions, acquireTime } = spec;
  return {
    object,
    holder: typeof holderIdentity === 'string' ? holderIdentity : '',
    leaseMs: typeof leaseDurationSeconds === 'number' ? leaseDurationSeconds * 1000 : LEASE_MS,
    transitions: typeof leaseTransitions === 'number' ? leaseTransitions : 0,
    acquireTime,
  };
}
