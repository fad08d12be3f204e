/** Answers of another dialect as chat completions. https://platform.openai.com/docs/api-reference/chat/object, …/chat/streaming */
import type { Usage } from '../../lib/usage.ts';
import { unseal } from '../neutral/signature.ts';
import type { Citation, ReplyEnd, ReplyHead, ReplyPart, ReplyStream, ReplyWriter, TokenLogprob } from '../neutral/reply.ts';
import { ReplyText } from '../neutral/reply-text.ts';

export const chatWriter: ReplyWriter = {
  whole(head, { parts }, end) {
    const { id, createdSeconds: created, model } = head;
    const choice = { index: 0, message: messageOf(parts, id), logprobs: logprobsOf(parts), finish_reason: end.finish };
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

function logprobsOf(parts: readonly ReplyPart[]): object | null {
  const content = parts.flatMap((part) => (part.kind === 'text' ? part.logprobs : []));
  return content.length === 0 ? null : { content, refusal: null };
}

/** `before`: characters of the text before the part that the citation is in. */
function annotationOf({ url, title, span }: Citation, before: number): object {
  const { start, end } = span ?? { start: 0, end: 0 };
  return { type: 'url_citation', url_citation: { url, title, start_index: before + start, end_index: before + end } };
}

/** OpenRouter's form, which clients know: https://openrouter.ai/docs/features/multimodal/image-generation */
function imageOf(mediaType: string, data: string, index: number): object {
  return { type: 'image_url', index, image_url: { url: `data:${mediaType};base64,${data}` } };
}

function messageOf(parts: readonly ReplyPart[], head: string): object {
  let content: string | null = null;
  const annotations: object[] = [];
  const images: object[] = [];
  let refusal: string | null = null;
  let reasoning = '';
  const details: object[] = [];
  const calls: object[] = [];
  for (const part of parts) {
    switch (part.kind) {
      case 'text':
        for (const citation of part.citations) annotations.push(annotationOf(citation, content?.length ?? 0));
        content = (content ?? '') + part.text;
        break;
      case 'image':
        images.push(imageOf(part.mediaType, part.data, images.length));
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
    ...(annotations.length === 0 ? {} : { annotations }),
    ...(images.length === 0 ? {} : { images }),
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

class ChatReplyStream extends ReplyText implements ReplyStream {
  readonly nextSequenceNumber = 0;
  readonly #id: string;
  readonly #begin: string;
  readonly #includeUsage: boolean;
  #opened = false;
  /** Of the reasoning that is being told. */
  #details = 0;
  #images = 0;
  #chars = 0;
  /** Calls that have had no arguments yet. */
  readonly #bare = new Set<number>();

  constructor({ id, createdSeconds, model, includeUsage }: ReplyHead) {
    super();
    const head = { id: `chatcmpl-${id}`, object: 'chat.completion.chunk', created: createdSeconds, model };
    this.#id = id;
    this.#begin = `data: ${JSON.stringify(head).slice(0, -1)},`;
    this.#includeUsage = includeUsage;
  }

  text(text: string): void {
    if (text === '') return;
    this.#chars += text.length;
    this.#delta(`"content":${JSON.stringify(text)}`);
  }

  citation(citation: Citation): void {
    const span = citation.span ?? { start: 0, end: this.#chars };
    this.#delta(`"annotations":[${JSON.stringify(annotationOf({ ...citation, span }, 0))}]`);
  }

  image(mediaType: string, data: string): void {
    this.#delta(`"images":[${JSON.stringify(imageOf(mediaType, data, this.#images++))}]`);
  }

  logprobs(tokens: readonly TokenLogprob[]): void {
    if (tokens.length > 0) this.#delta('', JSON.stringify({ content: tokens, refusal: null }));
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
    this.#bare.add(index);
    this.#delta(`"tool_calls":[${JSON.stringify(call)}]`);
  }

  toolArguments(index: number, text: string): void {
    if (text === '') return;
    this.#bare.delete(index);
    this.#delta(`"tool_calls":[{"index":${index},"function":{"arguments":${JSON.stringify(text)}}}]`);
  }

  end({ finish, usage }: ReplyEnd): string {
    this.#open();
    // Clients parse arguments, and nothing is no JSON.
    if (finish === 'tool_calls') for (const index of [...this.#bare]) this.toolArguments(index, '{}');
    this.out += `${this.#begin}"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"${finish}"}]}\n\n`;
    if (this.#includeUsage && usage !== null)
      this.out += `${this.#begin}"choices":[],"usage":${JSON.stringify(chatUsage(usage))}}\n\n`;
    return `${this.take()}data: [DONE]\n\n`;
  }

  #detail(detail: object): void {
    this.#delta(`"reasoning_details":[${JSON.stringify({ ...detail, index: this.#details++ })}]`);
  }

  #delta(members: string, logprobs = 'null'): void {
    this.#open();
    this.out += `${this.#begin}"choices":[{"index":0,"delta":{${members}},"logprobs":${logprobs},"finish_reason":null}]}\n\n`;
  }

  #open(): void {
    if (this.#opened) return;
    this.#opened = true;
    this.out += `${this.#begin}"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}\n\n`;
  }
}
