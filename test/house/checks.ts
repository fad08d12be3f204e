import { join } from 'node:path';

/** The project's root, whatever the working directory is. */
export const ROOT = join(import.meta.dirname, '..', '..');

/** One check of the house: a program run by node in the tree that it judges; exit code 0 means that the tree is clean. */
export interface Check {
  readonly name: string;
  /** What it holds, for the report. */
  readonly holds: string;
  /** Arguments of node. Programs are absolute, so that the same command judges this tree and a planted one. */
  readonly argv: readonly string[];
}

const tool = (path: string): string => join(ROOT, 'node_modules', path);
const own = (file: string): string => join(ROOT, 'test', 'house', file);

export const CHECKS = [
  {
    name: 'types',
    holds: 'the compiler is content with every file, tests included',
    argv: [tool('typescript/bin/tsc'), '-p', 'tsconfig.json', '--noEmit', '--pretty', 'false'],
  },
  {
    name: 'lint',
    holds: 'type-aware lint; no clock, randomness or I/O in the pure folders',
    argv: [tool('oxlint/bin/oxlint'), '--type-aware', '--deny-warnings', '--format', 'unix'],
  },
  { name: 'format', holds: 'files are as the formatter writes them', argv: [tool('oxfmt/bin/oxfmt'), '--check'] },
  {
    name: 'directions',
    holds: 'each folder imports only what it may know, transitively',
    argv: [
      tool('dependency-cruiser/bin/dependency-cruiser.mjs'),
      '--config=.dependency-cruiser.js',
      '--output-type=err',
      'src',
      'cmd',
    ],
  },
  { name: 'text', holds: 'no rule is silenced, no test is skipped', argv: [own('text.ts')] },
  {
    name: 'lock',
    holds: 'dependencies are exact, install on every platform, and ship under a free licence',
    argv: [own('lock.ts')],
  },
  { name: 'drift', holds: 'generated files are what their source generates', argv: [own('drift.ts')] },
] as const satisfies readonly Check[];

export type CheckName = (typeof CHECKS)[number]['name'];
