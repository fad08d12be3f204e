/** Reads a message that is whole. */
import type { Citation, LostPart, ReplySink } from '../../dialects/neutral/reply.ts';
import { seal } from '../../dialects/neutral/signature.ts';
import { isObject, objectsOf, stringOf, type JsonObject } from '../../lib/json.ts';
import type { Usage } from '../../lib/usage.ts';
import { classifyError, type ErrorOrigin } from '../shared/classify.ts';
import { readErrorFacts } from '../shared/error-facts.ts';
import { finishOf } from '../shared/finish.ts';
import { JSON_ANSWER_TOOL } from '../shared/json-answer.ts';
import { failedReading, shapeless, type Reading } from '../shared/upstream-dialect.ts';
import { tokenCount } from '../shared/tokens.ts';
import { ANTHROPIC_FINISHES, ANTHROPIC_RULES } from './failure.ts';

export function readMessage(answer: unknown, sink: ReplySink, origin: ErrorOrigin): Reading {
  if (!isObject(answer)) return shapeless('the answer is not a JSON object', origin);
  if (answer['type'] === 'error' || isObject(answer['error'])) {
    const facts = readErrorFacts(answer);
    if (facts !== null) return failedReading(classifyError(ANTHROPIC_RULES, facts, origin));
  }
  // Text completions of Claude 2, which Bedrock still answers with: bedrock/invoke-anthropic-json-stop-2
  if (answer['type'] === 'completion') {
    sink.text(stringOf(answer['completion']));
    const { reason, failure } = finishOf(ANTHROPIC_FINISHES, stringOf(answer['stop_reason']) || 'end_turn', [], origin);
    return { failure, usage: null, finish: reason, stopSequence: stringOf(answer['stop']) || null };
  }
  if (!Array.isArray(answer['content'])) return shapeless('the answer has no content', origin);
  let calls = 0;
  let chars = 0;
  let answered = false;
  for (const block of objectsOf(answer['content'])) {
    if (block['type'] === 'tool_use' && block['name'] === JSON_ANSWER_TOOL) {
      answered = true;
      sink.text(JSON.stringify(block['input'] ?? {}));
    } else if (block['type'] === 'tool_use') {
      sink.toolCall(calls, stringOf(block['id']), stringOf(block['name']), null);
      sink.toolArguments(calls, JSON.stringify(block['input'] ?? {}));
      calls++;
    } else chars += readShown(block, sink, chars);
  }
  const usage = readUsage(answer['usage'], null);
  const raw = stringOf(answer['stop_reason']);
  if (raw === '') return { ...shapeless('the answer has no stop_reason', origin), usage };
  const { reason, failure } = finishOf(ANTHROPIC_FINISHES, raw, stopCategories(answer), origin);
  const finish = answered && calls === 0 && reason === 'tool_calls' ? 'stop' : reason;
  return { failure, usage, finish, stopSequence: stringOf(answer['stop_sequence']) || null };
}

/** Text and thinking. Characters of text in it; `before`: of all before it. */
function readShown(block: JsonObject, sink: ReplySink, before: number): number {
  switch (block['type']) {
    case 'text': {
      const text = stringOf(block['text']);
      sink.text(text);
      const span = { start: before, end: before + text.length };
      for (const citation of objectsOf(block['citations'])) readCitation(citation, sink, span);
      return text.length;
    }
    case 'thinking': {
      sink.reasoning(stringOf(block['thinking']));
      const signature = stringOf(block['signature']);
      if (signature !== '') sink.reasoningSignature(seal('anthropic', signature));
      break;
    }
    case 'redacted_thinking':
      sink.encryptedReasoning(seal('anthropic', stringOf(block['data'])));
      break;
    default:
      sink.lost(lostBlock(block['type']));
  }
  return 0;
}

/** What the service's own tools did: what came of it is told in the text. https://docs.claude.com/en/api/messages */
export function lostBlock(type: unknown): LostPart {
  switch (type) {
    case 'server_tool_use':
    case 'mcp_tool_use':
    case 'mcp_tool_result':
    case 'web_fetch_tool_result':
      return 'server_tools';
    case 'web_search_tool_result':
      return 'search_results';
    case 'code_execution_tool_result':
    case 'bash_code_execution_tool_result':
    case 'text_editor_code_execution_tool_result':
      return 'code_execution';
    case 'container_upload':
      return 'files';
    default:
      return 'unknown_parts';
  }
}

/** Sources with an address: those of a search. Others are places in documents that the client gave. */
export function readCitation(citation: JsonObject, sink: ReplySink, span: Citation['span']): void {
  const url = stringOf(citation['url']);
  if (url === '') sink.lost('citations');
  else sink.citation({ url, title: stringOf(citation['title']), quote: stringOf(citation['cited_text']), span });
}

/** `stop_details` names what a refusal was about. */
export function stopCategories(holder: JsonObject): readonly string[] {
  const details = holder['stop_details'];
  const category = isObject(details) ? stringOf(details['category']) : '';
  return category === '' ? [] : [category.slice(0, 64)];
}

const INPUT_COUNTS = ['input_tokens', 'cache_read_input_tokens', 'cache_creation_input_tokens'];

/** Anthropic counts what came from the cache, and what went into it, beside the input. `before`: what a stream told at its start. */
export function readUsage(value: unknown, before: Usage | null): Usage | null {
  if (!isObject(value)) return before;
  const fresh = value['input_tokens'];
  const output = value['output_tokens'];
  if (typeof fresh !== 'number' && typeof output !== 'number') return before;
  const oldFresh = before === null ? 0 : before.inputTokens - before.cachedInputTokens - (before.cacheWriteTokens ?? 0);
  // A stream's end may tell less than its start (compaction), but not that there was no input, as some relays write.
  const silent = before !== null && INPUT_COUNTS.every((name) => tokenCount(value[name]) === 0);
  const inputs: JsonObject = silent ? {} : value;
  const cached = tokenCount(inputs['cache_read_input_tokens'] ?? before?.cachedInputTokens);
  const written = tokenCount(inputs['cache_creation_input_tokens'] ?? before?.cacheWriteTokens);
  const creation = inputs['cache_creation'];
  const hour = isObject(creation) ? tokenCount(creation['ephemeral_1h_input_tokens']) : (before?.cacheWriteHourTokens ?? 0);
  const details = value['output_tokens_details'];
  const reasoning = isObject(details) ? (details['thinking_tokens'] ?? details['reasoning_tokens']) : before?.reasoningTokens;
  return {
    inputTokens: tokenCount(inputs['input_tokens'] ?? oldFresh) + cached + written,
    outputTokens: tokenCount(output ?? before?.outputTokens),
    cachedInputTokens: cached,
    cacheWriteTokens: written,
    ...(hour > 0 ? { cacheWriteHourTokens: hour } : {}),
    reasoningTokens: tokenCount(reasoning),
    estimated: false,
  };
}
