import type { AnswerHeaders } from '../providers/provider.ts';
import type { RemainingByUnit } from '../limits/limiter.ts';
import type { Allowance } from './allowance.ts';
import { addLimitHeaders, headerList, passedHeaders } from './answers.ts';
import type { Attempt } from './attempt.ts';

/** What the head of a relayed answer tells beside the upstream's own. */
export interface Told {
  readonly requestId: string;
  readonly reason: string;
  readonly attempts: number;
  /** null: the route has no cache. */
  readonly cache: 'miss' | 'bypass' | null;
  readonly allowance: Allowance;
}

/** What is known of it once its request is sent. Flat: name, value, …; without what frames the body. */
export function headersAhead(attempt: Attempt, told: Told): string[] {
  const headers = [
    'x-request-id',
    told.requestId,
    'x-fairlead-model',
    attempt.target.target.name,
    'x-fairlead-reason',
    told.reason,
    'x-fairlead-attempts',
    String(told.attempts),
  ];
  if (told.cache !== null) headers.push('x-fairlead-cache', told.cache);
  told.allowance.addHeaders(headers, attempt);
  return headers;
}

/** Adds what the answer itself brings, and what is left of the limits by then: a model may have worked for long. */
export function addAnswerHeaders(headers: string[], attempt: Attempt, upstream: AnswerHeaders, remaining: RemainingByUnit): void {
  const { leftOut } = attempt;
  if (leftOut.length > 0) headers.push('x-fairlead-dropped', headerList(leftOut));
  const structured = attempt.structured?.state ?? null;
  if (structured !== null) headers.push('x-fairlead-structured-output', structured);
  passedHeaders(headers, upstream);
  addLimitHeaders(headers, remaining);
}
