import { compileKeys, type KeyRing } from '../auth/client-keys.ts';
import { routeCache, type RouteCache } from '../cache/cache-key.ts';
import { type Expiring, TokenError } from '../credentials/service.ts';
import type { TokenSource, TokenSources } from '../credentials/token-source.ts';
import type { BoundPaths } from '../dialects/output-limit.ts';
import type { ParsedBody } from '../dialects/parsed-body.ts';
import { type BodyEdit, bodyEdit } from '../dialects/splice-body.ts';
import type { Fields } from '../lib/http1/message-parser.ts';
import type { Operation } from '../lib/operation.ts';
import { sharedEnds } from '../lib/shared-ends.ts';
import type { Adapted, AnswerHeaders, Exchange, HeadroomHeader, Sign, StreamReader, Translation } from '../providers/provider.ts';
import { providerFor } from '../providers/index.ts';
import { byText } from '../routetable/order.ts';
import type { PriceBook } from '../prices/book.ts';
import type { LearnedCounter, TokenLearner } from '../prices/token-learner.ts';
import type { RefusedRoute } from '../routetable/replica.ts';
import type { Limit, Pricing, Route, RouteTable, Target } from '../routetable/types.ts';
import { type CompiledSelection, compileSelection } from '../selection/choose.ts';
import type { HealthBook } from '../selection/health.ts';
import { compileNames, editNames, type Names } from '../selection/names.ts';
import { goldenSequence } from '../selection/pick.ts';
import type { GatewayMetrics, RouteMetrics, TargetMetrics, UpstreamMetrics } from '../telemetry/metrics.ts';
import type { Channel, Connections } from '../upstream/connections.ts';
import { FixedHeaders } from '../upstream/http1/fixed-headers.ts';
import type { RetryBudget, RetryBudgets } from '../upstream/retry-budget.ts';
import type { Answer } from '../providers/provider.ts';
import type { TargetSignals } from '../selection/types.ts';
import type { Place, ServiceTarget, ServiceTargets } from './service-targets.ts';
import type { RequestFacts } from '../dialects/facts.ts';
import type { Limiter } from '../limits/limiter.ts';
import { OutputEstimate } from './output-estimate.ts';
import { TargetCapacity } from './target-capacity.ts';
import { lackedOperations, translatedOperations } from './target-operations.ts';

/** What loading a table needs of the process; all of it outlives the table. */
export interface LoadContext {
  readonly connections: Connections;
  readonly health: HealthBook;
  readonly services: ServiceTargets;
  readonly retryBudgets: RetryBudgets;
  readonly metrics: GatewayMetrics;
  readonly prices: PriceBook;
  readonly identities: TokenSources;
  readonly tokens: TokenLearner;
  /** Every route that some table in use has, by the object that its names lead to. */
  readonly loaded: WeakMap<Route, LoadedRoute>;
  /** The one of now: it changes with the settings. */
  limiter(): Limiter;
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
  /** In the order of `table.routes`. */
  readonly routes: readonly LoadedRoute[];
  /** Those of them that the table before did not have as they are. */
  readonly anew: readonly LoadedRoute[];
  /** The table before may have used an upstream, a connection or a name that this one does not. */
  readonly leavesBehind: boolean;
  /** How many of them keep answers. */
  readonly cachingRoutes: number;
  /** Those of `table` that could not be loaded, with what was thrown. */
  readonly refused: readonly (RefusedRoute & { readonly error: unknown })[];
}

export interface LoadedRoute {
  readonly route: Route;
  readonly selection: CompiledSelection;
  readonly targets: readonly LoadedTarget[];
  /** By index of `targets`; the array `choose` reads. */
  readonly signals: readonly TargetSignals[];
  /** By index of `route.rules`. */
  readonly rules: readonly RuleState[];
  readonly limits: readonly Limit[];
  /** Of the smallest limit in USD; null: none counts USD, and no request asks what it costs. */
  readonly budgetNanoUsd: number | null;
  /** null: every request goes to an upstream. */
  readonly cache: RouteCache | null;
  readonly metrics: RouteMetrics;
  /** Operations that some target of it serves in another dialect than the client's. */
  readonly translating: ReadonlySet<Operation>;
  /** Some target of it says what its provider grants it. */
  readonly hasCapacity: boolean;
}

/** A rule's own counters: what makes weights exact and RoundRobin round. */
export interface RuleState {
  pick(): number;
  turn: number;
}

export class LoadedTarget {
  readonly target: Target;
  readonly signals: TargetSignals;
  readonly retryBudget: RetryBudget;
  readonly metrics: TargetMetrics;
  readonly upstreamMetrics: UpstreamMetrics;
  readonly edit: BodyEdit;
  /** null: no bound is stated. */
  readonly capacity: TargetCapacity | null;
  outputs = new OutputEstimate();
  readonly #context: LoadContext;
  /** null: it is called by its URL alone. */
  readonly #service: ServiceTarget | null;
  /** null: no request has asked for one yet. */
  #exchanges: Map<Operation, LoadedExchange | null> | null = null;

  constructor(target: Target, routeId: string, context: LoadContext) {
    this.target = target;
    this.#context = context;
    this.#service = context.services.of(target);
    this.signals = this.#service?.signals ?? context.health.signals(target);
    this.retryBudget = context.retryBudgets.of(target.upstreamId);
    this.metrics = context.metrics.forTarget(routeId, target.name);
    this.upstreamMetrics = context.metrics.forUpstream(target.upstreamId);
    this.capacity = TargetCapacity.of(target, () => context.limiter());
    const { model, defaults, override } = target;
    this.edit = bodyEdit({ model, includeUsage: target.provider !== 'Mistral', defaults, override });
  }

  /** The connections that requests have used so far. */
  *channels(): Iterable<Channel> {
    for (const exchange of this.#exchanges?.values() ?? []) if (exchange?.place != null) yield exchange.place.channel;
  }

  /** What proves each call: the provider's signature, or a token of the target's identity. */
  #proof({ sign }: Exchange): Sign | null {
    const { identity } = this.target;
    if (identity === undefined) return sign ?? null;
    const { identities } = this.#context;
    if (identity.kind !== 'AwsPods') {
      const source = identities.tokens(identity);
      return async () => ['authorization', `Bearer ${(await this.#granted(source)).value}`];
    }
    if (sign == null)
      throw new Error(`${this.target.provider} takes no signature, and target ${this.target.name} has no other proof`);
    const source = identities.awsKeys(identity);
    return async (path, body, wallMs) => sign(path, body, wallMs, await this.#granted(source));
  }

  /** The upstream refused what proves each call: where that is a token or keys of its identity, others are asked for. */
  proofRefused(): void {
    const { identity } = this.target;
    if (identity === undefined) return;
    const { identities } = this.#context;
    (identity.kind === 'AwsPods' ? identities.awsKeys(identity) : identities.tokens(identity)).refused();
  }

  async #granted<T extends Expiring>(source: TokenSource<T>): Promise<T> {
    try {
      return await source.get();
    } catch (thrown) {
      throw thrown instanceof TokenError ? new TokenError(`auth of model ${this.target.name}: ${thrown.message}`) : thrown;
    }
  }

  /** How it counts tokens where the client names this model. */
  counter(clientModel: string): LearnedCounter {
    return this.#context.tokens.of(this.target, clientModel);
  }

  /** Prompt and expected output. */
  tokensOf({ promptTokens, maxOutputTokens }: RequestFacts): number {
    return promptTokens + this.outputs.tokens(maxOutputTokens);
  }

  /** What its tokens cost where the client names this model; null: unknown. */
  pricing(clientModel: string): Pricing | null {
    return this.#context.prices.of(this.target, clientModel);
  }

  /** Those that requests have asked for so far. */
  operations(): Iterable<Operation> {
    return this.#exchanges?.keys() ?? [];
  }

  /** null: the provider has no such operation. */
  exchange(operation: Operation): LoadedExchange | null {
    let found = this.#exchanges?.get(operation);
    if (found === undefined) {
      const provider = providerFor(this.target.provider);
      const exchange = provider.exchange(this.target, operation);
      found =
        exchange === null
          ? null
          : new LoadedExchange(exchange, operation, provider.headroom, this.#proof(exchange), this.#placeOf(exchange));
      this.#exchanges ??= new Map();
      this.#exchanges.set(operation, found);
    }
    return found;
  }

  /** Where its own edits bound the output of what is translated for it; null: where the client's own members do. */
  boundPaths(operation: Operation): BoundPaths | null {
    return this.exchange(operation)?.translation?.bounds ?? null;
  }

  /** What its edit can add to a body at most. */
  get editBytes(): number {
    const { defaults, override } = this.edit;
    return defaults.length + override.length === 0 ? 0 : Buffer.byteLength(JSON.stringify([defaults, override]));
  }

  /** As `answersOf` takes it. */
  answersPath(operation: Operation): readonly string[] | null | undefined {
    return this.exchange(operation)?.translation?.answersAt;
  }

  /** Where the next attempt goes. `attempts`: all of this request so far. */
  place({ place }: LoadedExchange, attempts: readonly Placed[], operation: Operation): Place {
    if (place !== null) return place;
    if (this.#service === null) throw new Error(`target ${this.target.name} has neither a place nor a Service`);
    return this.#service.place(this.#tried(attempts), operation);
  }

  /** There is an address of it that is well and has not failed this request. */
  hasOtherPlace(attempts: readonly Placed[], operation: Operation, nowMs: number): boolean {
    return this.#service !== null && this.#service.signals.hasOther(this.#tried(attempts), operation, nowMs);
  }

  #tried(attempts: readonly Placed[]): readonly string[] {
    if (attempts.length === 0) return NO_ADDRESSES;
    return attempts.flatMap(({ target, place: { address } }) => (target === this && address !== null ? [address] : []));
  }

  #placeOf({ origin }: Exchange): Place | null {
    if (this.#service !== null) return null;
    const { connections, health } = this.#context;
    return { address: null, health: health.signals(this.target), channel: connections.channelFor(this.target, origin) };
  }
}

/** An attempt, as far as the next one's place depends on it. */
export interface Placed {
  readonly target: LoadedTarget;
  readonly place: Place;
}

const NO_ADDRESSES: readonly string[] = [];

const CHAT_END = Buffer.from('data: [DONE]\n\n');
const MESSAGES_END = Buffer.from('event: message_stop\ndata: {"type":"message_stop"}\n\n');
const NO_END = Buffer.alloc(0);

/** A provider's exchange with where it goes. */
export class LoadedExchange {
  /** null: one of a Service's addresses, chosen for each attempt. */
  readonly place: Place | null;
  /** The credential included. */
  readonly fixed: FixedHeaders;
  /** As `Exchange.headersUnsaid`, without what `fixed` says. */
  readonly headersUnsaid: readonly string[];
  /** What ends a stream of this operation where the upstream left it out. */
  readonly streamEnd: Buffer;
  /** null: `fixed` proves every call. */
  readonly sign: Sign | null;
  /** null: bytes pass. */
  readonly translation: Translation | null;
  /** Where its answers say what is left. */
  readonly headroom: readonly HeadroomHeader[];
  readonly #exchange: Exchange;
  /** The last one that was made, and for what. */
  #path = '';
  #pathModel: string | null = null;
  #pathStream = false;
  /** Names of the request's headers that reach the upstream; none of `fixed`. */
  readonly #forwards: readonly string[];
  /** Those of the client's that were asked for last, and what of them does. */
  #sent: Readonly<Fields> | null = null;
  #forwarded: readonly string[] = [];

  constructor(
    exchange: Exchange,
    operation: Operation,
    headroom: readonly HeadroomHeader[],
    sign: Sign | null,
    place: Place | null,
  ) {
    this.#exchange = exchange;
    this.headroom = headroom;
    this.place = place;
    this.fixed = new FixedHeaders(exchange.headers);
    const said = new Set(exchange.headers.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase()));
    const unsaid = exchange.headersUnsaid ?? [];
    this.headersUnsaid = unsaid.filter((_, i) => !said.has(unsaid[i - (i % 2)] ?? ''));
    this.sign = sign;
    this.translation = exchange.translation;
    this.streamEnd = streamEndOf(operation);
    const forwards =
      exchange.translation === null
        ? (FORWARDED[operation] ?? FORWARDED_HEADERS)
        : [...exchange.translation.forwards, ...FORWARDED_TRANSLATED];
    this.#forwards = forwards.filter((name) => !said.has(name));
  }

  /** As `Exchange.adapt`; null: bytes pass. */
  adapt(body: Pick<ParsedBody, 'json' | 'outline'>): Adapted | null {
    return this.#exchange.adapt?.(body) ?? null;
  }

  path(clientModel: string, stream: boolean): string {
    // The same text again, so that what was made of it is found again.
    if (clientModel !== this.#pathModel || stream !== this.#pathStream) {
      this.#path = this.#exchange.path(clientModel, stream);
      this.#pathModel = clientModel;
      this.#pathStream = stream;
    }
    return this.#path;
  }

  /** What of a client's headers reaches the upstream. Flat. Heads that came before are the same object, of which none has to be looked for. */
  forwarded(sent: Readonly<Fields>): readonly string[] {
    if (sent !== this.#sent) {
      const forwarded: string[] = [];
      for (const name of this.#forwards) {
        const value = sent[name];
        if (value !== undefined) forwarded.push(name, value);
      }
      this.#sent = sent;
      this.#forwarded = forwarded;
    }
    return this.#forwarded;
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
const FORWARDED_TO_ANTHROPIC: readonly string[] = [
  'anthropic-beta',
  'anthropic-version',
  'idempotency-key',
  'traceparent',
  'tracestate',
];
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
 * of routes costs what it touches. A route that throws while it is loaded is refused alone: what it was before serves on.
 */
export function loadTable(table: RouteTable, context: LoadContext, previous: LoadedTable | null): LoadedTable {
  context.connections.allow(table.settings.upstreamAllow);
  let leavesBehind = context.services.update(table.endpoints);
  context.prices.override(table.settings.prices);
  const sameHosts = previous?.table.settings.upstreamAllow.join(' ') === table.settings.upstreamAllow.join(' ');
  // With other hosts that may be called, what was loaded for those before is not to be trusted.
  const { head, tail } = sharedEnds(sameHosts ? (previous?.table.routes ?? []) : [], table.routes);
  const allBefore = previous?.routes ?? [];
  const before = allBefore.slice(head, allBefore.length - tail);
  const between: LoadedRoute[] = [];
  const removed: Route[] = [];
  const added: Route[] = [];
  const anew: LoadedRoute[] = [];
  const refused: LoadedTable['refused'][number][] = [];
  const load = (route: Route, kept: Route | null): LoadedRoute | null => {
    try {
      return loadRoute(route, context);
    } catch (error) {
      refused.push({ id: route.id, reason: NOT_LOADED, kept, error });
      return null;
    }
  };
  // Both are sorted by id.
  let at = 0;
  for (const route of table.routes.slice(head, table.routes.length - tail)) {
    let old = before[at];
    while (old !== undefined && old.route !== route && byText(old.route.id, route.id) < 0) {
      removed.push(old.route);
      leavesBehind = true;
      old = before[++at];
    }
    if (old === undefined || (old.route !== route && old.route.id !== route.id)) {
      const loaded = load(route, null);
      if (loaded === null) continue;
      added.push(route);
      anew.push(loaded);
      between.push(loaded);
      continue;
    }
    at++;
    // By digest, because equal routes of two readings are two objects.
    if (sameHosts && (old.route === route || old.route.digest === route.digest)) {
      between.push(old);
      continue;
    }
    const loaded = load(route, sameHosts ? old.route : null);
    if (loaded === null && sameHosts) {
      between.push(old);
      continue;
    }
    removed.push(old.route);
    if (loaded !== null && sameHosts) keepConnections(loaded, old);
    if (loaded === null || !takesOver(loaded, old)) leavesBehind = true;
    if (loaded === null) continue;
    added.push(route);
    anew.push(loaded);
    between.push(loaded);
  }
  for (const old of before.slice(at)) {
    removed.push(old.route);
    leavesBehind = true;
  }
  const routes = [...allBefore.slice(0, head), ...between, ...allBefore.slice(allBefore.length - tail)];
  const sameGateway = previous?.table.gateway.namespace === table.gateway.namespace;
  const unchanged = previous !== null && removed.length + added.length === 0;
  return {
    table: refused.length === 0 ? table : { ...table, routes: routes.map(({ route }) => route) },
    refused,
    names:
      previous !== null && sameGateway
        ? editNames(previous.names, removed, added)
        : compileNames({ gateway: table.gateway, routes: routes.map(({ route }) => route) }),
    keys: previous?.table.clientKeys === table.clientKeys ? previous.keys : compileKeys(table.clientKeys),
    routes: unchanged ? previous.routes : routes,
    anew,
    leavesBehind,
    cachingRoutes: (previous?.cachingRoutes ?? 0) + caching(added) - caching(removed),
    routeOf(route) {
      const loaded = context.loaded.get(route);
      if (loaded === undefined) throw new Error(`route ${route.id} is not of this table`);
      return loaded;
    },
  };
}

function caching(routes: readonly Route[]): number {
  return routes.filter(({ cache }) => cache !== undefined).length;
}

/** What was thrown may repeat what it read: it is for the log. */
const NOT_LOADED = 'this pod failed to load it, which is a fault of the gateway and not of the route: its log has the error';

/** An edit of a route must not close the connections that its targets go on using: who names them from the start keeps them. */
function keepConnections({ targets }: LoadedRoute, old: LoadedRoute): void {
  for (const target of targets) {
    const before = old.targets.find((candidate) => candidate.target.name === target.target.name);
    for (const operation of before?.operations() ?? []) target.exchange(operation);
    if (before !== undefined) target.outputs = before.outputs;
  }
}

/** Whatever the one before used, its successor uses too. */
function takesOver({ targets }: LoadedRoute, old: LoadedRoute): boolean {
  const channels = new Set(targets.flatMap((target) => [...target.channels()]));
  return old.targets.every(
    (before) =>
      targets.some(({ target: { upstreamId, credentialId } }) => {
        const { target } = before;
        return upstreamId === target.upstreamId && credentialId === target.credentialId;
      }) && [...before.channels()].every((channel) => channels.has(channel)),
  );
}

function loadRoute(route: Route, context: LoadContext): LoadedRoute {
  const targets = route.targets.map((target) => new LoadedTarget(target, route.id, context));
  const budgets = route.limits.flatMap(({ unit, limit }) => (unit === 'USD' ? [limit] : []));
  const loaded: LoadedRoute = {
    route,
    selection: compileSelection(route, lackedOperations),
    targets,
    signals: targets.map(({ signals }) => signals),
    rules: route.rules.map(() => ({ pick: goldenSequence(context.random()), turn: 0 })),
    limits: route.limits,
    budgetNanoUsd: budgets.length === 0 ? null : Math.min(...budgets),
    cache: routeCache(route),
    metrics: context.metrics.forRoute(route.id),
    translating: translatedOperations(route.targets),
    hasCapacity: targets.some(({ capacity }) => capacity !== null),
  };
  context.loaded.set(route, loaded);
  return loaded;
}
