/**
 * What a pod of the history check writes down, before anybody can act on it: when it admitted what, and when that ended. One file a pod,
 * which outlives the pod.
 */
import { openSync, writeSync } from 'node:fs';
import { readFile, truncate } from 'node:fs/promises';
import { type Admission, trueMs } from './history.ts';

export interface Told {
  readonly admissions: readonly Admission[];
  readonly refused: number;
  /** Redis was away. */
  readonly unavailable: number;
}

export class PodLog {
  readonly #file: number;

  constructor(path: string) {
    this.#file = openSync(path, 'a');
  }

  refused(schedule: number, why: 'exceeded' | 'unavailable'): void {
    writeSync(this.#file, `R ${schedule} - ${why}\n`);
  }

  /** `tokens`: what it counts for where it never ends. */
  admitted(schedule: number, id: string, beforeMs: number, tokens: number): void {
    writeSync(this.#file, `A ${schedule} ${id} ${beforeMs} ${trueMs()} ${tokens}\n`);
  }

  ended(schedule: number, id: string, tokens: number): void {
    writeSync(this.#file, `E ${schedule} ${id} ${trueMs()} ${tokens}\n`);
  }

  givenBack(schedule: number, id: string): void {
    writeSync(this.#file, `U ${schedule} ${id} ${trueMs()} 0\n`);
  }
}

/** What a file says of one schedule; it is empty afterwards. */
export async function takeTold(path: string, schedule: number): Promise<Told> {
  const admissions = new Map<string, Admission>();
  let refused = 0;
  let unavailable = 0;
  const text = await readFile(path, 'utf8').catch(() => '');
  for (const line of text.split('\n')) {
    const [what, number, id = '', first, second, third] = line.split(' ');
    if (Number(number) !== schedule) continue;
    if (what === 'R') {
      if (first === 'unavailable') unavailable += 1;
      else refused += 1;
    } else if (what === 'A') {
      const tokens = Number(third);
      admissions.set(id, { beforeMs: Number(first), afterMs: Number(second), tokens, used: true, endMs: 0 });
    } else {
      const admission = admissions.get(id);
      if (admission === undefined || admission.endMs > 0) continue;
      admissions.set(id, { ...admission, tokens: Number(second), used: what === 'E', endMs: Number(first) });
    }
  }
  if (text !== '') await truncate(path);
  return { admissions: [...admissions.values()], refused, unavailable };
}
