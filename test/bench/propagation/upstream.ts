/** What the routes lead to, on a thread of its own: answers with the model that it is asked for, at little cost to what is measured. */
import { once } from 'node:events';
import net from 'node:net';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';

/** Resolves with the port that it listens on. */
export async function startUpstream(): Promise<{ readonly port: number; close(): Promise<unknown> }> {
  const worker = new Worker(new URL(import.meta.url));
  const [port] = (await once(worker, 'message')) as [number];
  return { port, close: async () => worker.terminate() };
}

/** A request is whole where its body is as long as its head says: gateways send no other. */
function serve(socket: net.Socket): void {
  let text = '';
  socket.setNoDelay(true).setEncoding('latin1');
  socket.on('data', (chunk: string) => {
    text += chunk;
    const head = text.indexOf('\r\n\r\n');
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(text)?.[1]);
    if (head < 0 || text.length < head + 4 + length) return;
    const { model } = JSON.parse(text.slice(head + 4)) as { model: string };
    text = '';
    const choices = [{ index: 0, message: { role: 'assistant', content: model }, finish_reason: 'stop' }];
    const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
    const body = JSON.stringify({ id: 'c', object: 'chat.completion', created: 1, model, choices, usage });
    socket.write(
      `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
  });
  socket.on('error', () => socket.destroy());
}

if (!isMainThread) {
  const server = net.createServer(serve).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  parentPort?.postMessage(typeof address === 'object' && address !== null ? address.port : 0);
}
