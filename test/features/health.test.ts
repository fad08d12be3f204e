// Promise: an upstream that keeps failing is left alone for a while, tried again by one request, and never so that nobody is left.
import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../src/lib/clock.ts';
import { type Answer, request, send } from './support/client.ts';
import { chat, completions } from './support/dialects.ts';
import { serve } from './support/faults.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { FakeUpstream, type Respond } from './support/upstream.ts';
import { routeYaml } from './support/yaml.ts';

interface Setting {
  readonly gateway: TestGateway;
  readonly clock: ManualClock;
  readonly a: FakeUpstream;
  readonly b: FakeUpstream;
}

const wrong: Respond = (call) => call.answer(500, '{}');
const refused =
  (status: number, headers: Readonly<Record<string, string>> = {}): Respond =>
  (call) =>
    call.answer(status, '{}', headers);

async function setUp(respondA: Respond, respondB: Respond = serve(chat, 'b')): Promise<Setting> {
  const a = await FakeUpstream.start(respondA);
  const b = await FakeUpstream.start(respondB);
  const clock = new ManualClock();
  clock.advance(1);
  // No retries: each request is one call to a, one to b at most.
  const gateway = await startGateway(routeYaml({ a: a.url, b: b.url }, '    failover: {maxAttempts: 2}'), { clock });
  return { gateway, clock, a, b };
}

const ask = async ({ gateway }: Setting): Promise<Answer> => request(gateway.port, { body: chat.body });
const reasonOf = async (setting: Setting): Promise<unknown> => (await ask(setting)).headers['x-fairlead-reason'];

async function eject(setting: Setting): Promise<void> {
  for (let failure = 0; failure < 5; failure++) expect(await reasonOf(setting)).toBe('failover:ServerError(a)');
  expect(await reasonOf(setting)).toBe('spilled');
  expect(setting.a.calls).toHaveLength(5);
}

async function metricsOf({ gateway }: TestGateway): Promise<string> {
  return (await gateway.renderMetrics()).text;
}

describe('an upstream that keeps failing', () => {
  it('is left alone after five failures in a row, and the metrics and the log say so', async () => {
    const setting = await setUp(wrong);
    await eject(setting);
    for (let more = 0; more < 20; more++) await ask(setting);
    expect(setting.a.calls).toHaveLength(5);
    expect(await metricsOf(setting.gateway)).toMatch(
      /^fairlead_upstream_healthy\{upstream="http:\/\/127\.0\.0\.1:\d+[^"]*"\} 0$/m,
    );
    expect(setting.gateway.lines.filter((line) => line.includes('"to":"Ejected"'))).toHaveLength(1);
  });

  it('is tried again by one request alone; its success lets all others back in', async () => {
    const setting = await setUp(wrong);
    const { gateway, clock, a, b } = setting;
    await eject(setting);
    clock.advance(5_000);
    a.respond(() => {});
    const probe = send(gateway.port, { body: chat.body });
    await a.until(() => a.calls.length === 6);
    const others = await Promise.all(Array.from({ length: 10 }, () => ask(setting)));
    for (const { headers } of others) expect(headers['x-fairlead-reason']).toBe('spilled');
    const servedByB = b.calls.length;
    a.calls.at(-1)?.answer(200, chat.whole('probed'));
    expect((await probe.answer).text).toBe(chat.whole('probed'));
    a.respond(serve(chat, 'a'));
    expect((await ask(setting)).text).toBe(chat.whole('a'));
    expect(b.calls).toHaveLength(servedByB);
    expect(await metricsOf(gateway)).toMatch(/^fairlead_upstream_healthy\{upstream="[^"]*"\} 1$/m);
  });

  it('stays out for longer each time it is tried in vain', async () => {
    const setting = await setUp(wrong);
    await eject(setting);
    for (const [tries, waitMs] of [5_000, 10_000, 20_000].entries()) {
      setting.clock.advance(waitMs);
      expect(await reasonOf(setting)).toBe('failover:ServerError(a)');
      setting.clock.advance(waitMs - 1_000);
      expect(await reasonOf(setting)).toBe('spilled');
      setting.clock.advance(1_000 - waitMs);
      expect(setting.a.calls).toHaveLength(6 + tries);
    }
  });

  it('a probe whose client leaves says nothing: the next request probes', async () => {
    const setting = await setUp(wrong);
    const { gateway, clock, a } = setting;
    await eject(setting);
    clock.advance(5_000);
    a.respond(() => {});
    const probe = send(gateway.port, { body: chat.body });
    await a.until(() => a.calls.length === 6);
    probe.leave();
    await gateway.until(() => gateway.requests.at(-1)?.errorCode === 'client_gone');
    a.respond(serve(chat, 'a'));
    expect((await ask(setting)).text).toBe(chat.whole('a'));
  });

  it('streams that break after their first output count, too', async () => {
    const setting = await setUp((call) => {
      call.open();
      call.chunk(chat.text('a'));
      call.cut();
    });
    for (let stream = 0; stream < 50; stream++) await request(setting.gateway.port, { body: { ...chat.body, stream: true } });
    expect(setting.a.calls.length).toBeLessThan(50);
    expect(await reasonOf(setting)).toBe('spilled');
  });
});

describe('an upstream that says when to come back', () => {
  it.each([
    ['retry-after', '10', 10_000],
    ['retry-after-ms', '2500', 2_500],
  ])('is left alone until then (%s)', async (header, value, waitMs) => {
    const setting = await setUp(refused(429, { [header]: value }));
    expect(await reasonOf(setting)).toBe('failover:RateLimited(a)');
    setting.a.respond(serve(chat, 'a'));
    setting.clock.advance(waitMs - 1);
    expect(await reasonOf(setting)).toBe('spilled');
    setting.clock.advance(1);
    expect(await reasonOf(setting)).toBe('only');
  });

  it('also with a 503', async () => {
    const setting = await setUp(refused(503, { 'retry-after': '10' }));
    expect(await reasonOf(setting)).toBe('failover:Overloaded(a)');
    expect(await reasonOf(setting)).toBe('spilled');
  });
});

describe('an upstream that refuses us', () => {
  it.each([
    [401, 'Auth'],
    [403, 'Auth'],
    [404, 'NotFound'],
  ])('HTTP %s: is left alone at once, and tried again later', async (status, reason) => {
    const setting = await setUp(refused(status));
    expect(await reasonOf(setting)).toBe(`failover:${reason}(a)`);
    expect(await reasonOf(setting)).toBe('spilled');
    setting.a.respond(serve(chat, 'a'));
    setting.clock.advance(300_000);
    expect(await reasonOf(setting)).toBe('only');
  });

  it('HTTP 404: for that operation alone', async () => {
    const setting = await setUp((call) =>
      call.path.endsWith('/chat/completions') ? call.answer(404, '{}') : serve(completions, 'a')(call),
    );
    expect(await reasonOf(setting)).toBe('failover:NotFound(a)');
    expect(await reasonOf(setting)).toBe('spilled');
    const answer = await request(setting.gateway.port, { path: completions.path, body: completions.body });
    expect(answer.text).toBe(completions.whole('a'));
  });
});

describe('when no upstream is healthy', () => {
  it('they are called all the same, and the reason says so', async () => {
    const setting = await setUp(wrong, wrong);
    for (let round = 0; round < 12; round++) await ask(setting);
    setting.a.respond(serve(chat, 'a'));
    setting.b.respond(serve(chat, 'b'));
    const answer = await ask(setting);
    expect(answer.status).toBe(200);
    expect(answer.headers['x-fairlead-reason']).toBe('panic');
  });

  it('cooled down or not', async () => {
    const setting = await setUp(refused(429, { 'retry-after': '60' }), refused(401));
    await ask(setting);
    setting.b.respond(serve(chat, 'b'));
    const answers = [await ask(setting), await ask(setting), await ask(setting)];
    expect(answers.some(({ status }) => status === 200)).toBe(true);
  });
});
