/** What a model answers, in no dialect: told piece by piece by a provider's reader to a client's writer. */
import type { JsonObject } from '../../lib/json.ts';
import type { Usage } from '../../lib/usage.ts';

/** OpenAI's words; everything else that ends an answer is a failure. */
export type FinishReason = 'stop' | 'length' | 'tool_calls' | 'content_filter';

/** Takes an answer's pieces in the order in which the provider tells them. Empty texts are allowed. */
export interface ReplySink {
  text(text: string): void;
  refusal(text: string): void;
  reasoning(text: string): void;
  /** Proof of the reasoning told so far, for the provider to read when it comes back. */
  reasoningSignature(signature: string): void;
  /** Reasoning that the provider does not show. */
  encryptedReasoning(data: string): void;
  /** A call begins. `index` tells the calls of one answer apart, 0 first. */
  toolCall(index: number, id: string, name: string, signature: string | null): void;
  /** More of the JSON text of its arguments. */
  toolArguments(index: number, text: string): void;
  /** A source of what the text says. */
  citation(citation: Citation): void;
  /** `data` is base64. */
  image(mediaType: string, data: string): void;
  /** Likelihoods of the tokens of the text told last, in OpenAI's form. */
  logprobs(tokens: readonly TokenLogprob[]): void;
  /** The provider told what has no place here. */
  lost(what: LostPart): void;
}

/** `start` and `end`: characters of all text of the answer, from 0; null: of the answer as a whole. */
export interface Citation {
  readonly url: string;
  readonly title: string;
  /** What the source says, where the provider quotes it; ''. */
  readonly quote: string;
  readonly span: { readonly start: number; readonly end: number } | null;
}

/** As OpenAI writes it: `{token, logprob, bytes, top_logprobs}`. */
export type TokenLogprob = JsonObject;

/** What an answer can have beside text, calls and reasoning; clients see the word in `x-fairlead-dropped`. */
export type LostPart =
  | 'audio'
  | 'choices'
  | 'citations'
  | 'code_execution'
  | 'custom_tool_calls'
  | 'files'
  | 'images'
  | 'logprobs'
  | 'reasoning'
  | 'search_results'
  | 'server_tools'
  | 'signatures'
  | 'tool_calls'
  | 'unknown_parts'
  | 'video';

/** As the header and the metric write it: a request's members have no such prefix. */
export function lostName(part: LostPart): string {
  return `answer.${part}`;
}

/** How an answer ended. */
export interface ReplyEnd {
  readonly finish: FinishReason;
  /** The text that stopped it, where the client gave stop sequences and the provider tells which. */
  readonly stopSequence: string | null;
  readonly usage: Usage | null;
}

/** What the client's dialect writes around an answer; ids and time are handed in. */
export interface ReplyHead {
  /** Unique in this gateway; made of the request's id. */
  readonly id: string;
  readonly createdSeconds: number;
  /** The model that answered. */
  readonly model: string;
  /** The client asked for the usage chunk of a chat stream. */
  readonly includeUsage: boolean;
  /** The client's request, where an answer's form hangs on it. */
  readonly request?: JsonObject;
}

export type ReplyPart =
  | TextReply
  | { readonly kind: 'refusal'; text: string }
  | { readonly kind: 'image'; readonly mediaType: string; readonly data: string }
  | { readonly kind: 'reasoning'; text: string; signature: string | null; encrypted: string | null }
  | {
      readonly kind: 'toolCall';
      readonly index: number;
      readonly id: string;
      readonly name: string;
      readonly signature: string | null;
      arguments: string;
    };

export interface TextReply {
  readonly kind: 'text';
  text: string;
  /** Spans are of this part's text. */
  readonly citations: Citation[];
  readonly logprobs: TokenLogprob[];
}

/** Collects a whole answer, its parts in their order; neighbours of one kind are joined. */
export class ReplyParts implements ReplySink {
  readonly parts: ReplyPart[] = [];
  readonly lostParts = new Set<LostPart>();
  /** Of all text before the last part of text. */
  #charsBefore = 0;
  #lastText: TextReply | null = null;

  text(text: string): void {
    if (text === '') return;
    const last = this.parts.at(-1);
    if (last?.kind === 'text') last.text += text;
    else this.#begin(text);
  }

  refusal(text: string): void {
    if (text === '') return;
    const last = this.parts.at(-1);
    if (last?.kind === 'refusal') last.text += text;
    else this.parts.push({ kind: 'refusal', text });
  }

  /** A span that is not in the last part of text is taken to be of all of it. */
  citation({ span, ...source }: Citation): void {
    const part = this.#lastText ?? this.#begin('');
    const start = span === null ? 0 : Math.max(0, span.start - this.#charsBefore);
    const end = span === null ? part.text.length : Math.max(start, span.end - this.#charsBefore);
    part.citations.push({ ...source, span: { start, end } });
  }

  image(mediaType: string, data: string): void {
    this.parts.push({ kind: 'image', mediaType, data });
  }

  logprobs(tokens: readonly TokenLogprob[]): void {
    if (tokens.length === 0) return;
    const { logprobs } = this.#lastText ?? this.#begin('');
    for (const token of tokens) logprobs.push(token);
  }

  lost(what: LostPart): void {
    this.lostParts.add(what);
  }

  reasoning(text: string): void {
    if (text === '') return;
    const last = this.parts.at(-1);
    if (last?.kind === 'reasoning' && last.signature === null && last.encrypted === null) last.text += text;
    else this.parts.push({ kind: 'reasoning', text, signature: null, encrypted: null });
  }

  reasoningSignature(signature: string): void {
    if (signature === '') return;
    const last = this.parts.at(-1);
    // Pieces of one signature, or the proof of what stands before it.
    if (last?.kind === 'reasoning') last.signature = (last.signature ?? '') + signature;
    else this.parts.push({ kind: 'reasoning', text: '', signature, encrypted: null });
  }

  encryptedReasoning(data: string): void {
    this.parts.push({ kind: 'reasoning', text: '', signature: null, encrypted: data });
  }

  toolCall(index: number, id: string, name: string, signature: string | null): void {
    this.parts.push({ kind: 'toolCall', index, id, name, signature, arguments: '' });
  }

  toolArguments(index: number, text: string): void {
    for (let at = this.parts.length - 1; at >= 0; at--) {
      const part = this.parts[at];
      if (part?.kind !== 'toolCall' || part.index !== index) continue;
      part.arguments += text;
      return;
    }
  }

  #begin(text: string): TextReply {
    this.#charsBefore += this.#lastText?.text.length ?? 0;
    const part: TextReply = { kind: 'text', text, citations: [], logprobs: [] };
    this.#lastText = part;
    this.parts.push(part);
    return part;
  }
}

const LOST_KINDS: Readonly<Record<ReplyPart['kind'], LostPart>> = {
  text: 'unknown_parts',
  refusal: 'unknown_parts',
  image: 'images',
  reasoning: 'reasoning',
  toolCall: 'tool_calls',
};

/** Tells `reply.lost` what a dialect that shows nothing but these kinds of parts, and no sources or likelihoods, leaves out. */
export function lostBeside(reply: ReplyParts, shown: ReadonlySet<ReplyPart['kind']>): void {
  for (const part of reply.parts) {
    if (!shown.has(part.kind)) reply.lost(LOST_KINDS[part.kind]);
    if (part.kind !== 'text') continue;
    if (part.citations.length > 0) reply.lost('citations');
    if (part.logprobs.length > 0) reply.lost('logprobs');
  }
}

/** A client's dialect of answers. */
export interface ReplyWriter {
  /** A whole answer; what this dialect has no place for is told to `reply.lost`. */
  whole(head: ReplyHead, reply: ReplyParts, end: ReplyEnd): Buffer;
  stream(head: ReplyHead): ReplyStream;
}

/** Writes a stream of the client's dialect as its pieces come. */
export interface ReplyStream extends ReplySink {
  /** What has come together since the last call, framed; '' for nothing. */
  take(): string;
  /** Whatever ends the stream well. */
  end(end: ReplyEnd): string;
  /** What follows the last event that was taken, in a dialect that numbers its events; 0 in others. */
  readonly nextSequenceNumber: number;
  /** What had no place, here or before. */
  readonly lostParts: ReadonlySet<LostPart>;
}
