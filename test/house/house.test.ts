import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { CHECKS, ROOT, type CheckName } from './checks.ts';
import { countTests, formatCount, type JestReport } from './count.ts';

/** One planted violation; see violations.yaml. */
interface Case {
  readonly check: CheckName;
  readonly says: string;
  readonly file: string;
  readonly planted: string;
  readonly clean?: string;
  readonly with?: Readonly<Record<string, string>>;
  readonly plantedToo?: Readonly<Record<string, string>>;
  readonly cleanToo?: Readonly<Record<string, string>>;
  /** Pads the file to so many lines. */
  readonly lines?: { readonly planted: number; readonly clean: number };
}

interface Violations {
  readonly cases: readonly Case[];
  readonly edges: readonly (readonly [rule: string, from: string, to: string])[];
  readonly packages: readonly (readonly [rule: string, name: string, planted: string, clean: string])[];
}

type Side = 'planted' | 'clean';

const CONFIGURATION = ['package.json', 'tsconfig.json', '.oxlintrc.json', '.oxfmtrc.json', '.dependency-cruiser.js'];

const file = parse(readFileSync(join(import.meta.dirname, 'violations.yaml'), 'utf8')) as Violations;
const cases: readonly Case[] = [...file.cases, ...file.edges.map(edgeCase), ...file.packages.flatMap(packageCases)];

/** A type-only import, since those count too. */
function edgeCase([rule, from, to]: Violations['edges'][number]): Case {
  const importing = (path: string): string => `import type { T } from '${path}';\nexport type U = T;`;
  return {
    check: 'directions',
    says: rule,
    file: `src/${from}/knows-${to}.ts`,
    with: { [`src/${to}/known.ts`]: 'export type T = string;', 'src/lib/known.ts': 'export type T = string;' },
    planted: importing(`../${to}/known.ts`),
    clean: importing(from === 'lib' ? './known.ts' : '../lib/known.ts'),
  };
}

function packageCases([rule, name, planted, clean]: Violations['packages'][number]): Case[] {
  const text = `import * as all from '${name}';\nexport const a = all;`;
  const wrong: Case = { check: 'directions', says: rule, file: planted, planted: text };
  return clean === '' ? [wrong] : [wrong, { check: 'directions', says: rule, file: clean, planted: '', clean: text }];
}

function layOut(tree: string, check: CheckName, side: Side): void {
  for (const name of CONFIGURATION) copyFileSync(join(ROOT, name), join(tree, name));
  symlinkSync(join(ROOT, 'node_modules'), join(tree, 'node_modules'), 'dir');
  for (const folder of ['src', 'cmd']) mkdirSync(join(tree, folder));
  for (const planted of cases.filter((candidate) => candidate.check === check)) {
    const text = planted[side];
    const files = { ...planted.with, ...planted[`${side}Too`] };
    for (const [path, content] of Object.entries(files)) write(join(tree, path), content);
    if (text === undefined || text === '') continue;
    const missing = (planted.lines?.[side] ?? 0) - text.trimEnd().split('\n').length;
    write(join(tree, planted.file), `${'// padding\n'.repeat(Math.max(missing, 0))}${text}`);
  }
}

function write(path: string, content: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${content.trimEnd()}\n`);
}

describe.each(CHECKS.map((check) => ({ name: check.name, argv: check.argv })))('$name', ({ name, argv }) => {
  const output: Record<Side, { code: number | null; text: string }> = {
    planted: { code: null, text: '' },
    clean: { code: null, text: '' },
  };
  const trees: string[] = [];

  beforeAll(() => {
    for (const side of ['planted', 'clean'] as const) {
      const tree = mkdtempSync(join(tmpdir(), `fairlead-house-${name}-`));
      trees.push(tree);
      layOut(tree, name, side);
      const run = spawnSync(process.execPath, argv, { cwd: tree, encoding: 'utf8' });
      output[side] = { code: run.status, text: `${run.stdout}${run.stderr}` };
    }
  }, 60_000);

  afterAll(() => {
    for (const tree of trees) rmSync(tree, { recursive: true, force: true });
  });

  it.each(cases.filter((planted) => planted.check === name && planted.planted !== ''))('finds $says in $file', (planted) => {
    const finding = output.planted.text.split('\n').find((line) => line.includes(planted.file) && line.includes(planted.says));
    expect(finding ?? `not named in:\n${output.planted.text}`).toContain(planted.says);
    expect(output.planted.code).not.toBe(0);
  });

  it('passes what is clean', () => {
    expect(output.clean.code === 0 ? '' : output.clean.text).toBe('');
  });
});

describe('no rule without a planted violation', () => {
  it('lint', () => {
    interface Rules {
      readonly rules: Readonly<Record<string, unknown>>;
      readonly overrides?: readonly Rules[];
    }
    const config = JSON.parse(readFileSync(join(ROOT, '.oxlintrc.json'), 'utf8')) as Rules;
    const names = [config, ...(config.overrides ?? [])]
      .flatMap((part) => Object.entries(part.rules))
      .filter(([, setting]) => setting !== 'off')
      .map(([rule]) => rule.replace(/^.*\//, ''));
    const planted = cases.filter((candidate) => candidate.check === 'lint').map((candidate) => candidate.says);
    expect([...new Set(names)].filter((rule) => !planted.includes(rule))).toEqual([]);
  });

  it('directions', async () => {
    const { default: config } = (await import(join(ROOT, '.dependency-cruiser.js'))) as {
      readonly default: { readonly forbidden: readonly { readonly name: string }[] };
    };
    const planted = cases.filter((candidate) => candidate.check === 'directions').map((candidate) => candidate.says);
    expect(config.forbidden.map((rule) => rule.name).filter((rule) => !planted.includes(rule))).toEqual([]);
  });
});

describe('the count', () => {
  const clean: JestReport = {
    numPassedTests: 2,
    numFailedTests: 0,
    numPendingTests: 0,
    numTodoTests: 0,
    numRuntimeErrorTestSuites: 0,
    testResults: [{ assertionResults: [{ title: 'routes', status: 'passed' }] }],
  };

  it('takes what ran', () => {
    expect(countTests(clean, 0)).toEqual({ passed: 2, failed: 0, skipped: 0 });
    expect(formatCount([countTests(clean, 0), { passed: 1, failed: 0, skipped: 0 }])).toBe('3 passed, 0 failed');
  });

  it('leaves out, and tells, what this machine lacks', () => {
    const report = { ...clean, testResults: [{ assertionResults: [{ title: 'absent: kubectl', status: 'passed' }] }] };
    expect(formatCount([countTests(report, 0)])).toBe('1 passed, 0 failed, 1 skipped');
  });

  it.each([
    ['a skipped test', { ...clean, numPendingTests: 1 }, 0],
    ['a test that is only planned', { ...clean, numTodoTests: 1 }, 0],
    ['a file that does not load', { ...clean, numRuntimeErrorTestSuites: 1 }, 1],
    ['no test at all', { ...clean, numPassedTests: 0 }, 0],
    ['an exit code that the report does not explain', clean, 1],
    ['a run that was killed', clean, null],
  ])('fails for %s', (_what, report, exitCode) => {
    expect(countTests(report, exitCode).failed).toBe(1);
  });
});
