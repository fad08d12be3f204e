/** Arguments of a call that come as values at paths: `$.items[0].name`, a text in several pieces. */
import { stringOf, type JsonObject } from '../../lib/json.ts';

type Step = string | number;
type Holder = Record<Step, unknown> | unknown[];

/** No call has more; a path is not to make a list of a billion holes. */
const MAX_INDEX = 10_000;
const MAX_DEPTH = 64;
const STEP = /\.([^.[\]]{1,256})|\[(\d{1,5})\]|\['([^']{1,256})'\]/y;

export class PartialArguments {
  /** Of the call in its answer. */
  readonly index: number;
  readonly arguments: Record<string, unknown> = Object.create(null) as Record<string, unknown>;

  constructor(index: number) {
    this.index = index;
  }

  /** A piece whose path cannot be read is left out: the arguments then lack it, which their schema tells. */
  add(piece: JsonObject): void {
    const steps = stepsOf(stringOf(piece['jsonPath']));
    const last = steps?.at(-1);
    if (steps === null || last === undefined) return;
    let holder: Holder = this.arguments;
    for (let at = 0; at < steps.length - 1; at++) holder = below(holder, steps[at] ?? '', typeof steps[at + 1] === 'number');
    const before = (holder as Record<Step, unknown>)[last];
    const text = piece['stringValue'];
    const value = typeof text === 'string' ? (typeof before === 'string' ? before + text : text) : otherValue(piece);
    (holder as Record<Step, unknown>)[last] = value;
  }
}

function otherValue(piece: JsonObject): unknown {
  return piece['numberValue'] ?? piece['boolValue'] ?? null;
}

function below(holder: Holder, step: Step, list: boolean): Holder {
  const members = holder as Record<Step, unknown>;
  const found = members[step];
  if (typeof found === 'object' && found !== null) return found as Holder;
  const made: Holder = list ? [] : (Object.create(null) as Record<string, unknown>);
  members[step] = made;
  return made;
}

function stepsOf(path: string): Step[] | null {
  if (!path.startsWith('$')) return null;
  const steps: Step[] = [];
  STEP.lastIndex = 1;
  while (STEP.lastIndex < path.length) {
    const matched = STEP.exec(path);
    if (matched === null || steps.length >= MAX_DEPTH) return null;
    const index = matched[2] === undefined ? null : Number(matched[2]);
    if (index !== null && index > MAX_INDEX) return null;
    steps.push(index ?? matched[1] ?? matched[3] ?? '');
  }
  return steps;
}
