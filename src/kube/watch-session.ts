import { err, ok } from '../lib/result.ts';
import type { Timers } from '../lib/timers.ts';
import type { KubeClient, WatchQuery } from './client.ts';
import { hedge } from './hedge.ts';
import type { Resource } from './objects.ts';
import type { KubeResult } from './outcome.ts';
import type { WatchSink } from './watch-call.ts';

const OPEN_AGAIN_MS = 2000;
const OPEN_GIVE_UP_MS = 30_000;
/** The server sends a bookmark a minute where nothing else happens: one this silent is deaf, even if its connection lives. */
const SILENCE_MS = 90_000;

/** One watch, from asking to its end; a stream that never begins or falls silent ends as `timeout`. The result ends it. */
export function watchSession(
  client: KubeClient,
  timers: Timers,
  resource: Resource,
  query: WatchQuery,
  sink: WatchSink,
): () => void {
  let heardMs = timers.nowMs();
  let cancelSilence = (): void => {};
  let cancelStream = (): void => {};

  const listen = (): void => {
    cancelSilence = timers.after(heardMs + SILENCE_MS - timers.nowMs(), () => {
      if (timers.nowMs() - heardMs < SILENCE_MS) return listen();
      cancelStream();
      sink.onFailure({ kind: 'timeout', message: `watch of ${resource.plural}: nothing was heard for ${SILENCE_MS} ms` });
    });
  };

  const attempt = (settle: (result: KubeResult<() => void>) => void): (() => void) => {
    let opened = false;
    const cancel = client.watch(resource, query, {
      onOpen() {
        opened = true;
        settle(ok(cancel));
      },
      onEvent(type, object) {
        heardMs = timers.nowMs();
        sink.onEvent(type, object);
      },
      onBookmark(resourceVersion) {
        heardMs = timers.nowMs();
        sink.onBookmark(resourceVersion);
      },
      onEnd() {
        cancelSilence();
        sink.onEnd();
      },
      onFailure(failure) {
        cancelSilence();
        if (opened) sink.onFailure(failure);
        else settle(err(failure));
      },
    });
    return cancel;
  };

  const cancelOpening = hedge(timers, { againMs: OPEN_AGAIN_MS, giveUpMs: OPEN_GIVE_UP_MS }, attempt, (result) => {
    if (!result.ok) return sink.onFailure(result.error);
    cancelStream = result.value;
    heardMs = timers.nowMs();
    listen();
    sink.onOpen();
  });
  return () => {
    cancelSilence();
    cancelOpening();
    cancelStream();
  };
}
