/** Every list-watch of this process, and what of it cannot be read: a right that is missing would else be silence. */
import type { ListWatchOptions, ListWatchView } from '../kube/contract.ts';
import { ListWatch, type ListWatchEnvironment } from '../kube/list-watch.ts';
import { isTransient } from '../kube/outcome.ts';
import type { Logger } from '../telemetry/log.ts';

interface Watch {
  readonly what: string;
  readonly view: ListWatchView<unknown>;
}

export class Watches {
  readonly #environment: ListWatchEnvironment;
  readonly #log: Pick<Logger, 'warn'>;
  readonly #all = new Set<Watch>();

  constructor(environment: ListWatchEnvironment, log: Pick<Logger, 'warn'>) {
    this.#environment = environment;
    this.#log = log;
  }

  start<T>(options: ListWatchOptions<T>): ListWatchView<T> {
    const { resource, namespace } = options;
    const what = `${resource.plural}${namespace === undefined ? '' : ` of ${namespace}`}`;
    const view = new ListWatch<T>(this.#environment, {
      ...options,
      onFailure: (failure) => {
        // A kind that is not installed, and a moment that is too long ago, are no trouble; what passes by itself the Lease tells of.
        if (failure.kind !== 'absent' && failure.kind !== 'gone' && !isTransient(failure))
          this.#log.warn({ watch: what, failure: failure.message }, 'it cannot be read; it is tried again');
        options.onFailure?.(failure);
      },
    });
    for (const watch of this.#all) if (watch.view.state === 'stopped') this.#all.delete(watch);
    this.#all.add({ what, view });
    return view;
  }

  /** What has not been read yet, each with the reason where there is one. */
  unread(): readonly string[] {
    return [...this.#all].flatMap(({ what, view: { synced, state, lastFailure } }) =>
      synced || state === 'stopped' ? [] : [lastFailure === null ? what : `${what} (${lastFailure.message})`],
    );
  }
}
