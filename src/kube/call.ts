import type { Timers } from '../lib/timers.ts';
import { err, ok } from '../lib/result.ts';
import type { CallOptions } from './client.ts';
import { parseJson } from '../lib/json.ts';
import type { KubeFailure, KubeResult } from './outcome.ts';
import { failureOf } from './status.ts';
import type { Transport, TransportRequest } from './transport.ts';

const DEFAULT_TIMEOUT_MS = 10_000;
/** A page of the largest objects. */
const MAX_BODY_BYTES = 512 * 1024 * 1024;

interface Ended {
  readonly result: KubeResult<unknown>;
  /** The server may have acted on it. */
  readonly sent: boolean;
}

/**
 * One request whose answer is read whole, as JSON. Repeated once where that is safe: after a 401 (it was not acted on, and the credential is
 * fetched anew), and after a connection that broke, if it was a read or never left.
 */
export async function callJson(
  transport: Transport,
  timers: Timers,
  request: TransportRequest,
  options: CallOptions = {},
): Promise<KubeResult<unknown>> {
  const first = await attempt(transport, timers, request, options);
  if (first.result.ok) return first.result;
  const { kind, status } = first.result.error;
  const lost = kind === 'unavailable' && status === undefined && (request.method === 'GET' || !first.sent);
  if (!lost && !(kind === 'unauthorized' && status === 401)) return first.result;
  return (await attempt(transport, timers, request, options)).result;
}

function attempt(transport: Transport, timers: Timers, request: TransportRequest, options: CallOptions): Promise<Ended> {
  const { promise, resolve } = Promise.withResolvers<Ended>();
  const { signal, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const what = `${request.method} ${request.path.split('?')[0]}`;
  if (signal?.aborted === true) {
    resolve({ result: err({ kind: 'stopped', message: `${what}: the caller ended it` }), sent: false });
    return promise;
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  let status = 0;
  let retryAfter: string | undefined;
  const end = (result: KubeResult<unknown>, sent = true): void => {
    cancelTimer();
    signal?.removeEventListener('abort', onAbort);
    resolve({ result, sent });
  };
  const giveUp = (failure: KubeFailure): void => {
    cancel();
    end(err(failure));
  };
  const onAbort = (): void => giveUp({ kind: 'stopped', message: `${what}: the caller ended it` });
  const cancelTimer = timers.after(timeoutMs, () =>
    giveUp({ kind: 'timeout', message: `${what}: no whole answer within ${timeoutMs} ms` }),
  );
  signal?.addEventListener('abort', onAbort);
  const cancel = transport.send(request, {
    onHead(code, headers) {
      status = code;
      retryAfter = headers['retry-after'];
    },
    onData(chunk) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > MAX_BODY_BYTES)
        giveUp({ kind: 'malformed', message: `${what}: the answer is larger than ${MAX_BODY_BYTES} bytes` });
    },
    onEnd() {
      const text = Buffer.concat(chunks).toString('utf8');
      const body = parseJson(text);
      if (status < 200 || status > 299) end(err(failureOf(status, body ?? text, retryAfter, what)));
      else if (body === undefined) end(err({ kind: 'malformed', status, message: `${what}: the answer is no JSON` }));
      else end(ok(body));
    },
    onFailure(failure, sent) {
      end(err(failure), sent);
    },
  });
  return promise;
}
