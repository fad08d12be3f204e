/**
 * Runs the generator in a copy of the tree that it is started in, and names each generated file that would change, appear
 * or vanish; exit code 1 where there is one. The tree itself is not touched.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const GENERATOR = join('cmd', 'generate', 'main.ts');
const COPIED = ['src', 'cmd', 'crds', 'charts', 'docs', 'manifests', 'package.json', 'tsconfig.json'];
/** Folders that hold generated files beside others. */
const MIXED = 'src,charts,docs,manifests';
/** Folders that hold nothing else: emptied first, so that a file which is no longer generated shows. */
const GENERATED = ['crds'];

/** Path → content of everything that a generator may write. */
function contents(root: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const path of globSync(`{${MIXED},${GENERATED.join(',')}}/**`, { cwd: root })) {
    if (statSync(join(root, path)).isFile()) files.set(path, readFileSync(join(root, path), 'base64'));
  }
  return files;
}

function differences(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  return [...new Set([...before.keys(), ...after.keys()])].filter((path) => before.get(path) !== after.get(path)).sort();
}

function drift(root: string): string[] {
  const copy = mkdtempSync(join(tmpdir(), 'fairlead-drift-'));
  try {
    for (const path of COPIED.filter((candidate) => existsSync(join(root, candidate)))) {
      cpSync(join(root, path), join(copy, path), { recursive: true });
    }
    symlinkSync(resolve(root, 'node_modules'), join(copy, 'node_modules'), 'dir');
    const before = contents(copy);
    for (const folder of GENERATED) {
      rmSync(join(copy, folder), { recursive: true, force: true });
      mkdirSync(join(copy, folder));
    }
    const run = spawnSync(process.execPath, [GENERATOR], { cwd: copy, encoding: 'utf8' });
    if (run.status !== 0) return [`${GENERATOR} failed: ${run.stderr.replaceAll(copy, '.')}`];
    return differences(before, contents(copy)).map((path) => `${path}: not what its source generates; run make generate`);
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

const found = existsSync(GENERATOR) ? drift(process.cwd()) : [];
for (const line of found) console.log(line);
process.exitCode = found.length === 0 ? 0 : 1;
