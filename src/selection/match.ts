import type { Match, Rule } from '../routetable/types.ts';
import type { ChoiceInput } from './types.ts';

/** What matching reads of a request. */
export type MatchInput = Pick<ChoiceInput, 'facts' | 'tenant' | 'header'>;

/** A route's rules, ready to be matched: by index of `Route.rules`. */
export type CompiledMatchers = readonly (readonly Match[])[];

/** Once a table load: header names become lower case, as node hands them over. */
export function compileMatchers(rules: readonly Pick<Rule, 'matches'>[]): CompiledMatchers {
  return rules.map((rule) =>
    rule.matches.map((match) => ({
      ...match,
      headers: match.headers.map(({ name, value }) => ({ name: name.toLowerCase(), value })),
    })),
  );
}

/** Index of the first rule that matches; -1: none. A rule without matches takes every request. */
export function matchRule(compiled: CompiledMatchers, input: MatchInput): number {
  for (let rule = 0; rule < compiled.length; rule++) {
    const matches = compiled[rule];
    if (matches === undefined) continue;
    if (matches.length === 0) return rule;
    for (const match of matches) if (holds(match, input)) return rule;
  }
  return -1;
}

/** Facts before headers: they cost less to compare. */
function holds(match: Match, input: MatchInput): boolean {
  const { facts } = input;
  if (match.stream !== null && match.stream !== facts.stream) return false;
  if (match.tools !== null && match.tools !== facts.tools) return false;
  if (match.jsonSchema !== null && match.jsonSchema !== facts.jsonSchema) return false;
  if (match.images !== null && match.images !== facts.images) return false;
  if (match.minPromptTokens !== null && facts.promptTokens < match.minPromptTokens) return false;
  if (match.tenant !== null && match.tenant !== input.tenant) return false;
  if (match.path !== null && match.path !== facts.path) return false;
  for (const header of match.headers) if (input.header(header.name) !== header.value) return false;
  return true;
}
