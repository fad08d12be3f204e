/**
 * The health of a Service as its addresses make it: it is as well as the best of them, so that one bad pod takes nothing but itself
 * out of use. Pure, as `HealthBook`; `TargetSignals` of a target whose addresses are known.
 */
import type { RequestFacts } from '../dialects/facts.ts';
import type { Operation } from '../lib/operation.ts';
import { unhealthy } from './eligible.ts';
import type { TargetHealth } from './health.ts';
import type { Shortage, TargetSignals } from './types.ts';

/** Why a Service is out that has no ready address. */
const NO_ENDPOINTS = 'NoEndpoints';

export interface Address {
  /** `10.0.0.7:8000` */
  readonly address: string;
  readonly health: TargetHealth;
}

export class AddressHealth<T extends Address> implements TargetSignals {
  #addresses: readonly T[] = [];
  /** Where the cluster balances over whatever pods it knows: asked when the addresses that are known do not answer. */
  #fallback: T | null = null;
  /** Where the next search begins, so that addresses as busy as each other take turns. */
  #turn: number;

  /** `seed`: [0, 1), so that gateways do not all begin with the same pod. */
  constructor(seed: number) {
    this.#turn = Math.floor(seed * 1_000_000);
  }

  /** All that are called at times, the fallback included. */
  get all(): readonly T[] {
    return this.#fallback === null ? this.#addresses : [...this.#addresses, this.#fallback];
  }

  set(addresses: readonly T[], fallback: T | null): void {
    this.#addresses = addresses;
    this.#fallback = fallback;
  }

  get health(): TargetSignals['health'] {
    return this.#best()?.health ?? 'Ejected';
  }

  get coolUntilMs(): number {
    return this.#best()?.coolUntilMs ?? Infinity;
  }

  get coolReason(): string {
    return this.#best()?.coolReason ?? NO_ENDPOINTS;
  }

  get inFlight(): number {
    let sum = this.#fallback?.health.inFlight ?? 0;
    for (const { health } of this.#addresses) sum += health.inFlight;
    return sum;
  }

  absentUntilMs(operation: Operation): number {
    let least = Infinity;
    for (const { health } of this.#addresses) least = Math.min(least, health.absentUntilMs(operation));
    return this.#addresses.length === 0 ? 0 : least;
  }

  unproven(operation: Operation, nowMs: number): boolean {
    return this.#addresses.length > 0 && this.#addresses.every(({ health }) => health.unproven(operation, nowMs));
  }

  /** Where every address is short of it, that which is over first. */
  shortage(facts: RequestFacts, nowMs: number): Shortage | null {
    let least: Shortage | null = null;
    for (const { health } of this.#addresses) {
      const shortage = health.shortage(facts, nowMs);
      if (shortage === null) return null;
      if (least === null || shortage.untilMs < least.untilMs) least = shortage;
    }
    return least;
  }

  /** No address of it can be called now. */
  isOut(nowMs: number): boolean {
    return this.#members().every(({ health }) => health.health === 'Probing' || health.coolUntilMs > nowMs);
  }

  /** Each address that would be taken is out because it was ejected, and not only for one credential. */
  get ejected(): boolean {
    return this.#members().every(({ health }) => health.health !== 'Healthy');
  }

  /**
   * The least busy of those that are well and not tried yet. Where that is none, the fallback: at once where two addresses have
   * failed one request (they may be out of date). What is ejected comes last. null: there is no address at all.
   */
  pick(tried: readonly string[], operation: Operation, nowMs: number): T | null {
    const fallback = this.#fallback;
    const fallbackUntried = fallback !== null && !tried.includes(fallback.address);
    if (fallbackUntried && tried.length >= 2 && unhealthy(fallback.health, operation, nowMs) === null) return fallback;
    const well = this.#leastBusy(tried, operation, nowMs);
    if (well !== null) return well;
    if (fallbackUntried && unhealthy(fallback.health, operation, nowMs) === null) return fallback;
    return this.#soonest(tried) ?? this.#soonest([]) ?? fallback;
  }

  /** Would `pick` give one that is well and not tried yet? */
  hasOther(tried: readonly string[], operation: Operation, nowMs: number): boolean {
    return this.all.some(({ address, health }) => !tried.includes(address) && unhealthy(health, operation, nowMs) === null);
  }

  #leastBusy(tried: readonly string[], operation: Operation, nowMs: number): T | null {
    const { length } = this.#addresses;
    let found: T | null = null;
    let least = Infinity;
    let at = length === 0 ? 0 : this.#turn++ % length;
    for (let seen = 0; seen < length; seen++, at = at + 1 === length ? 0 : at + 1) {
      const candidate = this.#addresses[at];
      if (candidate === undefined) continue;
      const { inFlight } = candidate.health;
      if (inFlight >= least || tried.includes(candidate.address) || unhealthy(candidate.health, operation, nowMs) !== null)
        continue;
      found = candidate;
      least = inFlight;
    }
    return found;
  }

  /** The one that may be tried again first. */
  #soonest(tried: readonly string[]): T | null {
    let found: T | null = null;
    for (const candidate of this.#addresses) {
      if (tried.includes(candidate.address)) continue;
      if (found === null || candidate.health.coolUntilMs < found.health.coolUntilMs) found = candidate;
    }
    return found;
  }

  /** The addresses; with the fallback where all of them are ejected: what is known of them may be of yesterday. */
  #members(): readonly T[] {
    const fallback = this.#fallback;
    const addresses = this.#addresses;
    if (fallback === null || addresses.length === 0) return addresses;
    return addresses.every(({ health }) => health.health !== 'Healthy') ? [...addresses, fallback] : addresses;
  }

  /** The one that keeps the Service in use, or will be back first. */
  #best(): TargetHealth | null {
    let best: TargetHealth | null = null;
    for (const { health } of this.#members()) if (best === null || isBetter(health, best)) best = health;
    return best;
  }
}

function isBetter(a: TargetHealth, b: TargetHealth): boolean {
  if ((a.health === 'Probing') !== (b.health === 'Probing')) return b.health === 'Probing';
  if (a.coolUntilMs !== b.coolUntilMs) return a.coolUntilMs < b.coolUntilMs;
  return a.health === 'Healthy' && b.health !== 'Healthy';
}
