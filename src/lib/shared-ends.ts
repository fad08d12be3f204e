/**
 * How much of two lists is the very same objects, at their beginning and at their end: what lies between is all that an edit may have
 * changed. Costs a comparison of references, so that thousands of entries that nobody touched cost next to nothing.
 */
export function sharedEnds(
  before: readonly unknown[],
  after: readonly unknown[],
): { readonly head: number; readonly tail: number } {
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  while (head < shorter && before[head] === after[head]) head++;
  let tail = 0;
  while (tail < shorter - head && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail++;
  return { head, tail };
}
