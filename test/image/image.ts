/** The image without a container engine: an archive that `ctr images import` and `docker load` take. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { writeTar, type TarEntry } from './tar.ts';
import { appEntries, baseEntries, programEntries } from './tree.ts';

/** As the last stage of the Dockerfile says it; a test holds the two together. */
export const IMAGE_CONFIG = {
  Env: ['PATH=/usr/local/bin', 'NODE_ENV=production', 'NODE_OPTIONS=--enable-source-maps', 'MALLOC_ARENA_MAX=1'],
  WorkingDir: '/fairlead',
  User: '65532:65532',
  Entrypoint: ['/usr/local/bin/fairlead'],
  Cmd: ['--help'],
} as const;

export interface PackedImage {
  readonly file: string;
  readonly name: string;
  /** Of all files in it, uncompressed. */
  readonly contentBytes: number;
}

const ARCHITECTURES: Readonly<Partial<Record<NodeJS.Architecture, string>>> = { x64: 'amd64', arm64: 'arm64' };

/** What a test puts into its image beside the program. */
export interface Addition {
  readonly env: readonly string[];
  readonly entries: readonly TarEntry[];
}

/** `name` with its tag, e.g. `fairlead:dev`. A layer for Node and one for the program, so that the first is imported once. */
export function packImage(root: string, name: string, file: string, dist?: string, added?: Addition): PackedImage {
  const layers = [baseEntries(), appEntries(root, dist), ...(added === undefined ? [] : [added.entries])];
  return packLayers(name, file, layers, { ...IMAGE_CONFIG, Env: [...IMAGE_CONFIG.Env, ...(added?.env ?? [])] });
}

/** One program of this machine with the libraries that it loads; its arguments are the pod's. */
export function packProgram(program: string, name: string, file: string): PackedImage {
  const { entries, path } = programEntries(program);
  return packLayers(name, file, [entries], { User: IMAGE_CONFIG.User, Entrypoint: [`/${path}`] });
}

function packLayers(name: string, file: string, contents: readonly (readonly TarEntry[])[], configuration: object): PackedImage {
  mkdirSync(dirname(file), { recursive: true });
  const scratch = mkdtempSync(join(dirname(file), '.image-'));
  try {
    const layers = contents.map((entries, index) => {
      const path = join(scratch, `${index}.tar`);
      return { path, ...writeTar(path, entries) };
    });
    const config = Buffer.from(
      JSON.stringify({
        architecture: ARCHITECTURES[process.arch] ?? process.arch,
        os: 'linux',
        config: configuration,
        rootfs: { type: 'layers', diff_ids: layers.map(({ sha256 }) => `sha256:${sha256}`) },
        history: layers.map(() => ({ created_by: 'fairlead' })),
      }),
    );
    const configName = `${createHash('sha256').update(config).digest('hex')}.json`;
    const manifest = [{ Config: configName, RepoTags: [name], Layers: layers.map(({ sha256 }) => `${sha256}/layer.tar`) }];
    const entries: readonly TarEntry[] = [
      bytesEntry('manifest.json', Buffer.from(JSON.stringify(manifest))),
      bytesEntry(configName, config),
      ...layers.map(({ path, sha256, sizeBytes }): TarEntry => ({
        path: `${sha256}/layer.tar`,
        mode: 0o644,
        body: { type: 'file', source: path, sizeBytes },
      })),
    ];
    writeTar(join(scratch, 'image.tar'), entries);
    renameSync(join(scratch, 'image.tar'), file);
    return { file, name, contentBytes: layers.reduce((sum, { contentBytes }) => sum + contentBytes, 0) };
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

function bytesEntry(path: string, bytes: Buffer): TarEntry {
  return { path, mode: 0o644, body: { type: 'bytes', bytes } };
}
