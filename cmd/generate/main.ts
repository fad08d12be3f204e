/** Writes every generated file; with `--check` writes nothing and exits 1 with the names of those that differ. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { GENERATED } from './files.ts';

const root = join(import.meta.dirname, '..', '..');
const check = process.argv.includes('--check');

function current(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return undefined;
    throw thrown;
  }
}

for (const { path, render } of GENERATED) {
  const file = join(root, path);
  const content = render();
  if (current(file) === content) continue;
  if (check) {
    console.error(`${path} is not what src generates: run \`npm run generate\``);
    process.exitCode = 1;
    continue;
  }
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  console.log(path);
}
