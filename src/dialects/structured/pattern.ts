/** Patterns of strangers: by RE2's method, whose time grows with the text and never explodes. What it cannot express is not guessed at. */
import { RE2JS } from 're2js';

export interface Pattern {
  matches(text: string): boolean;
  /** What a match costs at most, in steps of a validation. */
  workOf(text: string): number;
}

const MAX_PATTERN_CHARS = 512;
/** Of all counts in it together: each is so many copies of what it counts. */
const MAX_REPEATS = 1_000;
const CHARS_PER_STEP = 16;

const MAX_KEPT = 256;
/** Clients send the same schema again and again. */
const kept = new Map<string, Pattern | string>();

/** A text says why there is none. */
export function patternOf(source: unknown): Pattern | string {
  if (typeof source !== 'string') return 'a pattern is not a text';
  // Before it is kept: hundreds of a request's size would be more than the pod has room for.
  if (source.length > MAX_PATTERN_CHARS) return `a pattern is longer than ${MAX_PATTERN_CHARS} characters`;
  let pattern = kept.get(source);
  if (pattern === undefined) {
    pattern = compiled(source);
    if (kept.size >= MAX_KEPT) kept.clear();
    kept.set(source, pattern);
  }
  return pattern;
}

function compiled(source: string): Pattern | string {
  const repeats = [...source.matchAll(/\{(?:\d*,)?(\d+)\}/g)].reduce((sum, [, count]) => sum + Number(count), 0);
  if (repeats > MAX_REPEATS) return `a pattern repeats its parts more than ${MAX_REPEATS} times`;
  let program: RE2JS;
  try {
    program = RE2JS.compile(RE2JS.translateRegExp(source));
  } catch {
    return `the pattern ${JSON.stringify(source.slice(0, 80))} cannot be matched in linear time`;
  }
  const size = program.programSize();
  return {
    matches: (text) => program.matcher(text).find(),
    workOf: (text) => 1 + ((text.length + 1) * size) / CHARS_PER_STEP,
  };
}
