// Promise: whatever upstreams send, every client gets a well-formed answer or an explicit error that names the attempts; nothing
// crashes and nothing is left behind.
import http from 'node:http';
import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../src/lib/clock.ts';
import { GATEWAY_ERRORS } from '../../src/gateway/errors.ts';
import { isObject, parseWithoutContent } from '../../src/lib/json.ts';
import { eventually, onCleanUp } from './support/clean-up.ts';
import { type Answer, request } from './support/client.ts';
import { DIALECTS, type Dialect, responses } from './support/dialects.ts';
import { garbage } from './support/garbage.ts';
import { seededRandom, startGateway } from './support/gateway.ts';
import { FakeUpstream, type ReceivedCall } from './support/upstream.ts';
import { routeYaml } from './support/yaml.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 4_000);
const SEED = Number(process.env['FUZZ_SEED'] ?? 1);
const CLIENTS = 32;
/** Far from what it takes; it must not depend on the machine. */
const TIMEOUT_MS = 120_000 + 20 * RUNS;

interface OpenAIError {
  readonly error: { readonly message: string; readonly type: string; readonly code: string };
}

/** The JSON of each frame; [DONE] as it is. Throws for data that is neither. */
function lastEvent(text: string): unknown {
  const frames = text.split(/\r\n\r\n|\n\n|\r\r|\r\n\r|\n\r\n/).filter((part) => part.trim() !== '');
  const data = [...(frames.at(-1) ?? '').matchAll(/^data: ?(.*)$/gm)].map((line) => line[1]).join('\n');
  return data === '[DONE]' ? data : JSON.parse(data);
}

/** What is wrong with an answer; null: nothing. No `expect`: each makes a stack trace, a hundred thousand of them take minutes. */
function disorder(answer: Answer, dialect: Dialect, stream: boolean): string | null {
  const { status, headers, text } = answer;
  if (!answer.complete) return 'it is not complete';
  if (headers['x-request-id'] === undefined) return 'it has no request id';
  // Where a machine stalls for 10 s, an answer begins before anybody knows whose it is.
  const early = text.startsWith(': keep-alive');
  if (early && JSON.stringify(lastEvent(text)).includes('No model could answer')) return null;
  if (!early && !(Number(headers['x-fairlead-attempts']) > 0)) return 'it has no count of attempts';
  if (!early && headers['x-fairlead-model'] === undefined) return disorderOfError(text, headers['x-should-retry']);
  // What an upstream says about the request is passed on as it is, and only that.
  if (status >= 300) return status >= 400 && status < 500 && status !== 401 ? null : 'this status is not for the client';
  // Within the model's own text nothing is read: what is wrong in there is the upstream's.
  if (!stream) return isObject(parseWithoutContent(text)) ? null : 'it is not an object';
  const last = lastEvent(text);
  if (last === '[DONE]') return dialect !== responses || ENDED.test(text) ? null : '[DONE] without an end';
  const { type, error, code } = last as { type?: unknown; error?: OpenAIError['error']; code?: unknown };
  if (type === 'response.completed' || type === 'response.incomplete') return null;
  return (error?.code ?? code) === 'stream_interrupted' ? null : 'it ends as if it were whole';
}

const ENDED = /"type":"response\.(completed|incomplete)"/;

function disorderOfError(text: string, shouldRetry: unknown): string | null {
  const { error } = JSON.parse(text) as OpenAIError;
  if (!(error.code in GATEWAY_ERRORS) || error.code === 'internal_error') return 'this code is not for upstreams that fail';
  if (!/^No model could answer\. Tried \d+: [ab]: [a-z_]+/.test(error.message)) return 'it does not say what was tried';
  return shouldRetry === 'false' ? null : 'it invites to retry';
}

function disorderOrThrown(answer: Answer, dialect: Dialect, stream: boolean): string | null {
  try {
    return disorder(answer, dialect, stream);
  } catch (error) {
    return String(error);
  }
}

describe('garbage from upstreams', () => {
  it(
    `${RUNS} answers: each client is served or told`,
    async () => {
      const random = seededRandom(SEED);
      const unhandled: unknown[] = [];
      const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
      process.on('unhandledRejection', onUnhandled);
      onCleanUp(() => process.off('unhandledRejection', onUnhandled));
      let answers = 0;
      const respond = garbage(random);
      const counted = (call: ReceivedCall): unknown => {
        answers++;
        return respond(call);
      };
      const a = await FakeUpstream.start(counted);
      const b = await FakeUpstream.start(counted);
      const clock = new ManualClock();
      const gateway = await startGateway(
        routeYaml(
          { a: a.url, b: b.url },
          '    failover: {contentFilter: {mode: Failover, targets: [b]}, timeouts: {connect: 10s, firstToken: 10s, idle: 10s, total: 10s}}',
        ),
        { clock },
      );
      const agent = new http.Agent({ keepAlive: true, maxSockets: CLIENTS });
      onCleanUp(() => agent.destroy());
      const outcomes = new Map<string, number>();
      let sent = 0;
      const dialects = Object.values(DIALECTS);
      const client = async (): Promise<void> => {
        while (answers < RUNS) {
          const run = sent++;
          const dialect = dialects[run % 3] ?? responses;
          const stream = run % 2 === 0;
          // So much later, nothing keeps an upstream out: each request meets its garbage.
          clock.advance(400_000);
          const answer = await request(gateway.port, {
            path: dialect.path,
            body: { ...dialect.body, ...(stream ? { stream } : {}) },
            agent,
          });
          const wrong = disorderOrThrown(answer, dialect, stream);
          if (wrong !== null) {
            throw new Error(
              `run ${run} of FUZZ_SEED=${SEED}: ${wrong}: HTTP ${answer.status} ${JSON.stringify(answer.headers)}\n${answer.text.slice(0, 4_000)}`,
            );
          }
          const outcome =
            answer.status === 200
              ? answer.text.includes('stream_interrupted')
                ? 'interrupted'
                : 'answered'
              : String(answer.status);
          outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
          if (run % 1_000 === 0) for (const list of [a.calls, b.calls, gateway.requests, gateway.lines]) list.length = 0;
        }
      };
      await Promise.all(Array.from({ length: CLIENTS }, client));

      expect(unhandled).toEqual([]);
      expect(gateway.gateway.running.size).toBe(0);
      expect(gateway.gateway.budget.usedBytes).toBe(0);
      for (const upstream of [a, b]) upstream.cutAll();
      // Our own side hears of it a moment later.
      await eventually(() => gateway.gateway.upstreamConnections().connections === 0);
      expect(gateway.gateway.upstreamConnections()).toEqual({ connections: 0, queued: 0 });
      // The garbage is worth its name: each way of ending has been seen.
      for (const outcome of ['answered', 'interrupted', '400', '502']) expect(outcomes.get(outcome) ?? 0).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );
});
