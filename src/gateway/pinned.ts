/** Requests that go on from, name, or ask for what an upstream keeps (a response, a file, a batch): they come to that upstream and no other. */
import type { Collection, StoredObject } from '../dialects/endpoints.ts';
import type { MultipartBody } from '../dialects/multipart.ts';
import { fileIdsOf } from '../dialects/openai/file-ids.ts';
import type { ParsedBody } from '../dialects/parsed-body.ts';
import { isSealed } from '../dialects/neutral/signature.ts';
import { type JsonObject, objectsOf, stringOf } from '../lib/json.ts';
import type { Operation } from '../lib/operation.ts';
import { accountOf, encryptedId, type FoundPin, keepsIt, type Pin, type UpstreamPins } from '../pins/upstream-pins.ts';
import type { FailoverPolicy } from '../routetable/types.ts';
import type { Plan, Unsupported } from '../selection/types.ts';
import type { Attempt } from './attempt.ts';
import type { GatewayCore } from './core.ts';
import type { ErrorCode, GatewayError } from './errors.ts';
import type { LoadedRoute, LoadedTarget } from './loaded-table.ts';
import type { RequestContext } from './request-context.ts';
import { batchInput } from './upstream-body.ts';

/** What a request has to do with earlier answers. */
export interface Pins {
  /** Who keeps what it names; null: it names nothing that is kept. */
  readonly keeper: Pin | null;
  /** Who alone can read reasoning that it holds; null: anybody who may answer. */
  readonly reader: Pin | null;
}

export const NO_PINS: Pins = { keeper: null, reader: null };

/** Something that an upstream keeps, as a request names it. */
export interface KeptId {
  readonly kind: 'response' | 'file' | 'batchInput';
  readonly id: string;
}

/** More would take a question to Redis each. */
const MAX_KEPT_IDS = 100;

/** What a request names that one upstream keeps. */
export function keptIds(body: ParsedBody | MultipartBody): readonly KeptId[] {
  if (body.kind !== 'json') return NONE;
  const { operation } = body;
  if (operation === 'batches') {
    const id = inputFileOf(body);
    return id === null ? NONE : [{ kind: 'batchInput', id }];
  }
  // What Anthropic's clients name is Anthropic's own, of which this gateway keeps none.
  const files = operation === 'messages' || operation === 'count_tokens' ? [] : fileIdsOf(body);
  const previous = previousResponse(body);
  if (previous === null && files.length === 0) return NONE;
  return [...(previous === null ? [] : [{ kind: 'response' as const, id: previous }]), ...filesAsKept(files)];
}

export function filesAsKept(ids: readonly string[]): readonly KeptId[] {
  return ids.map((id) => ({ kind: 'file', id }));
}

const NONE: readonly KeptId[] = [];

/** A file whose lines were read: of another nobody knows for which models it would ask. */
function batchInputId(id: string): string {
  return `input-${id}`;
}

/** Of a batch; null: it has none. */
export function inputFileOf({ json }: ParsedBody): string | null {
  const id = json['input_file_id'];
  return typeof id === 'string' && id !== '' ? id : null;
}

/** At once where all are known here. */
export function findKept(
  core: GatewayCore,
  tenant: string,
  ids: readonly KeptId[],
): readonly FoundPin[] | Promise<readonly FoundPin[]> {
  const found = ids.slice(0, MAX_KEPT_IDS).map(({ kind, id }) => {
    if (kind === 'response') return core.pins.find(tenant, id);
    return core.filePins.find(tenant, kind === 'file' ? id : batchInputId(id));
  });
  const known: FoundPin[] = [];
  for (const each of found) {
    if (each instanceof Promise) return Promise.all(found.map(async (pin) => pin));
    known.push(each);
  }
  return known;
}

/** The one account that keeps all of it; an error where there is none among those that the model leads to. */
export function keeperOf(
  loaded: LoadedRoute,
  operation: Operation,
  ids: readonly KeptId[],
  found: readonly FoundPin[],
  allowed: (model: string) => boolean,
): Pin | GatewayError {
  if (ids.length > MAX_KEPT_IDS)
    return { code: 'invalid_body', message: `The request names ${ids.length} files; ${MAX_KEPT_IDS} are looked up at most.` };
  let keeper: Pin | null = null;
  for (const [at, kept] of ids.entries()) {
    const pin = found[at] ?? null;
    if (pin === 'away') return UNAVAILABLE;
    if (pin === null || !allowed(pin.model))
      return unknownId(kept, operation, kept.kind === 'batchInput' ? NO_INPUT : 'not found');
    if (!hasKeeper(loaded, pin, operation))
      return unknownId(kept, operation, 'not found where the model of this request leads to');
    if (pin.account !== (keeper ??= pin).account)
      return unknownId(kept, operation, 'not found where the rest of what this request names is kept');
  }
  if (keeper === null) throw new Error('who keeps nothing was asked for');
  return keeper;
}

/** Of a batch's input. */
export function fileNotFound(id: string, found: null | 'away'): GatewayError {
  return found === 'away' ? UNAVAILABLE : unknownId({ kind: 'batchInput', id }, 'batches', NO_INPUT);
}

const NO_INPUT = 'not found among those that were uploaded with the purpose "batch"';

function unknownId({ kind, id }: KeptId, operation: Operation, what: string): GatewayError {
  const named = JSON.stringify(id.slice(0, 256));
  if (kind === 'response')
    return {
      code: 'previous_response_not_found',
      message: `Previous response with id ${named} ${what}.`,
      param: 'previous_response_id',
    };
  const param = operation === 'batches' ? 'input_file_id' : operation === 'files' ? 'file' : 'file_id';
  return { code: 'file_not_found', message: `File with id ${named} ${what}.`, param };
}

/** null: it begins anew. */
function previousResponse(body: ParsedBody): string | null {
  if (body.operation !== 'responses') return null;
  if (typeof body.outline['previous_response_id'] !== 'string') return null;
  const id = body.json['previous_response_id'];
  return typeof id === 'string' && id !== '' ? id : null;
}

/** Remembers who keeps an answer, and who alone can read the reasoning in it. */
export function keepPins(
  run: RequestContext,
  loaded: LoadedRoute,
  { storedId, encrypted, target }: Attempt,
  body: ParsedBody | MultipartBody | null,
): void {
  const { core, caller, model, operation } = run;
  if (storedId !== null) {
    const pins = pinsOf(core, operation);
    pins.keep(caller.tenant, storedId, target.target, model);
    if (body !== null && batchInput(body) !== null) pins.keep(caller.tenant, batchInputId(storedId), target.target, model);
  }
  if (encrypted.length === 0 || !hasSeveralReaders(loaded)) return;
  for (const each of encrypted) core.pins.keep(caller.tenant, encryptedId(each), target.target, model);
}

/** The id of the latest reasoning in it that one account alone can read; null: there is none, or all that may answer are one. */
export function encryptedReasoning(body: ParsedBody | MultipartBody, loaded: LoadedRoute): string | null {
  if (body.kind !== 'json' || body.operation !== 'responses' || !hasSeveralReaders(loaded)) return null;
  if (!objectsOf(body.outline['input']).some(isReasoning)) return null;
  for (const item of objectsOf(body.json['input']).toReversed()) {
    const encrypted = isReasoning(item) ? stringOf(item['encrypted_content']) : '';
    // What another provider gave is taken out before the call.
    if (encrypted !== '') return isSealed(encrypted) ? null : encryptedId(encrypted);
  }
  return null;
}

function isReasoning(item: JsonObject): boolean {
  return item['type'] === 'reasoning';
}

/** Why a target that gets the client's bytes cannot answer; null: it can read all, or gets none of it. */
export function cannotRead(loaded: LoadedTarget, { reader: pin }: Pins): Unsupported | null {
  const { target } = loaded;
  if (pin === null || keepsIt(target, pin) || !passes(loaded, 'responses')) return null;
  return {
    param: 'input',
    detail: `the request holds reasoning that another account encrypted, which ${target.name} cannot read`,
    droppable: false,
  };
}

/** Whom a filter's or an overflow's rule names is asked only where it can read the request; where none can, as if it named none. */
export function readablePolicy(policy: FailoverPolicy, { targets }: LoadedRoute, pins: Pins): FailoverPolicy {
  if (pins.reader === null) return policy;
  const readable = <T extends { readonly targets: readonly number[] }>(named: T | null): T | null => {
    const left = named?.targets.filter((at) => targets[at] !== undefined && cannotRead(targets[at], pins) === null) ?? [];
    return named === null || left.length === 0 ? null : { ...named, targets: left };
  };
  return { ...policy, contentFilter: readable(policy.contentFilter), contextOverflow: readable(policy.contextOverflow) };
}

/** Those of a route that see what is kept where they are given the client's bytes, by index; one that translates names it to nobody. */
function keepersOf({ targets }: LoadedRoute, pin: Pin, operation: Operation): readonly number[] {
  return targets.flatMap((loaded, index) => (keepsIt(loaded.target, pin) && passes(loaded, operation) ? [index] : []));
}

export function hasKeeper(loaded: LoadedRoute, pin: Pin, operation: Operation): boolean {
  return keepersOf(loaded, pin, operation).length > 0;
}

const severalReaders = new WeakMap<LoadedRoute, boolean>();

/** More than one account of those who get a client's bytes. */
function hasSeveralReaders(loaded: LoadedRoute): boolean {
  let several = severalReaders.get(loaded);
  if (several === undefined) {
    const readers = loaded.targets.filter((target) => passes(target, 'responses'));
    several = new Set(readers.map(({ target }) => accountOf(target))).size > 1;
    severalReaders.set(loaded, several);
  }
  return several;
}

function passes(target: LoadedTarget, operation: Operation): boolean {
  const exchange = target.exchange(operation);
  return exchange !== null && exchange.translation === null;
}

/** Conversations live at one upstream, and no path of this gateway makes or names one there. */
export function namesConversation(body: ParsedBody | MultipartBody): boolean {
  return body.kind === 'json' && body.operation === 'responses' && (body.outline['conversation'] ?? null) !== null;
}

export const NO_CONVERSATIONS: GatewayError = {
  code: 'not_implemented',
  message:
    "This gateway does not serve conversations that an upstream keeps (the request's `conversation`); go on by previous_response_id, or send what was said.",
  param: 'conversation',
};

const UNAVAILABLE: GatewayError = {
  code: 'kept_objects_unavailable',
  message: 'Where this is kept cannot be looked up right now; try again shortly.',
  retryAfterMs: 1_000,
};

/**
 * Of the plan what can see what is kept, in the plan's order; where nothing of it can, every target that can, well or not: no other
 * would do. An empty order: the model's route has none.
 */
export function pinnedPlan(plan: Plan, loaded: LoadedRoute, { keeper: pin }: Pins, operation: Operation): Plan {
  if (pin === null || plan.rule === -1) return plan;
  const { targets } = loaded;
  const keepers = keepersOf(loaded, pin, operation);
  const planned = plan.order.filter((index) => keepers.includes(index));
  const own = keepers.toSorted((a, b) => Number(named(targets, b, pin)) - Number(named(targets, a, pin)));
  return { rule: plan.rule, order: planned.length > 0 ? planned : own, reason: 'pinned', excluded: [] };
}

function named(targets: readonly LoadedTarget[], index: number, { target }: Pin): boolean {
  return targets[index]?.target.name === target;
}

/** By what it is called in messages. */
const SINGULAR: Readonly<Record<Collection, { readonly name: string; readonly notFound: ErrorCode }>> = {
  responses: { name: 'Response', notFound: 'response_not_found' },
  files: { name: 'File', notFound: 'file_not_found' },
  batches: { name: 'Batch', notFound: 'batch_not_found' },
};

/** Where it is remembered who keeps what this operation makes. */
export function pinsOf(core: GatewayCore, operation: Operation | null): UpstreamPins {
  return operation === 'files' || operation === 'batches' ? core.filePins : core.pins;
}

/** Where what the caller asks for is kept, and the model by which it was made. */
export interface KnownObject {
  readonly loaded: LoadedRoute;
  readonly target: LoadedTarget;
  readonly model: string;
}

/** An error where it, or the model it is of, is none of the caller's. */
export function knownObject(
  run: RequestContext,
  { id, collection }: StoredObject,
  found: FoundPin,
  allowed: (model: string) => boolean,
): KnownObject | GatewayError {
  if (found === 'away') return UNAVAILABLE;
  const route = found === null || !allowed(found.model) ? null : run.table.names.resolve(run.caller, found.model);
  const loaded = route === null ? null : run.table.routeOf(route);
  const keepers =
    loaded === null || found === null ? [] : keepersOf(loaded, found, collection).flatMap((at) => loaded.targets[at] ?? []);
  const target = keepers.find((each) => each.target.name === found?.target) ?? keepers[0];
  if (loaded !== null && target !== undefined && found !== null) return { loaded, target, model: found.model };
  const { name, notFound } = SINGULAR[collection];
  return { code: notFound, message: `${name} with id ${JSON.stringify(id)} not found.`, param: 'id' };
}
