import { type Fields, framingOf, saysClose } from '../../lib/http1/message-parser.ts';

/** Bytes that are not an HTTP/1.1 answer, or one whose end two readers could see in different places. */
export class HttpAnswerError extends Error {
  override readonly name = 'HttpAnswerError';
}

/** What a final answer's head says. */
export interface AnswerHead {
  readonly status: number;
  readonly headers: Readonly<Fields>;
  readonly http11: boolean;
  /** As `framingOf`. */
  readonly framing: number;
  /** Its connection may carry another answer. */
  readonly persistent: boolean;
  /** How long the upstream keeps an idle connection; null: it does not say. */
  readonly keepAliveMs: number | null;
}

const KEEP_ALIVE_TIMEOUT = /(?:^|[,;\s])timeout=(\d{1,9})/i;

/** Throws `HttpAnswerError` where its body is framed in a way that is none. */
export function answerHead(status: number, headers: Readonly<Fields>, http11: boolean): AnswerHead {
  const { connection, 'keep-alive': keepAlive, 'content-length': length, 'transfer-encoding': encoding } = headers;
  const seconds = keepAlive === undefined ? undefined : KEEP_ALIVE_TIMEOUT.exec(keepAlive)?.[1];
  return {
    status,
    headers,
    http11,
    framing: framingOf(length, encoding, http11, (what) => new HttpAnswerError(what)),
    persistent: http11 && !saysClose(connection),
    keepAliveMs: seconds === undefined ? null : Number(seconds) * 1_000,
  };
}
