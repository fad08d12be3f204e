// Promise: a target is left before its provider says 429: by what its `capacity` states, counted over all pods, and by what the provider says is left.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../src/lib/clock.ts';
import { redisAbsent, RedisProcess } from '../limits/redis-process.ts';
import { type Answer, request, send } from './support/client.ts';
import { chat, USAGE } from './support/dialects.ts';
import { serve } from './support/faults.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { documents } from './support/secrets.ts';
import { FakeUpstream, refusingPort, type Respond } from './support/upstream.ts';
import { redisGatewayYaml, routeYaml } from './support/yaml.ts';

const ask = async ({ port }: TestGateway, more: object = {}): Promise<Answer> =>
  request(port, { body: { ...chat.body, ...more } });
const reasonOf = async (pod: TestGateway): Promise<unknown> => (await ask(pod)).headers['x-fairlead-reason'];
const answering =
  (headers: Readonly<Record<string, string>>, status = 200): Respond =>
  (call) =>
    call.answer(status, status === 200 ? chat.whole('a') : '{"error":{"code":"rate_limit_exceeded"}}', headers);
const PATIENT_MS = 30_000;
const capacity = (members: string): string => `capacity: {${members}}`;

describe('the capacity of a target', () => {
  let a: FakeUpstream;
  let b: FakeUpstream;
  beforeEach(async () => {
    a = await FakeUpstream.start(serve(chat, 'a'));
    b = await FakeUpstream.start(serve(chat, 'b'));
  });
  const start = async (members: string, clock?: ManualClock): Promise<TestGateway> =>
    startGateway(routeYaml({ a: { url: a.url, more: capacity(members) }, b: b.url }), clock === undefined ? {} : { clock });

  it('is kept in any minute, and nearly all of it is used', async () => {
    const clock = new ManualClock();
    clock.advance(1);
    const pod = await start('requestsPerMinute: 60', clock);
    const sentMs: number[] = [];
    a.respond((call) => {
      sentMs.push(clock.nowMs());
      serve(chat, 'a')(call);
    });
    // Three minutes at twice what it may.
    for (let second = 0; second < 180; second += 0.5) {
      await ask(pod);
      clock.advance(500);
    }
    for (const fromMs of sentMs)
      expect(sentMs.filter((ms) => ms >= fromMs && ms < fromMs + 60_000).length).toBeLessThanOrEqual(60);
    expect(sentMs.length).toBeGreaterThan(0.9 * 180);
    expect(a.calls.length + b.calls.length).toBe(360);
  });

  it('is named where it kept a target out: in the reason, the log and the metrics', async () => {
    const pod = await start('requestsPerMinute: 1');
    expect(await reasonOf(pod)).toBe('only');
    expect(await reasonOf(pod)).toBe('spilled');
    await pod.until(() => pod.requests.length === 2);
    expect(pod.requests[1]?.leftOut).toEqual([{ target: 'a', reason: 'capacity' }]);
    const { text } = await pod.gateway.renderMetrics();
    expect(text).toContain('fairlead_targets_left_out_total{route="default/chat",target="a",reason="capacity"} 1\n');
  });

  it('of tokens counts what was used once that is known', async () => {
    const used = USAGE.total_tokens;
    const pod = await start(`tokensPerMinute: ${10 * used}`);
    // Each reserves five times what it uses.
    for (let i = 0; i < 6; i++) expect((await ask(pod, { max_tokens: 5 * used - 10 })).status).toBe(200);
    expect(a.calls).toHaveLength(6);
    // More than is left now.
    expect((await ask(pod, { max_tokens: 5 * used })).headers['x-fairlead-reason']).toBe('spilled');
    // More than it ever has.
    expect((await ask(pod, { max_tokens: 11 * used })).headers['x-fairlead-reason']).toBe('spilled');
    expect((await ask(pod, { max_tokens: used })).headers['x-fairlead-reason']).toBe('only');
  });

  it('of calls under way is free again as soon as one ends, however it ends', async () => {
    const pod = await start('concurrency: 2');
    a.respond(() => {});
    const first = [send(pod.port, { body: chat.body }), send(pod.port, { body: chat.body })];
    await a.until(() => a.calls.length === 2);
    expect(await reasonOf(pod)).toBe('spilled');
    a.calls[0]?.answer(500, '{}');
    expect((await first[0]?.answer)?.headers['x-fairlead-reason']).toBe('failover:ServerError(a)');
    a.respond(serve(chat, 'a'));
    expect(await reasonOf(pod)).toBe('only');
    first[1]?.leave();
    await a.calls[1]?.gone;
    const more = [send(pod.port, { body: chat.body }), send(pod.port, { body: chat.body })];
    for (const { answer } of more) expect((await answer).headers['x-fairlead-reason']).toBe('only');
  });

  it('counts nothing of what never reached it', async () => {
    const pod = await startGateway(
      routeYaml({ a: { url: `http://127.0.0.1:${await refusingPort()}/v1`, more: capacity('requestsPerMinute: 2') }, b: b.url }),
    );
    for (let i = 0; i < 4; i++) expect(await reasonOf(pod)).toBe('failover:ConnectFailure(a)');
  });

  it('is one for all routes that call it as the same caller', async () => {
    const route = (name: string): string =>
      routeYaml({ a: { url: a.url, more: capacity('requestsPerMinute: 3') }, b: b.url }).replaceAll('chat', name);
    const pod = await startGateway(documents(route('chat'), route('talk')));
    const targets: unknown[] = [];
    for (const model of ['chat', 'talk', 'talk', 'chat', 'talk'])
      targets.push((await ask(pod, { model })).headers['x-fairlead-model']);
    expect(targets).toEqual(['a', 'a', 'a', 'b', 'b']);
  });

  it('never leaves a request without a target: where all are full, the provider decides', async () => {
    const pod = await startGateway(
      routeYaml({
        a: { url: a.url, more: capacity('requestsPerMinute: 1') },
        b: { url: b.url, more: capacity('requestsPerMinute: 1') },
      }),
    );
    expect(await reasonOf(pod)).toBe('only');
    expect(await reasonOf(pod)).toBe('spilled');
    for (let i = 0; i < 3; i++) {
      const answer = await ask(pod);
      expect([answer.status, answer.headers['x-fairlead-reason']]).toEqual([200, 'saturated']);
    }
    expect(a.calls).toHaveLength(4);
  });

  it('is asked of the target that a failure leads to, too', async () => {
    const c = await FakeUpstream.start(serve(chat, 'c'));
    a.respond(() => {});
    const pod = await startGateway(
      routeYaml(
        { a: a.url, b: { url: b.url, more: capacity('requestsPerMinute: 1') }, c: c.url },
        '    failover: {maxAttempts: 2}',
      ),
    );
    // Both are planned while b has room.
    const sent = [send(pod.port, { body: chat.body }), send(pod.port, { body: chat.body })];
    await a.until(() => a.calls.length === 2);
    for (const call of a.calls) call.answer(500, '{}');
    const targets = await Promise.all(sent.map(async ({ answer }) => (await answer).headers['x-fairlead-model']));
    expect(new Set(targets)).toEqual(new Set(['b', 'c']));
  });
});

describe('what a provider says is left', () => {
  let a: FakeUpstream;
  let b: FakeUpstream;
  let clock: ManualClock;
  beforeEach(async () => {
    a = await FakeUpstream.start();
    b = await FakeUpstream.start(serve(chat, 'b'));
    clock = new ManualClock();
    clock.advance(1);
  });
  const start = async (headers: Readonly<Record<string, string>>): Promise<TestGateway> => {
    a.respond(answering(headers));
    return startGateway(routeYaml({ a: a.url, b: b.url }), { clock });
  };

  it('keeps requests away from the moment that nothing is, until the reset', async () => {
    const pod = await start({ 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '2s' });
    expect(await reasonOf(pod)).toBe('only');
    expect(await reasonOf(pod)).toBe('spilled');
    const { text } = await pod.gateway.renderMetrics();
    expect(text).toContain('fairlead_targets_left_out_total{route="default/chat",target="a",reason="headroom"} 1\n');
    expect(text).toMatch(/^fairlead_upstream_headroom\{upstream="[^"]*",unit="requests"\} 0$/m);
    clock.advance(1_999);
    expect(await reasonOf(pod)).toBe('spilled');
    clock.advance(1);
    expect(await reasonOf(pod)).toBe('only');
    expect(a.calls).toHaveLength(2);
  });

  it('goes down with what is sent before the next answer', async () => {
    const pod = await start({ 'x-ratelimit-remaining-requests': '2', 'x-ratelimit-reset-requests': '20s' });
    await ask(pod);
    a.respond(() => {});
    const two = [send(pod.port, { body: chat.body }), send(pod.port, { body: chat.body })];
    await a.until(() => a.calls.length === 3);
    expect(await reasonOf(pod)).toBe('spilled');
    for (const call of a.calls.slice(1)) call.answer(200, chat.whole('a'));
    await Promise.all(two.map(({ answer }) => answer));
  });

  it('of tokens keeps away what needs more, and nothing else', async () => {
    const pod = await start({ 'x-ratelimit-remaining-tokens': '1000', 'x-ratelimit-reset-tokens': '6s' });
    await ask(pod);
    expect((await ask(pod, { max_tokens: 2_000 })).headers['x-fairlead-reason']).toBe('spilled');
    expect((await ask(pod, { max_tokens: 100 })).headers['x-fairlead-reason']).toBe('only');
  });

  it('is believed for a minute at most', async () => {
    const pod = await start({ 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '24h0m0s' });
    await ask(pod);
    clock.advance(59_999);
    expect(await reasonOf(pod)).toBe('spilled');
    clock.advance(1);
    expect(await reasonOf(pod)).toBe('only');
  });

  it('keeps nobody away where it is retry-after on a 200, and where everybody is it sends all the same', async () => {
    const pod = await start({ 'retry-after': '600', 'retry-after-ms': '600000' });
    for (let i = 0; i < 3; i++) expect(await reasonOf(pod)).toBe('only');
    const none = { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '50s' };
    a.respond(answering(none));
    b.respond(answering(none));
    expect([await reasonOf(pod), await reasonOf(pod), await reasonOf(pod)]).toEqual(['only', 'spilled', 'saturated']);
  });
});

if (redisAbsent === null) {
  describe('two pods', () => {
    let redis: RedisProcess;
    let a: FakeUpstream;
    let b: FakeUpstream;

    const pods = async (members: string, redisMembers = ''): Promise<readonly [TestGateway, TestGateway]> => {
      const yaml = documents(
        redisGatewayYaml(redis.port, { spec: 'clientAuth: {type: None}', redis: redisMembers }),
        routeYaml({ a: { url: a.url, more: members }, b: b.url }).replace('namespace: default', 'namespace: platform'),
      );
      // A slow machine has all the time it needs: an answer that comes too late leaves each pod to its own share.
      const options = { redisTimeoutMs: PATIENT_MS };
      const two = [await startGateway(yaml, options), await startGateway(yaml, options)] as const;
      for (const pod of two) await shown(pod, /^fairlead_limit_store_reachable 1$/m);
      return two;
    };
    const heads = (answers: readonly Answer[], name: string): unknown[] => answers.map(({ headers }) => headers[name]);

    beforeEach(async () => {
      redis = await RedisProcess.start();
      a = await FakeUpstream.start(serve(chat, 'a'));
      b = await FakeUpstream.start(serve(chat, 'b'));
    });
    afterEach(async () => {
      await redis.kill();
    });

    it('together send a target no more than its requests a minute, and nearly all of them', async () => {
      const two = await pods('capacity: {requestsPerMinute: 60}');
      const answers: Answer[] = [];
      for (let round = 0; round < 20; round++)
        answers.push(...(await Promise.all([...two, ...two, ...two, ...two].map(async (pod) => ask(pod)))));
      expect(answers.every(({ status }) => status === 200)).toBe(true);
      expect(a.calls.length).toBeLessThanOrEqual(60);
      expect(a.calls.length).toBeGreaterThanOrEqual(57);
      expect(a.calls.length + b.calls.length).toBe(160);
      expect(new Set(heads(answers, 'x-fairlead-reason'))).toEqual(new Set(['only', 'spilled']));
    });

    it('together have no more calls under way at it than its concurrency', async () => {
      const two = await pods('capacity: {concurrency: 3}');
      a.respond(() => {});
      const sent = Array.from({ length: 12 }, (_, i) => send((two[i % 2] ?? two[0]).port, { body: chat.body }));
      await b.until(() => b.calls.length === 9);
      expect(a.calls).toHaveLength(3);
      for (const call of a.calls) call.answer(200, chat.whole('a'));
      for (const { answer } of sent) expect((await answer).status).toBe(200);
    });

    it('share its tokens', async () => {
      const used = USAGE.total_tokens;
      const two = await pods(`capacity: {tokensPerMinute: ${8 * used}}`);
      for (let i = 0; i < 20; i++) expect((await ask(two[i % 2] ?? two[0], { max_tokens: used })).status).toBe(200);
      expect(a.calls.length * used).toBeLessThanOrEqual(8 * used);
      expect(a.calls.length).toBeGreaterThanOrEqual(5);
    });

    it('keep away alike from what has told one of them that nothing is left, until the reset', async () => {
      const two = await pods('headers: []');
      const resetMs = 3_000;
      a.respond(answering({ 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': `${resetMs}ms` }));
      const sentMs = performance.now();
      expect(await reasonOf(two[0])).toBe('only');
      await shown(two[1], /^fairlead_upstream_headroom\{upstream="[^"]*",unit="requests"\} 0$/m);
      for (let asked = 0; a.calls.length === 1; asked++) await ask(two[asked % 2] ?? two[0]);
      expect(performance.now() - sentMs).toBeGreaterThanOrEqual(resetMs);
      expect(b.calls.length).toBeGreaterThan(0);
    });

    it('are asked while the target before has failed already: a stream tells of the one that answers', async () => {
      const yaml = documents(
        redisGatewayYaml(redis.port, { spec: 'clientAuth: {type: None}, upstreams: {allow: [127.0.0.1]}' }),
        routeYaml({ a: 'http://127.0.0.2:9/v1', b: { url: b.url, more: capacity('requestsPerMinute: 60') } }).replace(
          'namespace: default',
          'namespace: platform',
        ),
      );
      const pod = await startGateway(yaml, { redisTimeoutMs: PATIENT_MS, loopbackAllowed: false });
      await shown(pod, /^fairlead_limit_store_reachable 1$/m);
      const { headers } = await ask(pod, { stream: true });
      expect(headers).toMatchObject({
        'x-fairlead-model': 'b',
        'x-fairlead-attempts': '2',
        'x-fairlead-reason': 'failover:ConnectFailure(a)',
      });
    });

    it('serve on while Redis is away, whatever limits would do then', async () => {
      const two = await pods('capacity: {requestsPerMinute: 1}', 'onUnavailable: FailClosed');
      await redis.kill();
      for (const pod of two) await shown(pod, /^fairlead_limit_store_reachable 0$/m);
      const answers = [await ask(two[0]), await ask(two[1]), await ask(two[0])];
      expect(heads(answers, 'x-fairlead-model')).toEqual(['a', 'a', 'a']);
    });
  });
} else {
  it(`absent: the capacity that two pods share: ${redisAbsent}`, () => undefined);
}

/** Until a scrape has it. */
async function shown({ gateway }: TestGateway, line: RegExp): Promise<void> {
  while (!line.test((await gateway.renderMetrics()).text)) await new Promise((resolve) => setTimeout(resolve, 5));
}
