/** A TCP proxy before Redis that is slow, or loses what Redis answers. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

export class FaultyLink {
  /** One way, each. */
  delayMs = 0;
  readonly #server: Server;
  #leadsTo: number;
  readonly #pairs = new Map<Socket, Socket>();
  #losing = false;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.#leadsTo = port;
  }

  static async to(port: number): Promise<FaultyLink> {
    const server = createServer();
    const link = new FaultyLink(server, port);
    server.on('connection', (client) => link.#join(client));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return link;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('a listening server has a port');
    return address.port;
  }

  /** From now on commands arrive and answers do not. */
  loseAnswers(): void {
    this.#losing = true;
  }

  /** The connections whose answers were lost are of no use any more. */
  heal(): void {
    this.#losing = false;
    this.cut();
  }

  /** Another Redis is behind it from now on. */
  lead(port: number): void {
    this.#leadsTo = port;
    this.cut();
  }

  cut(): void {
    for (const [client, upstream] of this.#pairs) {
      client.destroy();
      upstream.destroy();
    }
  }

  async close(): Promise<void> {
    this.cut();
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
  }

  #join(client: Socket): void {
    const upstream = connect(this.#leadsTo, '127.0.0.1');
    this.#pairs.set(client, upstream);
    client.setNoDelay(true);
    upstream.setNoDelay(true);
    const end = (): void => {
      this.#pairs.delete(client);
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) socket.on('error', end).on('close', end);
    const there = new Direction(upstream);
    const back = new Direction(client);
    client.on('data', (bytes) => there.pass(bytes, this.delayMs));
    upstream.on('data', (bytes) => {
      if (!this.#losing) back.pass(bytes, this.delayMs);
    });
  }
}

/** Nothing overtakes, whatever becomes of the delay. */
class Direction {
  readonly #to: Socket;
  readonly #waiting: (string | Buffer)[] = [];
  #dueMs = 0;

  constructor(to: Socket) {
    this.#to = to;
  }

  pass(bytes: string | Buffer, delayMs: number): void {
    if (delayMs === 0 && this.#waiting.length === 0) {
      this.#write(bytes);
      return;
    }
    this.#waiting.push(bytes);
    const nowMs = performance.now();
    this.#dueMs = Math.max(this.#dueMs, nowMs + delayMs);
    // Whichever timer comes first takes what has waited longest.
    setTimeout(() => this.#write(this.#waiting.shift()), this.#dueMs - nowMs);
  }

  #write(bytes: string | Buffer | undefined): void {
    if (bytes !== undefined && this.#to.writable) this.#to.write(bytes);
  }
}
