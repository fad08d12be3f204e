import { randomBytes } from 'node:crypto';
import type { Clock } from '../../src/lib/clock.ts';
import { setTimeout as sleep } from 'node:timers/promises';
import { COMMAND_TIMEOUT_MS, RedisConnection, scriptOf } from '../../src/limits/redis/connection.ts';
import { type LimitStore, SharedLimiter } from '../../src/limits/redis/shared.ts';
import { LEASE_SCRIPT } from '../../src/limits/redis/scripts.ts';
import { trueMs } from './history.ts';
import type { Pod } from './pod.ts';
import type { PodLog } from './pod-log.ts';
import { settingsFor } from './pods.ts';
import { CLOCK_STEP_KEY, TOKEN_NANO_USD } from './schedule.ts';

/** lease.lua on a clock that the check sets: what TIME answers is moved by what a key says. */
const STEPPED_SCRIPT = scriptOf(
  `local redis = setmetatable({ call = function(command, ...)
  local answer = redis.call(command, ...)
  if command == 'TIME' then answer[1] = answer[1] + (redis.call('GET', '${CLOCK_STEP_KEY}') or 0) end
  return answer
end }, { __index = redis })
${LEASE_SCRIPT}`,
);

/** The limiter alone, over Redis at a port of this machine. */
export async function limiterPod(port: number, clock: Clock, log: PodLog): Promise<Pod> {
  const id = randomBytes(9).toString('base64url');
  const events = { stateChanged() {}, warned() {}, commandEnded() {}, decidedAlone() {} };
  const connection = new RedisConnection(settingsFor(port, 'FailClosed'), clock, id, 'check:pods', events, COMMAND_TIMEOUT_MS);
  const store: LimitStore = {
    get reachable() {
      return connection.reachable;
    },
    get firstAnswer() {
      return connection.firstAnswer;
    },
    pods: 1,
    run: async (_script, key, args) => connection.run(STEPPED_SCRIPT, key, args),
  };
  const limiter = new SharedLimiter({ clock, store, prefix: 'check:', pod: id, onUnavailable: 'FailClosed', events });
  return {
    begin() {},
    async ask({ number, limits }, wish) {
      const beforeMs = trueMs();
      const decision = await limiter.reserve({
        routeId: `check/schedule-${number}`,
        limits,
        apiKeyId: 'key',
        tenant: 'tenant',
        model: 'model',
        header: () => undefined,
        tokens: wish.tokens,
        nanoUsd: wish.tokens * TOKEN_NANO_USD,
      });
      if (!decision.ok) {
        log.refused(number, decision.reason);
        return;
      }
      log.admitted(number, wish.id, beforeMs, wish.tokens);
      const end = (): void => {
        log.ended(number, wish.id, wish.used);
        decision.settle(wish.used, wish.used * TOKEN_NANO_USD);
      };
      decision.onRevoked(end);
      await sleep(wish.holdMs);
      // First written, so that nobody can have the place before it is known to be free.
      if (wish.unused) {
        log.givenBack(number, wish.id);
        decision.release();
      } else {
        end();
      }
    },
  };
}
