/** Builds what the tests need of Kubernetes, before they run: nothing where a run on this machine has done so. */
import { binary, whyNoBinary, type BinaryName } from './binaries.ts';

const names: readonly BinaryName[] = ['api', 'newest', 'helm', ...(process.getuid?.() === 0 ? (['node', 'pause'] as const) : [])];

for (const name of names) {
  const why = whyNoBinary(name);
  if (why === undefined) await binary(name);
  else console.error(`not built: ${why}`);
}
