import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { type ApiObject, parseObject } from '../api/parse.ts';
import { SecretValue } from '../lib/secret.ts';
import { tableChanges } from '../routetable/entries.ts';
import { RESERVED_PARAMETERS as RESERVED_BY_SPLICING } from '../dialects/splice-body.ts';
import { encode } from '../routetable/codec.ts';
import { compile, createCompileMemo, type Compilation, type CompileWork } from './compile.ts';
import { RESERVED_PARAMETERS } from './model.ts';
import { snapshotOf, type CompileOptions, type Snapshot } from './snapshot.ts';
import { CERTIFICATE_PEM, PRIVATE_KEY_PEM } from './testdata/certificate.ts';
import { randomWorld } from './testdata/random-world.ts';
import { deepFreeze, randomFrom, shuffledSnapshot, textOf } from './testdata/vary.ts';
import { fleet, FLEET_OPTIONS } from './testdata/fleet.ts';

const VLLM = [{ metadata: { namespace: 'team-a', name: 'vllm' }, type: 'ClusterIP', ports: [80] }];
const OPTIONS: CompileOptions = { resolveService: 'Cluster', loopbackAllowed: false };

const encoded = ({ tables }: Compilation): unknown => [...tables].map(([id, table]) => [id, encode(table)]);

/** Keys whose status is another object than before; `statusOf` agrees with the whole. */
function changedSince(before: Compilation | null, after: Compilation): string[] {
  for (const [key, status] of after.statuses) expect(after.statusOf(key)).toBe(status);
  return [...after.statuses].filter(([key, status]) => before?.statuses.get(key) !== status).map(([key]) => key);
}

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
        let last: Compilation | null = null;
        for (let step = 0; step < 25; step++) {
          // As the operator has it, where what is edited stays in its place, or in another order each time.
          const asIs = snapshotOf(world.objects);
          const snapshot = seed % 2 === 0 ? asIs : shuffledSnapshot(asIs, seed + step);
          const options = random() < 0.1 ? { ...OPTIONS, resolveService: 'Laptop' as const } : OPTIONS;
          const before = last;
          const told = new Map(before?.statuses);
          last = compile(snapshot, options, memo);
          // Whoever holds an outcome has it as it was.
          for (const [key, status] of told) expect(before?.statusOf(key)).toBe(status);
          expect(textOf(last)).toBe(textOf(compile(snapshot, options)));
          expect(last.changed).toEqual(expect.arrayContaining(changedSince(before, last)));
          for (let edits = random() * 3; edits > 0; edits--) world.edit();
        }
      }),
      { numRuns: 40 },
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
      'SecretNotFound',
      'SecretKeyMissing',
      'BackendNotFound',
      'RefNotPermitted',
      'TargetNotFound',
      'ArtifactInvalid',
      'InvalidSpec',
    ];
    expect(expected.filter((reason) => !reasons.has(reason))).toEqual([]);
  });

  const fails = <T extends object>(object: T, at = 'spec'): T =>
    Object.defineProperty({ ...object }, at, {
      get: () => {
        throw new Error('planted: sk-secret');
      },
    });

  it('keeps an object that it fails on out, says so of it, and gives everything else as if it were not there', () => {
    const sound = fleet(60);
    const victim = sound.routes[57];
    const backend = sound.backends[0];
    const quota = sound.quotas?.[0];
    if (victim === undefined || backend === undefined || quota === undefined) throw new Error('the fleet is empty');
    const unused = fails({ ...backend, metadata: { ...backend.metadata, name: 'unused' } });
    const overAll = { ...quota, metadata: { ...quota.metadata, name: 'broken' }, spec: fails(quota.spec, 'limits') };
    const without = compile({ ...sound, routes: sound.routes.filter((route) => route !== victim) }, FLEET_OPTIONS);
    const routes = sound.routes.map((route) => (route === victim ? fails(route) : route));
    const broken = { ...sound, routes, backends: [backend, unused], quotas: [...(sound.quotas ?? []), overAll] };
    const found = compile(broken, FLEET_OPTIONS);
    const key = `LLMRoute/${victim.metadata.namespace}/${victim.metadata.name}`;
    const planted = ['LLMBackend/platform/unused', 'LLMQuota/fairlead-system/broken'];
    expect(encoded(found)).toEqual(encoded(without));
    expect(found.faults.map((fault) => fault.key).sort()).toEqual([...planted, key]);
    for (const quarantined of found.faults) {
      const [accepted] = found.statusOf(quarantined.key)?.conditions ?? [];
      expect(accepted).toMatchObject({ type: 'Accepted', status: 'False', reason: 'CompileFailed' });
      expect(accepted?.message).not.toContain('sk-secret');
    }
    expect(found.statusOf(key)?.conditions[0]?.message).toMatch(/no version of it is served$/);
    const others = [...found.statuses].filter(([id]) => id !== key && !planted.includes(id));
    expect(others).toEqual([...without.statuses]);
  });

  it('holds on the last version of a quota that it did not fail on', () => {
    const sound = fleet(10);
    const [quota, ...others] = sound.quotas ?? [];
    if (quota === undefined) throw new Error('the fleet is empty');
    const edited = (generation: number, uid: string): typeof quota => ({
      ...quota,
      metadata: { ...quota.metadata, uid, generation },
      spec: { ...quota.spec },
    });
    const memo = createCompileMemo();
    const compiled = (of: readonly (typeof quota)[]): Compilation =>
      compile({ ...sound, quotas: [...of, ...others] }, FLEET_OPTIONS, memo);
    const before = compiled([edited(3, 'u')]);
    const broken = edited(4, 'u');
    const found = compiled([{ ...broken, spec: fails(broken.spec, 'limits') }]);
    expect(encoded(found)).toEqual(encoded(before));
    expect(found.statusOf('LLMQuota/fairlead-system/fair')?.conditions[0]).toMatchObject({
      reason: 'CompileFailed',
      message: expect.stringMatching(/generation 3, the last that could be compiled, is held$/),
    });
    // Another object of its name has no claim to what it was.
    const successor = edited(1, 'another');
    expect(encoded(compiled([{ ...successor, spec: fails(successor.spec, 'limits') }]))).toEqual(encoded(compiled([])));
  });

  it('serves on the last version of a route that it did not fail on, its names included, and says which that is', () => {
    const sound = fleet(30);
    const victim = sound.routes[7];
    if (victim === undefined) throw new Error('the fleet is empty');
    const { namespace, name } = victim.metadata;
    const key = `LLMRoute/${namespace}/${name}`;
    const edited = (generation: number): typeof victim => ({
      ...victim,
      metadata: { ...victim.metadata, uid: 'u', generation },
      spec: { ...victim.spec, modelNames: [`of-${generation}`] },
    });
    // Younger, so that it gets the name once nobody else has it.
    const rival = {
      ...edited(1),
      metadata: { ...victim.metadata, name: 'rival', uid: 'r', creationTimestamp: '2099-01-01T00:00:00Z' },
      spec: { ...victim.spec, modelNames: ['of-3'] },
    };
    const routesWith = (route: typeof victim | null): Snapshot['routes'] => [
      ...sound.routes.flatMap((other) => (other === victim ? (route ?? []) : other)),
      rival,
    ];
    const memo = createCompileMemo();
    const compiled = (route: typeof victim | null): Compilation =>
      compile({ ...sound, routes: routesWith(route) }, FLEET_OPTIONS, memo);
    compiled(edited(2));
    const before = compiled(edited(3));
    for (const generation of [4, 5]) {
      const found = compiled(fails(edited(generation)));
      expect(encoded(found)).toEqual(encoded(before));
      expect(found.faults).toHaveLength(1);
      const [accepted] = found.statusOf(key)?.conditions ?? [];
      expect(accepted).toMatchObject({ status: 'False', reason: 'CompileFailed', observedGeneration: generation });
      expect(accepted?.message).toMatch(/generation 3, the last that could be compiled, is served on$/);
      const others = [...found.statuses].filter(([id]) => id !== key);
      expect(others).toEqual([...before.statuses].filter(([id]) => id !== key));
    }
    // It is tried again, and what is sound again is served; another object of its name has no claim to what it was.
    expect(encoded(compiled(edited(6)))).toEqual(encoded(compile({ ...sound, routes: routesWith(edited(6)) }, FLEET_OPTIONS)));
    const successor = { ...edited(1), metadata: { ...edited(1).metadata, uid: 'another' } };
    expect(encoded(compiled(fails(successor)))).toEqual(encoded(compiled(null)));
  });

  describe('of a route that it fails on', () => {
    const sound = fleet(10);
    // On a backend of another namespace.
    const [victim] = sound.routes;
    if (victim === undefined) throw new Error('the fleet is empty');
    const withVictim = (route: typeof victim): Snapshot['routes'] =>
      sound.routes.map((other) => (other === victim ? route : other));
    const secrets = sound.secrets.filter(({ metadata }) => metadata.name !== 'provider-0');
    const REVOKED: readonly (readonly [what: string, without: Partial<Snapshot>])[] = [
      ['a grant', { referenceGrants: [] }],
      ['a Secret', { secrets }],
    ];

    it.each(REVOKED)('serves on only what may still be used once %s is gone', (_, without) => {
      const memo = createCompileMemo();
      compile(sound, FLEET_OPTIONS, memo);
      const broken = { ...sound, routes: withVictim(fails(victim)) };
      expect(encoded(compile(broken, FLEET_OPTIONS, memo))).toEqual(encoded(compile(sound, FLEET_OPTIONS)));
      const found = compile({ ...broken, ...without }, FLEET_OPTIONS, memo);
      expect(encoded(found)).toEqual(encoded(compile({ ...sound, ...without }, FLEET_OPTIONS)));
      expect(encoded(found)).not.toEqual(encoded(compile(sound, FLEET_OPTIONS)));
      expect(encoded(compile(broken, FLEET_OPTIONS, memo))).toEqual(encoded(compile(sound, FLEET_OPTIONS)));
    });

    it.each(REVOKED)('serves nothing once %s is gone, where it fails on what the route was as well', (_, without) => {
      const memo = createCompileMemo();
      let failing = false;
      const spec = Object.defineProperty({ ...victim.spec }, 'models', {
        get: () => {
          if (failing) throw new Error('planted');
          return victim.spec.models;
        },
      });
      const routes = withVictim({ ...victim, spec });
      compile({ ...sound, routes }, FLEET_OPTIONS, memo);
      failing = true;
      const broken = { ...sound, routes: withVictim(fails(victim)), backends: sound.backends.map((each) => ({ ...each })) };
      expect(encoded(compile(broken, FLEET_OPTIONS, memo))).toEqual(encoded(compile(sound, FLEET_OPTIONS)));
      const others = { ...sound, ...without, routes: sound.routes.slice(1) };
      expect(encoded(compile({ ...broken, ...without }, FLEET_OPTIONS, memo))).toEqual(encoded(compile(others, FLEET_OPTIONS)));
    });
  });

  it('leaves a gateway that it fails on without a table, and tries again when something that it read has changed', () => {
    const sound = fleet(3);
    const [gateway] = sound.gateways;
    if (gateway === undefined) throw new Error('the fleet is empty');
    const other = { ...gateway, metadata: { ...gateway.metadata, name: 'other', annotations: {} } };
    const failing = fails(other);
    const memo = createCompileMemo();
    const found = compile({ ...sound, gateways: [gateway, failing] }, FLEET_OPTIONS, memo);
    expect([...found.tables.keys()]).toEqual(['fairlead-system/default']);
    expect(found.statusOf('LLMGateway/fairlead-system/other')?.conditions[0]?.reason).toBe('CompileFailed');
    expect(compile({ ...sound, gateways: [gateway, failing] }, FLEET_OPTIONS, memo).faults).toEqual([]);
    const healed = compile({ ...sound, gateways: [gateway, other] }, FLEET_OPTIONS, memo);
    expect([...healed.tables.keys()]).toEqual(['fairlead-system/default', 'fairlead-system/other']);
    expect(healed.changed).toEqual(['LLMGateway/fairlead-system/other']);
  });

  describe('a gateway that cannot be served as it is meant', () => {
    const object = (value: unknown): ApiObject => {
      const parsed = parseObject(value);
      if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
      return parsed.value;
    };
    const gateway = (uid: string, spec: object = {}): ApiObject =>
      object({
        apiVersion: 'fairlead.dev/v1alpha1',
        kind: 'LLMGateway',
        metadata: { name: 'default', namespace: 'n', uid, annotations: { 'fairlead.dev/is-default-gateway': 'true' } },
        spec: { listener: { tls: { secretRef: { name: 'tls' } } }, ...spec },
      });
    const certificate = object({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'tls', namespace: 'n' },
      stringData: { 'tls.crt': CERTIFICATE_PEM, 'tls.key': PRIVATE_KEY_PEM },
    });
    const key = (digit: string): ApiObject =>
      object({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: `key-${digit}`, namespace: 'n', labels: { 'fairlead.dev/api-key': 'true' } },
        stringData: { sha256: digit.repeat(64) },
      });
    const route = (name: string): ApiObject =>
      object({
        apiVersion: 'fairlead.dev/v1alpha1',
        kind: 'LLMRoute',
        metadata: { name, namespace: 'n' },
        spec: {
          modelNames: [name],
          models: [{ name: 'm', provider: { type: 'OpenAI' }, auth: { type: 'None' } }],
          rules: [{ name: 'default', targets: [{ model: 'm' }] }],
        },
      });
    const shown = ({ tables, heldTables }: Compilation): unknown => {
      const of = (all: Compilation['tables']): unknown =>
        [...all.values()].map(({ settings, clientKeys, routes }) => [
          settings.tls !== null,
          settings.clientAuth,
          clientKeys.map(({ id }) => id),
          routes.map(({ id }) => id),
        ]);
      return [of(tables), of(heldTables)];
    };

    it('is held at its last settings with the routes and client keys of now, and not over its deletion', () => {
      const memo = createCompileMemo();
      const now = (...objects: readonly ApiObject[]): unknown => shown(compile(snapshotOf(objects), OPTIONS, memo));
      const keys = [key('a'), key('b')];
      const served = [true, 'APIKey', ['n/key-a', 'n/key-b'], ['n/one']];
      expect(now(gateway('u'), certificate, ...keys, route('one'))).toEqual([[served], []]);
      const revoked = [true, 'APIKey', ['n/key-a'], ['n/two']];
      expect(now(gateway('u'), key('a'), route('two'))).toEqual([[], [revoked]]);
      // Nor do its own new settings, which it does not have yet, decide who may call.
      expect(now(gateway('u', { clientAuth: { type: 'None' } }), key('a'), route('two'))).toEqual([[], [revoked]]);
      expect(now(gateway('u'), certificate, ...keys, route('one'))).toEqual([[served], []]);
      // Keys that another selector selects are all that is read then.
      const other = { clientAuth: { apiKeySelector: { matchLabels: { of: 'others' } } } };
      expect(now(gateway('u', other), route('two'))).toEqual([[], [[true, 'APIKey', ['n/key-a', 'n/key-b'], ['n/two']]]]);
      expect(now(gateway('other'), key('a'), route('two'))).toEqual([[], []]);
      expect(now(gateway('u'), key('a'), route('two'))).toEqual([[], [revoked]]);
      expect(now(key('a'))).toEqual([[], []]);
      expect(now(gateway('u'), key('a'))).toEqual([[], []]);
    });
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
      quotas: after.quotas - before.quotas,
      tables: after.tables - before.tables,
    };
  }

  const NONE: CompileWork = { routes: 0, finishedRoutes: 0, gateways: 0, backends: 0, quotas: 0, tables: 0 };
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

  it('gives a route that comes back the limits of the quotas as they are by now', () => {
    const sound = fleet(10);
    const memo = createCompileMemo();
    const quotas = (sound.quotas ?? []).map((quota) => ({
      ...quota,
      spec: { ...quota.spec, limits: quota.spec.limits.map((limit) => ({ ...limit, limit: 1 })) },
    }));
    compile(sound, FLEET_OPTIONS, memo);
    compile({ ...sound, routes: sound.routes.slice(1), quotas }, FLEET_OPTIONS, memo);
    const back = { ...sound, quotas };
    expect(encoded(compile(back, FLEET_OPTIONS, memo))).toEqual(encoded(compile(back, FLEET_OPTIONS)));
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

  it.each([
    ['a gateway', 'fairlead-system', SIZE],
    ['one route', 'team-3', 1],
  ])(
    'compiles no route for an edited quota over %s, and gives its limits to the routes that it is over',
    (_, namespace, over) => {
      const { work, kept } = change((snapshot) => ({
        ...snapshot,
        quotas: (snapshot.quotas ?? []).map((quota) =>
          quota.metadata.namespace === namespace
            ? { ...quota, spec: { ...quota.spec, limits: quota.spec.limits.map((limit) => ({ ...limit, limit: 1 })) } }
            : quota,
        ),
      }));
      expect(work).toEqual({ ...NONE, quotas: 1, finishedRoutes: over, tables: 1 });
      expect(kept).toBe(SIZE - over);
    },
  );

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

  it('compiles no route when pods of a Service come and go, and gives the table their addresses', () => {
    const [gateway] = fleet(1).gateways;
    const route = parseObject({
      apiVersion: 'fairlead.dev/v1alpha1',
      kind: 'LLMRoute',
      metadata: { name: 'chat', namespace: 'team-a' },
      spec: {
        modelNames: ['chat'],
        models: [
          {
            name: 'llama',
            provider: { type: 'OpenAICompatible', openAICompatible: { model: 'llama', serviceRef: { name: 'vllm', port: 80 } } },
            auth: { type: 'None' },
          },
        ],
        rules: [{ name: 'default', targets: [{ model: 'llama' }] }],
      },
    });
    if (gateway === undefined || !route.ok) throw new Error('the case is wrong');
    const of = (...addresses: string[]): Snapshot => ({
      ...snapshotOf([gateway, route.value]),
      services: VLLM,
      endpoints: [{ metadata: { namespace: 'team-a', name: 'vllm' }, ports: [{ port: 80, addresses, fallback: null }] }],
    });
    const memo = createCompileMemo();
    const [before] = compile(of('10.1.0.1:8000'), OPTIONS, memo).tables.values();
    const start = memo.work;
    const [after] = compile(of('10.1.0.1:8000', '10.1.0.2:8000'), OPTIONS, memo).tables.values();
    expect(difference(memo.work, start)).toEqual({ ...NONE, tables: 1 });
    expect(after?.routes[0]).toBe(before?.routes[0]);
    if (before === undefined || after === undefined) throw new Error('there is no table');
    expect(tableChanges(before, after)).toEqual([
      {
        kind: 'endpoints',
        key: 'team-a/vllm:80',
        item: expect.objectContaining({ addresses: ['10.1.0.1:8000', '10.1.0.2:8000'] }),
      },
    ]);
    expect(compile(of('10.1.0.2:8000', '10.1.0.1:8000'), OPTIONS, memo).tables.values().next().value).toBe(after);
  });
});
