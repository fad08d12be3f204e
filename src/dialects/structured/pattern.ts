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
    program = RE2JS.compile(inRe2(RE2JS.translateRegExp(source)));
  } catch {
    return `the pattern ${JSON.stringify(source.slice(0, 80))} cannot be matched in linear time`;
  }
  const size = program.programSize();
  return {
    matches: (text) => program.matcher(text).find(),
    workOf: (text) => 1 + ((text.length + 1) * size) / CHARS_PER_STEP,
  };
}

/** White space and line ends are more to ECMAScript (`WhiteSpace`, `LineTerminator`) than to RE2: a price may have a no-break space in it. */
const SPACES = '\\x{9}-\\x{d}\\x{20}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}\\x{feff}';
const OTHERS =
  '\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{fefe}\\x{ff00}-\\x{10ffff}';
const LINE_ENDS = '\\x{a}\\x{d}\\x{2028}\\x{2029}';
/** What means something to RE2, and to ECMAScript nothing or the letter. */
const RE2_ALONE: ReadonlySet<string> = new Set(['\\A', '\\z', '\\Q', '\\E', '\\C', '\\a']);

/** What the same letters mean to ECMAScript, whose patterns JSON Schema has. Throws where they mean nothing there. */
function inRe2(source: string): string {
  let listed = false;
  let written = '';
  for (const [token] of source.matchAll(/\\.|\[:|./gsu)) {
    if (RE2_ALONE.has(token) || (listed && token === '[:')) throw new SyntaxError(`${token} is RE2's alone`);
    if (token.startsWith('[') && !listed) listed = true;
    else if (token === ']') listed = false;
    if (token === '\\s') written += listed ? SPACES : `[${SPACES}]`;
    else if (token === '\\S') written += listed ? OTHERS : `[${OTHERS}]`;
    else written += token === '.' && !listed ? `[^${LINE_ENDS}]` : token;
  }
  return written;
}
