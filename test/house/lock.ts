/**
 * Holds package-lock.json to what `npm ci` needs on every platform, and names what is wrong; exit code 1 where there is
 * something. `--write` adds the binaries for other platforms: npm leaves those out of a lock file that it writes where the
 * registry does not serve them, and `npm ci` then refuses that lock file wherever it is used.
 */
import { readFileSync, writeFileSync } from 'node:fs';

interface Package {
  readonly version?: string;
  readonly license?: string;
  readonly resolved?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

interface Lock {
  packages: Record<string, Package>;
}

const FILE = 'package-lock.json';
const EXACT = /^\d+\.\d+\.\d+(?:-[\w.]+)?$/;
/** What ships may be under; tools that only build and test may be under others. */
const LICENSES = new Set(['MIT', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD', 'ISC']);
/** Versions that nothing may bring in, and why. */
const BANNED: Readonly<Record<string, string>> = {
  '@kubernetes/client-node 2.0.0': 'its informer goes blind and says nothing',
};
const OS = /\b(?:android|darwin|freebsd|linux|openharmony|win32)\b/;
const CPU = /\b(?:arm64|arm|x64|ia32|loong64|ppc64|riscv64|s390x)\b/;

const lock = JSON.parse(readFileSync(FILE, 'utf8')) as Lock;
const project = JSON.parse(readFileSync('package.json', 'utf8')) as Package;

/** Path in the lock file → what should stand there: the optional packages that it lacks. */
function missingOptional(): Map<string, Package> {
  const missing = new Map<string, Package>();
  for (const parent of Object.values(lock.packages)) {
    for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
      const path = `node_modules/${name}`;
      if (lock.packages[path] !== undefined) continue;
      const os = OS.exec(name)?.[0];
      const cpu = CPU.exec(name)?.[0];
      // Without its os and cpu npm would try to install it everywhere.
      if (os === undefined || cpu === undefined) continue;
      missing.set(path, { version, cpu: [cpu], ...(parent.dev === true ? { dev: true } : {}), optional: true, os: [os] });
    }
  }
  return missing;
}

function problems(): string[] {
  const found: string[] = [];
  const root = lock.packages[''];
  for (const group of ['dependencies', 'devDependencies'] as const) {
    const [wanted, locked] = [project[group] ?? {}, root?.[group] ?? {}];
    for (const name of new Set([...Object.keys(wanted), ...Object.keys(locked)])) {
      const version = wanted[name];
      if (version === undefined || version !== locked[name]) found.push(`${name} is not what package.json says; run make lock`);
      else if (!EXACT.test(version)) found.push(`${name} ${version} is not one exact version`);
    }
  }
  for (const [path, entry] of Object.entries(lock.packages)) {
    const why = BANNED[`${path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)} ${entry.version}`];
    if (why !== undefined) found.push(`${path} ${entry.version} is banned: ${why}`);
    if (entry.resolved !== undefined) found.push(`${path} names a registry; see .npmrc`);
    if (path === '' || entry.dev === true || LICENSES.has(entry.license ?? '')) continue;
    // What --write added has none: its parent, which is of the same source, has.
    if (entry.optional === true && entry.license === undefined) continue;
    found.push(`${path} ships under ${entry.license ?? 'no licence'}; only ${[...LICENSES].join(', ')} may`);
  }
  for (const path of missingOptional().keys()) found.push(`${path} is missing, so npm ci refuses the file; run make lock`);
  return found;
}

if (process.argv.includes('--write')) {
  const sorted = Object.entries({ ...lock.packages, ...Object.fromEntries(missingOptional()) });
  sorted.sort(([a], [b]) => a.localeCompare(b, 'en'));
  lock.packages = Object.fromEntries(sorted);
  writeFileSync(FILE, `${JSON.stringify(lock, null, 2)}\n`);
}
const found = problems();
for (const line of found) console.log(`${FILE}: ${line}`);
process.exitCode = found.length === 0 ? 0 : 1;
