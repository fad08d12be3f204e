/**
 * Every `testdata/NAME.in.yaml` compiles to its `NAME.out.yaml`, statuses included. `-t NAME` runs one; `UPDATE_GOLDEN=1` rewrites
 * them, and then each changed line is to be read: it is a promise.
 */
import fs from 'node:fs';
import path from 'node:path';

import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';

import { decode, encode } from '../routetable/codec.ts';
import { compile } from './compile.ts';
import { parseCase, type Case } from './testdata/case.ts';
import { printCase } from './testdata/print.ts';
import { deepFreeze, shuffledSnapshot, textOf } from './testdata/vary.ts';

const DIRECTORY = path.join(import.meta.dirname, 'testdata');
const NAMES = namesOf('.in.yaml');
const update = process.env['UPDATE_GOLDEN'] === '1';

describe('compile', () => {
  it.each(NAMES)('%s', (name) => {
    const read = readCase(name);
    const compiled = compile(read.snapshot, read.options);
    const printed = printCase(compiled, read);
    const file = path.join(DIRECTORY, `${name}.out.yaml`);
    if (update) fs.writeFileSync(file, printed);
    expect(printed).toBe(fs.readFileSync(file, 'utf8'));

    // The same whatever the order, without touching its input, and every table is one that a gateway takes.
    const frozen = deepFreeze(shuffledSnapshot(readCase(name).snapshot, name.length));
    expect(textOf(compile(frozen, read.options))).toBe(textOf(compiled));
    for (const table of compiled.tables.values()) {
      const decoded = decode(JSON.parse(encode(table)));
      expect(decoded).toMatchObject({ ok: true, value: { refused: [], table: { digest: table.digest } } });
    }
  });

  it('shows the violation of every rule that the CRDs carry', () => {
    const shown = NAMES.flatMap((name) =>
      readCase(name).rejected.flatMap(({ conditions }) => conditions.map(({ message }) => message)),
    );
    const crds = path.join(DIRECTORY, '../../../crds');
    const rules = new Set(
      fs.readdirSync(crds).flatMap((file) => ruleMessages(parse(fs.readFileSync(path.join(crds, file), 'utf8')))),
    );
    expect(rules.size).toBeGreaterThan(40);
    expect([...rules].filter((rule) => !shown.some((message) => message.includes(rule)))).toEqual([]);
  });

  it('has no output without its input', () => {
    expect(namesOf('.out.yaml')).toEqual(NAMES);
    expect(NAMES.length).toBeGreaterThanOrEqual(60);
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

/** The messages of all `x-kubernetes-validations` below a node. */
function ruleMessages(node: unknown): readonly string[] {
  if (typeof node !== 'object' || node === null) return [];
  const own =
    (node as { readonly 'x-kubernetes-validations'?: readonly { readonly message: string }[] })['x-kubernetes-validations'] ?? [];
  return [...own.map(({ message }) => message), ...Object.values(node).flatMap(ruleMessages)];
}
