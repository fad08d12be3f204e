/** Answers of another dialect as chat completions. https://platform.openai.com/docs/api-reference/chat/object, …/chat/streaming */
import type { Usage } from '../../lib/usage.ts';
import { unseal } from '../neutral/signature.ts';
import type { ReplyEnd, ReplyHead, ReplyPart, ReplyStream, ReplyWriter } from '../neutral/reply.ts';

export const chatWriter: ReplyWriter = {
  whole(head, parts, end) {
    const { id, createdSeconds: created, model } = head;
    const choice = { index: 0, message: messageOf(parts, id), logprobs: null, finish_reason: end.finish };
    return Buffer.from(
      JSON.stringify({
        id: `chatcmpl-${id}`,
        object: 'chat.completion',
        created,
        model,
        choices: [choice],
        ...usageMember(end.usage),
      }),
    );
  },
  stream: (head) => new ChatReplyStream(head),
};

function messageOf(parts: readonly ReplyPart[], head: string): object {
  let content: string | null = null;
  let refusal: string | null = null;
  let reasoning = '';
  const details: object[] = [];
  const calls: object[] = [];
  for (const part of parts) {
    switch (part.kind) {
      case 'text':
        content = (content ?? '') + part.text;
        break;
      case 'refusal':
        refusal = (refusal ?? '') + part.text;
        break;
      case 'reasoning':
        reasoning += part.text;
        if (part.encrypted !== null) details.push({ type: 'reasoning.encrypted', data: part.encrypted, index: details.length });
        else details.push({ type: 'reasoning.text', text: part.text, ...signed(part.signature), index: details.length });
        break;
      case 'toolCall': {
        const { name, signature } = part;
        const id = callId(part.id, head, part.index);
        calls.push({ id, type: 'function', function: { name, arguments: part.arguments || '{}' }, ...extraContent(signature) });
      }
    }
  }
  return {
    role: 'assistant',
    content,
    refusal,
    ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
    // Plain text needs no second form; what must come back does.
    ...(parts.some((part) => part.kind === 'reasoning' && (part.signature ?? part.encrypted) !== null)
      ? { reasoning_details: details }
      : {}),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}

function signed(signature: string | null): { signature?: string } {
  return signature === null ? {} : { signature };
}

/** Where Google puts it in OpenAI's dialect, so that clients which know one know the other. */
function extraContent(signature: string | null): object {
  const google = unseal('gemini', signature);
  return google === null ? {} : { extra_content: { google: { thought_signature: google } } };
}

/** Some providers give their calls no id, and clients need one to answer by. */
function callId(id: string, head: string, index: number): string {
  return id === '' ? `call_${head}_${index}` : id;
}

function usageMember(usage: Usage | null): object {
  return usage === null ? {} : { usage: chatUsage(usage) };
}

export function chatUsage(usage: Usage): object {
  return {
    prompt_tokens: usage.inputTokens,
    completion_tokens: usage.outputTokens,
    total_tokens: usage.inputTokens + usage.outputTokens,
    prompt_tokens_details: {
      cached_tokens: usage.cachedInputTokens,
      ...(usage.cacheWriteTokens === undefined ? {} : { cache_write_tokens: usage.cacheWriteTokens }),
    },
    completion_tokens_details: { reasoning_tokens: usage.reasoningTokens },
  };
}

class ChatReplyStream implements ReplyStream {
  readonly nextSequenceNumber = 0;
  readonly #id: string;
  readonly #begin: string;
  readonly #includeUsage: boolean;
  #out = '';
  #opened = false;
  /** Of the reasoning that is being told. */
  #details = 0;

  constructor({ id, createdSeconds, model, includeUsage }: ReplyHead) {
    const head = { id: `chatcmpl-${id}`, object: 'chat.completion.chunk', created: createdSeconds, model };
    this.#id = id;
    this.#begin = `data: ${JSON.stringify(head).slice(0, -1)},`;
    this.#includeUsage = includeUsage;
  }

  text(text: string): void {
    if (text !== '') this.#delta(`"content":${JSON.stringify(text)}`);
  }

  refusal(text: string): void {
    if (text !== '') this.#delta(`"refusal":${JSON.stringify(text)}`);
  }

  reasoning(text: string): void {
    if (text !== '') this.#delta(`"reasoning_content":${JSON.stringify(text)}`);
  }

  reasoningSignature(signature: string): void {
    if (signature !== '') this.#detail({ type: 'reasoning.text', signature });
  }

  encryptedReasoning(data: string): void {
    this.#detail({ type: 'reasoning.encrypted', data });
  }

  toolCall(index: number, id: string, name: string, signature: string | null): void {
    const call = {
      index,
      id: callId(id, this.#id, index),
      type: 'function',
      function: { name, arguments: '' },
      ...extraContent(signature),
    };
    this.#delta(`"tool_calls":[${JSON.stringify(call)}]`);
  }

  toolArguments(index: number, text: string): void {
    if (text !== '') this.#delta(`"tool_calls":[{"index":${index},"function":{"arguments":${JSON.stringify(text)}}}]`);
  }

  take(): string {
    const out = this.#out;
    this.#out = '';
    return out;
  }

  end({ finish, usage }: ReplyEnd): string {
    this.#open();
    this.#out += `${this.#begin}"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"${finish}"}]}\n\n`;
    if (this.#includeUsage && usage !== null)
      this.#out += `${this.#begin}"choices":[],"usage":${JSON.stringify(chatUsage(usage))}}\n\n`;
    return `${this.take()}data: [DONE]\n\n`;
  }

  #detail(detail: object): void {
    this.#delta(`"reasoning_details":[${JSON.stringify({ ...detail, index: this.#details++ })}]`);
  }

  #delta(members: string): void {
    this.#open();
    this.#out += `${this.#begin}"choices":[{"index":0,"delta":{${members}},"logprobs":null,"finish_reason":null}]}\n\n`;
  }

  #open(): void {
    if (this.#opened) return;
    this.#opened = true;
    this.#out += `${this.#begin}"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}\n\n`;
  }
}
