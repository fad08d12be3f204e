/** docs/reference/translation.md: what becomes of what a client asks for, by its dialect and the provider. */
import { type ClientOperation, FEATURE_ROWS, fateOf, type Fate, type Upstream } from './features.ts';
import { PLAIN_TARGET } from './plain-target.ts';

function upstream(name: string, kind: Upstream['kind'], model: string, baseUrl = 'https://provider.test/v1'): Upstream {
  return { name, kind, target: { ...PLAIN_TARGET, provider: kind, model, baseUrl } };
}

export const UPSTREAMS: readonly Upstream[] = [
  upstream('OpenAI, Azure', 'OpenAI', 'gpt-4o'),
  upstream('compatible', 'OpenAICompatible', 'llama-3.1-8b'),
  upstream('Anthropic', 'Anthropic', 'claude-sonnet-4-5'),
  upstream('Gemini, Vertex', 'Gemini', 'gemini-2.5-pro'),
  upstream('Bedrock', 'Bedrock', 'amazon.nova-pro-v1:0'),
  upstream('Bedrock: Claude', 'Bedrock', 'anthropic.claude-sonnet-4-5-20250929-v1:0'),
  upstream('Mistral', 'Mistral', 'mistral-large-latest'),
  upstream('Cohere', 'Cohere', 'command-a-03-2025'),
  upstream('Ollama’s own', 'OpenAICompatible', 'llama3.2', 'http://ollama:11434/api'),
];

const DIALECTS: readonly (readonly [ClientOperation, string])[] = [
  ['chat', '`/v1/chat/completions`'],
  ['responses', '`/v1/responses`'],
  ['messages', '`/v1/messages`'],
  ['completions', '`/v1/completions`'],
];

const CELLS: Readonly<Record<Fate, string>> = { passes: 'passes', carried: 'yes', refused: '**no**', 'left out': 'left out' };

const HEAD = `# Translation

Generated from \`src/providers/features.ts\` and the providers themselves by \`npm run generate\`. Do not edit.

What becomes of what a client asks for, by its dialect and the kind of provider behind the model:

- **passes**: the provider speaks the client's dialect; the bytes pass, and what it cannot do it says itself;
- **yes**: it is written in the provider's dialect;
- **left out**: the answer is as good without it; its name is in \`x-fairlead-dropped\`, the request log and \`fairlead_dropped_params_total\`;
- **no**: the model is left out of the choice where another can do it; else \`unsupported\` decides: \`Reject\` (HTTP 400 with the member's name, before any
  call) or \`Drop\` (left out and named);
- an empty cell: the dialect has no word for it.

What an answer has beside text, reasoning, refusals and tool calls (images, sources, likelihoods of tokens) stands where the client's dialect has a
place for it; the rest is named in \`x-fairlead-dropped\` as \`answer.…\`, in a stream by a comment before its end.
`;

export function renderTranslationReference(): string {
  const tables = DIALECTS.map(([operation, title]) => {
    const rows = FEATURE_ROWS.flatMap((row) => {
      const fates = UPSTREAMS.map((each) => fateOf(row, operation, each));
      if (fates.every((fate) => fate === null)) return [];
      return [`| ${row.name} | ${fates.map((fate) => (fate === null ? '' : CELLS[fate])).join(' | ')} |`];
    });
    const head = `| | ${UPSTREAMS.map(({ name }) => name).join(' | ')} |\n|---|${UPSTREAMS.map(() => '---|').join('')}`;
    return `\n## ${title}\n\n${head}\n${rows.join('\n')}\n`;
  });
  return HEAD + tables.join('');
}
