import { spawnSync } from 'node:child_process';
import { expect, it } from '@jest/globals';

it('asks V8 for nothing that it does not know', () => {
  const module = JSON.stringify(new URL('./optimize-early.ts', import.meta.url).href);
  const run = `import(${module}).then(({ optimizeEarly }) => optimizeEarly())`;
  const { status, stderr } = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', '-e', run], {
    encoding: 'utf8',
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});
