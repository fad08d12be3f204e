/**
 * What a request can ask for, one row a feature, with how each client dialect asks for it: from these samples and the providers
 * themselves the reference tells what becomes of it, and the tests hold each provider to what it tells.
 */
import type { ParsedBody } from '../dialects/parsed-body.ts';
import { readRequestBody } from '../dialects/request-body.ts';
import type { Operation } from '../lib/operation.ts';
import type { ProviderKind, Target } from '../routetable/types.ts';
import { providerFor } from './index.ts';

export type ClientOperation = Extract<Operation, 'chat' | 'responses' | 'messages' | 'completions'>;

export interface FeatureRow {
  readonly name: string;
  /** Members that are added to the least request of each dialect; absent: the dialect has no word for it. */
  readonly asked: Readonly<Partial<Record<ClientOperation, Readonly<Record<string, unknown>>>>>;
  /** What is somewhere in a request that carries it, and nowhere in one that does not. */
  readonly mark: RegExp;
}

const PNG = 'iVBORw0KGgoAAAANSUhEUg==';
const PDF = 'JVBERi0xLjQKMQ==';
const SCHEMA = {
  type: 'object',
  properties: { mark4711: { type: 'string' } },
  required: ['mark4711'],
  additionalProperties: false,
};
const TOOL = { name: 'f', parameters: { type: 'object', properties: { a: { type: 'string' } } } };
const CHAT_TOOLS = { tools: [{ type: 'function', function: TOOL }] };
const RESPONSE_TOOLS = { tools: [{ type: 'function', ...TOOL }] };
const CLAUDE_TOOLS = { tools: [{ name: 'f', input_schema: TOOL.parameters }] };

const user = (...content: readonly object[]): Readonly<Record<string, unknown>> => ({ messages: [{ role: 'user', content }] });
const input = (...content: readonly object[]): Readonly<Record<string, unknown>> => ({ input: [{ role: 'user', content }] });

/** A member of the same name and value in all of these dialects. */
function everywhere(
  name: string,
  value: unknown,
  operations: readonly ClientOperation[] = ['chat', 'responses', 'messages', 'completions'],
): FeatureRow['asked'] {
  return Object.fromEntries(operations.map((operation) => [operation, { [name]: value }]));
}

export const FEATURE_ROWS: readonly FeatureRow[] = [
  {
    name: 'Instructions (system, developer)',
    asked: {
      chat: {
        messages: [
          { role: 'developer', content: 'mark4711' },
          { role: 'user', content: 'Hi' },
        ],
      },
      responses: { instructions: 'mark4711' },
      messages: { system: 'mark4711' },
    },
    mark: /mark4711/,
  },
  {
    name: 'Bound on the output',
    asked: {
      chat: { max_completion_tokens: 4711 },
      responses: { max_output_tokens: 4711 },
      messages: { max_tokens: 4711 },
      completions: { max_tokens: 4711 },
    },
    mark: /:4711\b/,
  },
  { name: 'Temperature', asked: everywhere('temperature', 0.4711), mark: /:0\.4711/ },
  { name: 'Top p', asked: everywhere('top_p', 0.4711), mark: /:0\.4711/ },
  { name: 'Top k', asked: everywhere('top_k', 4711, ['chat', 'messages', 'completions']), mark: /:4711\b/ },
  {
    name: 'Stop sequences',
    asked: { chat: { stop: ['mark4711'] }, messages: { stop_sequences: ['mark4711'] }, completions: { stop: 'mark4711' } },
    mark: /mark4711/,
  },
  { name: 'Seed', asked: everywhere('seed', 4711, ['chat', 'completions']), mark: /:4711\b/ },
  { name: 'Frequency penalty', asked: everywhere('frequency_penalty', 0.4711, ['chat', 'completions']), mark: /:0\.4711/ },
  { name: 'Presence penalty', asked: everywhere('presence_penalty', 0.4711, ['chat', 'completions']), mark: /:0\.4711/ },
  { name: 'Likelihoods of tokens', asked: { chat: { logprobs: true, top_logprobs: 4 } }, mark: /logprobs/i },
  { name: 'Tools', asked: { chat: CHAT_TOOLS, responses: RESPONSE_TOOLS, messages: CLAUDE_TOOLS }, mark: /"name":"f"/ },
  {
    name: 'Tool choice: some tool',
    asked: {
      chat: { ...CHAT_TOOLS, tool_choice: 'required' },
      responses: { ...RESPONSE_TOOLS, tool_choice: 'required' },
      messages: { ...CLAUDE_TOOLS, tool_choice: { type: 'any' } },
    },
    mark: /"(?:any|required)"|\{"any":\{\}\}/i,
  },
  {
    name: 'Tool choice: one by name',
    asked: {
      chat: { ...CHAT_TOOLS, tool_choice: { type: 'function', function: { name: 'f' } } },
      responses: { ...RESPONSE_TOOLS, tool_choice: { type: 'function', name: 'f' } },
      messages: { ...CLAUDE_TOOLS, tool_choice: { type: 'tool', name: 'f' } },
    },
    mark: /"tool_?choice":\{.*"name":"f"|"allowedFunctionNames":\["f"\]/i,
  },
  {
    name: 'Tool choice: none',
    asked: {
      chat: { ...CHAT_TOOLS, tool_choice: 'none' },
      responses: { ...RESPONSE_TOOLS, tool_choice: 'none' },
      messages: { ...CLAUDE_TOOLS, tool_choice: { type: 'none' } },
    },
    mark: /"none"/i,
  },
  {
    name: 'One tool call at a time',
    asked: {
      chat: { ...CHAT_TOOLS, parallel_tool_calls: false },
      responses: { ...RESPONSE_TOOLS, parallel_tool_calls: false },
      messages: { ...CLAUDE_TOOLS, tool_choice: { type: 'auto', disable_parallel_tool_use: true } },
    },
    mark: /"parallel_tool_calls":false|"disable_parallel_tool_use":true/,
  },
  {
    name: 'Tool calls and their results',
    asked: {
      chat: {
        messages: [
          { role: 'user', content: 'Hi' },
          {
            role: 'assistant',
            tool_calls: [{ id: 'c1', type: 'function', function: { name: 'f', arguments: '{"a":"mark4711"}' } }],
          },
          { role: 'tool', tool_call_id: 'c1', content: 'result4711' },
        ],
      },
      responses: {
        input: [
          { role: 'user', content: 'Hi' },
          { type: 'function_call', call_id: 'c1', name: 'f', arguments: '{"a":"mark4711"}' },
          { type: 'function_call_output', call_id: 'c1', output: 'result4711' },
        ],
      },
      messages: {
        messages: [
          { role: 'user', content: 'Hi' },
          { role: 'assistant', content: [{ type: 'tool_use', id: 'c1', name: 'f', input: { a: 'mark4711' } }] },
          { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'c1', content: 'result4711' }] },
        ],
      },
    },
    mark: /mark4711.*result4711/,
  },
  {
    name: 'JSON mode',
    asked: { chat: { response_format: { type: 'json_object' } }, responses: { text: { format: { type: 'json_object' } } } },
    mark: /json_object|application\/json|"format":"json"|json_answer/,
  },
  {
    name: 'JSON schema',
    asked: {
      chat: { response_format: { type: 'json_schema', json_schema: { name: 's', schema: SCHEMA } } },
      responses: { text: { format: { type: 'json_schema', name: 's', schema: SCHEMA } } },
      messages: { output_config: { format: { type: 'json_schema', schema: SCHEMA } } },
    },
    mark: /mark4711/,
  },
  {
    name: 'Reasoning effort',
    asked: {
      chat: { reasoning_effort: 'high' },
      responses: { reasoning: { effort: 'high' } },
      messages: { max_tokens: 32_000, thinking: { type: 'enabled', budget_tokens: 24_000 } },
    },
    mark: /reasoning|think/i,
  },
  {
    name: 'Image',
    asked: {
      chat: user({ type: 'image_url', image_url: { url: `data:image/png;base64,${PNG}` } }),
      responses: input({ type: 'input_image', image_url: `data:image/png;base64,${PNG}` }),
      messages: user({ type: 'image', source: { type: 'base64', media_type: 'image/png', data: PNG } }),
    },
    mark: /iVBORw0KGgo/,
  },
  {
    name: 'Image by its address',
    asked: {
      chat: user({ type: 'image_url', image_url: { url: 'https://mark4711.test/a.png' } }),
      responses: input({ type: 'input_image', image_url: 'https://mark4711.test/a.png' }),
      messages: user({ type: 'image', source: { type: 'url', url: 'https://mark4711.test/a.png' } }),
    },
    mark: /mark4711/,
  },
  {
    name: 'File (PDF)',
    asked: {
      chat: user({ type: 'file', file: { filename: 'a.pdf', file_data: `data:application/pdf;base64,${PDF}` } }),
      responses: input({ type: 'input_file', filename: 'a.pdf', file_data: `data:application/pdf;base64,${PDF}` }),
      messages: user({ type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: PDF } }),
    },
    mark: /JVBERi0xLjQK/,
  },
  {
    name: 'Sound',
    asked: { chat: user({ type: 'input_audio', input_audio: { data: 'mark4711', format: 'wav' } }) },
    mark: /mark4711/,
  },
  {
    name: 'Prompt-cache markers',
    asked: {
      chat: user({ type: 'text', text: 'Hi', cache_control: { type: 'ephemeral' } }),
      messages: user({ type: 'text', text: 'Hi', cache_control: { type: 'ephemeral' } }),
    },
    mark: /ephemeral|cachePoint/,
  },
  {
    name: 'End user',
    asked: { chat: { user: 'mark4711' }, responses: { user: 'mark4711' }, messages: { metadata: { user_id: 'mark4711' } } },
    mark: /mark4711/,
  },
  {
    name: 'A member that nobody knows',
    asked: everywhere('mark4711', 'x'),
    mark: /mark4711/,
  },
];

const LEAST: Readonly<Record<ClientOperation, Readonly<Record<string, unknown>>>> = {
  chat: { model: 'm', messages: [{ role: 'user', content: 'Hi' }] },
  responses: { model: 'm', input: 'Hi' },
  messages: { model: 'm', max_tokens: 9, messages: [{ role: 'user', content: 'Hi' }] },
  completions: { model: 'm', prompt: 'Hi' },
};

/** A request of the client's dialect that asks for the feature; null: the dialect has no word for it. */
export function sampleOf({ asked }: FeatureRow, operation: ClientOperation): ParsedBody | null {
  const members = asked[operation];
  if (members === undefined) return null;
  const read = readRequestBody(Buffer.from(JSON.stringify({ ...LEAST[operation], ...members })), operation, null);
  if (!read.ok) throw new Error(`the sample of ${operation} is refused: ${read.error.message}`);
  return read.value;
}

/** A provider as the reference names it. */
export interface Upstream {
  readonly name: string;
  readonly kind: ProviderKind;
  readonly target: Target;
}

/** `passes`: the provider speaks the client's dialect, and bytes pass. */
export type Fate = 'passes' | 'carried' | 'refused' | 'left out';

/** null: the dialect has no word for it, or the provider does not serve the dialect at all. */
export function fateOf(row: FeatureRow, operation: ClientOperation, { kind, target }: Upstream): Fate | null {
  const body = sampleOf(row, operation);
  const exchange = providerFor(kind).exchange(target, operation);
  if (body === null || exchange === null) return null;
  if (exchange.translation === null) return 'passes';
  const { invalid, refused, hints } = exchange.translation.lacks(body);
  if (invalid.length > 0 || refused.length > 0) return 'refused';
  return hints.length > 0 ? 'left out' : 'carried';
}
