/** Pods of one gateway in this process, each with a connection and leases of its own, and what they are asked. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Clock, systemClock } from '../../src/lib/clock.ts';
import { FleetLimits } from '../../src/limits/fleet.ts';
import type { Decision, Reservation } from '../../src/limits/limiter.ts';
import type { Limit, RedisSettings } from '../../src/routetable/types.ts';

export interface Told {
  readonly states: { readonly reachable: boolean; readonly reason: string }[];
  readonly warnings: string[];
  commands: number;
  alone: number;
}

export class TestPod {
  readonly fleet: FleetLimits;
  readonly told: Told = { states: [], warnings: [], commands: 0, alone: 0 };

  constructor(port: number, onUnavailable: RedisSettings['onUnavailable'], commandTimeoutMs: number, clock: Clock = systemClock) {
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
    this.fleet.apply({ namespace: 'test', name: 'gateway' }, settingsFor(port, onUnavailable));
  }

  /** Once Redis answers. Where it is not about silence, a slow machine has all the time it needs. */
  static async start(
    port: number,
    onUnavailable: RedisSettings['onUnavailable'] = 'FailClosed',
    commandTimeoutMs = 30_000,
  ): Promise<TestPod> {
    const pod = new TestPod(port, onUnavailable, commandTimeoutMs);
    await pod.until(true);
    return pod;
  }

  async until(reachable: boolean): Promise<void> {
    await eventually(() => this.fleet.reachable === reachable);
  }

  decide(limits: readonly Limit[], tokens = 1): Decision | Promise<Decision> {
    return this.fleet.limiter.reserve({
      routeId: 'test/route',
      limits,
      apiKeyId: 'test/key',
      tenant: 'tenant',
      model: 'model',
      header: () => undefined,
      tokens,
    });
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

export function settingsFor(port: number, onUnavailable: RedisSettings['onUnavailable']): RedisSettings {
  const nodes = [{ host: '127.0.0.1', port }];
  return {
    mode: 'Standalone',
    address: { nodes, tls: false, username: null, password: null, db: 0 },
    masterName: null,
    onUnavailable,
  };
}

/** The runner's own bound is what ends it where it never comes. */
export async function eventually(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(5);
}
