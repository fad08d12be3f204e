// Promise: what goes wrong before the first output reaches the client is invisible to it: the other target answers, always, and
// nothing is waited for where there is nothing to wait for.
import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../src/lib/clock.ts';
import { type Answer, request } from './support/client.ts';
import { chat, streamOf } from './support/dialects.ts';
import { type Fault, FAULTS, LEAK, serve } from './support/faults.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { FakeUpstream, refusingPort } from './support/upstream.ts';
import { routeYaml } from './support/yaml.ts';

const ROUNDS = 10;
const WORDS = ['All', ' is', ' well'];
/** An hour each: an answer that depended on a deadline would not come within a test. */
const NO_DEADLINES = 'timeouts: {connect: 1h, firstToken: 1h, idle: 1h, total: 1h}';

const failover = (timeouts: string, filterTargets = 'good'): string =>
  `    failover: {${timeouts}, contentFilter: {mode: Failover, targets: [${filterTargets}]}}`;

interface Setting {
  readonly gateway: TestGateway;
  readonly clock: ManualClock;
  readonly good: FakeUpstream;
}

/** `badUrl` goes first; `good` second. */
async function setUp(badUrl: string, timeouts = NO_DEADLINES): Promise<Setting> {
  const good = await FakeUpstream.start(serve(chat, ...WORDS));
  const clock = startedClock();
  const gateway = await startGateway(routeYaml({ bad: badUrl, good: good.url }, failover(timeouts)), { clock });
  return { gateway, clock, good };
}

function startedClock(): ManualClock {
  const clock = new ManualClock();
  clock.advance(1);
  return clock;
}

/** So much later, no cool-down and no ejection keeps the failing target out: each request meets the fault anew. */
function forgive(clock: ManualClock): void {
  clock.advance(24 * 3_600_000);
}

async function ask(port: number, stream: boolean): Promise<Answer> {
  return request(port, { path: chat.path, body: { ...chat.body, ...(stream ? { stream: true } : {}) } });
}

function expectGood(answer: Answer, stream: boolean): void {
  expect(answer).toMatchObject({
    status: 200,
    complete: true,
    text: stream ? streamOf(chat, ...WORDS).join('') : chat.whole(WORDS.join('')),
  });
  expect(answer.headers['content-type']).toBe(stream ? 'text/event-stream' : 'application/json');
  expect(JSON.stringify(answer.headers) + answer.text).not.toContain(LEAK);
}

async function expectFailover({ gateway, clock }: Setting, reason: string, stream: boolean): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    forgive(clock);
    const answer = await ask(gateway.port, stream);
    expectGood(answer, stream);
    expect(answer.headers).toMatchObject({
      'x-fairlead-model': 'good',
      'x-fairlead-attempts': '2',
      'x-fairlead-reason': `failover:${reason}(bad)`,
    });
  }
  expect(gateway.requests).toHaveLength(ROUNDS);
  expect(gateway.gateway.budget.usedBytes).toBe(0);
}

const modesOf = ({ on }: Fault): boolean[] => (on === 'whole' ? [false] : on === 'stream' ? [true] : [false, true]);
const cases = Object.entries(FAULTS).flatMap(([name, fault]) =>
  modesOf(fault).map((stream) => ({ name, fault, stream, how: stream ? 'streamed' : 'whole' })),
);

describe('a fault before the first output, with nothing to wait for', () => {
  it.each(cases)('$name ($how): the other target answers', async ({ fault, stream }) => {
    const bad = await FakeUpstream.start(fault.respond);
    await expectFailover(await setUp(bad.url), fault.reason, stream);
    expect(bad.calls).toHaveLength(ROUNDS);
  });

  it.each([true, false])('a connection that is refused (stream: %s)', async (stream) => {
    await expectFailover(await setUp(`http://127.0.0.1:${await refusingPort()}/v1`), 'ConnectFailure', stream);
  });

  it.each([true, false])('a name that does not resolve (stream: %s)', async (stream) => {
    await expectFailover(await setUp('http://no-such-host..invalid/v1'), 'ConnectFailure', stream);
  });

  it.each([true, false])('a port that does not speak TLS (stream: %s)', async (stream) => {
    const plain = await FakeUpstream.start();
    plain.onConnection((socket) => socket.end(`220 ${LEAK} ESMTP\r\n`));
    await expectFailover(await setUp(plain.url.replace('http:', 'https:')), 'ConnectFailure', stream);
  });

  it.each(cases)(
    '$name ($how): every one of 20 requests at once is answered, whichever target goes first',
    async ({ fault, stream }) => {
      const bad = await FakeUpstream.start(fault.respond);
      const good = await FakeUpstream.start(serve(chat, ...WORDS));
      const yaml = routeYaml({ good: good.url, bad: bad.url }, failover(NO_DEADLINES)).replace('priority: 1', 'priority: 0');
      const { port } = await startGateway(yaml);
      const answers = await Promise.all(Array.from({ length: 20 }, () => ask(port, stream)));
      for (const answer of answers) expectGood(answer, stream);
      expect(answers.some(({ headers }) => headers['x-fairlead-attempts'] === '2')).toBe(true);
      expect(answers.some(({ headers }) => headers['x-fairlead-attempts'] === '1')).toBe(true);
    },
  );
});

describe('an upstream that stalls', () => {
  // Both targets have it: long enough for the one that answers, on a loaded machine too.
  const SHORT = 'timeouts: {connect: 1s, firstToken: 1s, total: 1s}';
  const [annotation = '', role = ''] = chat.preamble;

  it.each([true, false])('before its answer (stream: %s): the other target answers after the deadline', async (stream) => {
    const bad = await FakeUpstream.start();
    await expectFailover(await setUp(bad.url, SHORT), 'Timeout', stream);
    await bad.until(() => bad.connections === 0);
  });

  it('in the middle of a whole answer', async () => {
    const bad = await FakeUpstream.start((call) =>
      call.raw(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"${LEAK}`),
    );
    await expectFailover(await setUp(bad.url, SHORT), 'Timeout', false);
    await bad.until(() => bad.connections === 0);
  });

  it('after the frames that are no output, however many of them come', async () => {
    const bad = await FakeUpstream.start((call) => {
      call.open();
      call.chunk(annotation);
      call.chunk(role);
      call.chunk(`: ${LEAK}\n\n`);
    });
    await expectFailover(await setUp(bad.url, SHORT), 'Timeout', true);
    await bad.until(() => bad.connections === 0);
  });

  it('in the TLS handshake', async () => {
    const silent = await FakeUpstream.start();
    silent.onConnection((socket) => socket.pause());
    await expectFailover(await setUp(silent.url.replace('http:', 'https:'), SHORT), 'Timeout', true);
  });
});
