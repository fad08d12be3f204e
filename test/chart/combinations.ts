/** Which values to try together. */

export type Choice = Readonly<Record<string, unknown>>;
export type Options = Readonly<Record<string, readonly unknown[]>>;

/** Every one with every other. */
export function product(options: Options): readonly Choice[] {
  return Object.entries(options).reduce<readonly Choice[]>(
    (choices, [path, values]) => choices.flatMap((choice) => values.map((value) => ({ ...choice, [path]: value }))),
    [{}],
  );
}

/** So few that each value of each option still meets each value of each other one. */
export function pairs(options: Options): readonly Choice[] {
  const paths = Object.keys(options);
  const pairsOf = (choice: Choice): readonly string[] =>
    paths.flatMap((a, index) => paths.slice(index + 1).map((b) => JSON.stringify([a, choice[a], b, choice[b]])));
  const candidates = product(options);
  const left = new Set(candidates.flatMap(pairsOf));
  const chosen: Choice[] = [];
  while (left.size > 0) {
    let best: Choice = {};
    let gain = 0;
    for (const candidate of candidates) {
      const found = pairsOf(candidate).filter((pair) => left.has(pair)).length;
      if (found > gain) [best, gain] = [candidate, found];
    }
    chosen.push(best);
    for (const pair of pairsOf(best)) left.delete(pair);
  }
  return chosen;
}
