import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from '@jest/globals';

import { GENERATED } from './files.ts';

const root = join(import.meta.dirname, '..', '..');

describe('generated files', () => {
  it.each(GENERATED)('$path is what src generates (else: npm run generate)', ({ path, render }) => {
    expect(readFileSync(join(root, path), 'utf8')).toBe(render());
  });

  it('have a path each', () => {
    expect(new Set(GENERATED.map(({ path }) => path)).size).toBe(GENERATED.length);
  });
});
