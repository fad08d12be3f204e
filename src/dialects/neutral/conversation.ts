/**
 * What a client asks for, in no dialect: what stands between the n dialects that clients speak and the m that providers do, so
 * that each is read and written once. Where nothing but a copy is needed (both sides speak the same) it is not made at all.
 */
import type { JsonObject } from '../../lib/json.ts';
import type { SignatureOwner } from './signature.ts';

export interface Conversation {
  /** As the client named it. */
  readonly model: string;
  readonly stream: boolean;
  readonly system: readonly TextPart[];
  readonly turns: readonly Turn[];
  readonly tools: readonly Tool[];
  readonly toolChoice: ToolChoice | null;
  /** null: the client does not say. */
  readonly parallelToolCalls: boolean | null;
  readonly format: OutputFormat;
  readonly maxOutputTokens: number | null;
  readonly temperature: number | null;
  readonly topP: number | null;
  readonly topK: number | null;
  readonly stop: readonly string[];
  readonly seed: number | null;
  readonly frequencyPenalty: number | null;
  readonly presencePenalty: number | null;
  /** Likelihoods of this many alternatives a token; null: not asked for. */
  readonly topLogprobs: number | null;
  readonly reasoning: ReasoningWish | null;
  /** The client's own name of whoever sits before it, for the provider's abuse detection. */
  readonly endUser: string | null;
  /** Which features the request uses, each with the client's own name of the field, e.g. `stop` → `stop_sequences`. */
  readonly uses: ReadonlyMap<Feature, string>;
  /** Members that have no meaning outside of the client's dialect, by path: no target of another dialect can serve them. */
  readonly foreign: readonly string[];
  /** Members that no other dialect knows and that the answer is as good without: left out and named, never refused. */
  readonly hints: readonly string[];
  /** Thoughts that came back, by whose they are (null: nobody says), each with the first place. */
  readonly thoughts: ReadonlyMap<SignatureOwner | null, string>;
  /** What is wrong with the request itself; never dropped. */
  readonly invalid: readonly Problem[];
}

export interface Problem {
  /** Path of the member, e.g. `messages[2].role`. */
  readonly param: string;
  readonly message: string;
}

/** What not every provider can do. */
export type Feature =
  | 'maxOutputTokens'
  | 'temperature'
  | 'topP'
  | 'topK'
  | 'stop'
  | 'seed'
  | 'frequencyPenalty'
  | 'presencePenalty'
  | 'logprobs'
  | 'tools'
  | 'toolChoice'
  | 'toolChoiceNone'
  | 'toolChoiceNamed'
  | 'parallelToolCalls'
  | 'jsonMode'
  | 'jsonSchema'
  | 'reasoning'
  | 'images'
  | 'imageUrls'
  | 'files'
  | 'fileUrls'
  | 'audio'
  /** Files and sound as well. */
  | 'toolResultImages'
  | 'assistantImages'
  /** Hints: an answer without them is as good, so they are left out and named, never refused. */
  | 'cacheMarkers'
  | 'endUser'
  | 'imageDetail'
  | 'strictTools'
  | 'toolErrors';

export const HINTS: ReadonlySet<Feature> = new Set<Feature>([
  'cacheMarkers',
  'endUser',
  'imageDetail',
  'strictTools',
  'toolErrors',
]);

export interface Turn {
  readonly role: 'user' | 'assistant';
  readonly parts: readonly Part[];
}

/** `cached`: the client wants the prompt up to here kept in the provider's cache; `5m`, `1h`, or null. */
export interface TextPart {
  readonly kind: 'text';
  readonly text: string;
  readonly cached: CacheTtl | null;
}

export type CacheTtl = '5m' | '1h';

export type Part =
  | TextPart
  | { readonly kind: 'image'; readonly source: Source; readonly detail: string | null; readonly cached: CacheTtl | null }
  | { readonly kind: 'file'; readonly source: Source; readonly name: string | null; readonly cached: CacheTtl | null }
  | { readonly kind: 'audio'; readonly data: string; readonly format: string }
  | ToolCallPart
  | ToolResultPart
  | ReasoningPart
  | { readonly kind: 'refusal'; readonly text: string };

/** `data` is base64. */
export type Source =
  | { readonly kind: 'data'; readonly mediaType: string; readonly data: string }
  | { readonly kind: 'url'; readonly url: string };

export interface ToolCallPart {
  readonly kind: 'toolCall';
  readonly id: string;
  readonly name: string;
  /** JSON text as the model wrote it; may be broken. */
  readonly arguments: string;
  /** A proof that the provider wants back with the call (Gemini's thoughtSignature); null: none. */
  readonly signature: string | null;
  readonly cached: CacheTtl | null;
}

export interface ToolResultPart {
  readonly kind: 'toolResult';
  readonly id: string;
  /** Of the tool, as the call with this id has it; '' where no such call is there. */
  readonly name: string;
  readonly parts: readonly Part[];
  readonly isError: boolean;
  readonly cached: CacheTtl | null;
}

/**
 * What a model thought before it answered. `signature` proves it to the provider who gave it; `encrypted` is all there is of
 * thoughts that the provider keeps to itself.
 */
export interface ReasoningPart {
  readonly kind: 'reasoning';
  readonly text: string;
  readonly signature: string | null;
  readonly encrypted: string | null;
}

export interface Tool {
  readonly name: string;
  readonly description: string | null;
  /** JSON schema of its arguments. */
  readonly parameters: JsonObject;
  readonly strict: boolean | null;
  readonly cached: CacheTtl | null;
}

export type ToolChoice = { readonly kind: 'auto' | 'none' | 'required' } | { readonly kind: 'tool'; readonly name: string };

export type OutputFormat =
  | { readonly kind: 'text' | 'json' }
  | {
      readonly kind: 'schema';
      readonly name: string;
      readonly description: string | null;
      readonly schema: JsonObject;
      readonly strict: boolean | null;
    };

export interface ReasoningWish {
  /** `none`, `minimal`, `low`, `medium`, `high`, `xhigh`, …; null: the client gives tokens or nothing. */
  readonly effort: string | null;
  readonly budgetTokens: number | null;
  /** The client wants to see it. */
  readonly shown: boolean;
}
