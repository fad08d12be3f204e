/** The estimate of a prompt's tokens beside real tokenizers: over 1,000 requests of every kind of text, learning from what comes back. */
import { describe, expect, test } from '@jest/globals';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { encode as cl100k } from 'gpt-tokenizer/encoding/cl100k_base';
import { encode as o200k } from 'gpt-tokenizer/encoding/o200k_base';
import { encode as p50k } from 'gpt-tokenizer/encoding/p50k_base';

import { readFacts } from '../../src/dialects/openai/facts.ts';
import { readRequestBody } from '../../src/dialects/request-body.ts';
import { TokenLearner } from '../../src/prices/token-learner.ts';
import { target } from '../../src/providers/testing.ts';

const ROOT = join(import.meta.dirname, '../..');
const REQUESTS = 1_000;

/** Repeats itself, so that a failure can be looked at. */
function random(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 1_103_515_245 + 12_345) & 0x7fffffff) / 0x7fffffff;
}

const files = (pattern: string): readonly string[] =>
  globSync(pattern, { cwd: ROOT, exclude: (path) => typeof path === 'string' && path.includes('/dist/') })
    .sort()
    .map((path) => readFileSync(join(ROOT, path), 'utf8'))
    .filter((text) => text.length > 200);

/** Sentences of a file in every order, because a few pages of prose are all that is here. */
function prose(name: string): readonly string[] {
  const lines = readFileSync(join(import.meta.dirname, 'testdata', `${name}.txt`), 'utf8')
    .trim()
    .split('\n');
  const next = random(3);
  return Array.from({ length: 50 }, () => Array.from({ length: 60 }, () => lines[Math.floor(next() * lines.length)]).join('\n'));
}

const TEXTS: readonly (readonly [share: number, texts: readonly string[]])[] = [
  [0.35, [...files('*.md'), ...files('docs/**/*.md'), ...files('LICENSE'), ...files('node_modules/*/README.md')]],
  [0.25, files('src/**/*.ts')],
  [0.15, [...files('package*.json'), ...files('test/bench/*.json'), ...files('node_modules/*/package.json')]],
  [0.1, files('crds/*.yaml')],
  [0.1, prose('chinese')],
  [0.05, prose('european')],
];

function* prompts(next: () => number): Generator<string> {
  for (let i = 0; i < REQUESTS; i++) {
    let at = next();
    const [, texts] = TEXTS.find(([share]) => (at -= share) < 0) ?? TEXTS[0] ?? [0, []];
    const text = texts[Math.floor(next() * texts.length)] ?? '';
    // From 100 to 30,000 characters, as many short ones as long ones.
    const length = Math.floor(100 * 300 ** next());
    const start = Math.floor(next() * Math.max(1, text.length - length));
    yield text.slice(start, start + length);
  }
}

/** What the service says that it read: the text, and a frame around each message as OpenAI's cookbook has it. */
function inputTokens(messages: readonly string[], encode: (text: string) => readonly number[]): number {
  return messages.reduce((sum, text) => sum + encode(text).length + 4, 3);
}

describe.each([
  ['o200k', o200k],
  ['cl100k', cl100k],
  ['p50k', p50k],
])('a model that counts by %s', (name, encode) => {
  const learner = new TokenLearner();
  const model = target({ model: name, upstreamId: name });
  const next = random(7);
  const pairs: { readonly estimate: number; readonly actual: number; readonly bound: number }[] = [];
  for (const text of prompts(next)) {
    const messages = next() < 0.3 ? [text.slice(0, text.length / 2), text.slice(text.length / 2)] : [text];
    const body = JSON.stringify({ model: name, messages: messages.map((content) => ({ role: 'user', content })) });
    const parsed = readRequestBody(Buffer.from(body), 'chat');
    if (!parsed.ok) throw new Error(parsed.error.message);
    const counter = learner.of(model, name);
    const facts = readFacts('chat', '/v1/chat/completions', parsed.value, counter);
    const actual = inputTokens(messages, encode);
    pairs.push({ estimate: facts.promptTokens, actual, bound: facts.maxPromptTokens ?? -1 });
    counter.learn(facts.promptSize, actual);
  }

  test('the sums of estimates and of tokens differ by less than a tenth', () => {
    const ratio = pairs.reduce((sum, { estimate }) => sum + estimate, 0) / pairs.reduce((sum, { actual }) => sum + actual, 0);
    expect(ratio).toBeGreaterThan(0.9);
    expect(ratio).toBeLessThan(1.1);
  });

  test('nine of ten estimates are off by a quarter at most', () => {
    const errors = pairs.map(({ estimate, actual }) => Math.abs(estimate - actual) / actual).sort((a, b) => a - b);
    expect(errors[Math.floor(errors.length * 0.9)]).toBeLessThanOrEqual(0.25);
  });

  test('the bound is never exceeded', () => {
    expect(pairs.filter(({ actual, bound }) => actual > bound)).toEqual([]);
  });
});
