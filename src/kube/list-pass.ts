import { err, ok } from '../lib/result.ts';
import type { Timers } from '../lib/timers.ts';
import type { Backoff } from './backoff.ts';
import type { KubeClient, ListPage, ListQuery } from './client.ts';
import { hedge } from './hedge.ts';
import type { KubeObject, Resource } from './objects.ts';
import { isTransient, type KubeResult } from './outcome.ts';

const PAGE_OBJECTS = 500;
/** A page is asked for again where it is missing; a server that is merely slow has until the second. */
const AGAIN_MS = 2000;
const GIVE_UP_MS = 30_000;
/** Failures in a row of one page, after which the list begins anew: what its continuation stands for may be gone. */
const MAX_PAGE_FAILURES = 3;

export interface ListPassOptions {
  readonly client: KubeClient;
  readonly timers: Timers;
  readonly resource: Resource;
  readonly query: ListQuery;
  readonly backoff: Backoff;
}

/**
 * One complete list, page by page; `done` is told once. A page that fails in passing is asked for again, so that a long list comes through
 * on a bad line; a continuation that has expired begins anew, the third time without pages. The first page's failure ends it.
 */
export function listPass(options: ListPassOptions, done: (result: KubeResult<ListPage>) => void): () => void {
  const { client, timers, resource, query, backoff } = options;
  let cancel = (): void => {};
  let expired = 0;

  const page = (items: KubeObject[], asOf: string | null, next: string | null, failures: number): void => {
    const wanted = { ...query, ...(expired > 1 ? {} : { limit: PAGE_OBJECTS }), ...(next === null ? {} : { continue: next }) };
    const ask = (settle: (result: KubeResult<ListPage>) => void): (() => void) => {
      const abort = new AbortController();
      let over = false;
      void client.list(resource, wanted, { signal: abort.signal, timeoutMs: GIVE_UP_MS }).then((result) => {
        if (!over) settle(result);
      });
      return () => {
        over = true;
        abort.abort();
      };
    };
    cancel = hedge(timers, { againMs: AGAIN_MS, giveUpMs: GIVE_UP_MS }, ask, (result) => {
      if (result.ok) {
        const { value } = result;
        const moment = asOf ?? value.resourceVersion;
        items.push(...value.items);
        if (value.continue === null) return done(ok({ items, resourceVersion: moment, continue: null }));
        return page(items, moment, value.continue, 0);
      }
      if (next === null) return done(err(result.error));
      const again = isTransient(result.error) && failures + 1 < MAX_PAGE_FAILURES;
      if (result.error.kind === 'gone') expired++;
      cancel = timers.after(backoff.nextMs(result.error.retryAfterMs), () => {
        if (again) page(items, asOf, next, failures + 1);
        else page([], null, null, 0);
      });
    });
  };
  page([], null, null, 0);
  return () => cancel();
}
