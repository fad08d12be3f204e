/** A TCP proxy before Redis that is slow, or loses what Redis answers. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

export class FaultyLink {
  /** One way, each. */
  delayMs = 0;
  readonly #server: Server;
  readonly #pairs = new Map<Socket, Socket>();
  #losing = false;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async to(port: number): Promise<FaultyLink> {
    const server = createServer();
    const link = new FaultyLink(server);
    server.on('connection', (client) => link.#join(client, port));
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

  #join(client: Socket, port: number): void {
    const upstream = connect(port, '127.0.0.1');
    this.#pairs.set(client, upstream);
    client.setNoDelay(true);
    upstream.setNoDelay(true);
    const end = (): void => {
      this.#pairs.delete(client);
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) socket.on('error', end).on('close', end);
    client.on('data', (bytes) => this.#later(() => upstream.writable && upstream.write(bytes)));
    upstream.on('data', (bytes) => {
      if (!this.#losing) this.#later(() => client.writable && client.write(bytes));
    });
  }

  #later(pass: () => void): void {
    if (this.delayMs === 0) pass();
    else setTimeout(pass, this.delayMs);
  }
}
