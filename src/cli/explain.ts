/** `fairlead explain`: the decision on one request, made by the code that makes it in the gateway, without sending anything. */
import { readFile } from 'node:fs/promises';
import { ANONYMOUS, type Caller, modelAllowed } from '../auth/client-keys.ts';
import { matchEndpoint } from '../dialects/endpoints.ts';
import type { RequestFacts } from '../dialects/facts.ts';
import { readFacts } from '../dialects/openai/facts.ts';
import { readRequestBody } from '../dialects/request-body.ts';
import { objectId } from '../compile/snapshot.ts';
import { lackedOperations } from '../gateway/target-operations.ts';
import type { Route, RouteTable } from '../routetable/types.ts';
import { choose, compileSelection, IDLE_SIGNALS } from '../selection/choose.ts';
import { type Explanation, explainPlan } from '../selection/explain.ts';
import { compileNames } from '../selection/names.ts';
import type { ChoiceInput } from '../selection/types.ts';
import { chooseTable, configure } from './configuration.ts';
import { countedLimits, countedLimitText, type CountedLimit } from './counted-limits.ts';
import { missingKeys, withSecrets } from './secrets.ts';
import type { Finding } from './findings.ts';
import { CommandFailed, ExitCode, type Io, unreadableBecause, UsageError } from './io.ts';
import { type DataFormat, printData } from './output.ts';
import { type ReadObject, readObjects } from './read-objects.ts';
import { printFindings, servedNames } from './report.ts';
import { column, printable, styleFor } from './style.ts';

export interface ExplainOptions {
  readonly files: readonly string[];
  /** File with the request's body; `-`: stdin. */
  readonly request: string;
  readonly path: string;
  /** `name=value` */
  readonly headers: readonly string[];
  /** A tenant, or `namespace/name` of a client key; null: whoever may call everything. */
  readonly as: string | null;
  readonly gateway: string | null;
  readonly output: DataFormat | null;
}

/** What is printed as data. */
interface Decision extends Omit<Explanation, 'leftOut'> {
  readonly leftOut: readonly { readonly name: string; readonly reason: string; readonly detail: string }[];
  readonly model: string;
  readonly route: string;
  readonly caller: { readonly tenant: string; readonly key: string };
  readonly facts: Omit<RequestFacts, 'model' | 'promptSize' | 'longest'>;
  /** Of the targets that the first is drawn from, in percent; empty where nothing is drawn. */
  readonly shares: readonly { readonly name: string; readonly percent: number }[];
  /** Each must have room. */
  readonly limits: readonly CountedLimit[];
}

export async function explain(io: Io, options: ExplainOptions): Promise<ExitCode> {
  if (options.request === '-' && options.files.includes('-'))
    throw new UsageError('only one of --file and --request can be - (stdin)');
  const headers = parseHeaders(options.headers);
  const read = await readObjects(options.files, io);
  const objects = withSecrets(read.objects, missingKeys(read.objects)).map(withoutConnections);
  const configuration = configure(objects, read.problems, { where: 'Cluster' });
  printFindings(
    io,
    configuration.findings.filter(({ severity }) => severity === 'error'),
  );
  const table = chooseTable(configuration, options.gateway);
  const decided = decide(table, callerOf(table, options.as), options.path, headers, await readRequest(options.request, io));
  const decision = {
    ...decided,
    leftOut: [...decided.leftOut, ...notCompiled(decided.route, table, objects, configuration.findings)],
  };
  if (options.output !== null) printData(io, options.output, decision);
  else printDecision(io, decision);
  return decision.chosen === null ? ExitCode.Failed : ExitCode.Ok;
}

/** What a gateway listens with and counts in may be elsewhere, and no decision depends on it. */
function withoutConnections(read: ReadObject): ReadObject {
  const { object } = read;
  if (object.kind !== 'LLMGateway') return read;
  const { redis: _, listener, ...spec } = object.spec;
  const { tls: __, ...open } = listener;
  return { ...read, object: { ...object, spec: { ...spec, listener: open } } };
}

function decide(table: RouteTable, caller: Caller, path: string, headers: ReadonlyMap<string, string>, bytes: Buffer): Decision {
  const endpoint = matchEndpoint('POST', path);
  if (endpoint.kind !== 'operation')
    throw new UsageError(`--path ${path} is not a path that takes a request, such as /v1/chat/completions`);
  const parsed = readRequestBody(bytes, endpoint.operation, endpoint.urlModel);
  if (!parsed.ok) throw new CommandFailed(`the gateway answers this body with 400: ${parsed.error.message}`);
  const { model } = parsed.value;
  if (!modelAllowed(caller, model))
    throw new CommandFailed(`the gateway answers 403: the key ${caller.keyId} may not use the model ${JSON.stringify(model)}`);
  const route = compileNames(table).resolve(caller, model);
  if (route === null) {
    const names = servedNames(table);
    const known = names.length === 0 ? 'no route is served' : `the routes have ${names.join(', ')}`;
    throw new CommandFailed(
      `the gateway answers 404: no route that this caller may use has the model ${JSON.stringify(model)} (${known})`,
    );
  }
  const facts = readFacts(endpoint.operation, endpoint.path, parsed.value);
  const input: ChoiceInput = {
    route,
    facts,
    tenant: caller.tenant,
    header: (name) => headers.get(name),
    signals: route.targets.map(() => IDLE_SIGNALS),
    nowMs: 0,
    pick: 0,
    random: () => 0,
    turn: 0,
  };
  const plan = choose(input, compileSelection(route, lackedOperations));
  const { model: _, promptSize: __, longest: ___, ...shown } = facts;
  return {
    model,
    route: route.id,
    caller: { tenant: caller.tenant, key: caller.keyId },
    ...explainPlan(plan, input),
    shares: plan.reason === 'weighted' ? sharesOf(route, plan.rule, plan.order) : [],
    limits: countedLimits(route),
    facts: shown,
  };
}

/** Models of the pool that are not in the table, because they cannot be served at all. */
function notCompiled(
  routeId: string,
  table: RouteTable,
  objects: readonly ReadObject[],
  findings: readonly Finding[],
): Decision['leftOut'] {
  const route = table.routes.find(({ id }) => id === routeId);
  const spec = objects.flatMap(({ object }) =>
    object.kind === 'LLMRoute' && objectId(object) === routeId ? [object.spec] : [],
  )[0];
  return (spec?.models ?? []).flatMap(({ name }, index) => {
    if (route?.targets.some((target) => target.name === name) === true) return [];
    const why = findings.find(({ object, path }) => object === `LLMRoute ${routeId}` && path.startsWith(`spec.models[${index}]`));
    return [{ name, reason: why?.reason ?? 'notServed', detail: why?.message ?? 'it cannot be served' }];
  });
}

/** The weights of the tier that the first target is drawn from, among those that can serve. */
function sharesOf(route: Route, ruleIndex: number, order: readonly number[]): Decision['shares'] {
  const rule = route.rules[ruleIndex];
  const first = rule?.targets.find(({ target }) => target === order[0]);
  const tier =
    rule?.targets.filter(
      ({ target, priority, weight }) => priority === first?.priority && weight > 0 && order.includes(target),
    ) ?? [];
  const total = tier.reduce((sum, { weight }) => sum + weight, 0);
  return tier.map(({ target, weight }) => ({
    name: route.targets[target]?.name ?? '',
    percent: Math.round((1000 * weight) / total) / 10,
  }));
}

function callerOf(table: RouteTable, as: string | null): Caller {
  if (as === null) return ANONYMOUS;
  if (!as.includes('/'))
    return { ...ANONYMOUS, anonymous: false, platform: false, namespace: as, tenant: as, keyId: `any key of ${as}` };
  const key = table.clientKeys.find(({ id }) => id === as);
  if (key === undefined) {
    const known = [...new Set(table.clientKeys.map(({ id }) => id))].sort();
    throw new UsageError(
      `--as ${as}: there is no such client key; ${known.length === 0 ? 'the files have none' : `there are ${known.join(', ')}`}`,
    );
  }
  const { id, tenant, namespace, platform, models } = key;
  return { ok: true, keyId: id, tenant, namespace, platform, anonymous: false, models };
}

function parseHeaders(texts: readonly string[]): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  for (const text of texts) {
    const [, name, value] = /^([A-Za-z0-9!#$%&'*+.^_`|~-]+)\s*[=:]\s*(.*)$/s.exec(text) ?? [];
    if (name === undefined || value === undefined)
      throw new UsageError(`--header ${JSON.stringify(text)}: write NAME=VALUE, e.g. --header x-tier=gold`);
    headers.set(name.toLowerCase(), value);
  }
  return headers;
}

async function readRequest(file: string, io: Io): Promise<Buffer> {
  if (file === '-') {
    const chunks: Buffer[] = [];
    for await (const chunk of io.stdin) chunks.push(typeof chunk === 'string' ? Buffer.from(chunk) : chunk);
    return Buffer.concat(chunks);
  }
  return readFile(file).catch((error: unknown) => {
    throw new CommandFailed(`cannot read ${file}: ${unreadableBecause(error)}`, { cause: error });
  });
}

function printDecision(io: Io, decision: Decision): void {
  const style = styleFor(io.stdout, io.env);
  const { facts, shares } = decision;
  const row = (name: string, text: string): void => io.stdout.write(`${style.bold(column(name, 10))}${text}\n`);
  row(
    'model',
    `${printable(decision.model)} → LLMRoute ${decision.route}${decision.rule === null ? '' : `, rule ${decision.rule}`}`,
  );
  row('caller', decision.caller.key === ANONYMOUS.keyId ? 'anyone' : `${decision.caller.key}, tenant ${decision.caller.tenant}`);
  row('request', factsText(facts));
  if (shares.length > 0) row('weights', shares.map(({ name, percent }) => `${name} ${percent} %`).join(', '));
  if (decision.order.length === 0)
    row('answer', style.red(decision.rule === null ? 'none: no rule matches' : 'none: no model can serve this request'));
  const width = Math.max(...[...decision.order, ...decision.leftOut].map(({ name }) => name.length), 0) + 2;
  for (const [index, { name, tier, reason }] of decision.order.entries()) {
    row(
      index === 0 ? 'targets' : '',
      `${style.green(`${index + 1}. ${column(name, width)}`)}${style.dim(`priority ${tier}`)}  ${reason}`,
    );
  }
  for (const [index, { name, detail }] of decision.leftOut.entries()) {
    row(index === 0 ? 'left out' : '', `${style.yellow(`-  ${column(name, width)}`)}${detail}`);
  }
  for (const [index, limit] of decision.limits.entries()) row(index === 0 ? 'limits' : '', printable(countedLimitText(limit)));
}

function factsText({ operation, stream, tools, jsonSchema, images, promptTokens, maxOutputTokens }: Decision['facts']): string {
  const parts = [operation, stream ? 'streamed' : 'whole', `about ${promptTokens} prompt tokens`];
  if (maxOutputTokens !== null && maxOutputTokens > 0) parts.push(`at most ${maxOutputTokens} output tokens`);
  if (tools) parts.push('tools');
  if (jsonSchema) parts.push('JSON schema');
  if (images) parts.push('images');
  return parts.join(', ');
}
