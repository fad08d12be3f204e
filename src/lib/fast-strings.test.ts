import { spawnSync } from 'node:child_process';
import { expect, it } from '@jest/globals';

const module = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href);

/** Whether String.prototype is fast once these were imported, one after the other. */
function fastAfter(...specifiers: readonly string[]): string {
  const imports = specifiers.map((specifier) => `await import(${specifier});`).join('');
  const flags = ['--disable-warning=ExperimentalWarning', '--allow-natives-syntax', '--input-type=module'];
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [...flags, '-e', `${imports} console.log(%HasFastProperties(String.prototype))`],
    {
      encoding: 'utf8',
    },
  );
  return stdout + stderr;
}

it('keeps the methods of strings where compiled code finds them, whatever classes extend String', () => {
  expect(fastAfter(module('./fast-strings.ts'), module('../limits/redis/client.ts'))).toBe('true\n');
});

it('is needed: may go when this fails', () => {
  expect(fastAfter(module('../limits/redis/client.ts'))).toBe('false\n');
});
