import type { ErrorCode } from './errors.ts';
import type { RequestFacts } from '../dialects/facts.ts';
import type { Failure } from '../lib/failure.ts';
import type { Usage } from '../lib/usage.ts';
import { failoverCause, type TriedTarget } from '../selection/failover.ts';
import type { Plan } from '../selection/types.ts';
import type { Attempt } from './attempt.ts';
import { type AttemptLine, type LeftOutLine, requestLabels } from '../telemetry/log.ts';
import type { LoadedRoute, LoadedTarget } from './loaded-table.ts';
import type { RequestContext } from './request-context.ts';
import { costOf } from './settle.ts';
import type { StoredAnswer } from './stored-object.ts';

/** A request that went to upstreams. */
export interface RelayedRequest {
  readonly run: RequestContext;
  readonly loaded: LoadedRoute;
  readonly facts: RequestFacts;
  readonly plan: Plan;
  readonly stream: boolean;
  readonly attempts: readonly Attempt[];
  /** Monotonic; 0 where there was none. */
  readonly firstOutputMs: number;
}

/** How a request ended, for its log line and metrics. */
export interface RelayOutcome {
  readonly status: number;
  /** null: the client got an upstream's answer. */
  readonly errorCode: string | null;
  readonly failure: Failure | null;
  readonly served: Attempt | null;
  readonly usage: Usage | null;
  /** null: unknown, because the price is. */
  readonly costNanoUsd: number | null;
  readonly reason: string;
  readonly bytesOut: number;
}

/** The one place where a request that is over enters the metrics and the log. */

/** A request that no model answered: refused, served by the gateway itself, or (`served`) a look at what an upstream keeps. */
export function recordDirect(
  run: RequestContext,
  code: ErrorCode | 'client_gone' | null,
  served: StoredAnswer | null = null,
): void {
  const { core } = run;
  const status = code === 'client_gone' ? 499 : run.exchange.status;
  const metrics = run.loaded?.metrics ?? core.metrics.unrouted;
  metrics.requestEnded(run.operation ?? 'other', status);
  if (code === 'client_gone') core.metrics.clientDisconnects.add(1);
  else if (code !== null) metrics.error(code);
  if (code === 'overloaded' || code === 'shutting_down') core.metrics.shed(code);
  if (code === 'stream_interrupted') metrics.streamBroken();
  const durationMs = core.clock.nowMs() - run.startedMs;
  const stream = served?.stream === true;
  (stream ? core.metrics.streamDuration : core.metrics.wholeDuration).observe(durationMs / 1000);
  if (!core.logsRequests) return;
  core.log.request({
    requestId: run.requestId,
    route: run.loaded?.route.id ?? null,
    rule: null,
    operation: run.operation ?? 'other',
    model: run.model,
    target: served?.target.target.name ?? null,
    upstreamModel: served?.target.target.model ?? null,
    tenant: run.caller.tenant,
    keyId: run.caller.keyId,
    status,
    stream,
    reason: null,
    errorCode: code,
    attempts: [],
    usage: null,
    costMicroUsd: null,
    durationMs,
    firstTokenMs: null,
    overheadMs: null,
    bytesIn: run.bytesIn,
    bytesOut: 0,
    errorMessage: served?.failure?.message ?? null,
    clientGone: code === 'client_gone',
  });
}

/** `to`: the name of the target that is asked next. */
export function countFailover({ metrics, targets }: LoadedRoute, { target, failure }: TriedTarget, to: string): void {
  metrics.failedOver(targets[target]?.target.name ?? '', to, failoverCause(failure) ?? failure.kind);
  if (failure.kind === 'content_filtered') metrics.contentFilterFailedOver(failure.phase, to);
}

/** A whole answer that was passed on before its end. */
export function recordSpilled({ requestId, core }: RequestContext, attempt: Attempt): void {
  const { name } = attempt.target.target;
  core.log.logger.info(
    { requestId, target: name },
    'an answer too large to hold was passed on before its end: it could not fail over',
  );
}

export function recordRelayed(relay: RelayedRequest, outcome: RelayOutcome): void {
  const { run } = relay;
  const { core } = run;
  const { metrics } = core;
  const { served, usage } = outcome;
  const routeMetrics = relay.loaded.metrics;
  const durationMs = core.clock.nowMs() - run.startedMs;
  routeMetrics.requestEnded(relay.facts.operation, outcome.status);
  (relay.stream ? metrics.streamDuration : metrics.wholeDuration).observe(durationMs / 1000);
  const [first] = relay.attempts;
  const overheadMs = first === undefined ? null : first.startedMs - run.bodyReadMs;
  if (overheadMs !== null) metrics.gatewayOverhead.observe(overheadMs / 1000);
  if (outcome.errorCode === 'client_gone') metrics.clientDisconnects.add(1);
  else if (outcome.errorCode !== null) routeMetrics.error(outcome.errorCode);
  if (outcome.errorCode === 'stream_interrupted') routeMetrics.streamBroken();
  const leftOut = leftOutOf(relay);
  const dropped = served?.leftOut ?? [];
  for (const name of dropped) routeMetrics.paramDropped(name.replaceAll(/\d+/g, 'N'));
  if (served !== null && usage !== null) {
    served.target.metrics.used(usage);
    if (!usage.estimated) served.target.counter(run.model).learn(relay.facts.promptSize, usage.inputTokens);
    served.target.metrics.cost(outcome.costNanoUsd);
  }
  if (relay.attempts.length > 1 || served === null || usage === null) countSpent(relay, outcome);
  if (!core.logsRequests) return;
  const labels = labelsOf(relay, served);
  core.log.request({
    labels: labels.json,
    requestId: run.requestId,
    route: labels.route,
    rule: labels.rule,
    operation: labels.operation,
    model: run.model,
    target: labels.target,
    upstreamModel: labels.upstreamModel,
    tenant: labels.tenant,
    keyId: labels.keyId,
    status: outcome.status,
    stream: relay.stream,
    reason: outcome.reason,
    errorCode: outcome.errorCode,
    attempts: relay.attempts.map(attemptLine),
    leftOut,
    dropped,
    usage,
    costMicroUsd: outcome.costNanoUsd === null ? null : outcome.costNanoUsd / 1_000,
    durationMs,
    firstTokenMs: relay.firstOutputMs === 0 ? null : relay.firstOutputMs - run.startedMs,
    overheadMs,
    bytesIn: run.bytesIn,
    bytesOut: outcome.bytesOut,
    errorMessage: outcome.failure === null ? null : outcome.failure.message,
    clientGone: outcome.errorCode === 'client_gone',
  });
}

/** What providers told as used by attempts that failed. */
function countSpent({ attempts, facts }: RelayedRequest, { served, usage: answered }: RelayOutcome): void {
  for (const attempt of attempts) {
    const { target, usage } = attempt;
    if (usage === null || (attempt === served && answered !== null)) continue;
    target.metrics.used(usage);
    target.metrics.cost(costOf(target.pricing(facts.model), usage));
  }
}

const NONE: readonly LeftOutLine[] = [];

/** Counts them, too. */
function leftOutOf({ plan, loaded }: RelayedRequest): readonly LeftOutLine[] {
  if (plan.excluded.length === 0) return NONE;
  return plan.excluded.map(({ target: index, reason }) => {
    const target = loaded.targets[index];
    target?.metrics.leftOut(reason);
    return { target: target?.target.name ?? '', reason };
  });
}

const NOWHERE_ELSE = {};

function attemptLine(attempt: Attempt): AttemptLine {
  const { failure, masked } = attempt;
  const { address } = attempt.place;
  const target = attempt.target.target.name;
  const ms = attempt.endedMs - attempt.startedMs;
  const where = address === null ? NOWHERE_ELSE : { address };
  if (failure === null) {
    if (masked !== null) return { target, outcome: 'ok', ms, ...where, masked: masked.phase, categories: masked.categories };
    return address === null ? { target, outcome: 'ok', ms } : { target, outcome: 'ok', ms, address };
  }
  return {
    target,
    outcome: failure.kind,
    ms,
    ...where,
    ...('phase' in failure ? { phase: failure.phase } : {}),
    ...('categories' in failure ? { categories: failure.categories } : {}),
    ...(attempt.usage === null ? {} : { usage: attempt.usage }),
    ...('retryAfterMs' in failure && failure.retryAfterMs !== null ? { retryAfterMs: failure.retryAfterMs } : {}),
  };
}

type Labels = Parameters<typeof requestLabels>[0] & { readonly json: string };

/** Ready for the next request of the same client to the same target by the same rule and operation. */
const keptLabels = new WeakMap<LoadedTarget, Map<string, Labels>>();
const MAX_KEPT_LABELS = 1_000;

function labelsOf(relay: RelayedRequest, served: Attempt | null): Labels {
  if (served === null) return newLabels(relay, null);
  let kept = keptLabels.get(served.target);
  if (kept === undefined) keptLabels.set(served.target, (kept = new Map<string, Labels>()));
  const key = `${relay.run.caller.keyId} ${relay.run.caller.tenant} ${relay.plan.rule} ${relay.facts.operation}`;
  let labels = kept.get(key);
  if (labels === undefined) {
    if (kept.size >= MAX_KEPT_LABELS) kept.clear();
    kept.set(key, (labels = newLabels(relay, served)));
  }
  return labels;
}

function newLabels({ run, loaded, plan, facts }: RelayedRequest, served: Attempt | null): Labels {
  const labels = {
    route: loaded.route.id,
    rule: loaded.route.rules[plan.rule]?.name ?? null,
    operation: facts.operation,
    target: served?.target.target.name ?? null,
    upstreamModel: served?.target.target.model ?? null,
    tenant: run.caller.tenant,
    keyId: run.caller.keyId,
  };
  return { ...labels, json: requestLabels(labels) };
}
