/** Pods of one gateway in this process, each with a connection and leases of its own, and what they are asked. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Clock, systemClock } from '../../src/lib/clock.ts';
import { FleetLimits } from '../../src/limits/fleet.ts';
import type { Decision, LimitedRequest, Reservation } from '../../src/limits/limiter.ts';
import type { Limit, RedisSettings } from '../../src/routetable/types.ts';

export interface Told {
  readonly states: { readonly reachable: boolean; readonly reason: string }[];
  readonly warnings: string[];
  commands: number;
  alone: number;
}

/** Of one key of one tenant, as all that these tests ask for is. */
export function limitedRequest(limits: readonly Limit[], tokens: number, nanoUsd?: number): LimitedRequest {
  const cost = nanoUsd === undefined ? {} : { nanoUsd };
  const who = { routeId: 'test/route', apiKeyId: 'test/key', tenant: 'tenant', model: 'model' };
  return { ...who, limits, header: () => undefined, tokens, ...cost };
}

export class TestPod {
  readonly fleet: FleetLimits;
  readonly told: Told = { states: [], warnings: [], commands: 0, alone: 0 };

  constructor(settings: RedisSettings, commandTimeoutMs: number, clock: Clock = systemClock) {
    this.fleet = new FleetLimits(
      clock,
      {
        stateChanged: (reachable, reason) => this.told.states.push({ reachable, reason }),
        warned: (message) => this.told.warnings.push(message),
        commandEnded: () => (this.told.commands += 1),
        decidedAlone: () => (this.told.alone += 1),
      },
      commandTimeoutMs,
    );
    this.fleet.apply({ namespace: 'test', name: 'gateway' }, settings);
  }

  /** Once Redis answers. Where it is not about silence, a slow machine has all the time it needs. */
  static async start(
    port: number,
    onUnavailable: RedisSettings['onUnavailable'] = 'FailClosed',
    commandTimeoutMs = 30_000,
  ): Promise<TestPod> {
    return TestPod.connected(settingsFor(port, onUnavailable), commandTimeoutMs);
  }

  static async connected(settings: RedisSettings, commandTimeoutMs = 30_000): Promise<TestPod> {
    const pod = new TestPod(settings, commandTimeoutMs);
    await pod.until(true);
    // A slow machine may have been told before that there is no answer yet.
    pod.told.states.splice(0, pod.told.states.length - 1);
    return pod;
  }

  async until(reachable: boolean): Promise<void> {
    await eventually(() => this.fleet.reachable === reachable);
  }

  /** A token costs a thousand nano-USD. */
  decide(limits: readonly Limit[], tokens = 1): Decision | Promise<Decision> {
    return this.fleet.limiter.reserve(limitedRequest(limits, tokens, tokens * 1_000));
  }

  async reserve(limits: readonly Limit[], tokens = 1): Promise<Decision> {
    return this.decide(limits, tokens);
  }

  /** Admitted ones of so many at the same moment. */
  async burst(limits: readonly Limit[], requests: number, tokens = 1): Promise<readonly Reservation[]> {
    const decisions = await Promise.all(Array.from({ length: requests }, async () => this.reserve(limits, tokens)));
    return decisions.filter((decision) => decision.ok);
  }
}

export function settingsFor(
  port: number,
  onUnavailable: RedisSettings['onUnavailable'],
  more: Partial<Omit<RedisSettings, 'address'>> & { readonly address?: Partial<RedisSettings['address']> } = {},
): RedisSettings {
  const nodes = [{ host: '127.0.0.1', port }];
  return {
    mode: 'Standalone',
    masterName: null,
    trust: null,
    onUnavailable,
    ...more,
    address: { nodes, tls: false, username: null, password: null, db: 0, ...more.address },
  };
}

/** The runner's own bound is what ends it where it never comes. */
export async function eventually(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(5);
}
