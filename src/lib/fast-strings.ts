/**
 * Keeps String.prototype fast; to be imported before all else.
 *
 * Where a class extends String, as one of ioredis does that we have no use for, V8 turns String.prototype into a hash table, as it
 * does with every prototype while it may still be set up, and back once something is looked up through it. But it takes no string
 * for something: from then on compiled code has none of a string's methods in line, `charCodeAt` in a loop over bytes included, and
 * each call of one looks for it first (28,000 of the 123,000 instructions from a request's bytes to the upstream's, 5 % of a request's
 * CPU). A prototype that objects have been looked up through before stays as it is: here, a string that is one.
 * V8: src/objects/js-objects.cc, JSObject::OptimizeAsPrototype and MakePrototypesFast.
 */
const text = new String('');
const lookUp = (of: { readonly length: number }): number => of.length;
// V8 keeps no record of a function's first calls, and acts on the record.
for (let i = 0; i < 1_000; i++) lookUp(text);
