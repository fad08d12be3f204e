import type { IncomingMessage, ServerResponse } from 'node:http';
import { ANONYMOUS, authenticate, type Caller, modelAllowed } from '../auth/client-keys.ts';
import { type Endpoint, matchEndpoint } from '../dialects/endpoints.ts';
import { isMultipart, type MultipartBody, readMultipart } from '../dialects/multipart.ts';
import { readFacts } from '../dialects/openai/facts.ts';
import { type ParsedBody, readRequestBody } from '../dialects/request-body.ts';
import type { Decision, LimitedRequest, Reservation } from '../limits/limiter.ts';
import { NO_LIMITS } from '../limits/local.ts';
import { acceptRequestId } from '../telemetry/request-id.ts';
import { sendError, sendModel, sendModelsList } from './answers.ts';
import type { GatewayCore } from './core.ts';
import type { GatewayError } from './errors.ts';
import { authError, bodyError, endpointError, limitError } from './explanations.ts';
import type { LoadedRoute, LoadedTable } from './loaded-table.ts';
import { type BodyReader, RequestBody } from './read-body.ts';
import { recordDirect } from './record.ts';
import { Relay } from './relay.ts';
import type { RequestContext } from './request-context.ts';
import type { RunningRequest } from './running.ts';

type OperationEndpoint = Extract<Endpoint, { kind: 'operation' }>;

/**
 * Admits one request: path, client key, body, route, limits; then hands it to its `Relay`. Callbacks, not promises: this is the
 * path every request takes.
 */
export class RequestRun implements BodyReader, RequestContext, RunningRequest {
  readonly core: GatewayCore;
  readonly table: LoadedTable;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
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
  #over = false;

  constructor(core: GatewayCore, table: LoadedTable, request: IncomingMessage, response: ServerResponse) {
    this.core = core;
    this.table = table;
    this.request = request;
    this.response = response;
    this.requestId = acceptRequestId(request.headers['x-request-id']);
    this.startedMs = core.clock.nowMs();
  }

  start(): void {
    this.core.running.add(this);
    if (this.core.draining) this.lastOfItsConnection();
    this.response.on('close', () => this.#closed());
    const endpoint = matchEndpoint(this.request.method ?? '', this.request.url ?? '');
    // Known from here on, so that every refusal is in the client's dialect.
    if (endpoint.kind === 'operation') this.operation = endpoint.operation;
    if (!this.#authenticate()) return;
    if (endpoint.kind === 'operation') this.#readBody(endpoint);
    else this.#answerDirectly(endpoint);
  }

  lastOfItsConnection(): void {
    this.response.shouldKeepAlive = false;
  }

  cutShort(): void {
    const error: GatewayError = {
      code: 'shutting_down',
      message: 'This gateway pod is shutting down and its drain timeout is over; send the request again.',
    };
    if (this.#relay === null) this.fail(error);
    else this.#relay.abandon(error);
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
    const contentType = this.request.headers['content-type'];
    const parsed = isMultipart(contentType)
      ? readMultipart(bytes, endpoint.operation, contentType ?? '', endpoint.azureDeployment)
      : readRequestBody(bytes, endpoint.operation, endpoint.azureDeployment);
    if (parsed.ok) this.#route(parsed.value, endpoint);
    else this.fail(bodyError(parsed.error));
  }

  get streaming(): boolean {
    return this.#relay?.stream ?? false;
  }

  /** The gateway's own answer, in place of an upstream's. */
  fail(error: GatewayError): void {
    if (this.#over) return;
    sendError(this.response, this.requestId, error, this.operation);
    this.#finish();
    recordDirect(this, error.code);
  }

  #authenticate(): boolean {
    if (this.table.table.settings.clientAuth === 'None') return true;
    const { headers } = this.request;
    const key = headers['api-key'] ?? headers['x-api-key'];
    const found = authenticate(
      this.table.keys,
      headers.authorization,
      typeof key === 'string' ? key : undefined,
      this.core.clock.wallMs(),
    );
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
      default:
        this.fail(endpointError(endpoint, this.request.method ?? ''));
        return;
    }
    this.#finish();
    recordDirect(this, null);
  }

  #readBody(endpoint: OperationEndpoint): void {
    this.#endpoint = endpoint;
    if (this.core.running.size > this.core.maxInFlight) {
      this.fail({
        code: 'overloaded',
        message: 'This gateway pod has as many requests under way as it may; try again shortly.',
        retryAfterMs: 1000,
      });
      return;
    }
    this.#body = new RequestBody(this.request, this.core.budget, this.table.table.settings.maxRequestBytes, this);
    this.#body.start();
    // Only now, so that what is refused by its head is not even sent (RFC 9110, section 10.1.1).
    if (this.request.headers.expect !== undefined && !this.#over) this.response.writeContinue();
  }

  #route(parsed: ParsedBody | MultipartBody, endpoint: OperationEndpoint): void {
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
    const facts = readFacts(endpoint.operation, endpoint.path, parsed);
    const relay = new Relay(this, loaded, parsed, facts);
    const refused = relay.choose();
    if (refused !== null) {
      this.fail(refused);
    } else if (loaded.limits.length === 0) {
      this.#begin(relay, NO_LIMITS);
    } else {
      const tokens = relay.reservedTokens;
      const reserved = this.core.limiter.reserve(new Limited(this, loaded, tokens));
      if (!(reserved instanceof Promise)) this.#decided(relay, reserved);
      else reserved.then((decision) => this.#decided(relay, decision)).catch((error: unknown) => this.fault(error));
    }
  }

  #decided(relay: Relay, decision: Decision): void {
    if (this.#over) {
      if (decision.ok) decision.release();
    } else if (decision.ok) {
      this.#begin(relay, decision);
    } else if (decision.reason === 'unavailable') {
      this.fail({
        code: 'limits_unavailable',
        message:
          'The limits of this route cannot be checked right now, and it serves no request that is not checked; try again shortly.',
        retryAfterMs: decision.retryAfterMs,
      });
    } else {
      this.loaded?.metrics.limited(decision.limitName);
      this.fail(limitError(decision));
    }
  }

  #begin(relay: Relay, reservation: Reservation): void {
    this.#relay = relay;
    relay.begin(reservation);
  }

  /** An invariant broke: the client gets a 500 with the request id, the log the stack; everything held is given back. */
  fault(error: unknown): void {
    this.core.onFault(error, this.requestId);
    const failure: GatewayError = {
      code: 'internal_error',
      message: `The gateway failed to handle this request; its log has the id ${this.requestId}.`,
    };
    if (this.#relay === null) this.fail(failure);
    else this.#relay.abandon(failure);
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
    this.core.running.delete(this);
    this.bodyDone();
  }

  /** The connection is gone or the answer is out; in the latter case everything is over already. */
  #closed(): void {
    if (this.#over) return;
    if (this.#relay !== null) {
      this.#relay.clientGone();
    } else {
      this.#finish();
      recordDirect(this, 'client_gone');
    }
  }
}

function modelNotFound(model: string): GatewayError {
  return {
    code: 'model_not_found',
    message: `The model ${JSON.stringify(model)} does not exist or you do not have access to it; GET /v1/models lists what this key may use.`,
    param: 'model',
  };
}

/** What the limiter reads of a request. */
class Limited implements LimitedRequest {
  readonly routeId: string;
  readonly limits: LoadedRoute['limits'];
  readonly apiKeyId: string;
  readonly tenant: string;
  readonly model: string;
  readonly tokens: number;
  readonly #request: IncomingMessage;

  constructor(run: RequestRun, loaded: LoadedRoute, tokens: number) {
    this.routeId = loaded.route.id;
    this.limits = loaded.limits;
    this.apiKeyId = run.caller.keyId;
    this.tenant = run.caller.tenant;
    this.model = run.model;
    this.tokens = tokens;
    this.#request = run.request;
  }

  header(name: string): string | undefined {
    const value = this.#request.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }
}
