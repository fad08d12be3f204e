import { describe, expect, it } from '@jest/globals';

import { ManualTimers } from '../../lib/timers.ts';
import { Outages, type PodReports } from './outages.ts';

const TARGET = { upstreamId: 'https://a', credentialId: 'https://a@1' };
const GATEWAY = 'fairlead-system/default';

function pod(...out: { readonly reason: string; readonly sinceMs: number; readonly credential?: boolean }[]): PodReports {
  return {
    ready: true,
    connected: true,
    upstreams: out.map(({ reason, sinceMs, credential }) => ({
      upstreamId: TARGET.upstreamId,
      credentialId: credential === true ? TARGET.credentialId : null,
      state: 'Ejected',
      reason,
      sinceMs,
    })),
  };
}

function watching() {
  const timers = new ManualTimers();
  const changes: string[] = [];
  const outages = new Outages({
    timers,
    onChange: (_, upstreams) =>
      changes.push(`${timers.nowMs()} ${[...upstreams].join(',')} ${outages.believed(GATEWAY, TARGET)?.reason ?? 'well'}`),
  });
  return { timers, outages, changes };
}

describe('Outages', () => {
  it('believes half of the pods after 10 s, and their recovery after 10 s', async () => {
    const { timers, outages, changes } = watching();
    outages.update(GATEWAY, [pod({ reason: 'Timeout', sinceMs: 5 }), pod({ reason: 'ServerError', sinceMs: 3 }), pod(), pod()]);
    await timers.run(9_999);
    expect(outages.believed(GATEWAY, TARGET)).toBeNull();
    await timers.run(1);
    expect(outages.believed(GATEWAY, TARGET)).toEqual({ reason: 'ServerError', sinceMs: 3 });
    outages.update(GATEWAY, [pod({ reason: 'Timeout', sinceMs: 5 }), pod(), pod(), pod()]);
    await timers.run(10_000);
    expect(changes).toEqual(['10000 https://a ServerError', '20000 https://a well']);
    expect(timers.pending).toBe(0);
  });

  it('tells nothing of an upstream that flaps', async () => {
    const { timers, outages, changes } = watching();
    for (let turn = 0; turn < 20; turn++) {
      outages.update(GATEWAY, [turn % 2 === 0 ? pod({ reason: 'RateLimited', sinceMs: 0, credential: true }) : pod()]);
      await timers.run(3_000);
    }
    await timers.run(60_000);
    expect(changes).toEqual([]);
  });

  it('finds a way to an upstream that one credential alone has lost', async () => {
    const { timers, outages } = watching();
    outages.update(GATEWAY, [pod({ reason: 'Auth', sinceMs: 1, credential: true })]);
    await timers.run(10_000);
    expect(outages.believed(GATEWAY, TARGET)?.reason).toBe('Auth');
    expect(outages.believed(GATEWAY, { ...TARGET, credentialId: 'https://a@2' })).toBeNull();
    expect(outages.believed('other/gateway', TARGET)).toBeNull();
    outages.stop();
  });

  it('asks only pods that are ready and connected', async () => {
    const { timers, outages } = watching();
    outages.update(GATEWAY, [
      pod(),
      { ...pod({ reason: 'Timeout', sinceMs: 1 }), connected: false },
      { ...pod({ reason: 'Timeout', sinceMs: 1 }), ready: false },
    ]);
    await timers.run(60_000);
    expect(outages.believed(GATEWAY, TARGET)).toBeNull();
  });
});
