import { spawn } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text as readAll } from 'node:stream/consumers';
import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../lib/clock.ts';
import { SecretValue } from '../lib/secret.ts';
import { createLog, type Log, type LogLevel, type RequestLine } from './log.ts';
import { redactSecrets } from './redact.ts';
import { acceptRequestId, newRequestId } from './request-id.ts';

const LINE: RequestLine = {
  requestId: 'req_1',
  operation: 'chat',
  route: 'team-a/chat',
  rule: 'default',
  model: 'gpt-4o',
  target: 'azure',
  upstreamModel: 'gpt-4o-2024-11-20',
  tenant: 'team-a',
  keyId: 'team-a/alice',
  status: 200,
  stream: true,
  attempts: [
    { target: 'azure', outcome: 'rate_limited', ms: 12.34567 },
    { target: 'openai', outcome: 'ok', ms: 800 },
  ],
  reason: 'weighted',
  usage: { inputTokens: 100, outputTokens: 20, cachedInputTokens: 64, reasoningTokens: 8, estimated: true },
  costMicroUsd: 12.3456,
  durationMs: 813,
  firstTokenMs: 90,
  overheadMs: 0.25,
  bytesIn: 1_000,
  bytesOut: 4_000,
  errorCode: null,
  errorMessage: null,
  clientGone: true,
};

const NOTHING: RequestLine = {
  ...LINE,
  operation: null,
  route: null,
  rule: null,
  model: null,
  target: null,
  upstreamModel: null,
  tenant: null,
  keyId: null,
  status: 404,
  stream: false,
  attempts: [],
  reason: null,
  usage: null,
  costMicroUsd: null,
  firstTokenMs: null,
  overheadMs: null,
  errorCode: 'unknown_url',
  clientGone: false,
};

/** What is logged, line by line, by a log that writes to a file. */
async function logged(write: (log: Log) => void, level: LogLevel = 'info'): Promise<Record<string, unknown>[]> {
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-log-'));
  const path = join(folder, 'log');
  const fd = openSync(path, 'w');
  const problems: unknown[] = [];
  const log = createLog({
    level,
    clock: new ManualClock(Date.UTC(2026, 1, 3, 4, 5, 6, 7)),
    fd,
    onDropped: (lines) => problems.push(lines),
    onError: (error) => problems.push(error),
  });
  write(log);
  await log.flush();
  const text = readFileSync(path, 'utf8');
  await log.close();
  rmSync(folder, { recursive: true });
  expect(problems).toEqual([]);
  return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line)]));
}

describe('the log', () => {
  it('writes one line a request, with what happened and nothing that did not', async () => {
    const lines = await logged((log) => {
      log.request(LINE);
      log.request(NOTHING);
      log.request({ ...NOTHING, status: 502 });
    });
    expect(lines).toEqual([
      {
        level: 'info',
        time: '2026-02-03T04:05:06.007Z',
        msg: 'request',
        requestId: 'req_1',
        operation: 'chat',
        route: 'team-a/chat',
        rule: 'default',
        model: 'gpt-4o',
        target: 'azure',
        upstreamModel: 'gpt-4o-2024-11-20',
        tenant: 'team-a',
        keyId: 'team-a/alice',
        status: 200,
        stream: true,
        reason: 'weighted',
        attempts: [
          { target: 'azure', outcome: 'rate_limited', ms: 12.346 },
          { target: 'openai', outcome: 'ok', ms: 800 },
        ],
        inputTokens: 100,
        outputTokens: 20,
        cachedInputTokens: 64,
        reasoningTokens: 8,
        usageEstimated: true,
        costMicroUsd: 12.346,
        durationMs: 813,
        firstTokenMs: 90,
        overheadMs: 0.25,
        bytesIn: 1_000,
        bytesOut: 4_000,
        clientGone: true,
      },
      {
        level: 'info',
        time: '2026-02-03T04:05:06.007Z',
        msg: 'request',
        requestId: 'req_1',
        status: 404,
        stream: false,
        attempts: [],
        durationMs: 813,
        bytesIn: 1_000,
        bytesOut: 4_000,
        errorCode: 'unknown_url',
      },
      expect.objectContaining({ level: 'warn', status: 502 }),
    ]);
  });

  it('escapes and cuts what clients and upstreams sent, and takes secrets out', async () => {
    const [line] = await logged((log) => {
      log.request({
        ...NOTHING,
        model: `a"b\\c\n\u2028${'x'.repeat(10_000)}`,
        errorMessage: `Incorrect API key provided: sk-proj-${'A1b2'.repeat(10)}. ${'y'.repeat(10_000)}`,
      });
    });
    expect(line?.['model']).toMatch(/^a"b\\c\n\u2028x{200,300}…$/);
    expect(line?.['errorMessage']).toMatch(/^Incorrect API key provided: sk-\[redacted\]\. y{900,}…$/);
  });

  it('keeps the order between request lines and all others, and the level', async () => {
    const lines = await logged((log) => {
      log.logger.info('not at this level');
      log.logger.error({ err: new Error('401 for Bearer abcdefgh12345678'), key: new SecretValue('hidden') }, 'first');
      log.request(LINE);
      log.request({ ...LINE, status: 500 });
      log.logger.warn('last');
    }, 'warn');
    expect(lines.map(({ msg }) => msg)).toEqual(['first', 'request', 'last']);
    expect(lines[0]).toMatchObject({ level: 'error', key: '[redacted]', err: { message: '401 for Bearer [redacted]' } });
    expect(JSON.stringify(lines)).not.toMatch(/abcdefgh|hidden/);
  });
});

describe('the log of a process', () => {
  /** Runs a module with `log` and `line` at hand; its log goes to the standard output. */
  function run(body: string): ReturnType<typeof spawn> {
    const script = `
      import { createLog } from ${JSON.stringify(new URL('./log.ts', import.meta.url).href)};
      import { systemClock } from ${JSON.stringify(new URL('../lib/clock.ts', import.meta.url).href)};
      let dropped = 0;
      const log = createLog({ level: 'info', clock: systemClock, fd: 1, onDropped: (n) => (dropped += n), onError() {} });
      const line = ${JSON.stringify(LINE)};
      ${body}`;
    const args = ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', script];
    return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  }

  function outputOf(stream: ReturnType<typeof spawn>['stdout']): Promise<string> {
    return stream === null ? Promise.resolve('') : readAll(stream);
  }

  it.each([
    ['exits', 'process.exit(0);'],
    ['crashes', "throw new Error('a fault');"],
    ['just ends', ''],
  ])('is complete when it %s', async (_, end) => {
    const child = run(`for (let i = 0; i < 1000; i++) log.request(line); ${end}`);
    const lines = (await outputOf(child.stdout)).trimEnd().split('\n');
    expect(lines).toHaveLength(1_000);
    expect(lines.every((one) => JSON.parse(one).requestId === 'req_1')).toBe(true);
  });

  it('is written after a while though nothing more happens', async () => {
    const child = run("log.logger.info('here'); setInterval(() => {}, 1_000);");
    const chunk = await new Promise<string>((resolve) => child.stdout?.once('data', (data) => resolve(String(data))));
    expect(chunk).toMatch(/"msg":"here"/);
    child.kill('SIGKILL');
  });

  it('drops and counts lines when nobody reads it, and blocks nothing', async () => {
    const child = run(`
      const wanted = 40_000;
      for (let i = 0; i < wanted; i++) {
        log.request(line);
        if (i % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      process.stderr.write(String(dropped), () => log.flush().then(() => process.exit(0)));`);
    const dropped = await new Promise<number>((resolve) => child.stderr?.once('data', (data) => resolve(Number(data))));
    expect(dropped).toBeGreaterThan(20_000);
    const lines = (await outputOf(child.stdout)).trimEnd().split('\n');
    expect(lines).toHaveLength(40_000 - dropped);
    expect(lines.every((one) => JSON.parse(one).requestId === 'req_1')).toBe(true);
  });
});

describe('redactSecrets', () => {
  it.each([
    ['sk-proj-abcdefghijklmnop1234', 'sk-[redacted]'],
    ['key fl-0123456789abcdefghij is', 'key fl-[redacted] is'],
    ['authorization: Bearer abc.def-ghi_jkl', 'authorization: Bearer [redacted]'],
    ['{"api-key":"0123456789abcdef0123456789abcdef"}', '{"api-key":"[redacted]"}'],
    ['{\\"api_key\\": \\"0123456789abcdef\\"}', '{\\"api_key\\": \\"[redacted]\\"}'],
    ['AIzaSyA-0123456789_0123456789_0123456', 'AIza[redacted]'],
    ['AKIAIOSFODNN7EXAMPLE', 'AKIA[redacted]'],
    ['https://user:pa55@proxy.example:3128/x', 'https://[redacted]@proxy.example:3128/x'],
    ['eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl', '[redacted]'],
    ['-----BEGIN PRIVATE KEY-----\\nMIIE\\n-----END PRIVATE KEY-----', '[redacted]'],
  ])('%s', (text, safe) => {
    expect(redactSecrets(text)).toBe(safe);
  });

  it.each([
    'team-a/alice asked for gpt-4o-mini-2024-07-18 of https://team-a.openai.azure.com/openai',
    'secret team-a/azure-openai has no key api-key',
    'sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
    'mail someone@example.com',
  ])('leaves alone: %s', (text) => {
    expect(redactSecrets(text)).toBe(text);
  });
});

describe('request ids', () => {
  it('are unique, of one form, over several fills', () => {
    const ids = Array.from({ length: 2_000 }, newRequestId);
    expect(new Set(ids).size).toBe(2_000);
    expect(ids.every((id) => /^req_[0-9a-f]{24}$/.test(id))).toBe(true);
    // Every digit varies: none is a constant of the pool.
    for (let place = 4; place < 28; place++) expect(new Set(ids.map((id) => id[place])).size).toBe(16);
  });

  it.each(['a', 'A.b_c-9', 'x'.repeat(128)])('takes over the client id %s', (id) => {
    expect(acceptRequestId(id)).toBe(id);
  });

  it.each([undefined, '', 'a b', 'a\n', 'é', 'x'.repeat(129), ['a', 'b']])('replaces %p', (id) => {
    expect(acceptRequestId(id)).toMatch(/^req_/);
  });
});
