import type { Timers } from '../lib/timers.ts';
import type { KubeResult } from './outcome.ts';

/** Starts one attempt; `settle` tells its outcome, later and once. The result cancels it: nothing is told after. */
export type Attempt<T> = (settle: (result: KubeResult<T>) => void) => () => void;

export interface HedgeOptions {
  /** A question without an answer is asked again, beside the first, this often. */
  readonly againMs: number;
  /** The first one is given up after this long, and with it all. */
  readonly giveUpMs: number;
}

/**
 * Asks, and asks again while the answer is missing; the first answer counts and the other attempt is cancelled. So a server that is slow gets
 * its time (the first question stays), and a question that got lost on a way that works again is overtaken within `againMs`. At most two
 * are under way. The result cancels everything.
 */
export function hedge<T>(
  timers: Timers,
  options: HedgeOptions,
  attempt: Attempt<T>,
  done: (result: KubeResult<T>) => void,
): () => void {
  let cancelSecond = (): void => {};
  let cancelAgain = (): void => {};
  const cancelGiveUp = timers.after(options.giveUpMs, () => {
    cancelFirst();
    cancelSecond();
    finish({ ok: false, error: { kind: 'timeout', message: `no answer within ${options.giveUpMs} ms` } });
  });
  const finish = (result: KubeResult<T>): void => {
    cancelAgain();
    cancelGiveUp();
    done(result);
  };
  const again = (): void => {
    cancelAgain = timers.after(options.againMs, () => {
      cancelSecond();
      again();
      cancelSecond = attempt((result) => {
        // That the second one's line broke says nothing about the first; an answer of the server does.
        if (!result.ok && result.error.status === undefined) return;
        cancelFirst();
        finish(result);
      });
    });
  };
  again();
  const cancelFirst = attempt((result) => {
    cancelSecond();
    finish(result);
  });
  return () => {
    cancelAgain();
    cancelGiveUp();
    cancelFirst();
    cancelSecond();
  };
}
