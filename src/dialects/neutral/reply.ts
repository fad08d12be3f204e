/** What a model answers, in no dialect: told piece by piece by a provider's reader to a client's writer. */
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
}

export type ReplyPart =
  | { readonly kind: 'text' | 'refusal'; text: string }
  | { readonly kind: 'reasoning'; text: string; signature: string | null; encrypted: string | null }
  | {
      readonly kind: 'toolCall';
      readonly index: number;
      readonly id: string;
      readonly name: string;
      readonly signature: string | null;
      arguments: string;
    };

/** Collects a whole answer, its parts in their order; neighbours of one kind are joined. */
export class ReplyParts implements ReplySink {
  readonly parts: ReplyPart[] = [];

  text(text: string): void {
    this.#add('text', text);
  }

  refusal(text: string): void {
    this.#add('refusal', text);
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

  #add(kind: 'text' | 'refusal', text: string): void {
    if (text === '') return;
    const last = this.parts.at(-1);
    if (last?.kind === kind) last.text += text;
    else this.parts.push({ kind, text });
  }
}

/** A client's dialect of answers. */
export interface ReplyWriter {
  /** A whole answer. */
  whole(head: ReplyHead, parts: readonly ReplyPart[], end: ReplyEnd): Buffer;
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
}
