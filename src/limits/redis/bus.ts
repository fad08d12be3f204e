import type { RedisSettings } from '../../routetable/types.ts';
import { connectListener, type RedisClient } from './client.ts';
import { reasonOf, saysNothing } from './reason.ts';

export interface BusListener {
  received(message: string): void;
  /** What was said before may have been missed: at the start, and after each loss of the connection. */
  joined(): void;
  /** Redis answers, but not to this. */
  refused(reason: string): void;
}

/** One channel of Redis' pub/sub, by a connection of its own. Messages can be lost; who listens makes up for that. */
export class Bus {
  readonly #client: RedisClient;

  constructor(settings: RedisSettings, channel: string, listener: BusListener) {
    const run = { mode: settings.mode, tls: settings.address.tls };
    const client = connectListener(settings);
    this.#client = client;
    // Why there is no connection, the limits' own says.
    client.on('error', () => {});
    client.on('ready', () => {
      client.subscribe(channel).then(
        () => listener.joined(),
        (error: unknown) => {
          if (!saysNothing(error)) listener.refused(reasonOf(error, run));
        },
      );
    });
    client.on('message', (from: string, message: string) => {
      if (from === channel) listener.received(message);
    });
  }

  /** Nothing has come for so long that the connection must be dead. */
  renew(): void {
    const { status } = this.#client;
    if (status === 'connecting' || status === 'reconnecting') return;
    if (status === 'end') this.#client.connect().catch(() => {});
    else this.#client.disconnect(true);
  }

  close(): void {
    this.#client.disconnect();
  }
}
