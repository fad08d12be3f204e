import { describe, expect, it } from '@jest/globals';
import { atTurnEnd, soon } from './turn-end.ts';

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

describe('soon', () => {
  /** One item in a turn of its own. */
  const alone = async (): Promise<void> => {
    soon({ flush: () => {} });
    await turn();
  };

  it('flushes at once what comes alone, turn by turn', async () => {
    await alone();
    for (let turns = 0; turns < 3; turns++) {
      let flushed = 0;
      soon({ flush: () => flushed++ });
      expect(flushed).toBe(1);
      await turn();
    }
  });

  it('flushes what comes in company at the end of the turn, also in the turn after', async () => {
    await alone();
    const flushed: string[] = [];
    const item = (name: string): { flush: () => void } => ({ flush: () => void flushed.push(name) });
    for (const name of ['a', 'b', 'c']) soon(item(name));
    expect(flushed).toEqual(['a']);
    await turn();
    expect(flushed).toEqual(['a', 'b', 'c']);
    soon(item('d'));
    expect(flushed).toEqual(['a', 'b', 'c']);
    await turn();
    expect(flushed).toEqual(['a', 'b', 'c', 'd']);
    await turn();
    soon(item('e'));
    expect(flushed.at(-1)).toBe('e');
    await turn();
  });

  it('flushes at once beside what waits for the end of the turn anyway', async () => {
    await alone();
    for (let turns = 0; turns < 3; turns++) {
      const flushed: string[] = [];
      const item = (name: string): { flush: () => void } => ({ flush: () => void flushed.push(name) });
      for (const name of ['a', 'b']) atTurnEnd(item(name));
      soon(item('c'));
      expect(flushed).toEqual(['c']);
      await turn();
      expect(flushed).toEqual(['c', 'a', 'b']);
    }
  });
});
