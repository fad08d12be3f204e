/** No model or deployment may have these names, and as path segments they would leave its path. */
const DOT_SEGMENTS: ReadonlySet<string> = new Set(['', '.', '..']);

/** The client's name may be any text: half a surrogate pair cannot be encoded, and is no model's name either. */
export function segment(name: string): string {
  return DOT_SEGMENTS.has(name) ? '_' : encodeURIComponent(name.toWellFormed());
}
