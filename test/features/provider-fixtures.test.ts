// Promise: what a provider answers is taken for what it is: outcome, phase, retry-after, text, tool calls and usage, by clients of
// every dialect. The fixtures beside `test/fixtures` are written from the providers' documentation; `make test-fixtures
// FIXTURES=DIR` takes any other folder of their form.
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { type Fixture, readFixtures } from '../fixtures/fixture.ts';
import { runFixtures } from '../fixtures/run.ts';

const FIXTURES = readFixtures(path.join(import.meta.dirname, '../fixtures/providers'));
const SPOILED = 20;

/** The same answer, expected to be something else. */
function spoil(fixture: Fixture, turn: number): Fixture {
  const { expect: wanted } = fixture;
  const other = wanted.outcome === 'ok' ? 'rate_limited' : 'ok';
  const { usage, text } = wanted;
  const spoiled =
    turn % 3 === 0 && usage !== undefined && usage !== null
      ? { ...wanted, usage: { ...usage, input: usage.input + 1 } }
      : turn % 3 === 1 && text !== undefined && wanted.outcome === 'ok'
        ? { ...wanted, text: `${text}!` }
        : { ...wanted, outcome: other };
  return { ...fixture, expect: spoiled };
}

describe('provider fixtures', () => {
  it('are all as the documentation says', async () => {
    const verdicts = await runFixtures(FIXTURES);
    expect(verdicts.filter(({ wrong }) => wrong.length > 0)).toEqual([]);
    expect(verdicts.length).toBeGreaterThanOrEqual(250);
  });

  it('that expect something else fail, and only they', async () => {
    const step = Math.floor(FIXTURES.length / SPOILED);
    const spoiled = new Set(FIXTURES.filter((_, index) => index % step === 0).slice(0, SPOILED));
    expect(spoiled.size).toBe(SPOILED);
    const verdicts = await runFixtures(
      FIXTURES.map((fixture, index) => (spoiled.has(fixture) ? spoil(fixture, index) : fixture)),
    );
    const failed = verdicts.filter(({ wrong }) => wrong.length > 0).map(({ id }) => id);
    expect(failed.sort()).toEqual([...spoiled].map(({ id }) => id).sort());
  });
});
