/** Libraries and programs of others, as their makers publish them: installed once, outside of the checkout. */
import { execFile } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { cp, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { artifactPath, hashOf, madeOnce } from '../controlplane/cache.ts';

/** What users bring along. */
const PACKAGES = path.join(import.meta.dirname, 'packages');
/** The providers' own. */
const SDKS = path.join(import.meta.dirname, 'sdks');
const NPM = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];

const run = promisify(execFile);

/** A folder with `node_modules` and `python`, a virtual environment. */
const CLIENTS = {
  name: 'clients',
  key: hashOf(PACKAGES, ['package-lock.json', 'requirements.txt'], [process.platform, process.arch]),
};

/** A folder with `node_modules`. */
const SDK_MODULES = { name: 'sdks', key: hashOf(SDKS, ['package-lock.json'], []) };

/** Where they are; undefined: nobody has installed them yet. */
export function installedClients(): string | undefined {
  return whereMade(CLIENTS);
}

export function installedSdks(): string | undefined {
  return whereMade(SDK_MODULES);
}

function whereMade(artifact: Parameters<typeof artifactPath>[0]): string | undefined {
  const folder = artifactPath(artifact);
  return existsSync(folder) ? folder : undefined;
}

/** Takes half a minute and about 180 MB where they are not there yet. */
export async function installSdks(): Promise<string> {
  return madeOnce({ ...SDK_MODULES, make: (target) => installPackages(SDKS, target) });
}

async function installPackages(from: string, target: string): Promise<void> {
  await mkdir(target, { recursive: true });
  for (const file of ['package.json', 'package-lock.json']) await cp(path.join(from, file), path.join(target, file));
  await run('npm', NPM, { cwd: target });
}

/** Takes minutes and about 1.4 GB where they are not there yet. */
export async function installClients(): Promise<string> {
  return madeOnce({
    ...CLIENTS,
    make: async (target) => {
      await installPackages(PACKAGES, target);
      const libraries = path.join(target, 'python');
      await mkdir(libraries);
      // Into a plain folder: a virtual environment knows its own path, and this one is moved when it is whole.
      const pip = ['-m', 'pip', 'install', '--quiet', '--target', libraries, '--requirement'];
      await run('python3', [...pip, path.join(PACKAGES, 'requirements.txt')]);
    },
  });
}

/** The programs of Codex and Claude Code: binaries, one for each platform. */
export function agentPrograms(folder: string): { readonly codex: string; readonly claude: string } {
  const modules = path.join(folder, 'node_modules');
  const [claude] = globSync(path.join(modules, '@anthropic-ai/claude-code-*/claude'));
  if (claude === undefined) throw new Error(`${modules} has no program of Claude Code for ${process.platform} ${process.arch}`);
  return { codex: path.join(modules, '@openai/codex/bin/codex.js'), claude };
}

if (import.meta.main) {
  console.error(`SDKs: ${await installSdks()}`);
  console.error(`Clients: ${await installClients()}`);
}
