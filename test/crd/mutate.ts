import fc from 'fast-check';

import { fullBackend, fullGateway, fullQuota, fullRoute, type Draft } from '../../src/api/testdata/fixtures.ts';

/** What hands and programs put where something else belongs. */
const VALUES: readonly unknown[] = [
  ...['', ' ', 'x', 'X', '*', 'a*b', 'ü', '\u0000', 'a\nb', 'a'.repeat(64), 'b'.repeat(254), 'c'.repeat(5_000)],
  ...[0, 1, -1, 1.5, 65_536, 1e12, 1e13, 1e300, true, false, null],
  ...['true', '0', '-1', '99999999999999999999', '0.5', '2.0', '1e3', '0.0000000001', '10Mi', '1m', '0s', '1d', '1ms', '1000h'],
  ...[
    'https://a',
    'http://u:p@a/',
    '10.0.0.0/8',
    'llama',
    'azure',
    'Same',
    'None',
    'Learned',
    'Failover',
    'Tenants',
    'All',
    'AWS',
  ],
  ...[[], {}, [null], [1], ['a', 'a'], [{}], { a: 1 }, { name: 'x' }, { type: 'None' }],
];

type Path = readonly (string | number)[];

function pathsIn(value: unknown, path: Path): Path[] {
  if (typeof value !== 'object' || value === null) return [path];
  const members: readonly (readonly [string | number, unknown])[] = Array.isArray(value)
    ? value.map((item, index) => [index, item] as const)
    : Object.entries(value);
  return [path, ...members.flatMap(([key, member]) => pathsIn(member, [...path, key]))];
}

interface Change {
  readonly how: 'Remove' | 'Double' | 'Repeat' | 'Replace';
  /** Chooses the place among all that there are. */
  readonly where: number;
  readonly value: unknown;
  readonly times: number;
}

function changed(draft: Draft, { how, where, value, times }: Change): Draft {
  const copy = structuredClone(draft);
  const paths = pathsIn(copy['spec'], ['spec']).slice(1);
  const path = paths[where % Math.max(paths.length, 1)] ?? ['spec'];
  const last = path.at(-1) ?? 'spec';
  let holder = copy as Record<string | number, unknown>;
  for (const segment of path.slice(0, -1)) holder = holder[segment] as Record<string | number, unknown>;
  const present = holder[last];
  if (how === 'Remove' && Array.isArray(holder)) holder.splice(Number(last), 1);
  else if (how === 'Remove') delete holder[last];
  else if (how === 'Double' && Array.isArray(holder)) holder.push(structuredClone(present));
  else if (how === 'Double') holder[`${last}s`] = present;
  else if (how === 'Repeat' && Array.isArray(present)) {
    const items: readonly unknown[] = present;
    holder[last] = Array.from({ length: times * items.length }, (_, index) => items[index % items.length]);
  } else holder[last] = structuredClone(value);
  return copy;
}

/** Objects that use every part of the API, with one to three things changed: parts taken away more often than spoilt. */
export const mutatedObjects: fc.Arbitrary<Draft> = fc
  .tuple(
    fc.constantFrom(fullRoute, fullRoute, fullGateway, fullBackend, fullQuota),
    fc.array(
      fc.record<Change>({
        how: fc.constantFrom('Remove', 'Remove', 'Remove', 'Double', 'Repeat', 'Replace', 'Replace'),
        where: fc.nat(10_000),
        value: fc.constantFrom(...VALUES),
        times: fc.nat(300),
      }),
      { minLength: 1, maxLength: 3 },
    ),
  )
  .map(([make, changes]) => changes.reduce(changed, make()));
