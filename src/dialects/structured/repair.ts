/** Mends an answer that is nearly JSON: fences and words around it, commas and quotes amiss, an end that is cut. */
import { jsonrepair } from 'jsonrepair';
import { parseJson } from '../../lib/json.ts';

/** A model's answer is seldom longer, and what is longer takes its time. */
const MAX_CHARS = 256 * 1024;
/** The library calls itself at each level. */
const MAX_DEPTH = 200;
const FENCE = /^\s*```[a-zA-Z0-9]{0,12}[ \t]*\r?\n/;
const FENCE_END = '```';

/** JSON text; null: it cannot be mended. */
export function repairJson(text: string): string | null {
  if (text.length > MAX_CHARS) return null;
  const begin = text.replace(FENCE, '').search(/[{[]/);
  if (begin === -1) return null;
  const candidate = valueAt(text.replace(FENCE, ''), begin);
  if (candidate === null) return null;
  if (parseJson(candidate) !== undefined) return candidate;
  try {
    return jsonrepair(candidate);
  } catch {
    return null;
  }
}

/** From its opening bracket to the one that closes it, or to the end where none does; null: it nests too deep. */
function valueAt(text: string, begin: number): string | null {
  let depth = 0;
  let quoted = false;
  for (let at = begin; at < text.length; at++) {
    const char = text[at];
    if (quoted) {
      if (char === '\\') at++;
      else if (char === '"') quoted = false;
    } else if (char === '"') quoted = true;
    else if (char === '{' || char === '[') {
      if (++depth > MAX_DEPTH) return null;
    } else if ((char === '}' || char === ']') && --depth === 0) return text.slice(begin, at + 1);
  }
  // Cut: what follows a fence's end is not the answer.
  const rest = text.slice(begin);
  // No pattern, which would begin anew at each of the many blanks that a model may end in.
  const end = rest.trimEnd();
  return end.endsWith(FENCE_END) ? end.slice(0, -FENCE_END.length).trimEnd() : rest;
}
