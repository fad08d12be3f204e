import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Access, Route } from '../routetable/types.ts';
import { type Caller, compileNames, editNames } from './names.ts';
import { route } from './testdata/fixtures.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 300);
const GATEWAY = { namespace: 'gw', name: 'default' };
const NAMESPACES = ['a', 'b', 'gw'];
const MODELS = ['m', 'gpt', 'gpt-4', 'gpt-4o'];

const access: fc.Arbitrary<Access> = fc.oneof(
  fc.constant<Access>({ from: 'Same' }),
  fc.constant<Access>({ from: 'All' }),
  fc.subarray(NAMESPACES).map((tenants): Access => ({ from: 'Tenants', tenants })),
);
const made = fc
  .record({
    namespace: fc.constantFrom(...NAMESPACES),
    name: fc.constantFrom('x', 'y', 'z'),
    names: fc.array(fc.record({ value: fc.constantFrom(...MODELS, ''), wildcard: fc.boolean() }), { maxLength: 3 }),
    access,
  })
  .map(({ namespace, name, names, access: from }) =>
    route([], [], { id: `${namespace}/${name}`, namespace, name, modelNames: names, access: from }),
  );
const tables = fc.uniqueArray(made, { selector: ({ id }) => id, maxLength: 7 });

const CALLERS: readonly Caller[] = [
  ...NAMESPACES.map((namespace) => ({ namespace, tenant: namespace, platform: false, anonymous: false })),
  { namespace: 'gw', tenant: 'b', platform: true, anonymous: false },
  { namespace: '', tenant: '', platform: true, anonymous: true },
];

describe('names that were edited', () => {
  it('mean what the same names made at once mean, and those before the edit mean what they did', () => {
    fc.assert(
      fc.property(fc.array(tables, { minLength: 1, maxLength: 6 }), (steps) => {
        let before: readonly Route[] = [];
        let names = compileNames({ gateway: GATEWAY, routes: [] });
        for (const routes of steps) {
          const old = names;
          // A random part of the routes stays the same object.
          const kept = before.filter(({ id }, index) => index % 2 === 0 && routes.some((next) => next.id === id));
          const after = [...kept, ...routes.filter(({ id }) => !kept.some((same) => same.id === id))];
          names = editNames(
            names,
            before.filter((item) => !after.includes(item)),
            after.filter((item) => !before.includes(item)),
          );
          for (const [edited, all] of [
            [names, after],
            [old, before],
          ] as const) {
            const fresh = compileNames({ gateway: GATEWAY, routes: all });
            for (const caller of CALLERS) {
              expect(edited.list(caller)).toEqual(fresh.list(caller));
              for (const model of [...MODELS, 'gpt-4o-mini', 'other'])
                expect(edited.resolve(caller, model)).toBe(fresh.resolve(caller, model));
            }
          }
          before = after;
        }
      }),
      { numRuns: RUNS },
    );
  });
});
