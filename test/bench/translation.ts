/**
 * What translation costs: the gateway's CPU a request of 1 KB and a streamed event, translated beside passed on, by turns; and how
 * long a body of 100 KB keeps the loop: by the clock, which a busy machine adds to, and in CPU. Prints a line each.
 */
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ParsedBody } from '../../src/dialects/parsed-body.ts';
import { readRequestBody } from '../../src/dialects/request-body.ts';
import type { Operation } from '../../src/lib/operation.ts';
import { providerFor } from '../../src/providers/index.ts';
import { UPSTREAMS } from '../../src/providers/reference.ts';
import { GatewayProcess } from '../fixtures/gateway.ts';
import { cpuTimes, cpuUsBetween } from './proc.ts';

const REQUESTS = 1_500;
const STREAMS = 25;
const EVENTS = 500;
const ROUNDS = 3;
const AT_ONCE = 8;
/** Of a large body. */
const TURNS = 200;
const TEXT = 'The quick brown fox jumps over the lazy dog. '.repeat(22);
const PIECE = 'lazy dogs ';

const frames = (events: readonly object[]): string => events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('');
const pieces = <T>(make: (text: string) => T): readonly T[] => Array.from({ length: EVENTS }, () => make(PIECE));

const CHUNK = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'm' };
const chatChunk = (delta: object, finish: string | null = null): object => ({
  ...CHUNK,
  choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
});

/** What upstreams answer, by a part of their path. */
const ANSWERS: readonly (readonly [path: string, whole: object, stream: string])[] = [
  [
    '/chat/completions',
    {
      id: 'chatcmpl-1',
      object: 'chat.completion',
      created: 1,
      model: 'm',
      choices: [
        { index: 0, message: { role: 'assistant', content: TEXT, refusal: null }, logprobs: null, finish_reason: 'stop' },
      ],
      usage: { prompt_tokens: 9, completion_tokens: 200, total_tokens: 209 },
    },
    `${frames([
      chatChunk({ role: 'assistant', content: '' }),
      ...pieces((content) => chatChunk({ content })),
      chatChunk({}, 'stop'),
      { ...CHUNK, choices: [], usage: { prompt_tokens: 9, completion_tokens: 200, total_tokens: 209 } },
    ])}data: [DONE]\n\n`,
  ],
  [
    '/messages',
    {
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      model: 'm',
      content: [{ type: 'text', text: TEXT }],
      stop_reason: 'end_turn',
      stop_sequence: null,
      usage: { input_tokens: 9, output_tokens: 200 },
    },
    frames([
      { type: 'message_start', message: { id: 'msg_1', usage: { input_tokens: 9, output_tokens: 1 } } },
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
      ...pieces((text) => ({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } })),
      { type: 'content_block_stop', index: 0 },
      { type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: 200 } },
      { type: 'message_stop' },
    ]),
  ],
  [
    'enerateContent',
    {
      candidates: [{ content: { role: 'model', parts: [{ text: TEXT }] }, finishReason: 'STOP', index: 0 }],
      usageMetadata: { promptTokenCount: 9, candidatesTokenCount: 200, totalTokenCount: 209 },
    },
    frames([
      // As the service sends them, what has been used so far is in each.
      ...Array.from({ length: EVENTS }, (_, index) => ({
        candidates: [{ content: { role: 'model', parts: [{ text: PIECE }] }, index: 0 }],
        usageMetadata: { promptTokenCount: 9, candidatesTokenCount: index, totalTokenCount: index + 9 },
        modelVersion: 'm',
      })),
      {
        candidates: [{ content: { role: 'model', parts: [{ text: '' }] }, finishReason: 'STOP', index: 0 }],
        usageMetadata: { promptTokenCount: 9, candidatesTokenCount: 200, totalTokenCount: 209 },
      },
    ]),
  ],
];

interface Case {
  readonly name: string;
  readonly model: string;
  readonly provider: string;
  readonly path: '/v1/chat/completions' | '/v1/messages' | '/v1/responses';
}

const CASES: readonly Case[] = [
  { name: 'chat passed to OpenAI', model: 'a', provider: 'OpenAI, openAI', path: '/v1/chat/completions' },
  { name: 'chat to Anthropic', model: 'b', provider: 'Anthropic, anthropic', path: '/v1/chat/completions' },
  { name: 'chat to Gemini', model: 'c', provider: 'Gemini, gemini', path: '/v1/chat/completions' },
  { name: 'messages to OpenAI', model: 'a', provider: 'OpenAI, openAI', path: '/v1/messages' },
  { name: 'responses to Anthropic', model: 'b', provider: 'Anthropic, anthropic', path: '/v1/responses' },
];

function routeOf({ model, provider }: Case, url: string): string {
  const [type = '', member = ''] = provider.split(', ');
  return `apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: ${model}, namespace: default}
spec:
  modelNames: [${model}]
  models: [{name: m, provider: {type: ${type}, ${member}: {model: m, baseURL: "${url}"}}, auth: {type: None}}]
  rules: [{name: default, targets: [{model: m}]}]
`;
}

function bodyOf({ model, path }: Case, stream: boolean): string {
  const asked = path === '/v1/responses' ? { input: TEXT } : { messages: [{ role: 'user', content: TEXT }] };
  return JSON.stringify({
    model,
    max_tokens: undefined,
    ...(path === '/v1/messages' ? { max_tokens: 500 } : {}),
    stream,
    ...asked,
  });
}

const agent = new http.Agent({ keepAlive: true, maxSockets: AT_ONCE });

function ask(port: number, path: string, body: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const request = http.request({ port, path, method: 'POST', agent, headers }, (response) => {
      response.resume();
      response.on('end', () => (response.statusCode === 200 ? resolve() : reject(new Error(`HTTP ${response.statusCode}`))));
    });
    request.on('error', reject);
    request.end(body);
  });
}

/** CPU of the gateway, in microseconds a request. */
async function cpuOf(gateway: GatewayProcess, each: Case, stream: boolean, count: number): Promise<number> {
  const body = bodyOf(each, stream);
  const before = cpuTimes(gateway.pid);
  let left = count;
  const client = async (): Promise<void> => {
    while (left-- > 0) await ask(gateway.port, each.path, body);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, client));
  return cpuUsBetween(before, cpuTimes(gateway.pid)) / count;
}

const upstream = http.createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8');
  request.on('data', (chunk: string) => (body += chunk));
  request.on('end', () => {
    const url = request.url ?? '';
    const [, whole, stream] = ANSWERS.find(([path]) => url.includes(path)) ?? ['', {}, ''];
    const streamed = body.includes('"stream":true') || url.includes('streamGenerate');
    response.setHeader('content-type', streamed ? 'text/event-stream' : 'application/json');
    response.end(streamed ? stream : JSON.stringify(whole));
  });
});
await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}/v1`;
const routes = CASES.filter((each, index) => CASES.findIndex(({ model }) => model === each.model) === index);
const gateway = await GatewayProcess.start(routes.map((each) => routeOf(each, url)).join('---\n'));

const found = CASES.map((each) => ({ each, wholeUs: Infinity, eventUs: Infinity }));
for (const { each } of found) {
  await cpuOf(gateway, each, false, REQUESTS);
  await cpuOf(gateway, each, true, STREAMS);
}
for (let round = 0; round < ROUNDS; round++) {
  for (const row of found) {
    row.wholeUs = Math.min(row.wholeUs, await cpuOf(gateway, row.each, false, REQUESTS));
    row.eventUs = Math.min(row.eventUs, (await cpuOf(gateway, row.each, true, STREAMS)) / EVENTS);
  }
}
await gateway.stop();
upstream.close();
agent.destroy();

const [passed] = found;
const times = (value: number, of: number | undefined): string => `${(value / (of ?? NaN)).toFixed(2)}x`;
for (const { each, wholeUs, eventUs } of found) {
  const whole = `${wholeUs.toFixed(0).padStart(5)} us a request (${times(wholeUs, passed?.wholeUs)})`;
  const event = `${eventUs.toFixed(2).padStart(6)} us an event (${times(eventUs, passed?.eventUs)})`;
  process.stdout.write(`${each.name.padEnd(24)}${whole}, ${event}\n`);
}

const LARGE = {
  model: 'm',
  max_tokens: 500,
  messages: Array.from({ length: 100 }, (_, index) => ({ role: index % 2 === 0 ? 'user' : 'assistant', content: TEXT })),
};
const bytes = Buffer.from(JSON.stringify(LARGE));
for (const { name, kind, target } of UPSTREAMS) {
  for (const operation of ['chat', 'messages'] satisfies readonly Operation[]) {
    const translation = providerFor(kind).exchange(target, operation)?.translation;
    if (translation == null) continue;
    const took: number[] = [];
    const read = (): ParsedBody => {
      const body = readRequestBody(bytes, operation, null);
      if (!body.ok) throw new Error(body.error.message);
      return body.value;
    };
    const translate = (body: ParsedBody): void => {
      translation.lacks(body);
      translation.write(body, () => undefined, null);
    };
    for (let turn = 0; turn < TURNS; turn++) {
      const body = read();
      const before = process.hrtime.bigint();
      translate(body);
      took.push(Number(process.hrtime.bigint() - before) / 1e6);
    }
    const bodies = Array.from({ length: TURNS }, read);
    const before = process.cpuUsage();
    for (const body of bodies) translate(body);
    const { user, system } = process.cpuUsage(before);
    took.sort((x, y) => x - y);
    const at = (share: number): string => (took[Math.floor(took.length * share)] ?? NaN).toFixed(2);
    const keeps = `${at(0.5)} ms (p50), ${at(0.9)} ms (p90), ${at(0.99)} ms (p99); ${((user + system) / TURNS / 1000).toFixed(2)} ms of CPU`;
    process.stdout.write(`${operation} to ${name}: a body of ${Math.round(bytes.length / 1000)} KB keeps the loop ${keeps}\n`);
  }
}
