import { objectLabel, type ReadObject, type ReadResult } from './read-objects.ts';

/**
 * The objects of a new reading, and for each that has become unreadable the version it had in `last`: one bad edit takes nothing
 * away that was served. Where a file does not say which object is broken, all that it had and has no more are kept; so they are where the
 * broken one is none that was there before, since the slip may be in its kind or its name.
 */
export function keepLastGood(
  { objects, problems }: ReadResult,
  last: readonly ReadObject[],
): { readonly objects: readonly ReadObject[]; readonly kept: readonly ReadObject[] } {
  const fatal = problems.filter((problem) => problem.fatal);
  const broken = new Set(fatal.map(({ object }) => object));
  const present = new Set(objects.map(({ object }) => objectLabel(object)));
  const known = new Set(last.map(({ object }) => objectLabel(object)));
  const unreadable = new Set(
    fatal.filter(({ object }) => object === null || !(present.has(object) || known.has(object))).map(({ file }) => file),
  );
  const kept = last.filter(({ object, source }) => {
    const label = objectLabel(object);
    return !present.has(label) && (broken.has(label) || unreadable.has(source.file));
  });
  return { objects: [...objects, ...kept], kept };
}
