/** The image as users get it, packed without a container engine and run in a chroot. */
import { execFileSync, spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { IMAGE_CONFIG, packImage, type PackedImage } from './image.ts';

const ROOT = join(import.meta.dirname, '../..');
const MAX_BYTES = 200e6;

let scratch = '';
let packed: PackedImage;
let layers: readonly string[] = [];

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'fairlead-image-'));
  const dist = join(scratch, 'dist');
  execFileSync(process.execPath, ['cmd/build/main.ts', dist], {
    cwd: ROOT,
  });
  packed = packImage(ROOT, 'fairlead:test', join(scratch, 'image.tar'), dist);
  execFileSync('tar', ['-xf', packed.file, '-C', scratch]);
  const [manifest] = JSON.parse(readFileSync(join(scratch, 'manifest.json'), 'utf8')) as readonly {
    readonly Layers: readonly string[];
  }[];
  layers = (manifest?.Layers ?? []).map((layer) => join(scratch, layer));
});

afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

describe('the image', () => {
  it('is not above 200 MB', () => {
    expect(packed.contentBytes).toBeLessThan(MAX_BYTES);
    expect(packed.contentBytes).toBeGreaterThan(50e6);
  });

  it('is the same bytes for the same files', () => {
    const again = packImage(ROOT, 'fairlead:test', join(scratch, 'again.tar'), join(scratch, 'dist'));
    execFileSync('cmp', [packed.file, again.file]);
  });

  it('holds what runs and nothing that builds or tests it', () => {
    const files = layers.flatMap((layer) => execFileSync('tar', ['-tf', layer], { encoding: 'utf8' }).split('\n'));
    const programs = ['usr/local/bin/node', 'fairlead/dist/cmd/image/main.js', 'fairlead/node_modules/undici/package.json'];
    expect(files).toEqual(expect.arrayContaining(programs));
    const unwanted =
      /node_modules\/(typescript|jest|@swc|oxlint|fast-check)\/|^fairlead\/dist\/.*\.test\.|(^|\/)\.env|\.pem$|bin\/(ba|da)?sh$/;
    expect(files.filter((file) => unwanted.test(file))).toEqual([]);
  });

  it('is configured as the Dockerfile configures it', () => {
    const text = readFileSync(join(ROOT, 'Dockerfile'), 'utf8');
    const last = text.slice(text.lastIndexOf('\nFROM ')).replaceAll('\\\n', ' ');
    const value = (word: string): string => new RegExp(`^${word} (.+)$`, 'm').exec(last)?.[1] ?? '';
    expect({
      Env: value('ENV').split(/\s+/),
      WorkingDir: value('WORKDIR'),
      User: value('USER'),
      Entrypoint: JSON.parse(value('ENTRYPOINT')) as unknown,
      Cmd: JSON.parse(value('CMD')) as unknown,
    }).toEqual(IMAGE_CONFIG);
  });

  const isRoot = process.getuid?.() === 0;
  if (!isRoot) it('absent: root, for a chroot into the image', () => {});
  else {
    const run = (...argv: readonly string[]): SpawnSyncReturns<string> => {
      const [user, group] = IMAGE_CONFIG.User.split(':');
      const env = Object.fromEntries(IMAGE_CONFIG.Env.map((entry) => entry.split('=')));
      return spawnSync('chroot', [`--userspec=${user}:${group}`, join(scratch, 'root'), ...IMAGE_CONFIG.Entrypoint, ...argv], {
        encoding: 'utf8',
        env: { ...env, PATH: process.env['PATH'] },
        input: '',
      });
    };

    it('runs, with nothing under it but a kernel', () => {
      mkdirSync(join(scratch, 'root'));
      for (const layer of layers) execFileSync('tar', ['-xf', layer, '-C', join(scratch, 'root')]);
      const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { readonly version: string };
      const ran = run('--version');
      expect(ran.stderr).toBe('');
      expect(ran.stdout.trim()).toBe(version);
      const sample = run('validate', '-f', '/fairlead/package.json');
      expect(`${sample.stdout}${sample.stderr}`).toContain('apiVersion');
      expect(sample.status).toBe(1);
    });
  }
});
