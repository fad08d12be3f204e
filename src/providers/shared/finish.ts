/** Why a model stopped, in a provider's words, and whether that is an answer or a failure. What nobody knows is none. */
import type { FinishReason } from '../../dialects/neutral/reply.ts';
import type { Failure } from '../../lib/failure.ts';
import { failureOf, type ErrorOrigin, type Verdict } from './classify.ts';
import { NO_FACTS } from './error-facts.ts';

export interface FinishTable {
  readonly good: ReadonlyMap<string, FinishReason>;
  readonly bad: ReadonlyMap<string, Verdict>;
}

export interface Finish {
  readonly reason: FinishReason | null;
  readonly failure: Failure | null;
}

const MAX_REASON_CHARS = 64;

/** `raw` is not ''. */
export function finishOf(table: FinishTable, raw: string, categories: readonly string[], origin: ErrorOrigin): Finish {
  const reason = table.good.get(raw);
  if (reason !== undefined) return { reason, failure: null };
  const verdict = table.bad.get(raw) ?? 'malformed';
  const code = raw.slice(0, MAX_REASON_CHARS);
  const failure = failureOf(verdict, { ...NO_FACTS, code, message: `the answer ended with ${code}`, categories }, origin);
  return { reason: failure.kind === 'content_filtered' ? 'content_filter' : null, failure };
}
