/**
 * A whole gateway in a process of its own, with a clock that its parent moves: over Redis at a port of this machine, under LocalShare, with
 * one limit a minute.
 */
import { ManualClock } from '../../src/lib/clock.ts';
import { request } from '../features/support/client.ts';
import { chat } from '../features/support/dialects.ts';
import { startGateway } from '../features/support/gateway.ts';
import { documents } from '../features/support/secrets.ts';
import { FakeUpstream } from '../features/support/upstream.ts';
import { redisGatewayYaml, routeYaml } from '../features/support/yaml.ts';

/** Moves the clock, then asks for so many requests, one after the other. */
export interface ShareCall {
  readonly advanceMs: number;
  readonly requests: number;
}

export interface ShareReply {
  readonly admitted: number;
  /** Admitted or refused without Redis. */
  readonly alone: number;
  /** As the gateway's own metrics tell. */
  readonly reachable: boolean;
  /** Commands that Redis has answered or not, since the start. */
  readonly commands: number;
}

const [redisPort = '', limit = ''] = process.argv.slice(2);
const clock = new ManualClock();
const upstream = await FakeUpstream.start((call) => call.answer(200, chat.whole('Hello')));
const route = routeYaml({ m: upstream.url }, '', `  rateLimits: [{name: rpm, unit: Requests, limit: ${limit}, window: 1m}]`);
const { port, gateway } = await startGateway(
  documents(
    redisGatewayYaml(Number(redisPort), { spec: 'clientAuth: {type: None}', redis: 'onUnavailable: LocalShare' }),
    route.replace('namespace: default', 'namespace: platform'),
  ),
  { clock, redisTimeoutMs: 30_000 },
);

async function answer({ advanceMs, requests }: ShareCall): Promise<ShareReply> {
  clock.advance(advanceMs);
  let admitted = 0;
  for (let i = 0; i < requests; i++) {
    const { status, text } = await request(port, { body: chat.body });
    if (status === 200) admitted += 1;
    else if (status !== 429) throw new Error(`the gateway answered ${status}: ${text}`);
  }
  const { text } = await gateway.renderMetrics();
  const sum = (name: string): number =>
    [...text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\d+)$`, 'gm'))].reduce((total, [, value]) => total + Number(value), 0);
  return {
    admitted,
    alone: sum('fairlead_limits_decided_alone_total'),
    reachable: sum('fairlead_limit_store_reachable') === 1,
    commands: sum('fairlead_limit_store_commands_total'),
  };
}

process.on('message', (call: ShareCall) => {
  answer(call).then(
    (reply) => process.send?.(reply),
    (error: unknown) => process.send?.({ failed: String(error) }),
  );
});
// Whoever started it may end without a word.
process.on('disconnect', () => process.exit());
process.send?.({ ready: true });
