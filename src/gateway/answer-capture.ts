import { type CachedAnswer, MAX_ANSWER_BYTES } from '../cache/cached-answer.ts';
import type { Failure } from '../lib/failure.ts';
import type { BufferBudget } from './buffer-budget.ts';

/** Headers that are the same whenever the answer is sent again; all others tell of one request. */
const KEPT_HEADERS = new Set([
  'content-type',
  'content-disposition',
  'openai-version',
  'x-fairlead-model',
  'x-fairlead-dropped',
  'x-fairlead-max-tokens-clamped',
]);
/** Embeddings have no reason to end. */
const WHOLE_FINISHES = new Set([null, 'stop', 'tool_calls', 'function_call']);

/** How an answer came to its end, as far as others may have it. */
export interface CapturedEnd {
  readonly status: number;
  readonly errorCode: string | null;
  readonly failure: Failure | null;
  /** null: no upstream answered. */
  readonly served: { readonly masked: object | null; readonly finishReason: string | null } | null;
  readonly wallMs: number;
}

export type NotKept = 'too_large' | 'not_whole' | 'no_room' | 'client_gone';

/** Takes down what a client is sent, for those who ask the same; reports once. */
export class AnswerCapture {
  readonly #stream: boolean;
  readonly #needsFinish: boolean;
  readonly #budget: BufferBudget;
  readonly #done: (answer: CachedAnswer | NotKept) => void;
  #headers: readonly string[] = [];
  #chunks: Buffer[] = [];
  #bytes = 0;
  #givenUp: NotKept | null = null;
  #over = false;

  constructor(
    { stream, needsFinish }: { readonly stream: boolean; readonly needsFinish: boolean },
    budget: BufferBudget,
    done: (answer: CachedAnswer | NotKept) => void,
  ) {
    this.#stream = stream;
    this.#needsFinish = needsFinish;
    this.#budget = budget;
    this.#done = done;
  }

  /** `headers` is flat. */
  head(headers: readonly string[]): void {
    const kept: string[] = [];
    for (let i = 0; i < headers.length; i += 2) {
      const name = headers[i] ?? '';
      if (KEPT_HEADERS.has(name)) kept.push(name, headers[i + 1] ?? '');
    }
    this.#headers = kept;
  }

  add(bytes: Buffer): void {
    if (this.#givenUp !== null || this.#over) return;
    if (this.#bytes + bytes.length > MAX_ANSWER_BYTES) this.giveUp('too_large');
    else if (!this.#budget.take(bytes.length)) this.giveUp('no_room');
    else {
      this.#bytes += bytes.length;
      this.#chunks.push(bytes);
    }
  }

  /** The answer is for this client alone. */
  giveUp(reason: NotKept): void {
    this.#givenUp ??= reason;
    this.#release();
  }

  ended({ status, errorCode, failure, served, wallMs }: CapturedEnd): void {
    if (this.#over) return;
    this.#over = true;
    const body = Buffer.concat(this.#chunks, this.#bytes);
    this.#release();
    if (errorCode === 'client_gone') this.#done('client_gone');
    else if (this.#givenUp !== null) this.#done(this.#givenUp);
    else if (status !== 200 || errorCode !== null || failure !== null || served === null || !this.#isWhole(served))
      this.#done('not_whole');
    else this.#done({ headers: this.#headers, body, stream: this.#stream, storedAtMs: wallMs });
  }

  #isWhole({ masked, finishReason }: NonNullable<CapturedEnd['served']>): boolean {
    if (masked !== null || (finishReason === null && this.#needsFinish)) return false;
    return WHOLE_FINISHES.has(finishReason);
  }

  #release(): void {
    this.#budget.give(this.#bytes);
    this.#bytes = 0;
    this.#chunks = [];
  }
}
