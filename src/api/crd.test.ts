import { spawnSync } from 'node:child_process';

import { describe, expect, it } from '@jest/globals';

import { customResourceDefinition, KINDS, objectSchema } from './crd.ts';
import { fullBackend, fullGateway, fullQuota, fullRoute } from './testdata/fixtures.ts';
import { parseObject } from './parse.ts';
import type { StructuralSchema } from './structural.ts';
import { resolvePlain } from './yaml-scalar.ts';

interface Found {
  readonly path: string;
  readonly schema: StructuralSchema;
  /** A field of an object, not the object itself, an entry or a map's value. */
  readonly field: boolean;
}

function walk(path: string, schema: StructuralSchema, field = false): Found[] {
  return [
    { path, schema, field },
    ...Object.entries(schema.properties ?? {}).flatMap(([name, property]) => walk(`${path}.${name}`, property, true)),
    ...(schema.items === undefined ? [] : walk(`${path}[]`, schema.items)),
    ...(schema.additionalProperties === undefined ? [] : walk(`${path}{}`, schema.additionalProperties)),
  ];
}

const TYPE_META = /^[A-Za-z]+\.(apiVersion|kind|metadata)$/;
const ALL = KINDS.flatMap((definition) => walk(definition.kind, objectSchema(definition)));
const OURS = ALL.filter(({ path }) => !TYPE_META.test(path));
/** The API server describes it itself, and refuses a description of ours. */
const METADATA = /^[A-Za-z]+\.metadata$/;
const paths = (found: readonly Found[]): string[] => found.map(({ path }) => path);

describe('the schemas of the CRDs', () => {
  it('describe every field, in a sentence', () => {
    expect(ALL.filter(({ field }) => field).length).toBeGreaterThan(200);
    const undescribed = ALL.filter(({ field, schema }) => field && !/^[A-Z].*[.)]$/s.test(schema.description ?? ''));
    expect(paths(undescribed).filter((path) => !METADATA.test(path))).toEqual([]);
  });

  it('say each default in words too, as `kubectl explain` shows none', () => {
    const silent = OURS.filter(
      ({ schema }) =>
        schema.default !== undefined && JSON.stringify(schema.default) !== '{}' && !/Default: /.test(schema.description ?? ''),
    );
    expect(paths(silent)).toEqual([]);
  });

  it('use no field name and no word that YAML 1.1 reads as something else than text', () => {
    const names = ALL.flatMap(({ schema }) => [...Object.keys(schema.properties ?? {}), ...(schema.enum ?? [])]);
    // A condition's status is metav1's, and is never written by hand.
    const conditionStatus = new Set(['True', 'False']);
    expect(names.filter((name) => typeof resolvePlain(name) !== 'string' && !conditionStatus.has(name))).toEqual([]);
    const spec = KINDS.flatMap((definition) => walk('spec', objectSchema(definition).properties?.['spec'] ?? {}));
    expect(spec.flatMap(({ schema }) => schema.enum ?? []).filter((word) => !/^[A-Z][A-Za-z]*$/.test(word))).toEqual([]);
  });

  it('bound every string, list, map and integer', () => {
    const unbounded = OURS.filter(({ schema }) => {
      if (schema['x-kubernetes-int-or-string'] === true) return schema.pattern === undefined;
      if (schema['x-kubernetes-preserve-unknown-fields'] === true) return schema.maxProperties === undefined;
      if (schema.type === 'string') return schema.maxLength === undefined && schema.enum === undefined;
      if (schema.type === 'array') return schema.maxItems === undefined;
      if (schema.type === 'integer') return schema.minimum === undefined || schema.maximum === undefined;
      return schema.additionalProperties !== undefined && schema.maxProperties === undefined;
    });
    expect(paths(unbounded)).toEqual([]);
  });

  it('are structural: a type everywhere, properties or a map but not both, keys of list-maps required', () => {
    const wrong = ALL.filter(({ schema }) => {
      if (schema['x-kubernetes-int-or-string'] === true) return schema.type !== undefined;
      if (schema.type === undefined) return true;
      if (schema.properties !== undefined && schema.additionalProperties !== undefined) return true;
      if (schema.type === 'array') {
        if (schema.items === undefined || schema['x-kubernetes-list-type'] === undefined) return true;
        const keys = schema['x-kubernetes-list-map-keys'] ?? [];
        return keys.some((key) => !(schema.items?.required ?? []).includes(key));
      }
      return (schema.required ?? []).some((name) => schema.properties?.[name] === undefined);
    });
    expect(paths(wrong)).toEqual([]);
  });

  it('guard by has() what a rule reads of a field that has a default or may be absent', () => {
    const unguarded = ALL.flatMap(({ path, schema }) =>
      (schema['x-kubernetes-validations'] ?? []).flatMap(({ rule }) =>
        [...rule.matchAll(/\bself\.([A-Za-z]+)/g)]
          .map(([, name = '']) => name)
          .filter(
            (name) =>
              schema.properties?.[name] !== undefined &&
              !(schema.required ?? []).includes(name) &&
              !rule.includes(`has(self.${name})`),
          )
          .map((name) => `${path}: ${name} in ${rule}`),
      ),
    );
    expect(unguarded).toEqual([]);
  });

  it('give fieldPaths that exist', () => {
    const lost = ALL.flatMap(({ path, schema }) =>
      (schema['x-kubernetes-validations'] ?? [])
        .filter(({ fieldPath }) => fieldPath !== undefined && schema.properties?.[fieldPath.slice(1)] === undefined)
        .map(({ rule }) => `${path}: ${rule}`),
    );
    expect(lost).toEqual([]);
  });

  it('have patterns that RE2 reads as JavaScript does', () => {
    const patterns = ALL.flatMap(({ schema }) => schema.pattern ?? []);
    expect(patterns.length).toBeGreaterThan(50);
    expect(patterns.filter((pattern) => !/^\^.*\$$/.test(pattern) || /\\[sSwWdDbBpPu]|\(\?|\[\]|\[\^\]/.test(pattern))).toEqual(
      [],
    );
  });

  it.each(KINDS)('fit into one object: $kind', (definition) => {
    expect(JSON.stringify(customResourceDefinition(definition)).length).toBeLessThan(150_000);
  });
});

describe('LLMBackend', () => {
  it('has for its spec an entry of spec.models, word for word', () => {
    const models = ALL.find(({ path }) => path === 'LLMRoute.spec.models[]')?.schema.properties ?? {};
    const { name, backendRef, ...rest } = models;
    const spec = ALL.find(({ path }) => path === 'LLMBackend.spec')?.schema.properties ?? {};
    expect([name, backendRef].includes(undefined)).toBe(false);
    expect(Object.keys(spec)).toEqual(Object.keys(rest));
    const withoutText = (schema: StructuralSchema | undefined): unknown => ({ ...schema, description: '' });
    for (const field of Object.keys(spec)) expect(withoutText(spec[field])).toEqual(withoutText(rest[field]));
  });
});

describe('defaults', () => {
  /** What the API server does with a structural schema's defaults. */
  function defaulted(value: unknown, schema: StructuralSchema): unknown {
    if (Array.isArray(value))
      return schema.items === undefined ? value : value.map((item) => defaulted(item, schema.items ?? {}));
    if (typeof value !== 'object' || value === null || schema.properties === undefined) return value;
    const out: Record<string, unknown> = { ...value };
    for (const [name, property] of Object.entries(schema.properties)) {
      if (out[name] === undefined && property.default !== undefined) out[name] = structuredClone(property.default);
      if (out[name] !== undefined) out[name] = defaulted(out[name], property);
    }
    return out;
  }

  it.each([
    fullRoute(),
    fullGateway(),
    fullBackend(),
    fullQuota(),
    { ...fullGateway(), spec: {} },
    { apiVersion: 'fairlead.dev/v1alpha1', kind: 'LLMGateway', metadata: { name: 'a' } },
  ])('are the same here and in the CRD: %#', (draft) => {
    const definition = KINDS.find(({ kind }) => kind === draft['kind']);
    const parsed = parseObject(draft);
    if (!parsed.ok || definition === undefined || !('spec' in parsed.value)) throw new Error('the fixture is wrong');
    expect(parsed.value.spec).toEqual((defaulted(draft, objectSchema(definition)) as { spec: unknown }).spec);
  });
});

describe('kubectl', () => {
  const version = spawnSync('kubectl', ['version', '--client']);
  if (version.status !== 0) {
    it('is not installed: the written CRDs are not read with it here', () => {
      expect(version.status).not.toBe(0);
    });
    return;
  }
  it('reads the written CRDs as what was made', () => {
    for (const definition of KINDS) {
      const run = spawnSync(
        'kubectl',
        ['label', '--local', '-f', `crds/fairlead.dev_${definition.plural}.yaml`, '-o', 'json', 'x=y'],
        { encoding: 'utf8', cwd: `${import.meta.dirname}/../..` },
      );
      expect(run.stderr).toBe('');
      const { metadata, ...read } = JSON.parse(run.stdout) as { metadata: { name: string }; spec: unknown };
      const { metadata: _, ...made } = JSON.parse(JSON.stringify(customResourceDefinition(definition))) as {
        metadata: unknown;
        spec: unknown;
      };
      expect(metadata.name).toBe(`${definition.plural}.fairlead.dev`);
      expect(read).toMatchObject(made);
    }
  });
});
