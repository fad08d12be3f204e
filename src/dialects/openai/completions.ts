/** The older text completions, as a conversation of one message. https://platform.openai.com/docs/api-reference/completions */
import type { Conversation } from '../neutral/conversation.ts';
import { Findings, isNoOp } from '../neutral/reading.ts';
import {
  lostBeside,
  type ReplyEnd,
  type ReplyHead,
  type ReplyPart,
  type ReplyStream,
  type ReplyWriter,
} from '../neutral/reply.ts';
import { ReplyText } from '../neutral/reply-text.ts';
import type { ParsedBody } from '../parsed-body.ts';
import { readUser } from './read-chat.ts';
import { chatUsage } from './write-chat.ts';

const KNOWN: ReadonlySet<string> = new Set(
  'model prompt stream stream_options max_tokens temperature top_p top_k stop seed frequency_penalty presence_penalty n best_of user'.split(
    ' ',
  ),
);

export function readCompletions({ json, model, stream }: ParsedBody): Conversation {
  const findings = new Findings();
  for (const name of Object.keys(json)) if (!KNOWN.has(name)) findings.addForeign(name, json[name]);
  for (const name of ['n', 'best_of']) if ((findings.number(json, name) ?? 1) > 1) findings.foreign.push(name);
  const given = json['prompt'];
  const prompt = Array.isArray(given) && given.length === 1 ? (given[0] as unknown) : given;
  // Several prompts, or tokens of another model.
  if (typeof prompt !== 'string') {
    if (isNoOp(prompt)) findings.refuse('prompt', "Missing 'prompt'.");
    else findings.foreign.push('prompt');
  }
  return {
    model,
    stream,
    system: [],
    turns: [{ role: 'user', parts: [{ kind: 'text', text: typeof prompt === 'string' ? prompt : '', cached: null }] }],
    tools: [],
    toolChoice: null,
    parallelToolCalls: null,
    format: { kind: 'text' },
    maxOutputTokens: findings.number(json, 'max_tokens', 'maxOutputTokens'),
    temperature: findings.number(json, 'temperature', 'temperature'),
    topP: findings.number(json, 'top_p', 'topP'),
    topK: findings.number(json, 'top_k', 'topK'),
    stop: findings.stops(json['stop'], 'stop'),
    seed: findings.number(json, 'seed', 'seed'),
    frequencyPenalty: findings.number(json, 'frequency_penalty', 'frequencyPenalty', 0),
    presencePenalty: findings.number(json, 'presence_penalty', 'presencePenalty', 0),
    topLogprobs: null,
    reasoning: null,
    endUser: readUser(json, findings),
    uses: findings.uses,
    foreign: findings.foreign,
    hints: findings.hints,
    thoughts: findings.thoughts,
    invalid: findings.invalid,
  };
}

export const completionsWriter: ReplyWriter = {
  whole(head, reply, end) {
    const { parts } = reply;
    lostBeside(reply, SHOWN);
    const choice = { text: textOf(parts), index: 0, logprobs: null, finish_reason: end.finish };
    const usage = end.usage === null ? {} : { usage: chatUsage(end.usage) };
    return Buffer.from(JSON.stringify({ ...headOf(head), choices: [choice], ...usage }));
  },
  stream: (head) => new CompletionsReplyStream(head),
};

/** Thoughts, calls and sources have no place in text completions. */
const SHOWN: ReadonlySet<ReplyPart['kind']> = new Set(['text', 'refusal']);

function headOf({ id, createdSeconds, model }: ReplyHead): object {
  return { id: `cmpl-${id}`, object: 'text_completion', created: createdSeconds, model };
}

function textOf(parts: readonly ReplyPart[]): string {
  return parts.map((part) => (part.kind === 'text' || part.kind === 'refusal' ? part.text : '')).join('');
}

class CompletionsReplyStream extends ReplyText implements ReplyStream {
  readonly nextSequenceNumber = 0;
  readonly #head: ReplyHead;

  constructor(head: ReplyHead) {
    super();
    this.#head = head;
  }

  text(text: string): void {
    if (text !== '') this.#chunk([{ text, index: 0, logprobs: null, finish_reason: null }], {});
  }

  refusal(text: string): void {
    this.text(text);
  }

  reasoning(text: string): void {
    if (text !== '') this.lost('reasoning');
  }

  reasoningSignature(signature: string): void {
    if (signature !== '') this.lost('reasoning');
  }

  encryptedReasoning(): void {
    this.lost('reasoning');
  }

  toolCall(): void {
    this.lost('tool_calls');
  }

  toolArguments(): void {}

  citation(): void {
    this.lost('citations');
  }

  image(): void {
    this.lost('images');
  }

  logprobs(): void {
    this.lost('logprobs');
  }

  end({ finish, usage }: ReplyEnd): string {
    this.#chunk([{ text: '', index: 0, logprobs: null, finish_reason: finish }], {});
    if (this.#head.includeUsage && usage !== null) this.#chunk([], { usage: chatUsage(usage) });
    return `${this.take()}data: [DONE]\n\n`;
  }

  #chunk(choices: readonly object[], more: object): void {
    this.out += `data: ${JSON.stringify({ ...headOf(this.#head), choices, ...more })}\n\n`;
  }
}
