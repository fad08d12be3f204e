import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { SecretValue } from '../lib/secret.ts';
import { RESERVED_PARAMETERS as RESERVED_BY_SPLICING } from '../dialects/splice-body.ts';
import { compile, createCompileMemo, type CompileWork } from './compile.ts';
import { RESERVED_PARAMETERS } from './model.ts';
import { snapshotOf, type CompileOptions, type Snapshot } from './snapshot.ts';
import { randomWorld } from './testdata/random-world.ts';
import { deepFreeze, randomFrom, shuffledSnapshot, textOf } from './testdata/vary.ts';
import { fleet, FLEET_OPTIONS } from './testdata/fleet.ts';

const OPTIONS: CompileOptions = { resolveService: 'Cluster', loopbackAllowed: false };

describe('compile', () => {
  it('gives the same bytes whatever the order of its input, and changes nothing of it', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), (seed, order) => {
        const snapshot = deepFreeze(snapshotOf(randomWorld(randomFrom(seed), 30).objects));
        expect(textOf(compile(shuffledSnapshot(snapshot, order), OPTIONS))).toBe(textOf(compile(snapshot, OPTIONS)));
      }),
      { numRuns: 40 },
    );
  });

  it('remembers nothing wrongly: after any edits the memo gives what a fresh compile gives', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const random = randomFrom(seed);
        const world = randomWorld(random, 25);
        const memo = createCompileMemo();
        for (let step = 0; step < 25; step++) {
          const snapshot = shuffledSnapshot(snapshotOf(world.objects), seed + step);
          const options = random() < 0.1 ? { ...OPTIONS, resolveService: 'Laptop' as const } : OPTIONS;
          expect(textOf(compile(snapshot, options, memo))).toBe(textOf(compile(snapshot, options)));
          for (let edits = random() * 3; edits > 0; edits--) world.edit();
        }
      }),
      { numRuns: 20 },
    );
  });

  it('sees the worlds that it is tested with: every outcome occurs', () => {
    const reasons = new Set<string>();
    for (let seed = 0; seed < 60; seed++) {
      const { statuses } = compile(snapshotOf(randomWorld(randomFrom(seed), 30).objects), OPTIONS);
      for (const { conditions } of statuses.values()) for (const { reason } of conditions) reasons.add(reason);
    }
    const expected = [
      'NoMatchingParent',
      'NotAllowedByParent',
      'ModelNameConflict',
      'NotServed',
      'SecretNotFound',
      'SecretKeyMissing',
      'BackendNotFound',
      'RefNotPermitted',
      'ArtifactInvalid',
    ];
    expect(expected.filter((reason) => !reasons.has(reason))).toEqual([]);
  });

  it('reserves the parameters that splicing a body cannot set', () => {
    expect(RESERVED_PARAMETERS).toEqual(RESERVED_BY_SPLICING);
  });
});

describe('a compile with a memo', () => {
  const SIZE = 200;

  /** What one change costs, and what of the result is still the same object. */
  function change(edit: (snapshot: Snapshot) => Snapshot) {
    const memo = createCompileMemo();
    const before = fleet(SIZE);
    const first = compile(before, FLEET_OPTIONS, memo);
    const start = memo.work;
    const snapshot = edit(before);
    const second = compile(snapshot, FLEET_OPTIONS, memo);
    expect(textOf(second)).toBe(textOf(compile(snapshot, FLEET_OPTIONS)));
    const [tableBefore] = first.tables.values();
    const [table] = second.tables.values();
    const kept = table?.routes.filter((route, index) => route === tableBefore?.routes[index]).length;
    return { work: difference(memo.work, start), kept, sameTable: table === tableBefore };
  }

  function difference(after: CompileWork, before: CompileWork): CompileWork {
    return {
      routes: after.routes - before.routes,
      finishedRoutes: after.finishedRoutes - before.finishedRoutes,
      gateways: after.gateways - before.gateways,
      backends: after.backends - before.backends,
      tables: after.tables - before.tables,
    };
  }

  const NONE: CompileWork = { routes: 0, finishedRoutes: 0, gateways: 0, backends: 0, tables: 0 };
  const replaced = <T>(items: readonly T[], index: number, edit: (item: T) => T): readonly T[] =>
    items.map((item, at) => (at === index ? edit(item) : item));

  it('does nothing for the same objects in new lists', () => {
    expect(change((snapshot) => ({ ...snapshot, routes: [...snapshot.routes], secrets: [...snapshot.secrets] }))).toEqual({
      work: NONE,
      kept: SIZE,
      sameTable: true,
    });
  });

  it('compiles one route for one edited route', () => {
    const { work, kept } = change((snapshot) => ({
      ...snapshot,
      routes: replaced(snapshot.routes, 123, (route) => ({
        ...route,
        spec: { ...route.spec, access: { from: 'All' as const } },
      })),
    }));
    expect(work).toEqual({ ...NONE, routes: 1, finishedRoutes: 1, tables: 1 });
    expect(kept).toBe(SIZE - 1);
  });

  it('compiles the routes that use an edited Secret, and looks at its keys anew', () => {
    const { work, kept } = change((snapshot) => ({
      ...snapshot,
      secrets: snapshot.secrets.map((secret) =>
        secret.metadata.name === 'provider-7' ? { ...secret, data: { 'api-key': new SecretValue('sk-new') } } : secret,
      ),
    }));
    expect(work).toEqual({ ...NONE, routes: 1, finishedRoutes: 1, gateways: 1, tables: 1 });
    expect(kept).toBe(SIZE - 1);
  });

  it('compiles the routes that share an edited backend', () => {
    const { work } = change((snapshot) => ({
      ...snapshot,
      backends: replaced(snapshot.backends, 0, (backend) => ({ ...backend })),
    }));
    expect(work).toEqual({ ...NONE, routes: SIZE / 10, finishedRoutes: SIZE / 10, backends: 1 });
  });

  it('gives a name to its new owner without compiling the one who loses it', () => {
    const { work } = change((snapshot) => {
      const [first, second] = snapshot.routes;
      if (first === undefined || second === undefined) throw new Error('the fleet is empty');
      const older = {
        ...second,
        metadata: {
          ...second.metadata,
          creationTimestamp: '2020-01-01T00:00:00Z',
          namespace: first.metadata.namespace,
          name: 'older',
        },
        spec: { ...second.spec, modelNames: first.spec.modelNames },
      };
      return { ...snapshot, routes: [...snapshot.routes, older] };
    });
    expect(work).toEqual({ ...NONE, routes: 1, finishedRoutes: 2, tables: 1 });
  });

  it('compiles nothing for an edited Secret that nobody names', () => {
    const { work, sameTable } = change((snapshot) => {
      const [secret] = snapshot.secrets;
      return secret === undefined
        ? snapshot
        : { ...snapshot, secrets: [...snapshot.secrets, { ...secret, metadata: { ...secret.metadata, name: 'unused' } }] };
    });
    expect(work).toEqual({ ...NONE, gateways: 1 });
    expect(sameTable).toBe(true);
  });
});
