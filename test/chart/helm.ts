/** The chart as Helm renders it. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { parseAllDocuments } from 'yaml';

import { binary } from '../controlplane/binaries.ts';

export const ROOT = join(import.meta.dirname, '../..');
export const CHART = join(ROOT, 'charts/fairlead');
export const RELEASE = { name: 'fairlead', namespace: 'fairlead-system' } as const;

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

export type Values = Readonly<Record<string, unknown>>;

/** Everything of a release but the CRDs, the hook of `helm test` included. */
export async function renderChart(values: Values): Promise<readonly Manifest[]> {
  const { code, out, errors } = await template(values);
  if (code !== 0) throw new Error(`helm template ended with ${code}: ${errors}`);
  return parseAllDocuments(out).flatMap((document) => {
    if (document.errors.length > 0) throw new Error(`helm template: ${document.errors.join('; ')}`);
    const manifest = document.toJS() as Manifest | null;
    return manifest === null ? [] : [manifest];
  });
}

/** What Helm says against values that it does not take. */
export async function refusal(values: Values): Promise<string> {
  const { code, errors } = await template(values);
  if (code === 0) throw new Error(`helm template took ${JSON.stringify(values)}`);
  return errors;
}

interface Run {
  readonly code: number | null;
  readonly out: string;
  readonly errors: string;
}

async function template(values: Values): Promise<Run> {
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-chart-'));
  try {
    const file = join(folder, 'values.json');
    writeFileSync(file, JSON.stringify(values));
    return await helm(
      'template',
      RELEASE.name,
      CHART,
      '--namespace',
      RELEASE.namespace,
      '--kube-version',
      '1.34.0',
      '--values',
      file,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export async function helm(...argv: readonly string[]): Promise<Run> {
  return run(await binary('helm'), argv);
}

async function run(program: string, argv: readonly string[]): Promise<Run> {
  const child = spawn(program, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { out: '', errors: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.errors += text));
  const code = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
  return { code, ...said };
}

/** `a.b.c` → `{a: {b: {c: value}}}`, many of them in one. */
export function valuesOf(settings: Readonly<Record<string, unknown>>): Values {
  const values: Record<string, unknown> = {};
  for (const [path, value] of Object.entries(settings)) {
    const keys = path.split('.');
    let at = values;
    for (const key of keys.slice(0, -1)) at = (at[key] ??= {}) as Record<string, unknown>;
    at[keys.at(-1) ?? ''] = value;
  }
  return values;
}
