import type { RequestFacts } from '../dialects/facts.ts';
import type { Clock } from '../lib/clock.ts';
import type { AnswerHeaders } from '../providers/provider.ts';
import { readHeadroom } from '../providers/shared/headroom.ts';
import type { Attempt } from './attempt.ts';

/** What an attempt means for those that come after it, beside health. */

/** At its end. What broke off has used an unknown part of the tokens that were reserved, and what was refused none. */
export function endHold({ held, usage, failure, connectMs }: Attempt): void {
  if (connectMs === null) held.release();
  else if (usage !== null) held.settle(usage.inputTokens + usage.outputTokens);
  else held.settle(failure?.status === undefined ? Number.NaN : 0);
}

/** What its answer's head says is left of the provider's own limits, whoever chooses next goes by. */
export function tellHeadroom(attempt: Attempt, headers: AnswerHeaders, facts: RequestFacts, clock: Clock): void {
  const { exchange, place, healthTicket } = attempt;
  if (exchange.headroom.length === 0) return;
  readHeadroom(exchange.headroom, headers, (unit, left, resetMs) =>
    place.health.leftOf(unit, left, resetMs, healthTicket, facts, clock.nowMs()),
  );
}
