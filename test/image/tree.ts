/** The file tree of the image, gathered from this checkout and this machine as the Dockerfile gathers it from its build stage. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';

import type { TarEntry } from './tar.ts';

export const NODE_PATH = 'usr/local/bin/node';
const APP = 'fairlead';
/** What pods and `kubectl exec` start: the kernel hands it to Node with the flag that keeps an open stream's memory low. */
const LAUNCHER = "#!/usr/local/bin/node --max-semi-space-size=8\nimport('/fairlead/dist/cmd/image/main.js');\n";
/** By their names alone: a folder called `doc` may hold code. */
const NOT_SHIPPED = /\.(md|ts|mts|cts|map)$/i;

/** Node, the libraries that it loads, and what a process without a distribution under it expects to find. */
export function baseEntries(node = process.execPath): readonly TarEntry[] {
  const text = (path: string, content: string): TarEntry => ({
    path,
    mode: 0o644,
    body: { type: 'bytes', bytes: Buffer.from(content) },
  });
  return withDirectories([
    text('etc/passwd', 'root:x:0:0::/:/\nfairlead:x:65532:65532::/fairlead:/\n'),
    text('etc/group', 'root:x:0:\nfairlead:x:65532:\n'),
    text('etc/nsswitch.conf', 'hosts: files dns\n'),
    { path: 'tmp', mode: 0o1777, body: { type: 'directory' } },
    ...librariesOf(node).map((library) => fileEntry(library.slice(1), realpathSync(library), 0o755)),
    fileEntry(NODE_PATH, node, 0o755),
    { ...text('usr/local/bin/fairlead', LAUNCHER), mode: 0o755 },
  ]);
}

/** A program and the libraries that it loads; where it is in the image. */
export function programEntries(program: string): { readonly entries: readonly TarEntry[]; readonly path: string } {
  const path = program.slice(1);
  const libraries = librariesOf(program).map((library) => fileEntry(library.slice(1), realpathSync(library), 0o755));
  return { entries: withDirectories([...libraries, fileEntry(path, realpathSync(program), 0o755)]), path };
}

/** The compiled programs and the packages that they import. */
export function appEntries(root: string, dist = join(root, 'dist')): readonly TarEntry[] {
  if (!existsSync(join(dist, 'cmd/image/main.js'))) throw new Error(`${dist} is not built: run \`make build\``);
  const compiled = filesBelow(dist).filter((path) => !/^cmd\/(build|generate)\//.test(path) && path !== '.built');
  return withDirectories([
    fileEntry(`${APP}/package.json`, join(root, 'package.json'), 0o644),
    ...compiled.map((path) => fileEntry(`${APP}/dist/${path}`, join(dist, path), 0o644)),
    ...productionPackages(root).flatMap((folder) =>
      filesBelow(join(root, folder), 'node_modules')
        .filter((path) => !NOT_SHIPPED.test(path))
        .map((path) => fileEntry(`${APP}/${folder}/${path}`, join(root, folder, path), 0o644)),
    ),
  ]);
}

/** As `npm ci --omit=dev` would leave them, going by the lock file; those for other platforms are not there. */
export function productionPackages(root: string): readonly string[] {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<
      Record<string, { readonly dev?: boolean; readonly devOptional?: boolean; readonly optional?: boolean }>
    >;
  };
  return Object.entries(packages)
    .filter(([folder, { dev, devOptional }]) => folder !== '' && dev !== true && devOptional !== true)
    .filter(([folder, { optional }]) => {
      if (existsSync(join(root, folder))) return true;
      if (optional === true) return false;
      throw new Error(`${folder} is not installed: run \`make setup\``);
    })
    .map(([folder]) => folder)
    .sort();
}

function librariesOf(program: string): readonly string[] {
  const lines = execFileSync('ldd', [program], { encoding: 'utf8' }).split('\n');
  const missing = lines.find((line) => line.includes('not found'));
  if (missing !== undefined) throw new Error(`${program} lacks a library:${missing}`);
  return lines.flatMap((line) => /(?:=> )?(\/\S+) \(0x/.exec(line)?.[1] ?? []).sort();
}

function fileEntry(path: string, source: string, mode: number): TarEntry {
  return { path, mode, body: { type: 'file', source, sizeBytes: statSync(source).size } };
}

/** Relative paths, without the folder's own one called `skip`. */
function filesBelow(folder: string, skip?: string): readonly string[] {
  return readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      if (entry.isDirectory()) {
        return entry.name === skip ? [] : filesBelow(join(folder, entry.name)).map((path) => `${entry.name}/${path}`);
      }
      return entry.isFile() ? [entry.name] : [];
    });
}

/** Each folder once, before what is in it. */
function withDirectories(entries: readonly TarEntry[]): readonly TarEntry[] {
  const own = new Set(entries.map(({ path }) => path));
  const folders = new Set<string>();
  for (const { path } of entries) {
    for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1)) folders.add(path.slice(0, at));
  }
  const directories = [...folders].filter((path) => !own.has(path));
  return [...directories.map((path): TarEntry => ({ path, mode: 0o755, body: { type: 'directory' } })), ...entries].sort((a, b) =>
    a.path < b.path ? -1 : a.path > b.path ? 1 : 0,
  );
}
