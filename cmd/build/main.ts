/** Compiles to `dist/`, or to the folder given: the sources without their types, and beside them what they read at run time. */
import { spawnSync } from 'node:child_process';
import { cpSync, globSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = join(import.meta.dirname, '..', '..');
const dist = resolve(process.argv[2] ?? join(root, 'dist'));

const compiler = ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--outDir', dist];
const { status } = spawnSync(process.execPath, compiler, { cwd: root, stdio: 'inherit' });
if (status !== 0) process.exit(status ?? 1);
// What runs inside Redis is no TypeScript.
for (const script of globSync('src/**/*.lua', { cwd: root })) cpSync(join(root, script), join(dist, script));
