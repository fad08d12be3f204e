/** Tells when files change: by the operating system's events where they come, by looking where they do not. */
import { watch, type FSWatcher } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Editors write a file in several steps. */
const SETTLE_MS = 100;
/** Network file systems and container mounts send no events. */
const LOOK_EVERY_MS = 1_000;

export interface WatchOptions {
  readonly settleMs?: number;
  readonly lookEveryMs?: number;
}

/** What files were like at one moment. Equal for two moments: nothing has changed between them. */
export type PathsState = string;

/**
 * Calls `onChange` after files (or what is in directories) have become other than in `since` and have been left alone for a
 * moment; the next call comes after the one before has resolved. Returns how to stop.
 */
export function watchPaths(
  paths: readonly string[],
  since: PathsState,
  onChange: () => Promise<void>,
  options: WatchOptions = {},
): () => void {
  const watcher = new PathWatcher(paths, since, onChange, options);
  return () => watcher.stop();
}

class PathWatcher {
  readonly #paths: readonly string[];
  readonly #onChange: () => Promise<void>;
  readonly #settleMs: number;
  readonly #watchers: FSWatcher[] = [];
  readonly #looking: NodeJS.Timeout;
  #settling: NodeJS.Timeout | undefined;
  /** What was last told of. */
  #told: PathsState;
  #busy = false;
  #stopped = false;

  constructor(
    paths: readonly string[],
    since: PathsState,
    onChange: () => Promise<void>,
    { settleMs = SETTLE_MS, lookEveryMs = LOOK_EVERY_MS }: WatchOptions,
  ) {
    this.#told = since;
    this.#paths = paths;
    this.#onChange = onChange;
    this.#settleMs = settleMs;
    // A file that is replaced (as editors and mounted ConfigMaps do) is another file: its directory is what stays.
    for (const place of new Set(paths.flatMap((path) => [dirname(path), path]))) {
      try {
        const watcher = watch(place, () => this.#stir());
        watcher.on('error', () => watcher.close());
        this.#watchers.push(watcher);
      } catch {
        // No events for this place (limits, file system): looking finds its changes.
      }
    }
    this.#looking = setInterval(() => void this.#look(), lookEveryMs);
    void this.#look();
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#looking);
    clearTimeout(this.#settling);
    for (const watcher of this.#watchers) watcher.close();
  }

  #stir(): void {
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => void this.#look(), this.#settleMs);
  }

  async #look(): Promise<void> {
    if (this.#busy || this.#stopped) return;
    this.#busy = true;
    try {
      const seen = await stateOf(this.#paths);
      if (seen !== this.#told) {
        this.#told = seen;
        await this.#onChange();
      }
    } finally {
      this.#busy = false;
    }
  }
}

/** Of all files: which they are, their sizes and times. */
export async function stateOf(paths: readonly string[]): Promise<PathsState> {
  const parts = await Promise.all(
    paths.map(async (path) => ((await isDirectory(path)) ? directoryState(path) : fileState(path))),
  );
  return parts.join('\n');
}

async function isDirectory(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => null);
  return found?.isDirectory() ?? false;
}

async function directoryState(path: string): Promise<string> {
  const names = await readdir(path).catch((): string[] => []);
  return (await Promise.all(names.sort().map((name) => fileState(`${path}/${name}`)))).join('\n');
}

async function fileState(path: string): Promise<string> {
  const found = await stat(path, { bigint: true }).catch(() => null);
  return found === null ? `${path} -` : `${path} ${found.ino} ${found.size} ${found.mtimeNs}`;
}
