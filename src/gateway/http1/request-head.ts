import type { Fields } from '../../lib/http1/message-parser.ts';

/** A request as its head tells it. */
export interface RequestHead {
  readonly method: string;
  /** As it stands in the request line: origin or absolute form, or an asterisk. */
  readonly url: string;
  /** May be those of an earlier request on the connection, too, and say nothing of `content-length`. */
  readonly headers: Readonly<Fields>;
  readonly http11: boolean;
  /** The client keeps the connection after the answer. */
  readonly keepAlive: boolean;
  /** It waits to be told to send its body. */
  readonly expectsContinue: boolean;
}
