/** One call of lease.lua: what goes in, what comes out. The script's head says what each means. */

export type CounterKind = 'sliding' | 'fixed' | 'slots';

/** Parts a sliding window is cut into; the script has the same number. */
export const PARTS = 64;

export interface LeaseCall {
  readonly kind: CounterKind;
  readonly limit: number;
  /** sliding: the window; fixed: the period's end, on Redis' clock; slots: 0. */
  readonly spanMs: number;
  /** fixed: the period's beginning; else 0. */
  readonly startMs: number;
  readonly call: number;
  readonly hold: number;
  readonly need: number;
  readonly want: number;
  readonly step: number;
  readonly leaseMs: number;
  readonly epoch: string;
  /** Whether Redis must know this pod; `join` takes the call as it is. */
  readonly standing: 'any' | 'join' | 'known';
  readonly keep: boolean;
  /** Pairs of part and amount. */
  readonly used: readonly number[];
}

export interface LeaseReply {
  readonly status: 'OK' | 'LOST' | 'GAP' | 'OVER';
  readonly epoch: string;
  readonly nowMs: number;
  readonly granted: number;
  /** OK: how long the lease lasts. */
  readonly leaseMs: number;
  /** GAP: the last call that Redis knows of. */
  readonly lastCall: number;
  readonly free: number;
  readonly waitMs: number;
  readonly resetMs: number;
  readonly pods: number;
}

const STANDING = { any: 0, join: 1, known: 2 } as const;

/** `nowMs`: a clock of a test's own; null: Redis' own. */
export function leaseArguments(call: LeaseCall, pod: string, nowMs: number | null = null): (string | number)[] {
  return [
    nowMs ?? '',
    call.kind,
    call.limit,
    call.spanMs,
    pod,
    call.call,
    call.hold,
    call.need,
    call.want,
    call.step,
    call.leaseMs,
    call.epoch,
    STANDING[call.standing],
    call.keep ? 1 : 0,
    call.startMs,
    ...call.used,
  ];
}

/** Throws where the answer is none of the script's. */
export function readLeaseReply(answer: unknown): LeaseReply {
  if (!Array.isArray(answer) || answer.length !== 9) throw new Error(`lease.lua answered ${JSON.stringify(answer)}`);
  const fields: readonly unknown[] = answer;
  const [status, epoch] = fields;
  const number = (index: number): number => {
    const value = fields[index];
    if (typeof value !== 'number') throw new Error(`lease.lua answered ${JSON.stringify(value)} as number ${index + 1}`);
    return value;
  };
  if ((status !== 'OK' && status !== 'LOST' && status !== 'GAP' && status !== 'OVER') || typeof epoch !== 'string') {
    throw new Error(`lease.lua answered ${JSON.stringify(status)} with the epoch ${JSON.stringify(epoch)}`);
  }
  const fifth = number(4);
  return {
    status,
    epoch,
    nowMs: number(2),
    granted: number(3),
    leaseMs: status === 'OK' ? fifth : 0,
    lastCall: status === 'GAP' ? fifth : 0,
    free: number(5),
    waitMs: number(6),
    resetMs: number(7),
    pods: number(8),
  };
}
