import type { CachedAnswer } from '../cache/cached-answer.ts';
import type { Reservation } from '../limits/limiter.ts';
import { addLimitHeaders } from './answers.ts';
import { recordRelayed } from './record.ts';
import type { Relay } from './relay.ts';
import type { RequestContext } from './request-context.ts';

/** Answers a request with what another one was answered. It counts as a request; no tokens and no money were spent on it. */
export function sendCached(run: RequestContext, relay: Relay, answer: CachedAnswer, reservation: Reservation): void {
  const { clock } = run.core;
  // Before the headers, which say what is left.
  reservation.settle(0, 0);
  const ageSeconds = Math.max(0, Math.floor((clock.wallMs() - answer.storedAtMs) / 1000));
  const headers = [
    'x-request-id',
    run.requestId,
    ...answer.headers,
    'x-fairlead-reason',
    'cache',
    'x-fairlead-attempts',
    '0',
    'x-fairlead-cache',
    'hit',
    'x-fairlead-cost',
    '0',
    'age',
    String(ageSeconds),
  ];
  addLimitHeaders(headers, reservation.remaining);
  const { clientStream } = relay;
  if (answer.stream) {
    clientStream.open(headers);
    clientStream.end(answer.body);
  } else {
    clientStream.whole(200, headers, answer.body);
  }
  run.finished();
  const nothing = { errorCode: null, failure: null, served: null, usage: null, costNanoUsd: null };
  recordRelayed(relay, { ...nothing, status: 200, reason: 'cache', bytesOut: answer.body.length });
}
