import { objectLabel, type ReadObject, type ReadResult } from './read-objects.ts';

/**
 * The objects of a new reading, and for each that has become unreadable the version it had in `last`: one bad edit takes nothing
 * away that was served, even where the slip is in a kind or a name or breaks a whole document. What was deleted goes at once, a client
 * key above all, however long something else in its file stays broken.
 */
export function keepLastGood(
  { objects, problems }: ReadResult,
  last: readonly ReadObject[],
): { readonly objects: readonly ReadObject[]; readonly kept: readonly ReadObject[] } {
  const fatal = problems.filter((problem) => problem.fatal);
  const broken = new Set(fatal.map(({ object }) => object));
  const present = new Set(objects.map(({ object }) => objectLabel(object)));
  const known = new Set(last.map(({ object }) => objectLabel(object)));
  const strange = fatal.filter(({ object }) => object === null || !(present.has(object) || known.has(object)));
  // Who may call is never left to our own stand-in where a gateway, though of another name, is meant to say so.
  const wantsGateway = objects.every(({ object }) => object.kind !== 'LLMGateway') && fatal.some(({ hides }) => hides.gateway);
  const kept = last.filter(({ object, source }) => {
    const label = objectLabel(object);
    if (present.has(label)) return false;
    if (broken.has(label) || (wantsGateway && object.kind === 'LLMGateway')) return true;
    return strange.some(({ file, mayBe }) => file === source.file && mayBe(object));
  });
  return { objects: [...objects, ...kept], kept };
}
