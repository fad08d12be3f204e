import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Access, ModelName, Route } from '../routetable/types.ts';
import { type Caller, compileNames, type Names } from './names.ts';
import { route } from './testdata/fixtures.ts';

const GATEWAY = 'fairlead-system';

function named(text: string): ModelName {
  return text.endsWith('*') ? { value: text.slice(0, -1), wildcard: true } : { value: text, wildcard: false };
}

/** `namespace/name`, the model names, whom it admits. */
function serving(id: string, names: readonly string[], access: Access = { from: 'Same' }): Route {
  const [namespace = '', name = ''] = id.split('/');
  return route([], [], { id, namespace, name, modelNames: names.map(named), access });
}

const ALL: Access = { from: 'All' };
const tenants = (...list: string[]): Access => ({ from: 'Tenants', tenants: list });

function compiled(...routes: Route[]): Names {
  return compileNames({ gateway: { namespace: GATEWAY, name: 'default' }, routes });
}

const team = (namespace: string): Caller => ({ namespace, tenant: namespace, platform: false, anonymous: false });
const platform: Caller = { namespace: GATEWAY, tenant: 'acme', platform: true, anonymous: false };
const anonymous: Caller = { namespace: '', tenant: '', platform: false, anonymous: true };

function found(names: Names, caller: Caller, model: string): string | null {
  return names.resolve(caller, model)?.id ?? null;
}

describe('resolve', () => {
  it('looks in the caller’s namespace first, then in the gateway’s, then elsewhere', () => {
    const own = serving('a/own', ['m']);
    const gateway = serving(`${GATEWAY}/shared`, ['m'], ALL);
    const elsewhere = serving('b/open', ['m'], ALL);
    expect(found(compiled(own, gateway, elsewhere), team('a'), 'm')).toBe('a/own');
    expect(found(compiled(gateway, elsewhere), team('a'), 'm')).toBe(`${GATEWAY}/shared`);
    expect(found(compiled(elsewhere), team('a'), 'm')).toBe('b/open');
    expect(found(compiled(), team('a'), 'm')).toBe(null);
  });

  it('goes by namespace before it goes by exactness', () => {
    const routes = [serving('a/own', ['g*']), serving(`${GATEWAY}/shared`, ['gpt-*'], ALL), serving('b/open', ['gpt-4o'], ALL)];
    expect(found(compiled(...routes), team('a'), 'gpt-4o')).toBe('a/own');
    expect(found(compiled(...routes.slice(1)), team('a'), 'gpt-4o')).toBe(`${GATEWAY}/shared`);
  });

  it('takes the exact name before the longest prefix, in each', () => {
    for (const namespace of ['a', GATEWAY, 'b']) {
      const names = compiled(
        serving(`${namespace}/exact`, ['gpt-4o'], ALL),
        serving(`${namespace}/long`, ['gpt-4o*'], ALL),
        serving(`${namespace}/short`, ['gpt*'], ALL),
        serving(`${namespace}/any`, ['*'], ALL),
      );
      const models = ['gpt-4o', 'gpt-4o-mini', 'gpt-3.5', 'llama', 'GPT-4o'];
      const ids = ['exact', 'long', 'short', 'any', 'any'].map((name) => `${namespace}/${name}`);
      expect(models.map((model) => found(names, team('a'), model))).toEqual(ids);
    }
  });

  it('no team’s `*` takes another’s prompts, nor the platform’s', () => {
    const names = compiled(serving('greedy/all', ['*'], ALL), serving('a/own', ['m']), serving(`${GATEWAY}/shared`, ['s'], ALL));
    expect(found(names, team('a'), 'm')).toBe('a/own');
    expect(found(names, team('a'), 's')).toBe(`${GATEWAY}/shared`);
  });

  it('Same admits its own namespace and platform keys', () => {
    const names = compiled(serving('a/own', ['m']));
    expect([team('a'), team('b'), platform].map((caller) => found(names, caller, 'm'))).toEqual(['a/own', null, 'a/own']);
  });

  it('Same in the gateway’s namespace admits platform keys alone', () => {
    const names = compiled(serving(`${GATEWAY}/inner`, ['m']));
    expect([team('a'), platform].map((caller) => found(names, caller, 'm'))).toEqual([null, `${GATEWAY}/inner`]);
  });

  it('Tenants admits exactly those it lists, platform keys by their tenant', () => {
    const names = compiled(serving('a/some', ['m'], tenants('b', 'acme')));
    expect([team('a'), team('b'), team('c'), platform].map((caller) => found(names, caller, 'm'))).toEqual([
      null,
      'a/some',
      null,
      'a/some',
    ]);
    expect(found(names, { ...platform, tenant: 'other' }, 'm')).toBe(null);
  });

  it('a route that does not admit the caller does not exist for them, at any step', () => {
    const names = compiled(
      serving('a/closed', ['m'], tenants('x')),
      serving(`${GATEWAY}/closed`, ['m'], tenants('x')),
      serving('b/closed', ['m']),
      serving('c/open', ['m*'], ALL),
    );
    expect(found(names, team('a'), 'm')).toBe('c/open');
  });

  it('an anonymous caller stands where a platform key stands', () => {
    const names = compiled(serving('a/own', ['m']), serving(`${GATEWAY}/inner`, ['n']), serving('b/some', ['o'], tenants('x')));
    expect(['m', 'n', 'o'].map((model) => found(names, anonymous, model))).toEqual(['a/own', `${GATEWAY}/inner`, null]);
  });

  it('decides a tie elsewhere by the route’s id, in whatever order the routes come', () => {
    const open = [serving('c/z', ['m', 'p*'], ALL), serving('b/y', ['m', 'p*'], ALL), serving('b/x', ['m', 'p*'], tenants('a'))];
    for (const routes of [open, open.toReversed()]) {
      expect(['m', 'pp'].map((model) => found(compiled(...routes), team('a'), model))).toEqual(['b/x', 'b/x']);
      expect(['m', 'pp'].map((model) => found(compiled(...routes), team('d'), model))).toEqual(['b/y', 'b/y']);
    }
  });

  it('says the same as a plain reading of the rule', () => {
    const namespaces = fc.constantFrom('a', 'b', GATEWAY);
    const access: fc.Arbitrary<Access> = fc.oneof(
      fc.constant<Access>({ from: 'Same' }),
      fc.constant(ALL),
      fc.subarray(['a', 'b', 'acme']).map((list) => tenants(...list)),
    );
    const names = fc.uniqueArray(fc.constantFrom('x', 'xy', 'x*', 'xy*', 'xyz*', '*'), { maxLength: 3 });
    const routes = fc.array(fc.tuple(namespaces, names, access), { maxLength: 8 });
    const callers = fc.constantFrom(team('a'), team('b'), team('c'), platform, anonymous);
    fc.assert(
      fc.property(routes, callers, fc.constantFrom('x', 'xy', 'xyz', 'xyzz', 'q'), (list, caller, model) => {
        const table = list.map(([namespace, models, from], i) => serving(`${namespace}/r${i}`, models, from));
        expect(found(compiled(...table), caller, model)).toBe(plainly(table, caller, model));
      }),
      { numRuns: 2_000 },
    );
  });
});

/** The rule, read word by word. */
function plainly(routes: readonly Route[], caller: Caller, model: string): string | null {
  const asPlatform = caller.platform || caller.anonymous;
  const home = asPlatform ? GATEWAY : caller.namespace;
  const admits = ({ access, namespace }: Route): boolean =>
    access.from === 'All' || (access.from === 'Same' ? asPlatform || namespace === home : access.tenants.includes(caller.tenant));
  const admitted = routes.filter(admits).sort((a, b) => (a.id < b.id ? -1 : 1));
  for (const step of [
    admitted.filter(({ namespace }) => namespace === home),
    admitted.filter(({ namespace }) => namespace === GATEWAY),
    admitted,
  ]) {
    const exact = step.find(({ modelNames }) => modelNames.some(({ value, wildcard }) => !wildcard && value === model));
    if (exact !== undefined) return exact.id;
    for (let length = model.length; length >= 0; length--) {
      const prefix = model.slice(0, length);
      const longest = step.find(({ modelNames }) => modelNames.some(({ value, wildcard }) => wildcard && value === prefix));
      if (longest !== undefined) return longest.id;
    }
  }
  return null;
}

describe('list', () => {
  const names = compiled(
    serving('a/own', ['mine', 'gpt*']),
    serving('b/open', ['gpt-4o', 'gpt-5*', 'llama*', 'mine'], ALL),
    serving('b/closed', ['secret']),
    serving('b/some', ['special'], tenants('a')),
    serving(`${GATEWAY}/shared`, ['shared'], ALL),
    serving(`${GATEWAY}/inner`, ['inner']),
  );
  const listed = (caller: Caller): string[] =>
    names.list(caller).map(({ value, wildcard, route: of }) => `${value}${wildcard ? '*' : ''} ${of.id}`);

  it('gives every name the caller may use once, with the route that answers to it, without prefixes that are never reached', () => {
    expect(listed(team('a'))).toEqual([
      'gpt* a/own',
      'gpt-4o a/own',
      'llama* b/open',
      'mine a/own',
      `shared ${GATEWAY}/shared`,
      'special b/some',
    ]);
  });

  it('gives a platform key what Same admits everywhere', () => {
    expect(listed(platform)).toEqual([
      'gpt* a/own',
      'gpt-4o b/open',
      'gpt-5* b/open',
      `inner ${GATEWAY}/inner`,
      'llama* b/open',
      'mine a/own',
      'secret b/closed',
      `shared ${GATEWAY}/shared`,
    ]);
  });
});
