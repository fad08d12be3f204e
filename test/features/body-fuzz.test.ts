import http from 'node:http';
import { isDeepStrictEqual } from 'node:util';
import zlib from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { parseJsonOrThrow } from '../../src/lib/json-parse.ts';
import { onCleanUp } from './support/clean-up.ts';
import { chat, completions, responses, streamOf } from './support/dialects.ts';
import { type FuzzedRequest, Fuzzer } from './support/fuzz-bodies.ts';
import { seededRandom, startGateway } from './support/gateway.ts';
import { documents, gatewayYaml } from './support/secrets.ts';
import { RawConnection } from './support/raw-http.ts';
import { routeYaml } from './support/yaml.ts';

/** Bodies of every kind, through real HTTP on connections that are kept. FUZZ_RUNS says how many; FUZZ_SEED which. */

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 5_000);
const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000);
const CONNECTIONS = 16;
/** Far from what it takes; it must not depend on the machine. */
const TIMEOUT_MS = 60_000 + 20 * RUNS;

/** What each request became upstream, by the id it was given. */
type Arrived = Map<string, { readonly body: Buffer; readonly type: string }>;

/** An upstream that always answers well, so that no failure has another cause than the gateway. */
async function quickUpstream(arrived: Arrived): Promise<number> {
  const server = http.createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      const type = request.headers['content-type'] ?? '';
      arrived.set(String(request.headers['idempotency-key']), { body, type });
      const dialect = request.url?.endsWith('/responses')
        ? responses
        : request.url?.endsWith('/chat/completions')
          ? chat
          : completions;
      const streams = type.startsWith('application/json')
        ? (parseJsonOrThrow(body.toString()) as { stream?: unknown }).stream === true
        : streamsForm(body);
      response.setHeader('content-type', streams ? 'text/event-stream' : 'application/json');
      response.end(
        streams
          ? streamOf(dialect, 'Hello').join('')
          : request.url?.endsWith('/embeddings')
            ? '{"data":[]}'
            : dialect.whole('Hello'),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onCleanUp(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  return typeof address === 'object' ? (address?.port ?? 0) : 0;
}

describe('bodies of every kind', () => {
  it(
    `${RUNS} of them: each is served with exactly the target's model or refused with a reason, and nothing is left behind`,
    async () => {
      const rejections: unknown[] = [];
      const onRejection = (reason: unknown): void => void rejections.push(reason);
      process.on('unhandledRejection', onRejection);
      onCleanUp(() => process.off('unhandledRejection', onRejection));
      const arrived: Arrived = new Map();
      const url = `http://127.0.0.1:${await quickUpstream(arrived)}/v1`;
      // What a machine takes that has more to do is no failure.
      const patient = '    failover: {timeouts: {connect: 600s, firstToken: 600s, idle: 600s, total: 600s}}';
      const free = routeYaml({ b: url }, patient)
        .replace('model: b-upstream, ', '')
        .replace('name: chat', 'name: free')
        .replace('[chat]', '["free/*"]');
      const bound = gatewayYaml('clientAuth: {type: None}, listener: {maxRequestBytes: 16Ki}, telemetry: {requestLog: None}');
      const gateway = await startGateway(documents(bound, routeYaml({ a: url }, patient), free));
      const fuzzer = new Fuzzer(seededRandom(SEED));
      const outcomes = new Map<string, number>();
      const count = (outcome: string): void => void outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      let started = 0;

      const client = async (): Promise<void> => {
        let connection = await RawConnection.open(gateway.port);
        while (started < RUNS) {
          const id = `${SEED}.${started++}`;
          const sent = fuzzer.request();
          connection.write(rawRequest(sent, id));
          const answer = await connection.answer();
          const shown = { id, path: sent.path, headers: sent.headers, body: sent.body.toString('latin1'), answer };
          if (answer === null) throw new Error(`no answer: ${JSON.stringify(shown)}`);
          const wrong = answer.status === 200 ? wronglyServed(sent, arrived.get(id)) : wronglyRefused(answer, arrived.has(id));
          if (wrong !== null) throw new Error(`${wrong}: ${JSON.stringify(shown)}`);
          arrived.delete(id);
          count(answer.status === 200 ? 'served' : `${answer.status}`);
          if (answer.headers['connection'] === 'close') {
            connection.close();
            connection = await RawConnection.open(gateway.port);
          }
          connection.received = '';
        }
        connection.close();
      };
      await Promise.all(Array.from({ length: CONNECTIONS }, client));

      expect(started).toBe(RUNS);
      expect(rejections).toEqual([]);
      // Each kind was met, so what is promised above was put to the test.
      expect(outcomes.get('served') ?? 0).toBeGreaterThan(RUNS / 3);
      for (const outcome of ['400', '404', '415']) expect(outcomes.get(outcome) ?? 0).toBeGreaterThan(RUNS / 500);
      expect([...outcomes.keys()].filter((outcome) => !['served', '400', '404', '413', '415'].includes(outcome))).toEqual([]);
      expect(gateway.gateway.running.size).toBe(0);
      expect(gateway.gateway.budget.usedBytes).toBe(0);
      expect(gateway.lines).toEqual([]);
    },
    TIMEOUT_MS,
  );
});

function rawRequest({ path, headers, body }: FuzzedRequest, id: string): Buffer {
  const lines = [`POST ${path} HTTP/1.1`, 'host: g', `content-length: ${body.length}`, `idempotency-key: ${id}`, ...headers];
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), body]);
}

/** What is wrong with a request that was served, or null. */
function wronglyServed(sent: FuzzedRequest, came: { readonly body: Buffer; readonly type: string } | undefined): string | null {
  if (came === undefined) return 'served without an upstream';
  if (came.type.startsWith('multipart/')) return wrongForm(came.body);
  const before = parseJsonOrThrow(decoded(sent).toString()) as Record<string, unknown>;
  const after = parseJsonOrThrow(came.body.toString()) as Record<string, unknown>;
  const deployment = /^\/openai\/deployments\/([^/]+)\//.exec(sent.path)?.[1];
  const named = deployment === undefined ? before['model'] : decodeURIComponent(deployment);
  const expected = named === 'chat' ? 'a-upstream' : named;
  if (after['model'] !== expected) return `the model is ${JSON.stringify(after['model'])} and not ${JSON.stringify(expected)}`;
  if (Object.keys(after).some((key) => key !== 'model' && key.toLowerCase() === 'model')) return 'another spelling of model';
  for (const object of [before, after]) {
    delete object['model'];
    delete object['stream_options'];
  }
  return isDeepStrictEqual(before, after) ? null : 'more than the model has changed';
}

/** Reads a form as lenient parsers do: each kind of line end before a boundary, parameters in whatever order, escapes taken off. */
function fieldsOf(body: Buffer): readonly (readonly [string, string])[] {
  const parts = `\n${body.toString()}`.split(/(?:\r\n|\r|\n)--b/).slice(1, -1);
  return parts.map((part) => {
    const [head = '', ...value] = part.split('\r\n\r\n');
    const [, quoted, bare] = /;\s*name\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))/i.exec(head) ?? [];
    return [quoted?.replaceAll(/\\(.)/g, '$1') ?? bare ?? '', value.join('\r\n\r\n')];
  });
}

function streamsForm(body: Buffer): boolean {
  return fieldsOf(body).some(([name, value]) => name === 'stream' && /^(true|1|yes|on|t|y)$/i.test(value));
}

function wrongForm(body: Buffer): string | null {
  const models = fieldsOf(body).flatMap(([name, value]) => (name === 'model' ? [value] : []));
  const right = models.length === 1 && (models[0] === 'a-upstream' || models[0]?.startsWith('free/'));
  return right ? null : `the form's models are ${models.join()}`;
}

/** What is wrong with a refusal, or null. */
function wronglyRefused({ status, body }: { readonly status: number; readonly body: string }, called: boolean): string | null {
  if (called) return 'refused, but called upstream';
  const { error } = JSON.parse(body) as { error: { code: string; message: string } };
  const known: Readonly<Record<number, string>> = {
    400: 'invalid_body',
    404: 'model_not_found',
    413: 'request_too_large',
    415: 'unsupported_encoding',
  };
  if (error.code !== known[status]) return `the code ${error.code} of a ${status}`;
  return error.message.length > 10 ? null : 'no reason';
}

function decoded({ headers, body }: FuzzedRequest): Buffer {
  const encoding = /^content-encoding: (.*)$/.exec(headers.find((header) => header.startsWith('content-encoding')) ?? '')?.[1];
  switch (encoding) {
    case 'gzip':
      return zlib.gunzipSync(body);
    case 'deflate':
      return zlib.inflateSync(body);
    case 'br':
      return zlib.brotliDecompressSync(body);
    case 'zstd':
      return zlib.zstdDecompressSync(body);
    default:
      return body;
  }
}
