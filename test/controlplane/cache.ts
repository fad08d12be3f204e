/** What is built or fetched once, into a folder outside of the checkout, and found there by every later run. */
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs';
import { mkdir, open, rm, stat, utimes } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const CACHE =
  process.env['FAIRLEAD_TEST_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'fairlead', 'test');

const HEARTBEAT_MS = 2_000;
/** A lock that nobody has touched for so long belongs to a run that is gone. */
const STALE_MS = 30_000;
/** What no run has used for so long is of an older checkout. */
const UNUSED_MS = 14 * 24 * 3_600_000;

export interface Artifact {
  readonly name: string;
  /** Changes with everything that the artifact is made of. */
  readonly key: string;
  /** Makes the file or folder at `target`, which is not there yet. */
  readonly make: (target: string) => Promise<void>;
}

/** Where an artifact is, or would be. */
export function artifactPath({ name, key }: Pick<Artifact, 'name' | 'key'>): string {
  return join(CACHE, `${name}-${key}`);
}

/** One build at a time for all runs on this machine; who waits finds what the other made. A failed build leaves nothing. */
export async function madeOnce(artifact: Artifact): Promise<string> {
  const path = artifactPath(artifact);
  if (!existsSync(path)) {
    await mkdir(CACHE, { recursive: true });
    await locked(join(CACHE, `${artifact.name}.lock`), async () => {
      if (existsSync(path)) return;
      const unfinished = `${path}.${process.pid}.unfinished`;
      try {
        await artifact.make(unfinished);
        renameSync(unfinished, path);
      } finally {
        rmSync(unfinished, { recursive: true, force: true });
      }
      removeUnused(artifact.name, path);
    });
  }
  const now = new Date();
  utimesSync(path, now, now);
  return path;
}

/** `patterns`: globs below `root`. */
export function hashOf(root: string, patterns: readonly string[], more: readonly string[] = []): string {
  const hash = createHash('sha256');
  for (const text of more) hash.update(`${text}\0`);
  for (const file of globSync([...patterns], { cwd: root }).sort()) {
    if (statSync(join(root, file)).isFile())
      hash
        .update(`${file}\0`)
        .update(readFileSync(join(root, file)))
        .update('\0');
  }
  return hash.digest('hex').slice(0, 16);
}

async function locked(lock: string, work: () => Promise<void>): Promise<void> {
  while (!(await taken(lock))) await sleep(500);
  const heartbeat = setInterval(() => {
    const now = new Date();
    // A lock that somebody removed by hand is no reason to fail what is being built.
    utimes(lock, now, now).catch(() => undefined);
  }, HEARTBEAT_MS);
  try {
    await work();
  } finally {
    clearInterval(heartbeat);
    await rm(lock, { force: true });
  }
}

async function taken(lock: string): Promise<boolean> {
  try {
    await (await open(lock, 'wx')).close();
    return true;
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
  }
  const age = await stat(lock).then(
    ({ mtimeMs }) => Date.now() - mtimeMs,
    () => 0,
  );
  if (age > STALE_MS) await rm(lock, { force: true });
  return false;
}

function removeUnused(name: string, keep: string): void {
  const own = new RegExp(`^${name}-[0-9a-f]{16}$`);
  for (const entry of readdirSync(CACHE).filter((candidate) => own.test(candidate))) {
    const path = join(CACHE, entry);
    if (path !== keep && Date.now() - statSync(path).mtimeMs > UNUSED_MS) rmSync(path, { recursive: true, force: true });
  }
}

/** For what is written once and read by every run, e.g. files that are fetched. */
export function cacheFolder(name: string): string {
  const path = join(CACHE, name);
  mkdirSync(path, { recursive: true });
  return path;
}

/** Jest's tests live in a realm of their own, where Node's errors are no instances of Error. */
export function hasCode(error: unknown, code: string): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === code;
}
