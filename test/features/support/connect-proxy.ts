import http from 'node:http';
import net from 'node:net';
import { onCleanUp } from './clean-up.ts';

/** A forward proxy as companies have them: tunnels by CONNECT, forwards plain HTTP, and remembers what it was asked for. */
export interface ConnectProxy {
  readonly url: string;
  readonly port: number;
  /** The authorities of CONNECT requests, and the targets of others, in order. */
  readonly asked: string[];
  /** `proxy-authorization` of each. */
  readonly credentials: (string | undefined)[];
  /** Tunnels that are open. */
  readonly tunnels: ReadonlySet<net.Socket>;
}

/** `resolve`: where a host name leads, as the proxy sees it: a port of this machine, or null, which it refuses with a 502. */
export async function connectProxy(resolve: (host: string) => number | null): Promise<ConnectProxy> {
  const asked: string[] = [];
  const credentials: (string | undefined)[] = [];
  const tunnels = new Set<net.Socket>();
  const server = http.createServer((request, response) => {
    const { method, headers, url = '' } = request;
    asked.push(url);
    const target = new URL(url);
    const forwarded = http.request(
      { host: '127.0.0.1', port: resolve(target.hostname) ?? 0, method, headers, path: target.pathname + target.search },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      },
    );
    forwarded.on('error', () => response.writeHead(502).end());
    request.pipe(forwarded);
  });
  server.on('connect', (request, socket: net.Socket) => {
    const authority = request.url ?? '';
    asked.push(authority);
    credentials.push(request.headers['proxy-authorization']);
    const port = resolve(authority.replace(/:\d+$/, ''));
    if (port === null) {
      socket.end('HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n');
      return;
    }
    const through = net.connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      socket.pipe(through).pipe(socket);
    });
    tunnels.add(socket);
    socket.on('close', () => {
      tunnels.delete(socket);
      through.destroy();
    });
    for (const side of [socket, through]) side.on('error', () => socket.destroy());
    through.on('close', () => socket.destroy());
  });
  await new Promise<void>((listening) => {
    server.listen(0, '127.0.0.1', listening);
  });
  onCleanUp(() => {
    for (const tunnel of tunnels) tunnel.destroy();
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  return { url: `http://127.0.0.1:${port}`, port, asked, credentials, tunnels };
}
