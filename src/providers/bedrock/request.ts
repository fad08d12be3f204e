/** A conversation → the body of Converse. https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html */
import type { CacheTtl, Conversation, OutputFormat, Part, ToolChoice, Turn } from '../../dialects/neutral/conversation.ts';
import { unseal } from '../../dialects/neutral/signature.ts';
import { isObject, parseJson } from '../../lib/json.ts';
import { answeredByTool } from '../shared/json-answer.ts';
import { ANTHROPIC_SCHEMA, subsetOf } from '../shared/schema-subset.ts';
import { generationOf, reasoningOf } from '../anthropic/request.ts';

export function writeConverse(asked: Conversation, model: string): Record<string, unknown> {
  const emulated = asked.format.kind === 'json' || (asked.format.kind === 'schema' && !hasNativeSchema(model));
  const conversation = emulated ? answeredByTool(asked, takesToolChoice(model)) : asked;
  const { system, turns, tools } = conversation;
  const body: Record<string, unknown> = { messages: turns.map(messageOf).filter(({ content }) => content.length > 0) };
  const instructions = system.filter(({ text }) => text !== '').flatMap(({ text, cached }) => [{ text }, ...cachePoint(cached)]);
  if (instructions.length > 0) body['system'] = instructions;
  const config: Record<string, unknown> = {};
  if (conversation.maxOutputTokens !== null) config['maxTokens'] = conversation.maxOutputTokens;
  if (conversation.temperature !== null) config['temperature'] = conversation.temperature;
  if (conversation.topP !== null) config['topP'] = conversation.topP;
  if (conversation.stop.length > 0) config['stopSequences'] = conversation.stop;
  if (Object.keys(config).length > 0) body['inferenceConfig'] = config;
  if (tools.length > 0) {
    const specs = tools.flatMap(({ name, description, parameters, cached }) => [
      { toolSpec: { name, ...(description === null ? {} : { description }), inputSchema: { json: parameters } } },
      ...cachePoint(cached),
    ]);
    const choice = choiceOf(conversation.toolChoice);
    body['toolConfig'] = { tools: specs, ...(choice === null ? {} : { toolChoice: choice }) };
  }
  const format = emulated ? null : textFormat(conversation.format);
  if (format !== null) body['outputConfig'] = { textFormat: format };
  const more = additionalFields(conversation, model);
  if (Object.keys(more).length > 0) body['additionalModelRequestFields'] = more;
  return body;
}

/** What Converse has no common form for goes in the model's own. */
function additionalFields(conversation: Conversation, model: string): Record<string, unknown> {
  const more: Record<string, unknown> = {};
  const claude = isClaude(model);
  if (conversation.topK !== null) more[claude ? 'top_k' : 'topK'] = conversation.topK;
  const { reasoning } = conversation;
  if (reasoning === null || reasoning.effort === 'none') return more;
  if (claude) {
    const { thinking, effort } = reasoningOf(reasoning, generationOf(model), conversation.maxOutputTokens ?? 8_192);
    if (thinking !== null) more['thinking'] = thinking;
    if (effort !== null) more['output_config'] = { effort };
  } else if (/\bnova\b|nova-/.test(model)) {
    more['reasoningConfig'] = { type: 'enabled', maxReasoningEffort: reasoning.effort ?? 'medium' };
  } else {
    // gpt-oss and others by their makers' word.
    more['reasoning_effort'] = reasoning.effort ?? 'medium';
  }
  return more;
}

export function isClaude(model: string): boolean {
  return /(?:^|[./])anthropic\.|claude/.test(model);
}

/** https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html: of Claude from 4.5, and the newer open models. */
function hasNativeSchema(model: string): boolean {
  return isClaude(model) ? generationOf(model) >= 4.5 : !/nova|titan|llama|cohere\.|ai21\./.test(model);
}

/** https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolChoice.html: one tool by its name is for these alone. */
function takesToolChoice(model: string): boolean {
  return isClaude(model) || model.includes('nova');
}

function textFormat(format: OutputFormat): object | null {
  if (format.kind !== 'schema') return null;
  const { name, description, schema } = format;
  const jsonSchema = {
    schema: JSON.stringify(subsetOf(schema, ANTHROPIC_SCHEMA)),
    name,
    ...(description === null ? {} : { description }),
  };
  return { type: 'json_schema', structure: { jsonSchema } };
}

function choiceOf(choice: ToolChoice | null): object | null {
  switch (choice?.kind) {
    case undefined:
    case 'none':
      return null;
    case 'auto':
      return { auto: {} };
    case 'required':
      return { any: {} };
    case 'tool':
      return choice?.kind === 'tool' ? { tool: { name: choice.name } } : null;
  }
}

function messageOf({ role, parts }: Turn): { role: string; content: object[] } {
  return { role, content: parts.flatMap((part) => blocksOf(part)) };
}

function blocksOf(part: Part): object[] {
  switch (part.kind) {
    case 'text':
      return part.text === '' ? [] : [{ text: part.text }, ...cachePoint(part.cached)];
    case 'refusal':
      return part.text === '' ? [] : [{ text: part.text }];
    case 'image':
      if (part.source.kind === 'url') return [];
      return [
        { image: { format: part.source.mediaType.replace(/^image\//, '') || 'png', source: { bytes: part.source.data } } },
        ...cachePoint(part.cached),
      ];
    case 'file':
      if (part.source.kind === 'url') return [];
      return [
        {
          document: {
            format: documentFormat(part.source.mediaType),
            name: documentName(part.name),
            source: { bytes: part.source.data },
          },
        },
        ...cachePoint(part.cached),
      ];
    case 'toolCall': {
      const input = parseJson(part.arguments);
      return [
        { toolUse: { toolUseId: part.id, name: part.name, input: isObject(input) ? input : {} } },
        ...cachePoint(part.cached),
      ];
    }
    case 'toolResult': {
      const content = part.parts.flatMap((inner) => blocksOf(inner));
      // Within a result there is no place for a cache point: it stands behind it.
      const points = content.filter((block) => 'cachePoint' in block);
      return [
        {
          toolResult: {
            toolUseId: part.id,
            content: content.filter((block) => !('cachePoint' in block)),
            ...(part.isError ? { status: 'error' } : {}),
          },
        },
        ...(part.cached === null ? points.slice(-1) : cachePoint(part.cached)),
      ];
    }
    case 'reasoning': {
      const signature = unseal('bedrock', part.signature);
      const encrypted = unseal('bedrock', part.encrypted);
      if (encrypted !== null) return [{ reasoningContent: { redactedContent: encrypted } }];
      return signature === null ? [] : [{ reasoningContent: { reasoningText: { text: part.text, signature } } }];
    }
    case 'audio':
      return [];
  }
}

function cachePoint(cached: CacheTtl | null): object[] {
  return cached === null ? [] : [{ cachePoint: cached === '1h' ? { type: 'default', ttl: '1h' } : { type: 'default' } }];
}

const DOCUMENT_FORMATS: Readonly<Record<string, string>> = {
  'application/pdf': 'pdf',
  'text/csv': 'csv',
  'application/msword': 'doc',
  'application/vnd.openxmlformats-officedocument.wordprocessingml.document': 'docx',
  'application/vnd.ms-excel': 'xls',
  'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet': 'xlsx',
  'text/html': 'html',
  'text/markdown': 'md',
};

function documentFormat(mediaType: string): string {
  return DOCUMENT_FORMATS[mediaType] ?? 'txt';
}

/** Letters, digits, single spaces, hyphens, parentheses and brackets are allowed. */
function documentName(name: string | null): string {
  const tidy = (name ?? '')
    .replaceAll(/[^A-Za-z0-9()[\]-]+/g, ' ')
    .trim()
    .slice(0, 200);
  return tidy === '' ? 'document' : tidy;
}
