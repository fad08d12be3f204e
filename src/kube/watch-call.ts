import { parseJson } from '../lib/json.ts';
import { isRecord, readObject } from './json.ts';
import type { KubeObject, Resource } from './objects.ts';
import type { KubeFailure } from './outcome.ts';
import { failureOf } from './status.ts';
import type { Transport } from './transport.ts';
import { LineDecoder } from './watch-decoder.ts';

export type WatchEventType = 'ADDED' | 'MODIFIED' | 'DELETED';

/** Told in order: `onOpen`, events, then `onEnd` where the server closed it as announced, or `onFailure`. */
export interface WatchSink {
  onOpen(): void;
  onEvent(type: WatchEventType, object: KubeObject): void;
  /** Nothing up to this resourceVersion is still to come. */
  onBookmark(resourceVersion: string): void;
  onEnd(): void;
  onFailure(failure: KubeFailure): void;
}

/** The result ends it; nothing is told after. */
export function callWatch(transport: Transport, resource: Resource, path: string, sink: WatchSink): () => void {
  const what = `watch ${path.split('?')[0]}`;
  const refusal: Buffer[] = [];
  let status = 0;
  let retryAfter: string | undefined;
  let over = false;
  const fail = (failure: KubeFailure): void => {
    if (over) return;
    over = true;
    cancel();
    sink.onFailure(failure);
  };
  const damaged = (why: string): void => fail({ kind: 'malformed', message: `${what}: ${why}` });
  const decoder = new LineDecoder((line) => {
    if (over) return;
    const event = parseJson(line);
    if (!isRecord(event)) return damaged('a line is no JSON object');
    const { type, object } = event;
    switch (type) {
      case 'ADDED':
      case 'MODIFIED':
      case 'DELETED': {
        const read = readObject(object, resource, false);
        if (read === null) return damaged(`an event ${type} has no object with a name and a resourceVersion`);
        return sink.onEvent(type, read);
      }
      case 'BOOKMARK': {
        const metadata = isRecord(object) && isRecord(object['metadata']) ? object['metadata'] : {};
        if (typeof metadata['resourceVersion'] !== 'string') return damaged('a bookmark has no resourceVersion');
        return sink.onBookmark(metadata['resourceVersion']);
      }
      case 'ERROR':
        return fail(
          failureOf(isRecord(object) && typeof object['code'] === 'number' ? object['code'] : 500, object, undefined, what),
        );
      default:
        return damaged('an event is of no type that is known');
    }
  });
  const cancel = transport.send(
    { method: 'GET', path },
    {
      onHead(code, headers) {
        status = code;
        retryAfter = headers['retry-after'];
        if (status === 200 && !over) sink.onOpen();
      },
      onData(chunk) {
        if (over) return;
        if (status !== 200) refusal.push(chunk);
        else if (!decoder.push(chunk)) damaged('a line is longer than any object can be');
      },
      onEnd() {
        if (over) return;
        if (status !== 200) {
          const text = Buffer.concat(refusal).toString('utf8');
          return fail(failureOf(status, parseJson(text) ?? text, retryAfter, what));
        }
        if (decoder.partial) return damaged('it ended within a line');
        over = true;
        sink.onEnd();
      },
      onFailure: fail,
    },
  );
  return () => {
    over = true;
    cancel();
  };
}
