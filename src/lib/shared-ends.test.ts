import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { sharedEnds } from './shared-ends.ts';

describe('sharedEnds', () => {
  it('finds what an edit left alone', () => {
    const list = ['a', 'b', 'c', 'd'];
    expect(sharedEnds(list, [...list])).toEqual({ head: 4, tail: 0 });
    expect(sharedEnds(list, ['a', 'x', 'c', 'd'])).toEqual({ head: 1, tail: 2 });
    expect(sharedEnds(list, ['a', 'b', 'x', 'c', 'd'])).toEqual({ head: 2, tail: 2 });
    expect(sharedEnds(['a', 'a'], ['a', 'a', 'a'])).toEqual({ head: 2, tail: 0 });
    expect(sharedEnds([], list)).toEqual({ head: 0, tail: 0 });
  });

  it('never counts an item twice, and gives both lists back', () => {
    const items = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 8 });
    fc.assert(
      fc.property(items, items, (before, after) => {
        const { head, tail } = sharedEnds(before, after);
        expect(head + tail).toBeLessThanOrEqual(Math.min(before.length, after.length));
        expect(after.slice(0, head)).toEqual(before.slice(0, head));
        expect(after.slice(after.length - tail)).toEqual(before.slice(before.length - tail));
      }),
    );
  });
});
