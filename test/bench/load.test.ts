import { describe, it, expect, afterEach } from '@jest/globals';
import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo, Server as NetServer } from 'node:net';

import { EventCounter, runJob } from './load.ts';
import { createUpstream } from './upstream.ts';
import { CHAT_PATH, chatBody, ROUTE_MODEL, type Shape, type Target } from './workload.ts';

const SHAPE: Shape = { firstByteMs: 1, events: 7, intervalMs: 1 };
const open: (Server | NetServer)[] = [];

afterEach(() => {
  for (const server of open.splice(0)) server.close();
});

async function targetOf(server: Server | NetServer): Promise<Target> {
  open.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, path: CHAT_PATH, headers: {}, model: ROUTE_MODEL };
}

function body(stream: boolean, sizeBytes = 1024): string {
  return chatBody({ model: ROUTE_MODEL, sizeBytes, stream });
}

/** Sends the parts as chunks; the connection ends with the answer. */
async function post(port: number, parts: readonly string[]): Promise<string> {
  const request = httpRequest({ host: '127.0.0.1', port, path: CHAT_PATH, method: 'POST', agent: false });
  for (const part of parts) request.write(part);
  request.end();
  const [answer] = (await once(request, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of answer.setEncoding('utf8')) text += String(chunk);
  request.destroy();
  return text;
}

/** Answers each request with these bytes of a stream. */
function streamsOf(text: string): Server {
  return createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(200, { 'content-type': 'text/event-stream' }).end(text));
  });
}

describe('the load', () => {
  it.each([1024, 100 * 1024])('sends as many bodies of %i bytes as it was told, and has all answered', async (sizeBytes) => {
    let answers = 0;
    const upstream = createUpstream(() => {
      answers++;
      return { ...SHAPE, firstByteMs: 0 };
    });
    const target = await targetOf(upstream);
    const found = await runJob({ kind: 'closed', target, body: body(false, sizeBytes), connections: 4, requests: 50 });
    expect(found).toMatchObject({ good: 50, answered: 50, errors: 0 });
    expect(answers).toBe(50);
    expect(found.p50Us).toBeGreaterThan(0);
  });

  it('holds streams open at once, and takes each to its end', async () => {
    const target = await targetOf(createUpstream(() => SHAPE));
    const job = { kind: 'streams', target, body: body(true), streams: 5, perSlot: 2, rampMs: 0, events: SHAPE.events } as const;
    const found = await runJob(job);
    // Besides those with text: the finish reason and [DONE].
    expect(found).toMatchObject({ good: 10, errors: 0, mostAtOnce: 5, events: 10 * (SHAPE.events + 2) });
    expect(found.firstEventP50Us).toBeGreaterThan(0);
    expect(found.firstEventP50Us).toBeLessThan(found.p50Us);
  });

  it('sends at a rate whatever becomes of the answers', async () => {
    const refusing = createServer((request, response) => {
      request.resume().on('end', () => response.writeHead(503).end());
    });
    const target = await targetOf(refusing);
    const job = { kind: 'open', target, body: body(false), ratePerSecond: 1_000, requests: 20, events: 0 } as const;
    expect(await runJob(job)).toMatchObject({ good: 0, answered: 20, errors: 20, firstError: 'status 503' });
  });

  it.each([
    ['is cut', 'data: {"content":1}\n\ndata: {"content":2}\n\n', 'a stream ended without [DONE]'],
    ['lost an event', 'data: {"content":1}\n\ndata: [DONE]\n\n', 'a stream of 2 events instead of 3'],
  ])('counts a stream that %s as an error', async (_name, text, firstError) => {
    const target = await targetOf(streamsOf(text));
    const job = { kind: 'open', target, body: body(true), ratePerSecond: 100, requests: 1, events: 3 } as const;
    expect(await runJob(job)).toMatchObject({ good: 0, errors: 1, firstError });
  });
});

describe('the mock upstream', () => {
  it('tells the usage of a stream where it was asked for', async () => {
    const target = await targetOf(createUpstream(() => SHAPE));
    const ask = { ...(JSON.parse(body(true)) as object), stream_options: { include_usage: true } };
    const events = (await post(target.port, [JSON.stringify(ask)])).split('\n\n').filter(Boolean);
    expect(events).toHaveLength(SHAPE.events + 3);
    expect(events.at(-3)).toContain('"finish_reason":"stop"');
    expect(events.at(-2)).toContain('"choices":[],"usage":');
    expect(events.at(-1)).toBe('data: [DONE]');
  });

  it('answers a body that comes in chunks', async () => {
    const target = await targetOf(createUpstream(() => SHAPE));
    const answer = await post(target.port, ['{"model":"m"', ',"stream":false}']);
    expect(JSON.parse(answer)).toMatchObject({ choices: [{ finish_reason: 'stop' }] });
  });
});

describe('EventCounter', () => {
  it('counts the same wherever the bytes are cut', () => {
    const bytes = Buffer.from('data: 1\n\n: comment\n\ndata: 2\ndata: 3\n\ndata: [DONE]\n\n');
    for (let first = 0; first <= bytes.length; first++) {
      for (let second = first; second <= bytes.length; second++) {
        const counter = new EventCounter();
        for (const part of [bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)]) counter.add(part);
        expect(counter).toMatchObject({ count: 4, done: true });
      }
    }
  });
});

describe('chatBody', () => {
  it.each([250, 251, 1024, 10_240, 102_400])('has exactly %i bytes of JSON', (sizeBytes) => {
    const text = chatBody({ model: ROUTE_MODEL, sizeBytes, stream: true });
    expect(Buffer.byteLength(text)).toBe(sizeBytes);
    expect(JSON.parse(text)).toMatchObject({ model: ROUTE_MODEL, stream: true });
  });

  it('refuses what is too small for a request', () => {
    expect(() => chatBody({ model: ROUTE_MODEL, sizeBytes: 100, stream: true })).toThrow('no chat request has 100 bytes');
  });
});
