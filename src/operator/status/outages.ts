/**
 * Which upstreams are out, as the pods of a gateway see it together: at least half of the ready ones that are connected. Damped: a
 * state is believed once it has held for a while, so that an upstream that flaps does not write a status with every turn.
 */
import type { Timers } from '../../lib/timers.ts';
import type { UpstreamReport } from '../../routetable/stream-messages.ts';
import type { Outage } from './evidence.ts';

export interface PodReports {
  readonly ready: boolean;
  readonly connected: boolean;
  readonly upstreams: readonly UpstreamReport[];
}

export interface OutagesOptions {
  readonly timers: Timers;
  /** What is believed of these upstreams of the gateway has changed. */
  onChange(gatewayId: string, upstreams: ReadonlySet<string>): void;
  readonly heldForMs?: number;
}

interface State {
  /** As the pods say now; null: well. */
  said: Outage | null;
  saidSinceMs: number;
  believed: Outage | null;
}

const HELD_FOR_MS = 10_000;

export class Outages {
  readonly #options: OutagesOptions;
  readonly #heldForMs: number;
  /** By gateway, then by what is out: `upstreamId`, or a credential's way to it. */
  readonly #gateways = new Map<string, Map<string, State>>();
  readonly #wakes = new Map<string, () => void>();

  constructor(options: OutagesOptions) {
    this.#options = options;
    this.#heldForMs = options.heldForMs ?? HELD_FOR_MS;
  }

  /**
   * What the pods of a gateway say now. `first`: since this replica leads. What has held by then, as they say, is believed at once:
   * whoever led before has told it.
   */
  update(gatewayId: string, pods: readonly PodReports[], first = false): void {
    const heard = pods.filter(({ ready, connected }) => ready && connected);
    const counts = new Map<string, { pods: number; outage: Outage }>();
    for (const { upstreams } of heard) {
      for (const { upstreamId, credentialId, reason, sinceMs } of upstreams) {
        const key = credentialId ?? upstreamId;
        const known = counts.get(key);
        if (known === undefined) counts.set(key, { pods: 1, outage: { reason, sinceMs } });
        else
          counts.set(key, { pods: known.pods + 1, outage: known.outage.sinceMs <= sinceMs ? known.outage : { reason, sinceMs } });
      }
    }
    const nowMs = this.#options.timers.nowMs();
    const wallMs = this.#options.timers.wallMs();
    const states = this.#gateways.get(gatewayId) ?? new Map<string, State>();
    for (const key of new Set([...states.keys(), ...counts.keys()])) {
      const count = counts.get(key);
      const said = count !== undefined && count.pods * 2 >= heard.length ? count.outage : null;
      const state = states.get(key);
      if (state === undefined) {
        if (said === null) continue;
        const heldMs = first ? Math.min(this.#heldForMs, Math.max(0, wallMs - said.sinceMs)) : 0;
        states.set(key, { said, saidSinceMs: nowMs - heldMs, believed: null });
      } else if ((state.said === null) !== (said === null)) {
        state.said = said;
        state.saidSinceMs = nowMs;
      } else if (said !== null && state.said !== null) {
        state.said = { reason: said.reason, sinceMs: Math.min(said.sinceMs, state.said.sinceMs) };
      }
    }
    this.#gateways.set(gatewayId, states);
    this.#settle(gatewayId);
  }

  believed(gatewayId: string, target: { readonly upstreamId: string; readonly credentialId: string }): Outage | null {
    const states = this.#gateways.get(gatewayId);
    return states?.get(target.upstreamId)?.believed ?? states?.get(target.credentialId)?.believed ?? null;
  }

  stop(): void {
    for (const cancel of this.#wakes.values()) cancel();
    this.#wakes.clear();
    this.#gateways.clear();
  }

  #settle(gatewayId: string): void {
    this.#wakes.get(gatewayId)?.();
    this.#wakes.delete(gatewayId);
    const nowMs = this.#options.timers.nowMs();
    const changed = new Set<string>();
    let nextMs = Infinity;
    const states = this.#gateways.get(gatewayId);
    for (const [key, state] of states ?? []) {
      if ((state.said === null) === (state.believed === null)) {
        // Of an outage that is believed the reason stays until it is over: another one is no transition.
        if (state.said === null) states?.delete(key);
        continue;
      }
      const dueMs = state.saidSinceMs + this.#heldForMs;
      if (dueMs > nowMs) {
        nextMs = Math.min(nextMs, dueMs);
        continue;
      }
      state.believed = state.said;
      changed.add(key);
      if (state.said === null) states?.delete(key);
    }
    if (nextMs < Infinity)
      this.#wakes.set(
        gatewayId,
        this.#options.timers.after(nextMs - nowMs, () => this.#settle(gatewayId)),
      );
    if (changed.size > 0) this.#options.onChange(gatewayId, changed);
  }
}
