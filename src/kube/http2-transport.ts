import type { Timers } from '../lib/timers.ts';
import type { KubeAccess } from './access.ts';
import { Call, Http2Link } from './http2-link.ts';
import type { Transport, TransportRequest, TransportSink } from './transport.ts';

/** Keeps one connection, and makes the next one when a request finds it gone or going. */
export class Http2Transport implements Transport {
  readonly #access: KubeAccess;
  readonly #timers: Timers;
  /** All that are not closed: the current one and those that end with their last request. */
  readonly #links = new Set<Http2Link>();
  #current: Http2Link | null = null;
  #closed = false;

  constructor(access: KubeAccess, timers: Timers) {
    this.#access = access;
    this.#timers = timers;
  }

  send(request: TransportRequest, sink: TransportSink): () => void {
    const call = new Call(request, sink);
    if (this.#closed) queueMicrotask(() => call.fail('stopped', 'the client is closed'));
    else (this.#current ?? this.#dial()).take(call);
    return () => call.cancel();
  }

  close(): void {
    this.#closed = true;
    for (const link of this.#links) link.fail('stopped', 'the client is closed');
  }

  #dial(): Http2Link {
    const link = new Http2Link(
      this.#access,
      this.#timers,
      () => {
        if (this.#current === link) this.#current = null;
      },
      () => this.#links.delete(link),
    );
    this.#links.add(link);
    this.#current = link;
    return link;
  }
}
