import { describe, expect, it } from '@jest/globals';
import type { Match } from '../routetable/types.ts';
import { type MatchInput, compileMatchers, matchRule } from './match.ts';
import { facts, match } from './testdata/fixtures.ts';

function matched(matches: readonly Match[], over: Partial<MatchInput>): boolean {
  const input: MatchInput = { facts: facts(), tenant: 'team-a', header: () => undefined, ...over };
  return matchRule(compileMatchers([{ matches }]), input) === 0;
}

const gold: MatchInput['header'] = (name) => (name === 'x-tier' ? 'gold' : undefined);

describe('matchRule', () => {
  it.each<[string, Partial<Match>, Partial<MatchInput>, Partial<MatchInput>]>([
    ['header, name in any case', { headers: [{ name: 'X-Tier', value: 'gold' }] }, { header: gold }, { header: () => 'Gold' }],
    ['tenant', { tenant: 'b' }, { tenant: 'b' }, { tenant: 'team-a' }],
    [
      'path',
      { path: '/v1/embeddings' },
      { facts: facts({ path: '/v1/embeddings' }) },
      { facts: facts({ path: '/v1/embeddings/' }) },
    ],
    ['stream', { stream: true }, { facts: facts({ stream: true }) }, {}],
    ['no stream', { stream: false }, {}, { facts: facts({ stream: true }) }],
    ['tools', { tools: true }, { facts: facts({ tools: true }) }, {}],
    ['jsonSchema', { jsonSchema: true }, { facts: facts({ jsonSchema: true }) }, {}],
    ['images', { images: true }, { facts: facts({ images: true }) }, {}],
    [
      'minPromptTokens',
      { minPromptTokens: 500 },
      { facts: facts({ promptTokens: 500 }) },
      { facts: facts({ promptTokens: 499 }) },
    ],
  ])('%s', (_, condition, yes, no) => {
    expect(matched([match(condition)], yes)).toBe(true);
    expect(matched([match(condition)], no)).toBe(false);
  });

  it('needs all parts of a match, and any of the matches', () => {
    const both = match({ stream: true, headers: [{ name: 'x-tier', value: 'gold' }] });
    expect(matched([both], { facts: facts({ stream: true }) })).toBe(false);
    expect(matched([both], { header: gold })).toBe(false);
    expect(matched([both], { facts: facts({ stream: true }), header: gold })).toBe(true);
    expect(matched([both, match({ tenant: 'team-a' })], {})).toBe(true);
  });

  it('takes the first rule that matches; one without matches takes everything; -1 where none does', () => {
    const rules = [{ matches: [match({ tools: true })] }, { matches: [match({ stream: true })] }, { matches: [] }];
    const input = (over: Parameters<typeof facts>[0]): MatchInput => ({
      facts: facts(over),
      tenant: '',
      header: () => undefined,
    });
    expect(matchRule(compileMatchers(rules), input({ tools: true, stream: true }))).toBe(0);
    expect(matchRule(compileMatchers(rules), input({ stream: true }))).toBe(1);
    expect(matchRule(compileMatchers(rules), input({}))).toBe(2);
    expect(matchRule(compileMatchers(rules.slice(0, 2)), input({}))).toBe(-1);
  });
});
