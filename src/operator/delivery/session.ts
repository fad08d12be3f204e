/** One pod's stream: what it still has to be told, written as fast as it reads. */
import type { ServerResponse } from 'node:http';
import type { Change, EntryName } from '../../routetable/entries.ts';
import { messageLine, type HelloLine } from '../../routetable/stream-messages.ts';
import type { PodIdentity } from './delivery.ts';
import type { Publication } from './publication.ts';

/** Lines go out in pieces of about so many characters: a slow pod holds one of them in memory, not its whole table. */
const PIECE_CHARS = 64 * 1024;

export class Session {
  readonly pod: PodIdentity;
  readonly #response: ServerResponse;
  readonly #publication: Publication;
  /** By `kind key`; what each is now is read when it is written, so that a pod that lags gets the latest state once. */
  readonly #pending = new Map<string, EntryName>();
  #committed = 0;
  #blocked = false;
  /** Monotonic; when the pod last gave a sign of life. */
  aliveMs: number;

  constructor(pod: PodIdentity, response: ServerResponse, publication: Publication, nowMs: number) {
    this.pod = pod;
    this.#response = response;
    this.#publication = publication;
    this.aliveMs = nowMs;
  }

  /** `changes`: from what the pod has to what is published. */
  begin(hello: Omit<HelloLine, 'type' | 'gateway'>, changes: readonly Change[]): void {
    const response = this.#response;
    response.writeHead(200, { 'content-type': 'application/jsonl', 'cache-control': 'no-store' });
    const { gateway } = this.#publication.table;
    response.write(messageLine({ type: 'hello', gateway, ...hello }));
    response.on('drain', () => {
      this.#blocked = false;
      this.#write();
    });
    this.publish(changes);
  }

  publish(changes: readonly Change[]): void {
    for (const { kind, key } of changes) this.#pending.set(`${kind} ${key}`, { kind, key });
    this.#write();
  }

  heartbeat(readyPods: number | null): void {
    // One that does not read gets none: it would only fill memory.
    if (!this.#blocked) this.#send(messageLine({ type: 'heartbeat', readyPods }));
  }

  /** The pod shall come again at once. */
  farewell(): void {
    this.#response.end(messageLine({ type: 'bye' }));
  }

  /** At once, whatever is still on its way. */
  cut(): void {
    this.#response.destroy();
  }

  #write(): void {
    let text = '';
    while (!this.#blocked && this.#committed !== this.#publication.sequence) {
      for (const [name, entry] of this.#pending) {
        this.#pending.delete(name);
        text += this.#publication.line(entry);
        if (text.length >= PIECE_CHARS) break;
      }
      if (this.#pending.size === 0) {
        text += this.#publication.commitLine();
        this.#committed = this.#publication.sequence;
      }
      this.#send(text);
      text = '';
    }
  }

  #send(text: string): void {
    if (!this.#response.write(text)) this.#blocked = true;
  }
}
