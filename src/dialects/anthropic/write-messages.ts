/** Answers of another dialect as Anthropic messages. https://docs.claude.com/en/api/messages, …/messages-streaming */
import { isObject, parseJson } from '../../lib/json.ts';
import type { Usage } from '../../lib/usage.ts';
import type { Citation, ReplyEnd, ReplyHead, ReplyPart, ReplyParts, ReplyStream, ReplyWriter } from '../neutral/reply.ts';
import { ReplyText } from '../neutral/reply-text.ts';

export const messagesWriter: ReplyWriter = {
  whole({ id, model }, reply, end) {
    const content = reply.parts.flatMap((part) => blocksOf(part, id, reply));
    return Buffer.from(
      JSON.stringify({
        id: `msg_${id}`,
        type: 'message',
        role: 'assistant',
        model,
        content,
        stop_reason: stopReason(end),
        stop_sequence: end.stopSequence,
        usage: messagesUsage(end.usage),
      }),
    );
  },
  stream: (head) => new MessagesReplyStream(head),
};

/** The proof of a call has no place of its own here: it stands before it, as that of a thought. */
function blocksOf(part: ReplyPart, head: string, reply: ReplyParts): object[] {
  switch (part.kind) {
    case 'text': {
      if (part.logprobs.length > 0) reply.lost('logprobs');
      const citations = part.citations.map((citation) => citationOf(citation, part.text));
      return [{ type: 'text', text: part.text, ...(citations.length === 0 ? {} : { citations }) }];
    }
    case 'refusal':
      return [{ type: 'text', text: part.text }];
    case 'image':
      reply.lost('images');
      return [];
    case 'reasoning':
      if (part.encrypted !== null) return [{ type: 'redacted_thinking', data: part.encrypted }];
      return [{ type: 'thinking', thinking: part.text, signature: part.signature ?? '' }];
    case 'toolCall': {
      const id = callId(part.id, head, part.index);
      const block = { type: 'tool_use', id, name: part.name, input: inputOf(part.arguments) };
      return part.signature === null ? [block] : [{ type: 'thinking', thinking: '', signature: part.signature }, block];
    }
  }
}

/** Of a search that the gateway did not run: there is no index to prove it by, and it is taken out again when it comes back. */
function citationOf({ url, title, quote, span }: Citation, text: string): object {
  const cited = quote === '' && span !== null ? text.slice(span.start, span.end) : quote;
  return { type: 'web_search_result_location', url, title, cited_text: cited, encrypted_index: '' };
}

/** Some providers give their calls no id, and clients need one to answer by. */
function callId(id: string, head: string, index: number): string {
  return id === '' ? `toolu_${head}_${index}` : id;
}

/** https://docs.claude.com/en/docs/agents-and-tools/tool-use/fine-grained-tool-streaming has this form for arguments that are broken. */
function inputOf(text: string): object {
  const input = text.trim() === '' ? {} : parseJson(text);
  return isObject(input) ? input : { INVALID_JSON: text };
}

function stopReason({ finish, stopSequence }: ReplyEnd): string {
  switch (finish) {
    case 'stop':
      return stopSequence === null ? 'end_turn' : 'stop_sequence';
    case 'length':
      return 'max_tokens';
    case 'tool_calls':
      return 'tool_use';
    case 'content_filter':
      return 'refusal';
  }
}

/** Anthropic counts what came from the cache and what went into it beside the input. */
function messagesUsage(usage: Usage | null): object {
  const read = usage?.cachedInputTokens ?? 0;
  const written = usage?.cacheWriteTokens ?? 0;
  const hour = usage?.cacheWriteHourTokens ?? 0;
  return {
    input_tokens: Math.max(0, (usage?.inputTokens ?? 0) - read - written),
    cache_creation_input_tokens: written,
    cache_read_input_tokens: read,
    ...(written === 0 ? {} : { cache_creation: { ephemeral_5m_input_tokens: written - hour, ephemeral_1h_input_tokens: hour } }),
    output_tokens: usage?.outputTokens ?? 0,
  };
}

type Block = 'text' | 'thinking';

const EMPTY_TEXT = { type: 'text', text: '' };

class MessagesReplyStream extends ReplyText implements ReplyStream {
  readonly nextSequenceNumber = 0;
  readonly #head: ReplyHead;
  #begun = false;
  #blocks = 0;
  /** The block of text or reasoning that is open, by its number. */
  #open: { readonly kind: Block; readonly block: number } | null = null;
  /** Calls may be told in turns, and text between two pieces of one, so all stay open: the upstream's number of a call → ours of its block. */
  readonly #calls = new Map<number, number>();

  constructor(head: ReplyHead) {
    super();
    this.#head = head;
  }

  text(text: string): void {
    if (text === '') return;
    const block = this.#in('text', EMPTY_TEXT);
    this.out += `event: content_block_delta\ndata: {"type":"content_block_delta","index":${block},"delta":{"type":"text_delta","text":${JSON.stringify(text)}}}\n\n`;
  }

  refusal(text: string): void {
    this.text(text);
  }

  reasoning(text: string): void {
    if (text !== '') this.#delta(this.#thinking(), { type: 'thinking_delta', thinking: text });
  }

  reasoningSignature(signature: string): void {
    if (signature !== '') this.#delta(this.#thinking(), { type: 'signature_delta', signature });
  }

  encryptedReasoning(data: string): void {
    this.#closeOpen();
    this.#stop(this.#start({ type: 'redacted_thinking', data }));
  }

  toolCall(index: number, id: string, name: string, signature: string | null): void {
    if (signature !== null) this.reasoningSignature(signature);
    this.#closeOpen();
    this.#calls.set(index, this.#start({ type: 'tool_use', id: callId(id, this.#head.id, index), name, input: {} }));
  }

  toolArguments(index: number, text: string): void {
    const block = this.#calls.get(index);
    if (block !== undefined && text !== '') this.#delta(block, { type: 'input_json_delta', partial_json: text });
  }

  citation(citation: Citation): void {
    const block = this.#in('text', { type: 'text', text: '' });
    this.#delta(block, { type: 'citations_delta', citation: citationOf({ ...citation, span: null }, '') });
  }

  image(): void {
    this.lost('images');
  }

  logprobs(): void {
    this.lost('logprobs');
  }

  end(end: ReplyEnd): string {
    this.#begin();
    this.#close();
    const delta = { stop_reason: stopReason(end), stop_sequence: end.stopSequence };
    this.#event('message_delta', { type: 'message_delta', delta, usage: messagesUsage(end.usage) });
    this.#event('message_stop', { type: 'message_stop' });
    return this.take();
  }

  #thinking(): number {
    return this.#in('thinking', { type: 'thinking', thinking: '', signature: '' });
  }

  #in(kind: Block, content: object): number {
    if (this.#open?.kind === kind) return this.#open.block;
    this.#closeOpen();
    const block = this.#start(content);
    this.#open = { kind, block };
    return block;
  }

  #start(content: object): number {
    this.#begin();
    const index = this.#blocks++;
    this.#event('content_block_start', { type: 'content_block_start', index, content_block: content });
    return index;
  }

  #closeOpen(): void {
    if (this.#open !== null) this.#stop(this.#open.block);
    this.#open = null;
  }

  #close(): void {
    this.#closeOpen();
    for (const block of this.#calls.values()) this.#stop(block);
    this.#calls.clear();
  }

  #stop(index: number): void {
    this.#event('content_block_stop', { type: 'content_block_stop', index });
  }

  #delta(index: number, delta: object): void {
    this.#event('content_block_delta', { type: 'content_block_delta', index, delta });
  }

  #begin(): void {
    if (this.#begun) return;
    this.#begun = true;
    const { id, model } = this.#head;
    const message = {
      id: `msg_${id}`,
      type: 'message',
      role: 'assistant',
      model,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      // What was used is known at the end and told there, in full.
      usage: messagesUsage(null),
    };
    this.#event('message_start', { type: 'message_start', message });
  }

  #event(name: string, data: object): void {
    this.out += `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
  }
}
