import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../src/lib/clock.ts';
import type { Limit } from '../../src/routetable/types.ts';
import { formatUsd } from '../../src/lib/money.ts';
import { request } from '../features/support/client.ts';
import { startGateway } from '../features/support/gateway.ts';
import { documents } from '../features/support/secrets.ts';
import { FakeUpstream } from '../features/support/upstream.ts';
import { redisGatewayYaml, routeYaml } from '../features/support/yaml.ts';
import { trueMs } from './history.ts';
import type { Pod, Wish } from './pod.ts';
import type { PodLog } from './pod-log.ts';
import { type Schedule, TOKEN_NANO_USD } from './schedule.ts';

/** What the prompt counts for in the upstream's answer: less than the gateway reserves for it. */
const PROMPT_TOKENS = 1;

/**
 * A whole gateway, over Redis at a port of this machine, with its upstream, which is where a request is known to be admitted. It runs
 * from its start on the table that the newest schedule asks for.
 */
export async function gatewayPod(redisPort: number, clock: Clock, log: PodLog): Promise<Pod> {
  const running = new Map<string, { readonly schedule: number; readonly wish: Wish; readonly beforeMs: number }>();
  const upstream = await FakeUpstream.start(async (call) => {
    const { user, max_tokens: maxTokens } = call.json() as { user: string; max_tokens: number };
    const asked = running.get(user);
    if (asked === undefined) throw new Error(`the upstream was asked by ${user}, whom nobody sent`);
    const { schedule, wish, beforeMs } = asked;
    log.admitted(schedule, wish.id, beforeMs, 0);
    const tokens = Math.min(wish.used, maxTokens);
    await Promise.race([sleep(wish.holdMs), call.gone]);
    // First written, so that nobody can have the place before it is known to be free.
    log.ended(schedule, wish.id, PROMPT_TOKENS + tokens);
    call.answer(200, answerOf(tokens));
  });
  const yamlOf = (name: string, limits: readonly Limit[]): string => {
    const price = formatUsd(TOKEN_NANO_USD * 1e6);
    const model = { url: upstream.url, more: `pricing: {unit: USDPerMillionTokens, input: "${price}", output: "${price}"}` };
    const route = routeYaml({ m: model }, '', `  rateLimits: [${limits.map(limitYaml).join(', ')}]`);
    return documents(
      redisGatewayYaml(redisPort, { spec: 'clientAuth: {type: None}', redis: 'onUnavailable: FailClosed' }),
      route.replace('metadata: {name: chat, namespace: default}', `metadata: {name: ${name}, namespace: platform}`),
    );
  };
  const idle: Limit = { name: 'requests', per: [], unit: 'Requests', limit: 1, windowMs: 1_000 };
  const gateway = await startGateway(yamlOf('idle', [idle]), { clock });
  return {
    begin: ({ number, limits }: Schedule) => gateway.apply(yamlOf(`schedule-${number}`, limits)),
    async ask({ number }, wish) {
      running.set(wish.id, { schedule: number, wish, beforeMs: trueMs() });
      const messages = [{ role: 'user', content: 'How full is it?' }];
      const body = { model: 'chat', messages, user: wish.id, max_tokens: wish.tokens };
      const { status, text } = await request(gateway.port, { body });
      running.delete(wish.id);
      if (status === 429) log.refused(number, 'exceeded');
      else if (text.includes('limits_unavailable')) log.refused(number, 'unavailable');
      else if (status !== 200) throw new Error(`the gateway answered ${status}: ${text}`);
    },
  };
}

function limitYaml({ name, unit, limit, windowMs, calendar }: Limit): string {
  const span =
    calendar !== undefined
      ? `, calendar: {period: ${calendar.period}, timeZone: ${calendar.timeZone}}`
      : windowMs !== null
        ? `, window: ${windowMs}ms`
        : '';
  return `{name: ${name}, unit: ${unit}, limit: ${unit === 'USD' ? `"${formatUsd(limit)}"` : limit}${span}}`;
}

function answerOf(completionTokens: number): string {
  const usage = {
    prompt_tokens: PROMPT_TOKENS,
    completion_tokens: completionTokens,
    total_tokens: PROMPT_TOKENS + completionTokens,
  };
  const message = { role: 'assistant', content: 'Half.', refusal: null };
  const choices = [{ index: 0, message, logprobs: null, finish_reason: 'stop' }];
  return JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion', created: 1, model: 'm', choices, usage });
}
