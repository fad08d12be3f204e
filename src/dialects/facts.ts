import type { Operation } from '../lib/operation.ts';
import type { PromptSize } from '../lib/prompt-size.ts';

/**
 * What the gateway knows of a request before it chooses: read once from the parsed body, never the prompt's text itself.
 */
export interface RequestFacts {
  readonly operation: Operation;
  /** The path the client called, without query. */
  readonly path: string;
  /** The `model` the client named (from the body, or from Azure's URL form). */
  readonly model: string;
  readonly stream: boolean;
  readonly tools: boolean;
  readonly jsonSchema: boolean;
  readonly images: boolean;
  /** Estimate, as the model that goes first in the route is known to count. */
  readonly promptTokens: number;
  /** What the estimate was made of. */
  readonly promptSize: PromptSize;
  /**
   * The input has no more tokens than this, however it is cut: a token is at least a byte. null: not even that is sure, because part
   * of it is stored elsewhere or in a format of its own (files, an earlier response, tools of the provider's).
   */
  readonly maxPromptTokens: number | null;
  /** `max_tokens`, `max_completion_tokens` or `max_output_tokens`, times the number of choices; null: the client set none. */
  readonly maxOutputTokens: number | null;
  /**
   * What one context must hold, of the longest of several prompts and of one of several answers: each has a context of its own. null:
   * there is one prompt, and one answer is asked for.
   */
  readonly longest: { readonly promptTokens: number; readonly maxOutputTokens: number | null } | null;
  /** The client asked for usage in the stream, so its chunk is not ours to take out. */
  readonly includeUsage: boolean;
}
