import type { CachedAnswer } from '../cache/cached-answer.ts';
import { ANONYMOUS, authenticate, type Caller, modelAllowed } from '../auth/client-keys.ts';
import { type Endpoint, matchEndpoint, type StoredObject } from '../dialects/endpoints.ts';
import { isMultipart, type MultipartBody, readMultipart, type Upload } from '../dialects/multipart.ts';
import { readBatchInput } from '../dialects/openai/batch-input.ts';
import { readFacts } from '../dialects/openai/facts.ts';
import type { ParsedBody } from '../dialects/parsed-body.ts';
import { readRequestBody } from '../dialects/request-body.ts';
import type { Reservation } from '../limits/limiter.ts';
import { NO_LIMITS } from '../limits/local.ts';
import type { Plan } from '../selection/types.ts';
import { acceptRequestId } from '../telemetry/request-id.ts';
import { Admission, type AdmissionEnd } from './admission.ts';
import { sendError, sendJson, sendModel, sendModelsList, sendTokenEstimate } from './answers.ts';
import { CacheTurn, type CacheTurnHost } from './cache-turn.ts';
import { sendCached } from './cached-reply.ts';
import type { GatewayCore } from './core.ts';
import type { GatewayError } from './errors.ts';
import { authError, bodyError, endpointError } from './explanations.ts';
import type { Exchange, ExchangeOwner } from './http1/exchange.ts';
import type { LoadedRoute, LoadedTable } from './loaded-table.ts';
import { type BodyReader, RequestBody } from './read-body.ts';
import { recordDirect } from './record.ts';
import { inSlices } from './in-slices.ts';
import {
  encryptedReasoning,
  filesAsKept,
  fileNotFound,
  findKept,
  hasKeeper,
  inputFileOf,
  keeperOf,
  type KeptId,
  keptIds,
  knownObject,
  namesConversation,
  NO_CONVERSATIONS,
  NO_PINS,
  type Pins,
  pinsOf,
} from './pinned.ts';
import { Relay } from './relay.ts';
import type { RunningRequest } from './running.ts';
import { type StoredAnswer, StoredObjectCall, type StoredObjectHost } from './stored-object.ts';
import { NO_ANTHROPIC_FILES, NO_FORM, NO_INPUT_FILE, noFiles, onlyModelWithFiles, otherModel } from './uploads.ts';
import { usageOf } from './usage.ts';

type OperationEndpoint = Extract<Endpoint, { kind: 'operation' }>;

/**
 * Admits one request: path, client key, body, route, limits; then hands it to its `Relay`. Callbacks, not promises: this is the
 * path every request takes.
 */
export class RequestRun implements BodyReader, CacheTurnHost, ExchangeOwner, RunningRequest, StoredObjectHost {
  readonly core: GatewayCore;
  readonly table: LoadedTable;
  readonly exchange: Exchange;
  readonly requestId: string;
  readonly startedMs: number;
  caller: Caller = ANONYMOUS;
  operation: OperationEndpoint['operation'] | null = null;
  model = '';
  loaded: LoadedRoute | null = null;
  /** Monotonic; when the body was there. */
  bodyReadMs = 0;
  runningIndex = -1;
  bytesIn = 0;
  #endpoint: OperationEndpoint | null = null;
  #body: RequestBody | null = null;
  #relay: Relay | null = null;
  /** While the cache is asked. */
  #turn: CacheTurn | null = null;
  /** While an upstream is asked for what it keeps. */
  #stored: StoredObjectCall | null = null;
  #over = false;

  constructor(core: GatewayCore, table: LoadedTable, exchange: Exchange, receivedMs: number) {
    this.core = core;
    this.table = table;
    this.exchange = exchange;
    this.requestId = acceptRequestId(exchange.headers['x-request-id']);
    this.startedMs = receivedMs;
  }

  start(): void {
    this.core.running.add(this);
    if (this.core.draining) this.lastOfItsConnection();
    this.exchange.owner = this;
    const endpoint = matchEndpoint(this.exchange.method, this.exchange.url);
    // Known from here on, so that every refusal is in the client's dialect.
    if (endpoint.kind === 'operation') this.operation = endpoint.operation;
    else if (endpoint.kind === 'stored') this.operation = endpoint.collection;
    if (!this.#authenticate()) return;
    if (endpoint.kind === 'operation') this.#readBody(endpoint);
    else this.#answerDirectly(endpoint);
  }

  lastOfItsConnection(): void {
    this.exchange.last = true;
  }

  keepAlive(nowMs: number): void {
    this.#relay?.keepAlive(nowMs);
  }

  cutShort(): void {
    const error: GatewayError = {
      code: 'shutting_down',
      message: 'This gateway pod is shutting down and its drain timeout is over; send the request again.',
    };
    this.#abandon(error);
  }

  /** It cannot go on; whoever has had a part of the answer is told in it. */
  #abandon(error: GatewayError): void {
    if (this.#relay !== null) this.#relay.abandon(error);
    else if (this.#stored !== null) this.#stored.abandon(error);
    else this.fail(error);
  }

  onBodyError(error: GatewayError): void {
    this.fail(error);
  }

  onBody(bytes: Buffer): void {
    this.bodyReadMs = this.core.clock.nowMs();
    this.bytesIn = bytes.length;
    try {
      this.#admit(bytes);
    } catch (error) {
      this.fault(error);
    }
  }

  #admit(bytes: Buffer): void {
    const endpoint = this.#endpoint;
    if (endpoint === null || this.#over) return;
    const { operation } = endpoint;
    const contentType = this.exchange.headers['content-type'];
    const form = isMultipart(operation, contentType);
    if (operation === 'files' && !form) {
      this.fail(NO_FORM);
      return;
    }
    const parsed = form
      ? readMultipart(bytes, operation, contentType ?? '', endpoint.urlModel)
      : readRequestBody(bytes, operation, operation === 'batches' ? '' : endpoint.urlModel);
    if (!parsed.ok) this.fail(bodyError(parsed.error));
    else if (parsed.value.kind === 'multipart' && parsed.value.upload !== null)
      this.#upload(parsed.value, parsed.value.upload, endpoint);
    else if (parsed.value.kind === 'json' && operation === 'batches') this.#batch(parsed.value, endpoint);
    else this.#route(parsed.value, endpoint, keptIds(parsed.value));
  }

  /** By the model that it names; a batch's by that which its lines do. */
  #upload(form: MultipartBody, { purpose, file }: Upload, endpoint: OperationEndpoint): void {
    if (purpose !== 'batch' || file === null) {
      const model = form.model === '' ? onlyModelWithFiles(this) : form.model;
      if (typeof model === 'string') this.#route({ ...form, model }, endpoint, []);
      else this.fail(model);
      return;
    }
    // What is written for its target is another such file.
    if (this.#body?.hold(file.end - file.start) === false) return;
    inSlices(readBatchInput(form.bytes, file), () => !this.#over)
      .then((read) => {
        if (read === null || this.#over) return;
        if (!read.ok) this.fail(bodyError(read.error));
        else if (form.model !== '' && form.model !== read.value.model) this.fail(otherModel(form.model, read.value.model));
        else this.#route({ ...form, model: read.value.model }, endpoint, filesAsKept(read.value.fileIds));
      })
      .catch((error: unknown) => this.fault(error));
  }

  /** By the model that its input is of. */
  #batch(body: ParsedBody, endpoint: OperationEndpoint): void {
    const id = inputFileOf(body);
    if (id === null) {
      this.fail(NO_INPUT_FILE);
      return;
    }
    whenFound(findKept(this.core, this.caller.tenant, keptIds(body)), (found) => {
      if (this.#over) return;
      const [pin] = found;
      const known = pin !== null && pin !== undefined && pin !== 'away' && modelAllowed(this.caller, pin.model);
      if (known) this.#route(body.of(pin.model), endpoint, keptIds(body));
      else this.fail(fileNotFound(id, pin === 'away' ? pin : null));
    }).catch((error: unknown) => this.fault(error));
  }

  get streaming(): boolean {
    return this.#relay?.stream ?? this.#stored?.streaming ?? false;
  }

  /** The gateway's own answer, in place of an upstream's. */
  fail(error: GatewayError): void {
    if (this.#over) return;
    sendError(this.exchange, this.requestId, error, this.operation);
    this.#finish();
    recordDirect(this, error.code);
  }

  #authenticate(): boolean {
    if (this.table.table.settings.clientAuth === 'None') return true;
    const { headers } = this.exchange;
    const key = headers['api-key'] ?? headers['x-api-key'];
    const found = authenticate(this.table.keys, headers['authorization'], key, this.core.clock);
    if (found.ok) {
      this.caller = found;
      return true;
    }
    this.core.metrics.authFailed(found.reason);
    this.fail(authError(found));
    return false;
  }

  #answerDirectly(endpoint: Exclude<Endpoint, OperationEndpoint>): void {
    switch (endpoint.kind) {
      case 'models':
        sendModelsList(this);
        break;
      case 'model':
        if (sendModel(this, endpoint.id)) break;
        this.fail(modelNotFound(endpoint.id));
        return;
      case 'usage':
        usageOf(this)
          .then((body) => this.#answer(body))
          .catch((error: unknown) => this.fault(error));
        return;
      case 'stored':
        this.#askStored(endpoint);
        return;
      default:
        this.fail(endpointError(endpoint, this.exchange.method));
        return;
    }
    this.#finish();
    recordDirect(this, null);
  }

  #answer(body: Buffer): void {
    if (this.#over) return;
    sendJson(this, body);
    this.#finish();
    recordDirect(this, null);
  }

  #askStored(asked: StoredObject): void {
    if (this.#overloaded()) return;
    whenFound(pinsOf(this.core, asked.collection).find(this.caller.tenant, asked.id), (found) => {
      if (this.#over) return;
      const known = knownObject(this, asked, found, (model) => modelAllowed(this.caller, model));
      if ('code' in known) {
        this.fail(known);
        return;
      }
      this.loaded = known.loaded;
      this.#stored = new StoredObjectCall(this, asked, known);
      this.#stored.start();
    }).catch((error: unknown) => this.fault(error));
  }

  storedAnswered(answer: StoredAnswer): void {
    this.#finish();
    recordDirect(this, answer.code, answer);
  }

  #readBody(endpoint: OperationEndpoint): void {
    this.#endpoint = endpoint;
    if (endpoint.operation === 'files' && this.exchange.headers['anthropic-version'] !== undefined) {
      this.fail(NO_ANTHROPIC_FILES);
      return;
    }
    if (this.#overloaded()) return;
    this.#body = new RequestBody(this.exchange, this.core.budget, this.table.table.settings.maxRequestBytes, this);
    this.#body.start();
    // Only now, so that what is refused by its head is not even sent (RFC 9110, section 10.1.1).
    if (!this.#over) this.exchange.continue();
  }

  /** Of what an upstream is asked for; it has been refused then. */
  #overloaded(): boolean {
    if (this.core.running.size <= this.core.maxInFlight) return false;
    this.fail({
      code: 'overloaded',
      message: 'This gateway pod has as many requests under way as it may; try again shortly.',
      retryAfterMs: 1000,
    });
    return true;
  }

  #route(parsed: ParsedBody | MultipartBody, endpoint: OperationEndpoint, kept: readonly KeptId[]): void {
    const { model } = parsed;
    this.model = model;
    if (!modelAllowed(this.caller, model)) {
      this.fail({
        code: 'model_not_allowed',
        message: `This API key may not use the model ${JSON.stringify(model)}.`,
        param: 'model',
      });
      return;
    }
    const route = this.table.names.resolve(this.caller, model);
    if (route === null) {
      this.fail(modelNotFound(model));
      return;
    }
    const loaded = this.table.routeOf(route);
    this.loaded = loaded;
    if (namesConversation(parsed)) this.fail(NO_CONVERSATIONS);
    else if (kept.length === 0) this.#read(parsed, endpoint, loaded);
    else this.#goOn(kept, parsed, endpoint, loaded);
  }

  /** With whoever can read the reasoning in it; where that is not known, or not of the route, with all. */
  #read(parsed: ParsedBody | MultipartBody, endpoint: OperationEndpoint, loaded: LoadedRoute): void {
    const encrypted = encryptedReasoning(parsed, loaded);
    if (encrypted === null) {
      this.#begin(parsed, endpoint, loaded, NO_PINS);
      return;
    }
    whenFound(this.core.pins.find(this.caller.tenant, encrypted), (found) => {
      if (this.#over) return;
      const known = found !== null && found !== 'away' && hasKeeper(loaded, found, 'responses');
      this.#begin(parsed, endpoint, loaded, { keeper: null, reader: known ? found : null });
    }).catch((error: unknown) => this.fault(error));
  }

  /** With whoever keeps what it names. */
  #goOn(kept: readonly KeptId[], parsed: ParsedBody | MultipartBody, endpoint: OperationEndpoint, loaded: LoadedRoute): void {
    whenFound(findKept(this.core, this.caller.tenant, kept), (found) => {
      if (this.#over) return;
      const keeper = keeperOf(loaded, endpoint.operation, kept, found, (model) => modelAllowed(this.caller, model));
      if ('code' in keeper) this.fail(keeper);
      else this.#begin(parsed, endpoint, loaded, { keeper, reader: null });
    }).catch((error: unknown) => this.fault(error));
  }

  #begin(parsed: ParsedBody | MultipartBody, endpoint: OperationEndpoint, loaded: LoadedRoute, pins: Pins): void {
    const { model } = parsed;
    const facts = readFacts(endpoint.operation, endpoint.path, parsed, loaded.targets[0]?.counter(model));
    const relay = new Relay(this, loaded, parsed, facts);
    relay.choice.pins = pins;
    const refused = relay.choice.choose();
    if (refused !== null) {
      if (facts.operation === 'count_tokens' && nobodyHasIt(relay.plan)) this.#estimate(facts.promptTokens);
      else this.fail(facts.operation === 'files' && nobodyHasIt(relay.plan) ? noFiles(model) : refused);
    } else if (loaded.limits.length === 0) {
      this.#admitted(relay, NO_LIMITS);
    } else {
      new Admission(this, loaded, relay.choice, this.#admissionEnd(relay)).start();
    }
  }

  #estimate(promptTokens: number): void {
    sendTokenEstimate(this, promptTokens);
    this.#finish();
    recordDirect(this, null);
  }

  #admissionEnd(relay: Relay): AdmissionEnd {
    return {
      admitted: (reservation) => {
        if (this.#over) reservation.release();
        else this.#admitted(relay, reservation);
      },
      refused: (error) => this.fail(error),
    };
  }

  #admitted(relay: Relay, reservation: Reservation): void {
    const cache = this.loaded?.cache ?? null;
    if (cache === null) {
      this.uncached(relay, reservation);
      return;
    }
    this.#turn = new CacheTurn(this, relay, reservation, cache);
    this.#turn.start();
  }

  cached(relay: Relay, answer: CachedAnswer, reservation: Reservation): void {
    sendCached(this, relay, answer, reservation);
  }

  uncached(relay: Relay, reservation: Reservation): void {
    this.#relay = relay;
    relay.begin(reservation);
  }

  /** An invariant broke: the client gets a 500 with the request id, the log the stack; everything held is given back. */
  fault(error: unknown): void {
    this.core.onFault(error, this.requestId);
    this.#abandon({
      code: 'internal_error',
      message: `The gateway failed to handle this request; its log has the id ${this.requestId}.`,
    });
  }

  /** Called once by the relay when the last byte of the answer is written, or by `fail`. */
  finished(): void {
    this.#finish();
  }

  bodyDone(): void {
    this.#body?.release();
    this.#body = null;
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#turn?.cancel();
    this.core.running.delete(this);
    this.bodyDone();
  }

  /** Where its answer was only waiting to be written, everything is over already. */
  connectionLost(): void {
    if (this.#over) return;
    if (this.#relay !== null) {
      this.#relay.clientGone();
    } else {
      this.#stored?.cancel();
      this.#finish();
      recordDirect(this, 'client_gone');
    }
  }
}

/** No provider of the rule's models has such an operation. */
function nobodyHasIt({ excluded }: Plan): boolean {
  return excluded.length > 0 && excluded.every(({ reason }) => reason === 'operation');
}

/** At once where it is known here. */
async function whenFound<T>(found: T | Promise<T>, then: (found: T) => void): Promise<void> {
  then(found instanceof Promise ? await found : found);
}

function modelNotFound(model: string): GatewayError {
  return {
    code: 'model_not_found',
    message: `The model ${JSON.stringify(model)} does not exist or you do not have access to it; GET /v1/models lists what this key may use.`,
    param: 'model',
  };
}
