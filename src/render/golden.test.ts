/**
 * Every `testdata/NAME.in.yaml` renders to its `NAME.out.yaml`. `-t NAME` runs one; `UPDATE_GOLDEN=1` rewrites them, and then each
 * changed line is to be read: a change of a pod's template restarts every fleet at an upgrade.
 */
import fs from 'node:fs';
import path from 'node:path';

import { describe, expect, it } from '@jest/globals';

import { renderGateway } from './render.ts';
import { parseCase, printCase, reversed, type Case } from './testdata/case.ts';

const DIRECTORY = path.join(import.meta.dirname, 'testdata');
const NAMES = namesOf('.in.yaml');
const update = process.env['UPDATE_GOLDEN'] === '1';

describe('render', () => {
  it.each(NAMES)('%s', (name) => {
    const { gateway, context } = readCase(name);
    const rendered = renderGateway(gateway, context);
    const printed = printCase(rendered);
    const file = path.join(DIRECTORY, `${name}.out.yaml`);
    if (update) fs.writeFileSync(file, printed);
    expect(printed).toBe(fs.readFileSync(file, 'utf8'));
    expect(JSON.stringify(renderGateway(reversed(gateway), reversed(context)))).toBe(JSON.stringify(rendered));
  });

  it('has no output without its input', () => {
    expect(namesOf('.out.yaml')).toEqual(NAMES);
    expect(NAMES.length).toBeGreaterThanOrEqual(14);
  });
});

describe('whatever the spec', () => {
  const all = NAMES.map((name) => {
    const { gateway, context } = readCase(name);
    return renderGateway(gateway, context);
  });
  const objects = all.flatMap((rendered) => rendered.objects);

  it('never says spec.replicas among the objects: whoever drops it later would reset it', () => {
    const deployments = objects.filter(({ kind }) => kind === 'Deployment');
    expect(deployments.length).toBeGreaterThan(8);
    expect(deployments.filter(({ spec }) => Object.hasOwn(spec as object, 'replicas'))).toEqual([]);
  });

  it('gives every object our labels, and owns it where the gateway has a uid', () => {
    for (const { metadata } of objects) {
      expect(metadata.labels).toMatchObject({ 'app.kubernetes.io/managed-by': 'fairlead-operator' });
      for (const owner of metadata.ownerReferences ?? []) expect(Object.hasOwn(owner, 'blockOwnerDeletion')).toBe(false);
    }
  });

  it('wants an object or does not want it, never both and never twice', () => {
    for (const rendered of all) {
      const refs = [...rendered.objects, ...rendered.unwanted.map((ref) => ({ ...ref, metadata: ref }))].map(
        ({ kind, metadata }) => `${kind}/${metadata.namespace}/${metadata.name}`,
      );
      expect(new Set(refs).size).toBe(refs.length);
    }
  });

  it('holds nothing that JSON would lose', () => {
    for (const rendered of all) expect(JSON.parse(JSON.stringify(rendered))).toEqual(rendered);
  });
});

function namesOf(suffix: string): readonly string[] {
  const files = fs.readdirSync(DIRECTORY).filter((file) => file.endsWith(suffix));
  return files.map((file) => file.slice(0, -suffix.length)).sort();
}

function readCase(name: string): Case {
  const file = `${name}.in.yaml`;
  return parseCase(file, fs.readFileSync(path.join(DIRECTORY, file), 'utf8'));
}
