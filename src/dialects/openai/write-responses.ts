/** Answers of another dialect as Responses. https://platform.openai.com/docs/api-reference/responses/object, …/responses-streaming */
import type { Usage } from '../../lib/usage.ts';
import {
  type Citation,
  type ReplyEnd,
  type ReplyHead,
  type ReplyPart,
  ReplyParts,
  type ReplyStream,
  type ReplyWriter,
  type TextReply,
  type TokenLogprob,
} from '../neutral/reply.ts';
import { ReplyText } from '../neutral/reply-text.ts';
import { REDACTED } from './read-responses.ts';
import { customInput, type ToolOrigin, toolOrigins } from './response-tools.ts';

export const responsesWriter: ReplyWriter = {
  whole: (head, { parts }, end) => Buffer.from(JSON.stringify(responseOf(head, itemsOf(parts, head.id, originsOf(head)), end))),
  stream: (head) => new ResponsesReplyStream(head),
};

type Origins = ReadonlyMap<string, ToolOrigin>;

function originsOf({ request }: ReplyHead): Origins {
  return request === undefined ? new Map() : toolOrigins(request);
}

function itemsOf(parts: readonly ReplyPart[], head: string, origins: Origins): readonly object[] {
  return parts.map((part, index) => itemOf(part, head, index, origins));
}

/** `end`: null while it is in progress. */
function responseOf({ id, createdSeconds, model }: ReplyHead, output: readonly object[], end: ReplyEnd | null): object {
  const cut = end?.finish === 'length' ? 'max_output_tokens' : end?.finish === 'content_filter' ? 'content_filter' : null;
  return {
    id: `resp_${id}`,
    object: 'response',
    created_at: createdSeconds,
    status: end === null ? 'in_progress' : cut === null ? 'completed' : 'incomplete',
    error: null,
    incomplete_details: cut === null ? null : { reason: cut },
    instructions: null,
    max_output_tokens: null,
    model,
    output,
    parallel_tool_calls: true,
    previous_response_id: null,
    // It lives nowhere: what refers to it later will be refused.
    store: false,
    temperature: null,
    text: { format: { type: 'text' } },
    tool_choice: 'auto',
    tools: [],
    top_p: null,
    truncation: 'disabled',
    usage: end?.usage == null ? null : responsesUsage(end.usage),
    metadata: {},
  };
}

function responsesUsage(usage: Usage): object {
  return {
    input_tokens: usage.inputTokens,
    input_tokens_details: { cached_tokens: usage.cachedInputTokens },
    output_tokens: usage.outputTokens,
    output_tokens_details: { reasoning_tokens: usage.reasoningTokens },
    total_tokens: usage.inputTokens + usage.outputTokens,
  };
}

const ID_PREFIX: Readonly<Record<ReplyPart['kind'], string>> = {
  text: 'msg',
  refusal: 'msg',
  image: 'ig',
  reasoning: 'rs',
  toolCall: 'fc',
};

function itemId(kind: ReplyPart['kind'], head: string, index: number): string {
  return `${ID_PREFIX[kind]}_${head}_${index}`;
}

function itemOf(part: ReplyPart, head: string, index: number, origins: Origins, status = 'completed'): object {
  const id = itemId(part.kind, head, index);
  switch (part.kind) {
    case 'text':
    case 'refusal':
      return { id, type: 'message', status, role: 'assistant', content: status === 'completed' ? [contentOf(part)] : [] };
    case 'image':
      return { id, type: 'image_generation_call', status, result: status === 'completed' ? part.data : null };
    case 'reasoning': {
      const proof = part.encrypted === null ? part.signature : REDACTED + part.encrypted;
      const summary = part.text === '' || status !== 'completed' ? [] : [{ type: 'summary_text', text: part.text }];
      return { id, type: 'reasoning', summary, ...(proof === null ? {} : { encrypted_content: proof }) };
    }
    case 'toolCall': {
      const call_id = part.id === '' ? `call_${head}_${part.index}` : part.id;
      const given = status === 'completed' ? part.arguments || '{}' : '';
      const origin = origins.get(part.name);
      if (origin?.kind === 'custom')
        return {
          id,
          type: 'custom_tool_call',
          status,
          call_id,
          name: origin.name,
          input: given === '' ? '' : customInput(given),
        };
      const name = origin === undefined ? { name: part.name } : { name: origin.name, namespace: origin.namespace };
      return { id, type: 'function_call', status, call_id, ...name, arguments: given };
    }
  }
}

function contentOf(part: ReplyPart & { kind: 'text' | 'refusal' }): object {
  if (part.kind === 'refusal') return { type: 'refusal', refusal: part.text };
  return { type: 'output_text', text: part.text, annotations: part.citations.map(annotationOf), logprobs: part.logprobs };
}

function annotationOf({ url, title, span }: Citation): object {
  return { type: 'url_citation', url, title, start_index: span?.start ?? 0, end_index: span?.end ?? 0 };
}

function emptied(part: ReplyPart & { kind: 'text' | 'refusal' }): ReplyPart & { kind: 'text' | 'refusal' } {
  return part.kind === 'text' ? { kind: 'text', text: '', citations: [], logprobs: [] } : { kind: 'refusal', text: '' };
}

/** Each part is an item of the output; calls may be told in turns, so they are ended together. */
class ResponsesReplyStream extends ReplyText implements ReplyStream {
  readonly #head: ReplyHead;
  readonly #origins: Origins;
  readonly #collected = new ReplyParts();
  /** Items that have begun. */
  #begun = 0;
  /** Items that have ended, by their place. */
  readonly #ended = new Set<number>();
  /** The last part of text, by its place; -1: none. */
  #textAt = -1;
  #sequence = 0;
  /** Where the text that is being told belongs, as JSON members. */
  #deltaAt = -1;
  #deltaPlace = '';
  #opened = false;

  constructor(head: ReplyHead) {
    super();
    this.#head = head;
    this.#origins = originsOf(head);
  }

  get nextSequenceNumber(): number {
    return this.#sequence;
  }

  text(text: string): void {
    if (text === '') return;
    this.#collected.text(text);
    this.#textAt = this.#collected.parts.length - 1;
    const at = this.#begin();
    if (at !== this.#deltaAt) {
      this.#deltaAt = at;
      this.#deltaPlace = `,"item_id":${JSON.stringify(itemId('text', this.#head.id, at))},"output_index":${at},"content_index":0,"delta":`;
    }
    // Most of a stream: put together by hand.
    this.out += `event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":${this.#sequence++}${this.#deltaPlace}${JSON.stringify(text)},"logprobs":[]}\n\n`;
  }

  citation(citation: Citation): void {
    this.#collected.citation(citation);
    const text = this.#lastText();
    const annotation = text?.citations.at(-1);
    if (annotation === undefined) return;
    const place = { ...this.#at(this.#textAt), content_index: 0, annotation_index: (text?.citations.length ?? 1) - 1 };
    this.#event('response.output_text.annotation.added', { ...place, annotation: annotationOf(annotation) });
  }

  image(mediaType: string, data: string): void {
    this.#collected.image(mediaType, data);
    this.#begin();
  }

  /** Told with the text when it is done: there is no event of their own. */
  logprobs(tokens: readonly TokenLogprob[]): void {
    if (this.#textAt !== -1) this.#collected.logprobs(tokens);
  }

  refusal(text: string): void {
    if (text === '') return;
    this.#collected.refusal(text);
    this.#contentDelta('response.refusal.delta', text, {});
  }

  reasoning(text: string): void {
    if (text === '') return;
    this.#collected.reasoning(text);
    const at = this.#begin();
    this.#event('response.reasoning_summary_text.delta', { ...this.#at(at), summary_index: 0, delta: text });
  }

  reasoningSignature(signature: string): void {
    this.#collected.reasoningSignature(signature);
    if (signature !== '') this.#begin();
  }

  encryptedReasoning(data: string): void {
    this.#collected.encryptedReasoning(data);
    this.#begin();
  }

  toolCall(index: number, id: string, name: string, signature: string | null): void {
    // The proof of a call stands before it, as that of a thought.
    if (signature !== null) this.reasoningSignature(signature);
    this.#collected.toolCall(index, id, name, null);
    this.#begin();
  }

  toolArguments(index: number, text: string): void {
    if (text === '') return;
    this.#collected.toolArguments(index, text);
    const at = this.#collected.parts.findIndex((part) => part.kind === 'toolCall' && part.index === index);
    // A custom tool's input stands in its arguments as JSON, which is read when it is whole.
    if (at !== -1 && !this.#isCustom(this.#collected.parts[at]))
      this.#event('response.function_call_arguments.delta', { ...this.#at(at), delta: text });
  }

  end(end: ReplyEnd): string {
    this.#open();
    this.#endItems(this.#begun, true);
    const output = itemsOf(this.#collected.parts, this.#head.id, this.#origins);
    const whole = end.finish === 'length' || end.finish === 'content_filter' ? 'response.incomplete' : 'response.completed';
    this.#event(whole, { response: responseOf(this.#head, output, end) });
    return this.take();
  }

  #isCustom(part: ReplyPart | undefined): boolean {
    return part?.kind === 'toolCall' && this.#origins.get(part.name)?.kind === 'custom';
  }

  #item(part: ReplyPart, at: number, status?: string): object {
    return itemOf(part, this.#head.id, at, this.#origins, status);
  }

  /** Sources may come before any text: then they are of an empty one. */
  #lastText(): TextReply | undefined {
    const { parts } = this.#collected;
    if (this.#textAt === -1) {
      this.#textAt = parts.length - 1;
      this.#begin();
    }
    const part = parts[this.#textAt];
    return part?.kind === 'text' ? part : undefined;
  }

  #contentDelta(type: string, delta: string, more: object): void {
    const at = this.#begin();
    this.#event(type, { ...this.#at(at), content_index: 0, delta, ...more });
  }

  /** The last part has grown or is new; its place. */
  #begin(): number {
    this.#open();
    const at = this.#collected.parts.length - 1;
    const part = this.#collected.parts[at];
    if (part === undefined || at < this.#begun) return at;
    this.#endItems(at, false);
    this.#begun = at + 1;
    this.#event('response.output_item.added', { output_index: at, item: this.#item(part, at, 'in_progress') });
    if (part.kind === 'text' || part.kind === 'refusal')
      this.#event('response.content_part.added', { ...this.#at(at), content_index: 0, part: contentOf(emptied(part)) });
    if (part.kind === 'reasoning' && part.text !== '')
      this.#event('response.reasoning_summary_part.added', {
        ...this.#at(at),
        summary_index: 0,
        part: { type: 'summary_text', text: '' },
      });
    return at;
  }

  /** Ends what stands before a place; calls only `atLast`: until then, of what had begun nothing but the last and calls are open. */
  #endItems(before: number, atLast: boolean): void {
    for (let at = atLast ? 0 : Math.max(0, this.#begun - 1); at < before; at++) {
      const part = this.#collected.parts[at];
      if (part === undefined || this.#ended.has(at) || (part.kind === 'toolCall' && !atLast)) continue;
      this.#ended.add(at);
      this.#endItem(part, at);
    }
  }

  #endItem(part: ReplyPart, at: number): void {
    const place = this.#at(at);
    switch (part.kind) {
      case 'text':
        this.#event('response.output_text.done', { ...place, content_index: 0, text: part.text, logprobs: part.logprobs });
        this.#event('response.content_part.done', { ...place, content_index: 0, part: contentOf(part) });
        break;
      case 'refusal':
        this.#event('response.refusal.done', { ...place, content_index: 0, refusal: part.text });
        this.#event('response.content_part.done', { ...place, content_index: 0, part: contentOf(part) });
        break;
      case 'image':
        break;
      case 'reasoning':
        if (part.text === '') break;
        this.#event('response.reasoning_summary_text.done', { ...place, summary_index: 0, text: part.text });
        this.#event('response.reasoning_summary_part.done', {
          ...place,
          summary_index: 0,
          part: { type: 'summary_text', text: part.text },
        });
        break;
      case 'toolCall':
        if (this.#isCustom(part)) {
          const input = customInput(part.arguments);
          this.#event('response.custom_tool_call_input.delta', { ...place, delta: input });
          this.#event('response.custom_tool_call_input.done', { ...place, input });
          break;
        }
        this.#event('response.function_call_arguments.done', { ...place, name: part.name, arguments: part.arguments || '{}' });
    }
    this.#event('response.output_item.done', { output_index: at, item: this.#item(part, at) });
  }

  #at(index: number): object {
    const kind = this.#collected.parts[index]?.kind ?? 'text';
    return { item_id: itemId(kind, this.#head.id, index), output_index: index };
  }

  #open(): void {
    if (this.#opened) return;
    this.#opened = true;
    const response = responseOf(this.#head, [], null);
    this.#event('response.created', { response });
    this.#event('response.in_progress', { response });
  }

  #event(type: string, members: object): void {
    this.out += `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: this.#sequence++, ...members })}\n\n`;
  }
}
