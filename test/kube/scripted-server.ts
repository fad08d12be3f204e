/**
 * An injector of faults on a virtual clock: what an API server keeps (objects, one rising version, a history that watches are fed
 * from) behind a line that does to requests whatever a schedule says. It speaks in bytes, so everything of ours above the connection is under test.
 */
import type { KubeFailure } from '../../src/kube/outcome.ts';
import type { Transport, TransportRequest, TransportSink } from '../../src/kube/transport.ts';
import type { ManualTimers } from '../../src/lib/timers.ts';

/** How long a connection takes at most to find that its other end is gone without a word: see http2-link.ts. */
const DEAD_FOUND_MS = 2500;
/**
 * Versions tell which past they belong to, so that two pasts never give one object the same version with different content: who holds
 * versions could not tell those apart, and only the next change of the object would.
 */
const ERAS = 64;
const PATH = '/apis/test.dev/v1/things';

interface Stored {
  readonly version: number;
  readonly body: number;
}
interface Recorded {
  readonly version: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly name: string;
  readonly body: number;
}
interface Watcher {
  readonly sink: TransportSink;
  from: number;
  /** Silent from here on; the connection is found dead later. */
  deaf: boolean;
  /** Held back, to come after the next one. */
  held: string | null;
}

export class ScriptedServer implements Transport {
  readonly #timers: ManualTimers;
  readonly #random: () => number;
  readonly #watchers = new Set<Watcher>();
  objects = new Map<string, Stored>();
  #history: Recorded[] = [];
  #version = 10 * ERAS;
  /** Versions up to this one are forgotten by the history. */
  #compacted = 0;
  /** Grows with every restore: what was said before it is worth nothing. */
  #era = 0;
  /** 0: everything works. */
  trouble = 0;
  installed = true;
  readonly #underWay = new Set<TransportSink>();

  constructor(timers: ManualTimers, random: () => number) {
    this.#timers = timers;
    this.#random = random;
  }

  /** Requests that are neither answered whole nor cancelled. */
  get underWay(): number {
    return this.#underWay.size;
  }

  get version(): number {
    return this.#version;
  }

  write(name: string, deleted: boolean): void {
    const before = this.objects.get(name);
    if (!this.installed || (deleted && before === undefined)) return;
    // Other kinds' writes move the version, too.
    this.#version += ERAS * (1 + Math.floor(this.#random() * 3));
    const body = Math.floor(this.#random() * 1e6);
    if (deleted) this.objects.delete(name);
    else this.objects.set(name, { version: this.#version, body });
    const type = deleted ? 'DELETED' : before === undefined ? 'ADDED' : 'MODIFIED';
    this.#record({ version: this.#version, type, name, body });
  }

  compact(): void {
    this.#compacted = this.#version;
    this.#history = [];
  }

  /** etcd from a backup: what was since never happened; every connection breaks, since the API server starts anew. */
  restore(backup: { readonly objects: ReadonlyMap<string, Stored>; readonly version: number }): void {
    this.#era++;
    this.installed = true;
    this.objects = new Map(backup.objects);
    this.#version = backup.version - (backup.version % ERAS) + (this.#era % ERAS);
    this.#compacted = this.#version;
    this.#history = [];
    this.breakAll();
  }

  backup(): { readonly objects: ReadonlyMap<string, Stored>; readonly version: number } {
    return { objects: new Map(this.objects), version: this.#version };
  }

  uninstall(): void {
    for (const name of this.objects.keys()) this.write(name, true);
    this.installed = false;
    this.breakAll();
  }

  /** From now on everything works. What is dead stays dead until somebody finds out. */
  heal(): void {
    this.trouble = 0;
    for (const watcher of this.#watchers) {
      if (watcher.held === null || watcher.deaf) continue;
      watcher.sink.onData(Buffer.from(watcher.held));
      watcher.held = null;
    }
  }

  breakAll(): void {
    for (const sink of this.#underWay) sink.onFailure(RESET, true);
  }

  send(request: TransportRequest, sink: TransportSink): () => void {
    let over = false;
    const guarded: TransportSink = {
      onHead: (status, headers) => over || sink.onHead(status, headers),
      onData: (chunk) => over || sink.onData(chunk),
      onEnd: () => {
        if (over) return;
        end();
        sink.onEnd();
      },
      onFailure: (failure, sent) => {
        if (over) return;
        end();
        sink.onFailure(failure, sent);
      },
    };
    this.#underWay.add(guarded);
    const pending: (() => void)[] = [];
    const end = (): void => {
      over = true;
      this.#underWay.delete(guarded);
      for (const cancel of pending) cancel();
      for (const watcher of this.#watchers) if (watcher.sink === guarded) this.#watchers.delete(watcher);
    };
    pending.push(
      this.#timers.after(1 + this.#random() * 20, () =>
        this.#answer(request, guarded, (ms, then) => pending.push(this.#timers.after(ms, then))),
      ),
    );
    return () => {
      if (!over) end();
    };
  }

  close(): void {
    this.breakAll();
  }

  #chance(share: number): boolean {
    return this.#random() < share * this.trouble;
  }

  #answer(request: TransportRequest, sink: TransportSink, later: (ms: number, then: () => void) => void): void {
    const [path, search = ''] = request.path.split('?');
    const query = new URLSearchParams(search);
    if (this.#chance(0.15)) return sink.onFailure(RESET, true);
    // The connection is dead without a word, or this one answer never comes.
    if (this.#chance(0.05)) return later(DEAD_FOUND_MS, () => sink.onFailure(RESET, true));
    if (this.#chance(0.08)) return;
    if (this.#chance(0.1)) return this.#refuse(sink, 429, 'TooManyRequests', { 'retry-after': '1' });
    if (this.#chance(0.1)) return this.#refuse(sink, this.#random() < 0.5 ? 500 : 503, 'InternalError');
    if (!this.installed || path !== PATH) return this.#refuse(sink, 404, 'NotFound');
    if (query.get('watch') === 'true') return this.#watch(Number(query.get('resourceVersion')), sink, later);
    this.#list(query, sink, later);
  }

  #list(query: URLSearchParams, sink: TransportSink, later: (ms: number, then: () => void) => void): void {
    const token = query.get('continue');
    // A continuation carries the snapshot that it goes on with.
    const page =
      token === null
        ? { all: [...this.objects].sort(([a], [b]) => (a < b ? -1 : 1)), version: this.#version, from: 0, era: this.#era }
        : (JSON.parse(token) as Page);
    if (token !== null && (page.era !== this.#era || this.#compacted > page.version || this.#chance(0.15)))
      return this.#refuse(sink, 410, 'Expired');
    const limit =
      query.get('limit') === null ? page.all.length : Math.min(Number(query.get('limit')), 1 + Math.floor(this.#random() * 5));
    const to = page.from + limit;
    const text = JSON.stringify({
      kind: 'ThingList',
      metadata: {
        resourceVersion: String(page.version),
        ...(to < page.all.length ? { continue: JSON.stringify({ ...page, from: to }) } : {}),
      },
      items: page.all.slice(page.from, to).map(([name, stored]) => objectOf(name, stored)),
    });
    sink.onHead(200, {});
    if (this.#chance(0.08)) return sink.onData(Buffer.from(text.slice(0, text.length / 2)));
    if (this.#chance(0.08)) {
      sink.onData(Buffer.from(text.slice(0, text.length / 2)));
      return sink.onFailure(RESET, true);
    }
    if (this.#chance(0.05)) {
      sink.onData(Buffer.from('<html>Bad gateway</html>'));
      return sink.onEnd();
    }
    later(this.#random() * 30 * (1 + this.trouble), () => {
      if (page.era !== this.#era) return sink.onFailure(RESET, true);
      sink.onData(Buffer.from(text));
      sink.onEnd();
    });
  }

  #watch(from: number, sink: TransportSink, later: (ms: number, then: () => void) => void): void {
    if (this.#chance(0.08)) return this.#refuse(sink, 410, 'Expired');
    // Of a moment that has not come (yet again) some servers say so; others wait for it in silence.
    if (from > this.#version && this.#era % 2 === 1) return this.#refuse(sink, 504, 'Timeout');
    sink.onHead(200, {});
    if (from < this.#compacted || this.#chance(0.08)) {
      sink.onData(
        Buffer.from(line('ERROR', { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' })),
      );
      return sink.onEnd();
    }
    const watcher: Watcher = { sink, from, deaf: false, held: null };
    this.#watchers.add(watcher);
    for (const event of this.#history) this.#tell(watcher, event);
    const disturb = (): void => {
      if (!this.#watchers.has(watcher)) return;
      const dice = this.#random();
      if (this.trouble > 0 && !watcher.deaf) {
        if (dice < 0.1) return this.#drop(watcher);
        if (dice < 0.2) return this.#finish(watcher, '');
        if (dice < 0.25) return this.#finish(watcher, '{"type":"MODIFIED","obj');
        if (dice < 0.3) sink.onData(Buffer.from('\u0000garbage{]\n'));
        else if (dice < 0.35)
          sink.onData(Buffer.from(line('ERROR', { kind: 'Status', code: 500, message: 'etcd event received with PrevKv=nil' })));
        else if (dice < 0.45) {
          // Half-open: nothing comes any more, and the next ping finds out.
          watcher.deaf = true;
          later(DEAD_FOUND_MS, () => sink.onFailure(RESET, true));
        } else if (dice < 0.6) sink.onData(Buffer.from(bookmark(this.#version)));
      }
      later(300 + this.#random() * 1500, disturb);
    };
    later(300 + this.#random() * 1500, disturb);
  }

  #record(event: Recorded): void {
    this.#history.push(event);
    for (const watcher of [...this.#watchers]) this.#tell(watcher, event);
  }

  #tell(watcher: Watcher, event: Recorded): void {
    // Also after a restore: a watch from a moment that has yet to come again hears nothing until then.
    if (watcher.deaf || event.version <= watcher.from || !this.#watchers.has(watcher)) return;
    const text = line(event.type, objectOf(event.name, event));
    if (watcher.held === null && this.#chance(0.15)) {
      watcher.held = text;
      return;
    }
    const held = watcher.held ?? '';
    watcher.held = null;
    this.#deliver(watcher, `${text}${this.#chance(0.15) ? text : ''}${held}${this.#chance(0.1) ? text : ''}`);
  }

  /** In pieces that end anywhere. */
  #deliver(watcher: Watcher, text: string): void {
    const bytes = Buffer.from(text);
    const cut = Math.floor(this.#random() * bytes.length);
    watcher.sink.onData(bytes.subarray(0, cut));
    if (this.#watchers.has(watcher)) watcher.sink.onData(bytes.subarray(cut));
  }

  #drop(watcher: Watcher): void {
    this.#watchers.delete(watcher);
    watcher.sink.onFailure(RESET, true);
  }

  #finish(watcher: Watcher, last: string): void {
    this.#watchers.delete(watcher);
    if (watcher.held !== null) watcher.sink.onData(Buffer.from(watcher.held));
    if (last !== '') watcher.sink.onData(Buffer.from(last));
    watcher.sink.onEnd();
  }

  #refuse(sink: TransportSink, status: number, reason: string, headers: Record<string, string> = {}): void {
    sink.onHead(status, headers);
    sink.onData(Buffer.from(JSON.stringify({ kind: 'Status', code: status, reason, message: reason })));
    sink.onEnd();
  }
}

interface Page {
  readonly all: readonly (readonly [string, Stored])[];
  readonly version: number;
  readonly from: number;
  readonly era: number;
}

const RESET: KubeFailure = { kind: 'unavailable', message: 'read ECONNRESET' };

function objectOf(name: string, { version, body }: Stored): unknown {
  return { apiVersion: 'test.dev/v1', kind: 'Thing', metadata: { namespace: 'n', name, resourceVersion: String(version) }, body };
}

function line(type: string, object: unknown): string {
  return `${JSON.stringify({ type, object })}\n`;
}

function bookmark(version: number): string {
  return line('BOOKMARK', { metadata: { resourceVersion: String(version) } });
}
