/**
 * Nothing that a user can write is silently ignored: every leaf of every CRD's spec is read by compile, or told as not served, or
 * is on a list below that says whose it is.
 */
import fs from 'node:fs';
import path from 'node:path';

import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';

import { compile } from './compile.ts';
import type { Snapshot } from './snapshot.ts';
import { parseCase } from './testdata/case.ts';
import { unservedPaths } from './unserved.ts';

type Kind = Parameters<typeof unservedPaths>[0] | 'LLMBackend';

function unserved(kind: Kind): readonly string[] {
  return kind === 'LLMBackend' ? [] : unservedPaths(kind);
}

/** What goes with a value that is told as not served: each would be told twice. */
const GOES_WITH: Readonly<Record<Kind, readonly string[]>> = {
  LLMRoute: ['rules[].selection.learned', 'rateLimits[].onExceeded.to', ...companions('models[].')],
  LLMBackend: companions(''),
  LLMGateway: ['clientAuth.jwt', 'telemetry.traceSampling'],
};

function companions(prefix: string): readonly string[] {
  const members = ['auth.gcp', 'auth.entra'];
  return members.map((member) => prefix + member);
}

/** Read by what runs pods, not by what routes requests. */
const RENDERED = ['replicas', 'autoscaling', 'resources', 'service', 'podTemplate', 'paused', 'version'];

/** There is one value to choose from so far. */
const SINGLE_VALUED = ['pricing.unit', 'models[].pricing.unit', 'models[].backendRef.kind'];

/** `models[].provider.type` for every scalar below a CRD's spec. */
function leaves(schema: Schema, at: string): readonly string[] {
  if (schema.properties !== undefined)
    return Object.entries(schema.properties).flatMap(([name, member]) => leaves(member, at === '' ? name : `${at}.${name}`));
  if (schema.items !== undefined) return leaves(schema.items, `${at}[]`);
  return [at];
}

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
}

function specLeaves(kind: Kind): readonly string[] {
  const file = path.join(import.meta.dirname, `../../crds/fairlead.dev_${kind.toLowerCase()}s.yaml`);
  const crd = parse(fs.readFileSync(file, 'utf8')) as { spec: { versions: { schema: { openAPIV3Schema: Schema } }[] } };
  const spec = crd.spec.versions[0]?.schema.openAPIV3Schema.properties?.['spec'];
  return spec === undefined ? [] : leaves(spec, '');
}

/** An object that writes down which paths of it are read. */
function watched<T>(value: T, at: string, read: Set<string>): T {
  if (typeof value !== 'object' || value === null) return value;
  return new Proxy(value, {
    get(target, key): unknown {
      const member: unknown = Reflect.get(target, key);
      if (typeof key !== 'string' || typeof member === 'function') return member;
      const step = Array.isArray(target) ? `${at}[]` : at === '' ? key : `${at}.${key}`;
      if (!Array.isArray(target) || /^[0-9]+$/.test(key)) read.add(step);
      return Array.isArray(target) && key === 'length' ? member : watched(member, step, read);
    },
  });
}

describe('every field of a spec', () => {
  const read: Record<Kind, Set<string>> = { LLMRoute: new Set(), LLMGateway: new Set(), LLMBackend: new Set() };
  // Choosing between two objects of one name reads all of both, which says nothing.
  const directory = path.join(import.meta.dirname, 'testdata');
  for (const file of fs
    .readdirSync(directory)
    .filter((each) => each.endsWith('.in.yaml') && each !== 'duplicate-objects.in.yaml')) {
    const { snapshot, options } = parseCase(file, fs.readFileSync(path.join(directory, file), 'utf8'));
    const watch = <T extends Snapshot['routes' | 'gateways' | 'backends'][number]>(objects: readonly T[]): readonly T[] =>
      objects.map((object) => ({ ...object, spec: watched(object.spec, '', read[object.kind]) }));
    compile(
      { ...snapshot, routes: watch(snapshot.routes), gateways: watch(snapshot.gateways), backends: watch(snapshot.backends) },
      options,
    );
  }

  it.each(['LLMRoute', 'LLMGateway', 'LLMBackend'] as const)('of %s is served or told', (kind) => {
    const told = [...unserved(kind), ...GOES_WITH[kind], ...SINGLE_VALUED, ...(kind === 'LLMGateway' ? RENDERED : [])];
    const covers = (leaf: string): boolean =>
      told.some((prefix) => leaf === prefix || leaf.startsWith(`${prefix}.`) || leaf.startsWith(`${prefix}[`));
    const all = specLeaves(kind);
    expect(all.length).toBeGreaterThan(20);
    expect(all.filter((leaf) => !read[kind].has(leaf) && !covers(leaf))).toEqual([]);
  });

  it('that is told is one that the schema has', () => {
    for (const kind of ['LLMRoute', 'LLMGateway', 'LLMBackend'] as const) {
      const all = specLeaves(kind);
      const unknown = [...unserved(kind), ...GOES_WITH[kind]].filter(
        (row) => !all.some((leaf) => leaf === row || leaf.startsWith(`${row}.`)),
      );
      expect(unknown).toEqual([]);
    }
  });
});
