import { compileKeys, type KeyRing } from '../auth/client-keys.ts';
import type { BodyEdit } from '../dialects/splice-body.ts';
import type { JsonObject } from '../lib/json.ts';
import { type Operation, OPERATIONS } from '../lib/operation.ts';
import type { AnswerHeaders, Exchange, Sign, StreamReader, Translation } from '../providers/provider.ts';
import { providerFor } from '../providers/index.ts';
import { byText } from '../routetable/order.ts';
import type { Limit, Route, RouteTable, Target } from '../routetable/types.ts';
import { type CompiledSelection, compileSelection } from '../selection/choose.ts';
import type { HealthBook, TargetHealth } from '../selection/health.ts';
import { compileNames, editNames, type Names } from '../selection/names.ts';
import { goldenSequence } from '../selection/pick.ts';
import type { GatewayMetrics, RouteMetrics, TargetMetrics, UpstreamMetrics } from '../telemetry/metrics.ts';
import type { Channel, Connections } from '../upstream/connections.ts';
import type { RetryBudget, RetryBudgets } from '../upstream/retry-budget.ts';
import type { Answer } from '../providers/provider.ts';

/** What loading a table needs of the process; all of it outlives the table. */
export interface LoadContext {
  readonly connections: Connections;
  readonly health: HealthBook;
  readonly retryBudgets: RetryBudgets;
  readonly metrics: GatewayMetrics;
  /** Every route that some table in use has, by the object that its names lead to. */
  readonly loaded: WeakMap<Route, LoadedRoute>;
  random(): number;
}

/**
 * A RouteTable made ready for requests: names and keys indexed, matchers compiled, every target with its connections, live
 * signals and metric cells. Immutable but for the counters in it; a request keeps the one it began with.
 */
export interface LoadedTable {
  readonly table: RouteTable;
  readonly names: Names;
  readonly keys: KeyRing;
  routeOf(route: Route): LoadedRoute;
  readonly routes: readonly LoadedRoute[];
}

export interface LoadedRoute {
  readonly route: Route;
  readonly selection: CompiledSelection;
  readonly targets: readonly LoadedTarget[];
  /** By index of `targets`; the array `choose` reads. */
  readonly signals: readonly TargetHealth[];
  /** By index of `route.rules`. */
  readonly rules: readonly RuleState[];
  readonly limits: readonly Limit[];
  readonly metrics: RouteMetrics;
  /** Operations that some target of it serves in another dialect than the client's. */
  readonly translating: ReadonlySet<Operation>;
}

/** A rule's own counters: what makes weights exact and RoundRobin round. */
export interface RuleState {
  pick(): number;
  turn: number;
}

export class LoadedTarget {
  readonly target: Target;
  readonly health: TargetHealth;
  readonly retryBudget: RetryBudget;
  readonly metrics: TargetMetrics;
  readonly upstreamMetrics: UpstreamMetrics;
  readonly edit: BodyEdit;
  readonly #connections: Connections;
  readonly #exchanges = new Map<Operation, LoadedExchange | null>();

  constructor(target: Target, routeId: string, context: LoadContext) {
    this.target = target;
    this.health = context.health.signals(target);
    this.retryBudget = context.retryBudgets.of(target.upstreamId);
    this.metrics = context.metrics.forTarget(routeId, target.name);
    this.upstreamMetrics = context.metrics.forUpstream(target.upstreamId);
    this.edit = {
      model: target.model,
      includeUsage: target.provider !== 'Mistral',
      defaults: target.defaults,
      override: target.override,
    };
    this.#connections = context.connections;
  }

  /** The connections that requests have used so far. */
  *channels(): Iterable<Channel> {
    for (const exchange of this.#exchanges.values()) if (exchange !== null) yield exchange.channel;
  }

  /** Those that requests have asked for so far. */
  operations(): Iterable<Operation> {
    return this.#exchanges.keys();
  }

  /** null: the provider has no such operation. */
  exchange(operation: Operation): LoadedExchange | null {
    let found = this.#exchanges.get(operation);
    if (found === undefined) {
      const exchange = providerFor(this.target.provider).exchange(this.target, operation);
      found =
        exchange === null
          ? null
          : new LoadedExchange(exchange, operation, this.#connections.channelFor(this.target, exchange.origin));
      this.#exchanges.set(operation, found);
    }
    return found;
  }
}

const CHAT_END = Buffer.from('data: [DONE]\n\n');
const MESSAGES_END = Buffer.from('event: message_stop\ndata: {"type":"message_stop"}\n\n');
const NO_END = Buffer.alloc(0);

/** A provider's exchange with the connections it goes out by. */
export class LoadedExchange {
  readonly channel: Channel;
  readonly headers: readonly string[];
  /** What ends a stream of this operation where the upstream left it out. */
  readonly streamEnd: Buffer;
  /** Names of the request's headers that reach the upstream. */
  readonly forwards: readonly string[];
  /** null: `headers` prove every call. */
  readonly sign: Sign | null;
  /** null: bytes pass. */
  readonly translation: Translation | null;
  readonly #exchange: Exchange;

  constructor(exchange: Exchange, operation: Operation, channel: Channel) {
    this.#exchange = exchange;
    this.channel = channel;
    this.headers = exchange.headers;
    this.sign = exchange.sign ?? null;
    this.translation = exchange.translation;
    this.streamEnd = streamEndOf(operation);
    this.forwards =
      exchange.translation === null
        ? (FORWARDED[operation] ?? FORWARDED_HEADERS)
        : [...exchange.translation.forwards, ...FORWARDED_TRANSLATED];
  }

  /** As `Exchange.adapt`; null: bytes pass. */
  adapt(json: JsonObject): Record<string, unknown> | null {
    return this.#exchange.adapt?.(json) ?? null;
  }

  path(clientModel: string, stream: boolean): string {
    return this.#exchange.path(clientModel, stream);
  }

  readAnswer(status: number, headers: AnswerHeaders, body: Buffer, complete: boolean): Answer {
    return this.#exchange.readAnswer(status, headers, body, complete);
  }

  readStream(headers: AnswerHeaders): StreamReader {
    return this.#exchange.readStream(headers);
  }
}

/** Request headers that reach an upstream; a client's credentials and cookies never do. */
const FORWARDED_HEADERS: readonly string[] = ['openai-beta', 'idempotency-key', 'traceparent', 'tracestate'];
const FORWARDED_TO_ANTHROPIC: readonly string[] = ['anthropic-beta', 'idempotency-key', 'traceparent', 'tracestate'];
const FORWARDED: Readonly<Partial<Record<Operation, readonly string[]>>> = {
  messages: FORWARDED_TO_ANTHROPIC,
  count_tokens: FORWARDED_TO_ANTHROPIC,
};
/** Where another dialect is spoken, the client's own switches mean nothing. */
const FORWARDED_TRANSLATED: readonly string[] = ['traceparent', 'tracestate'];

function streamEndOf(operation: Operation): Buffer {
  if (operation === 'chat' || operation === 'completions') return CHAT_END;
  return operation === 'messages' ? MESSAGES_END : NO_END;
}

/**
 * Loads a table; what did not change since `previous` is taken over as it is, counters included, so that one edit among thousands
 * of routes costs what it touches.
 */
export function loadTable(table: RouteTable, context: LoadContext, previous: LoadedTable | null): LoadedTable {
  context.connections.allow(table.settings.upstreamAllow);
  const sameHosts = previous?.table.settings.upstreamAllow.join(' ') === table.settings.upstreamAllow.join(' ');
  const before = previous?.routes ?? [];
  const routes: LoadedRoute[] = [];
  const removed: Route[] = [];
  const added: Route[] = [];
  // Both are sorted by id.
  let at = 0;
  for (const route of table.routes) {
    let old = before[at];
    while (old !== undefined && old.route !== route && byText(old.route.id, route.id) < 0) {
      removed.push(old.route);
      old = before[++at];
    }
    if (old === undefined || (old.route !== route && old.route.id !== route.id)) {
      added.push(route);
      routes.push(loadRoute(route, context));
      continue;
    }
    at++;
    // By digest, because equal routes of two readings are two objects.
    if (sameHosts && (old.route === route || old.route.digest === route.digest)) {
      routes.push(old);
      continue;
    }
    const loaded = loadRoute(route, context);
    if (sameHosts) keepConnections(loaded, old);
    removed.push(old.route);
    added.push(route);
    routes.push(loaded);
  }
  for (const old of before.slice(at)) removed.push(old.route);
  const sameGateway = previous?.table.gateway.namespace === table.gateway.namespace;
  const unchanged = previous !== null && removed.length + added.length === 0;
  return {
    table,
    names:
      previous !== null && sameGateway
        ? editNames(previous.names, removed, added)
        : compileNames({ gateway: table.gateway, routes: routes.map(({ route }) => route) }),
    keys: previous?.table.clientKeys === table.clientKeys ? previous.keys : compileKeys(table.clientKeys),
    routes: unchanged ? previous.routes : routes,
    routeOf(route) {
      const loaded = context.loaded.get(route);
      if (loaded === undefined) throw new Error(`route ${route.id} is not of this table`);
      return loaded;
    },
  };
}

/** An edit of a route must not close the connections that its targets go on using: who names them from the start keeps them. */
function keepConnections({ targets }: LoadedRoute, old: LoadedRoute): void {
  for (const target of targets) {
    const before = old.targets.find((candidate) => candidate.target.name === target.target.name);
    for (const operation of before?.operations() ?? []) target.exchange(operation);
  }
}

/** What a target's provider does not have; null: nothing. */
export function lackedOperations(target: Target): ReadonlySet<Operation> | null {
  const provider = providerFor(target.provider);
  const lacked = OPERATIONS.filter((operation) => provider.exchange(target, operation) === null);
  return lacked.length === 0 ? null : new Set(lacked);
}

function translatedOperations(route: Route): ReadonlySet<Operation> {
  const translating = route.targets.map((target) => {
    const provider = providerFor(target.provider);
    return OPERATIONS.filter((operation) => (provider.exchange(target, operation)?.translation ?? null) !== null);
  });
  return new Set(translating.flat());
}

function loadRoute(route: Route, context: LoadContext): LoadedRoute {
  const targets = route.targets.map((target) => new LoadedTarget(target, route.id, context));
  const loaded: LoadedRoute = {
    route,
    selection: compileSelection(route, lackedOperations),
    targets,
    signals: targets.map(({ health }) => health),
    rules: route.rules.map(() => ({ pick: goldenSequence(context.random()), turn: 0 })),
    limits: route.limits,
    metrics: context.metrics.forRoute(route.id),
    translating: translatedOperations(route),
  };
  context.loaded.set(route, loaded);
  return loaded;
}
