/** What a process and its descendants have used, from Linux' /proc. Elsewhere, and for a process that is gone: null. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** Whether CPU time and memory of another process can be read here. */
export const CAN_MEASURE = existsSync('/proc/self/smaps_rollup');

// The kernel tells times to user space in hundredths of a second on every architecture that Node runs on.
const TICK_US = 10_000;

export interface CpuTimes {
  /** To the nanosecond, by thread; of the threads that live. */
  readonly threadsUs: ReadonlyMap<string, number>;
  /** To a tick; ended threads included. */
  readonly ticksUs: number;
}

export function cpuTimes(pid: number): CpuTimes | null {
  const threadsUs = new Map<string, number>();
  let ticksUs = 0;
  for (const member of family(pid)) {
    // The name, in parentheses, may contain anything; behind it the fields count from the third.
    const fields = read(`/proc/${member}/stat`).split(') ').at(-1)?.split(' ') ?? [];
    ticksUs += (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * TICK_US;
    for (const thread of list(`/proc/${member}/task`)) {
      threadsUs.set(thread, Number(read(`/proc/${member}/task/${thread}/schedstat`).split(' ')[0]) / 1_000);
    }
  }
  return threadsUs.size === 0 ? null : { threadsUs, ticksUs };
}

/** CPU time between two readings; NaN where there are none. */
export function cpuUsBetween(before: CpuTimes | null, after: CpuTimes | null): number {
  if (before === null || after === null) return NaN;
  let us = 0;
  for (const [thread, threadUs] of after.threadsUs) us += threadUs - (before.threadsUs.get(thread) ?? 0);
  const threadEnded = [...before.threadsUs.keys()].some((thread) => !after.threadsUs.has(thread));
  // A thread that ended took its finer count with it. A kernel without that count says 0.
  return threadEnded || us === 0 ? after.ticksUs - before.ticksUs : us;
}

/** Proportional set size: what is shared with other processes counts in parts. */
export function pssBytes(pid: number): number | null {
  let kib = 0;
  for (const member of family(pid)) kib += Number(/^Pss: +(\d+) kB$/m.exec(read(`/proc/${member}/smaps_rollup`))?.[1] ?? 0);
  return kib === 0 ? null : kib * 1024;
}

function family(pid: number): number[] {
  const members = [pid];
  for (const thread of list(`/proc/${pid}/task`)) {
    const children = read(`/proc/${pid}/task/${thread}/children`).split(' ').filter(Boolean);
    for (const child of children) members.push(...family(Number(child)));
  }
  return members;
}

// A process may end between two looks at it: then there is nothing to read, which is what is returned.
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
