import { once } from 'node:events';
import net from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { answerHead } from './answer-head.ts';
import { ClientConnection, type ConnectionHost, type PatienceTicks } from './client-connection.ts';
import type { Exchange } from './exchange.ts';
import { RecentHeads } from './head-memory.ts';

const PATIENCE: PatienceTicks = { head: 2, request: 5, idle: 100, linger: 10 };
const GET = 'GET /a HTTP/1.1\r\nhost: g\r\n\r\n';
const JSON_TYPE = ['content-type', 'application/json'];
const MIB = 1024 * 1024;

/** One connection to a server whose answers are the test's. */
class Pair implements ConnectionHost {
  tick = 0;
  readonly recentHeads = new RecentHeads();
  readonly exchanges: Exchange[] = [];
  readonly client: net.Socket;
  readonly closed: Promise<unknown>;
  connection: ClientConnection | null = null;
  /** The server's end. */
  socket: net.Socket | null = null;
  /** Exchanges whose connection was lost before their answer. */
  lost = 0;
  bodies = '';
  received = '';
  readonly #respond: (exchange: Exchange) => void;

  private constructor(client: net.Socket, respond: (exchange: Exchange) => void) {
    this.client = client;
    this.#respond = respond;
    this.closed = once(client, 'close');
    client.on('error', () => {});
  }

  static async open(respond: (exchange: Exchange) => void = () => {}): Promise<Pair> {
    const server = net.createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the server does not listen');
    const accepted = once(server, 'connection');
    const pair = new Pair(net.connect({ port: address.port, host: '127.0.0.1', allowHalfOpen: true }), respond);
    const [socket] = (await accepted) as [net.Socket];
    pair.socket = socket;
    pair.connection = new ClientConnection(socket, pair);
    server.close();
    open.push(pair);
    return pair;
  }

  /** As clients do; what came is in `received`. */
  read(): this {
    this.client.on('data', (bytes: Buffer) => (this.received += bytes.toString('latin1')));
    return this;
  }

  onExchange(exchange: Exchange, connection: ClientConnection): void {
    connection.oldAtMs = 1;
    exchange.owner = { connectionLost: () => void (this.lost += 1) };
    this.exchanges.push(exchange);
    this.#respond(exchange);
  }

  onClosed(): void {
    this.connection = null;
  }

  refusal(status: number, message: string): Buffer {
    return Buffer.concat([answerHead(status, [], message.length, true), Buffer.from(message)]);
  }

  expire(ticks: number): void {
    this.tick += ticks;
    this.connection?.expire(this.tick, PATIENCE);
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await turn();
  }
}

const open: Pair[] = [];
afterEach(() => {
  for (const { client, socket } of open.splice(0)) {
    client.destroy();
    socket?.destroy();
  }
});

const answer = (body: string) => (exchange: Exchange) => exchange.answer(200, JSON_TYPE, Buffer.from(body));
/** The bodies of answers that say their length. */
const bodiesOf = (received: string): string[] =>
  received.split('HTTP/1.1 200 OK\r\n').flatMap((one) => (one === '' ? [] : [one.slice(one.indexOf('\r\n\r\n') + 4)]));

describe('an answer', () => {
  it('says when it was made, how long it is and that its connection is kept', async () => {
    const pair = (await Pair.open(answer('{}'))).read();
    pair.client.write(GET);
    await pair.until(() => pair.received.endsWith('{}'));
    expect(pair.received.replace(/date: .*GMT/, 'date: D')).toBe(
      'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ndate: D\r\nconnection: keep-alive\r\nkeep-alive: timeout=620\r\ncontent-length: 2\r\n\r\n{}',
    );
  });

  it.each([
    ['HEAD', 'HEAD /a HTTP/1.1\r\nhost: g\r\n\r\n', 200, 'content-length: 2\r\n\r\n'],
    ['a status without a body', GET, 204, 'keep-alive: timeout=620\r\n\r\n'],
  ])('%s: none of its body is sent', async (_what, request, status, end) => {
    const pair = (await Pair.open((exchange) => exchange.answer(status, [], Buffer.from('{}')))).read();
    pair.client.write(request);
    await pair.until(() => pair.received.endsWith(end));
    pair.client.write(request);
    await pair.until(() => pair.exchanges.length === 2);
  });

  it.each([
    ['whole', (exchange: Exchange, headers: string[]) => exchange.answer(200, headers, Buffer.from('{}'))],
    ['streamed', (exchange: Exchange, headers: string[]) => exchange.open(200, headers)],
  ])('with a value that would be another header is refused, %s, and another one sent in its place', async (_how, send) => {
    let thrown: unknown = null;
    const pair = (
      await Pair.open((exchange) => {
        try {
          send(exchange, ['x-a', 'b\r\nx-c: d']);
        } catch (error) {
          thrown = error;
          if (!exchange.answering) exchange.answer(500, JSON_TYPE, Buffer.from('no'));
        }
      })
    ).read();
    pair.client.write(GET);
    await pair.until(() => thrown !== null);
    expect(String(thrown)).toContain('cannot be sent');
    expect(pair.exchanges[0]?.status).toBe(500);
    await pair.until(() => pair.received.endsWith('no'));
    expect(pair.received).not.toContain('x-c');
  });

  it.each([
    ['kept where the client says so', 'GET /a HTTP/1.0\r\nconnection: keep-alive\r\n\r\n', 'connection: keep-alive'],
    ['closed', 'GET /a HTTP/1.0\r\n\r\n', 'connection: close'],
  ])('to HTTP/1.0: the connection is %s', async (_what, request, said) => {
    const pair = (await Pair.open(answer('{}'))).read();
    pair.client.write(request);
    await pair.until(() => pair.received.endsWith('{}'));
    expect(pair.received).toContain(said);
    if (said.endsWith('close')) await pair.until(() => pair.connection === null);
  });

  it('that is streamed leaves as one chunk a turn, the first at once', async () => {
    const pair = (await Pair.open()).read();
    pair.client.write(GET);
    await pair.until(() => pair.exchanges.length === 1);
    const [exchange] = pair.exchanges;
    exchange?.open(200, []);
    const written = (): number => pair.socket?.bytesWritten ?? 0;
    exchange?.write(Buffer.from('first '), () => {});
    const atOnce = written();
    expect(atOnce).toBeGreaterThan(0);
    for (const word of ['one', 'two', 'three']) exchange?.write(Buffer.from(word), () => {});
    expect(written()).toBe(atOnce);
    await turn();
    exchange?.write(Buffer.from('x'.repeat(20_000)), () => {});
    exchange?.end(Buffer.from('end'));
    await pair.until(() => pair.received.endsWith('0\r\n\r\n'));
    expect(pair.received.slice(pair.received.indexOf('\r\n\r\n') + 4)).toBe(
      `6\r\nfirst \r\nb\r\nonetwothree\r\n4e23\r\n${'x'.repeat(20_000)}end\r\n0\r\n\r\n`,
    );
  });

  it('that is given up in its midst does not look whole', async () => {
    const pair = (await Pair.open()).read();
    pair.client.write(GET);
    await pair.until(() => pair.exchanges.length === 1);
    const [exchange] = pair.exchanges;
    exchange?.open(200, []);
    exchange?.write(Buffer.from('first'), () => {});
    exchange?.abort();
    await pair.until(() => pair.connection === null);
    expect(pair.received).not.toContain('0\r\n\r\n');
  });

  it('to a client that does not read waits, and says when it goes on', async () => {
    const pair = await Pair.open();
    pair.client.write(GET);
    await pair.until(() => pair.exchanges.length === 1);
    const [exchange] = pair.exchanges;
    exchange?.open(200, []);
    let drained = 0;
    const piece = Buffer.alloc(MIB);
    let written = 0;
    while (exchange?.write(piece, () => void (drained += 1)) === true) {
      written += 1;
      await turn();
    }
    expect(written).toBeLessThan(64);
    expect(drained).toBe(0);
    pair.read();
    await pair.until(() => drained === 1);
  });
});

describe('a connection that is closed', () => {
  it.each([
    ['after its last answer', (exchange: Exchange) => void (exchange.last = true)],
    ['while it is idle', () => {}],
  ])('%s: a client that is slow to read has all of it', async (how, prepare) => {
    // More than one kernel holds, less than waits for the client before the next request.
    const body = Buffer.alloc(6 * MIB, 'x');
    const pair = await Pair.open((exchange) => {
      prepare(exchange);
      exchange.answer(200, [], body);
    });
    pair.client.write(GET);
    await pair.until(() => pair.exchanges[0]?.ended === true && (pair.socket?.writableLength ?? 0) > 0);
    pair.expire(PATIENCE.request);
    if (how.includes('idle')) pair.connection?.close();
    pair.read();
    await pair.until(() => pair.connection === null);
    pair.client.end();
    await pair.closed;
    expect(bodiesOf(pair.received).map(({ length }) => length)).toEqual([body.length]);
  });
});

describe('requests one behind the other', () => {
  it('are answered one by one', async () => {
    const pair = (await Pair.open()).read();
    pair.client.write(GET.replace('/a', '/1') + GET.replace('/a', '/2') + GET.replace('/a', '/3'));
    for (const [index, url] of ['/1', '/2', '/3'].entries()) {
      await pair.until(() => pair.exchanges.length === index + 1);
      const exchange = pair.exchanges[index];
      expect(exchange?.url).toBe(url);
      await turn();
      expect(pair.exchanges).toHaveLength(index + 1);
      exchange?.answer(200, [], Buffer.from(url));
    }
    await pair.until(() => bodiesOf(pair.received).length === 3);
    expect(bodiesOf(pair.received)).toEqual(['/1', '/2', '/3']);
  });

  it('wait for a client that does not read its answers', async () => {
    const body = 'x'.repeat(MIB);
    const pair = await Pair.open(answer(body));
    pair.client.write(GET.repeat(100));
    await pair.until(() => pair.socket?.writableNeedDrain === true);
    const begun = pair.exchanges.length;
    expect(begun).toBeLessThan(50);
    for (let turns = 0; turns < 20; turns++) await turn();
    expect(pair.exchanges).toHaveLength(begun);
    pair.read();
    await pair.until(() => pair.exchanges.length === 100 && pair.socket?.writableLength === 0);
    await pair.until(() => pair.received.length > 100 * MIB && pair.received.endsWith('x'));
    pair.client.end();
    await pair.closed;
    expect(bodiesOf(pair.received).map((one) => one === body)).toEqual(Array.from({ length: 100 }, () => true));
  });

  it('are read up to a bound, beyond which they wait in the kernel', async () => {
    const pair = (await Pair.open()).read();
    pair.client.write(GET);
    await pair.until(() => pair.exchanges.length === 1);
    pair.client.write(GET.repeat(200_000));
    await pair.until(() => pair.socket?.isPaused() === true);
    expect(pair.socket?.bytesRead).toBeLessThan(MIB);
    // And are all served once their turn has come.
    for (let at = 0; at < 5_000; at++) {
      await pair.until(() => pair.exchanges.length > at);
      pair.exchanges[at]?.answer(200, [], Buffer.alloc(0));
    }
  });
});

describe('a client that leaves', () => {
  it.each([
    ['is gone', (client: net.Socket) => client.destroy()],
    ['sends its end', (client: net.Socket) => client.end()],
  ])('%s: whoever answers it is told once', async (_how, leave) => {
    const pair = await Pair.open();
    pair.client.write(GET);
    await pair.until(() => pair.exchanges.length === 1);
    leave(pair.client);
    await pair.until(() => pair.connection === null);
    expect(pair.lost).toBe(1);
    // What is answered after it is nobody's.
    pair.exchanges[0]?.answer(200, [], Buffer.from('late'));
    await turn();
    expect(pair.lost).toBe(1);
  });

  it('after its answer takes nothing with it', async () => {
    const pair = (await Pair.open(answer('{}'))).read();
    pair.client.write(GET);
    await pair.until(() => pair.received.endsWith('{}'));
    pair.client.end();
    await pair.until(() => pair.connection === null);
    expect(pair.lost).toBe(0);
  });
});

describe('a request that is answered before it has come', () => {
  const half = 'POST /a HTTP/1.1\r\nhost: g\r\ncontent-length: 8\r\n\r\nhalf';

  it('is read to its end; then comes the next one', async () => {
    const pair = (await Pair.open(answer('no'))).read();
    pair.client.write(half);
    await pair.until(() => pair.received.endsWith('no'));
    pair.client.write(`full${GET}`);
    await pair.until(() => pair.exchanges.length === 2);
  });

  it('is waited for, but not for ever', async () => {
    const pair = (await Pair.open(answer('no'))).read();
    pair.client.write(half);
    await pair.until(() => pair.received.endsWith('no'));
    pair.expire(PATIENCE.linger);
    expect(pair.connection).not.toBeNull();
    pair.expire(1);
    await pair.until(() => pair.connection === null);
    expect(pair.lost).toBe(0);
  });

  it('and whose rest is none ends its connection, its answer whole', async () => {
    const pair = (await Pair.open(answer('no'))).read();
    pair.client.write('POST /a HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n');
    await pair.until(() => pair.connection === null);
    pair.client.end();
    await pair.closed;
    expect(bodiesOf(pair.received)).toEqual(['no']);
  });

  it('that waits to be asked for its body: nobody knows what comes next', async () => {
    const pair = (await Pair.open(answer('no'))).read();
    pair.client.write('POST /a HTTP/1.1\r\nhost: g\r\nexpect: 100-continue\r\ncontent-length: 8\r\n\r\n');
    await pair.until(() => pair.received.endsWith('no'));
    expect(pair.received).toContain('connection: close');
    expect(pair.received).not.toContain('100 Continue');
  });
});

describe('a client that is slow', () => {
  it.each([
    ['says nothing', '', PATIENCE.head, ''],
    ['sends half a head', 'GET /a HT', PATIENCE.head, '408'],
    ['sends half a body', 'POST /a HTTP/1.1\r\nhost: g\r\ncontent-length: 8\r\n\r\nhalf', PATIENCE.request, '408'],
    ['sends nothing after its answer', GET, PATIENCE.idle, '200'],
  ])('%s: its connection ends, with an answer where it has asked for one', async (_what, sent, ticks, status) => {
    const pair = (
      await Pair.open((exchange) => exchange.complete || exchange.readBody({ onBodyBytes() {}, onBodyEnd() {} }))
    ).read();
    if (sent !== '') pair.client.write(sent);
    await pair.until(() => pair.socket?.bytesRead === sent.length);
    if (status === '200') {
      pair.exchanges[0]?.answer(200, [], Buffer.from('ok'));
      await pair.until(() => pair.received.endsWith('ok'));
    }
    pair.expire(ticks);
    expect(pair.socket?.destroyed === true || pair.socket?.writableEnded === true).toBe(false);
    pair.expire(1);
    pair.client.end();
    await pair.closed;
    expect(pair.received.slice(9, 12)).toBe(status);
    expect(pair.lost).toBe(sent.startsWith('POST') ? 1 : 0);
  });

  it('and has ended a request by a line too many: its connection is idle all the same', async () => {
    const pair = (await Pair.open(answer('ok'))).read();
    const sent = `${GET}\r\n`;
    pair.client.write(sent);
    await pair.until(() => pair.received.endsWith('ok') && pair.socket?.bytesRead === sent.length);
    expect(pair.connection?.idle).toBe(true);
    pair.expire(PATIENCE.idle);
    expect(pair.socket?.writableEnded).toBe(false);
    pair.client.write(GET);
    await pair.until(() => pair.exchanges.length === 2);
  });

  it('and sends nothing but empty lines says nothing', async () => {
    const pair = (await Pair.open()).read();
    for (let ticks = 0; ticks <= PATIENCE.head; ticks++) {
      expect(pair.connection).not.toBeNull();
      const before = pair.socket?.bytesRead ?? 0;
      pair.client.write('\r\n');
      await pair.until(() => pair.socket?.bytesRead === before + 2);
      pair.expire(1);
    }
    expect(pair.socket?.destroyed).toBe(true);
  });

  it.each([
    ['is kept', GET],
    ['is not kept', 'GET /a HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n'],
  ])('and takes nothing of its answer does not hold it for ever, where its connection %s', async (_what, sent) => {
    const pair = await Pair.open((exchange) => exchange.answer(200, [], Buffer.alloc(64 * MIB)));
    pair.client.pause().write(sent);
    await pair.until(() => pair.exchanges[0]?.ended === true && (pair.socket?.bytesWritten ?? 0) > 64 * MIB);
    pair.expire(PATIENCE.request);
    expect(pair.socket?.destroyed).toBe(false);
    pair.expire(1);
    expect(pair.socket?.destroyed).toBe(true);
  });

  it('is not hurried while its answer is made', async () => {
    const pair = (await Pair.open()).read();
    pair.client.write(GET);
    await pair.until(() => pair.exchanges.length === 1);
    pair.expire(1_000);
    pair.exchanges[0]?.answer(200, [], Buffer.from('ok'));
    await pair.until(() => pair.received.endsWith('ok'));
  });
});
