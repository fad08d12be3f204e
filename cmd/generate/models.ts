/**
 * Writes what models can do and how much they take, from the list that LiteLLM (MIT) keeps: `make models`. Its package is not one
 * of npm's, so this is not part of `make generate`; what it wrote is committed, with the version that it came from.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { parseJsonOrThrow } from '../../src/lib/json-parse.ts';
import { undatedName, unregionalName } from '../../src/prices/names.ts';

/** LiteLLM's providers by those of the price list; all of them serve under their own names, or behind a prefix. */
const SELLERS: Readonly<Record<string, string>> = {
  openai: 'openai',
  azure: 'azure',
  anthropic: 'anthropic',
  gemini: 'google',
  'vertex_ai-language-models': 'google',
  'vertex_ai-anthropic_models': 'google',
  bedrock: 'aws',
  bedrock_converse: 'aws',
  mistral: 'mistral',
  cohere_chat: 'cohere',
  xai: 'x-ai',
  groq: 'groq',
  deepseek: 'deepseek',
  fireworks_ai: 'fireworks',
  together_ai: 'together',
  cerebras: 'cerebras',
  perplexity: 'perplexity',
  moonshot: 'moonshotai',
};

/** Whose entries say of each model that reads images that it does, so that silence is a no. Held to be one only where it was checked. */
const TELL_VISION: ReadonlySet<string> = new Set([
  'openai',
  'anthropic',
  'gemini',
  'groq',
  'deepseek',
  'cerebras',
  'cohere_chat',
]);

interface Entry {
  readonly litellm_provider?: string;
  readonly mode?: string;
  readonly max_input_tokens?: unknown;
  readonly max_output_tokens?: unknown;
  readonly supports_function_calling?: boolean;
  readonly supports_response_schema?: boolean;
  readonly supports_vision?: boolean;
}

const [, , file = '', version = ''] = process.argv;
const entries = parseJsonOrThrow(readFileSync(file, 'utf8')) as Readonly<Record<string, Entry>>;
const found = new Map<string, Map<string, string>>();
for (const [key, entry] of Object.entries(entries)) {
  const provider = entry.litellm_provider ?? '';
  const seller = SELLERS[provider];
  if (seller === undefined || (entry.mode !== 'chat' && entry.mode !== 'responses')) continue;
  const name = unregionalName(
    key.replace(
      /^(azure|gemini|vertex_ai|mistral|xai|groq|deepseek|fireworks_ai|together_ai|cerebras|perplexity|moonshot|cohere_chat)\//,
      '',
    ),
  );
  // `bedrock/us-east-1/…`, `azure/eu/…`: prices of one place.
  if ((seller === 'aws' || seller === 'azure') && name.includes('/')) continue;
  const models = found.get(seller) ?? new Map<string, string>();
  found.set(seller, models.set(name.toLowerCase(), factsOf(provider, name, entry)));
}

/** Input tokens, output tokens, then letters: t calls tools, j answers in a JSON schema, v reads images, x does not. */
function factsOf(provider: string, name: string, entry: Entry): string {
  const vision = entry.supports_vision === true ? 'v' : TELL_VISION.has(provider) && !name.startsWith('ft:') ? 'x' : '';
  const flags =
    (entry.supports_function_calling === true ? 't' : '') + (entry.supports_response_schema === true ? 'j' : '') + vision;
  return `${count(entry.max_input_tokens)} ${count(entry.max_output_tokens)} ${flags}`.trimEnd();
}

function count(value: unknown): string {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? String(value) : '-';
}

const sellers = [...found]
  .sort(([a], [b]) => (a < b ? -1 : 1))
  .map(([seller, models]) => {
    // A dated name that says nothing else than its bare one is found by that.
    const told = [...models].filter(([name, facts]) => undatedName(name) === name || models.get(undatedName(name)) !== facts);
    const lines = told
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, facts]) => `${JSON.stringify(name)}:${JSON.stringify(facts)}`);
    return `${JSON.stringify(seller)}:{\n${lines.join(',\n')}\n}`;
  });
const source = JSON.stringify(`litellm ${version} (MIT), by \`make models\``);
writeFileSync(
  join(import.meta.dirname, '../../src/prices/model-list.generated.json'),
  `{"source":${source},"sellers":{\n${sellers.join(',\n')}\n}}\n`,
);
