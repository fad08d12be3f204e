import { describe, expect, it } from '@jest/globals';
import { atTurnEnd } from './turn-end.ts';

const turn = async (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('atTurnEnd', () => {
  it('flushes all of one turn after it, in their order', async () => {
    const flushed: number[] = [];
    for (const item of [1, 2, 3]) atTurnEnd({ flush: () => flushed.push(item) });
    await Promise.resolve();
    expect(flushed).toEqual([]);
    await turn();
    expect(flushed).toEqual([1, 2, 3]);
  });

  it('lets none wait for more than 127 others', async () => {
    let flushed = 0;
    const waited: number[] = [];
    for (let item = 0; item < 1_000; item++) {
      atTurnEnd({ flush: () => flushed++ });
      waited.push(item + 1 - flushed);
    }
    expect(Math.max(...waited)).toBe(127);
    await turn();
    expect(flushed).toBe(1_000);
  });

  it('takes what is added while it flushes', async () => {
    const flushed: string[] = [];
    const again = { flush: (): void => void flushed.push('again') };
    atTurnEnd({
      flush: () => {
        flushed.push('first');
        for (let i = 0; i < 300; i++) atTurnEnd(again);
      },
    });
    atTurnEnd({ flush: () => flushed.push('second') });
    await turn();
    await turn();
    expect(flushed.filter((name) => name === 'again')).toHaveLength(300);
    expect(flushed.filter((name) => name !== 'again')).toEqual(['first', 'second']);
  });
});
