import { TokenError } from '../credentials/service.ts';
import type { StoredObject } from '../dialects/endpoints.ts';
import type { Failure } from '../lib/failure.ts';
import { isObject, parseJson } from '../lib/json.ts';
import type { AnswerHeaders } from '../providers/provider.ts';
import { redactErrorBody } from '../providers/shared/redact.ts';
import { type CallSink, type CallTimeouts, UpstreamCall } from '../upstream/call.ts';
import { DecodingSink } from '../upstream/decode.ts';
import { passedHeaders, streamErrorEvent } from './answers.ts';
import { isEventStream } from './attempt.ts';
import { ClientStream } from './client-stream.ts';
import type { ErrorCode, GatewayError } from './errors.ts';
import { describe, exhaustedCode, interruptedError } from './explanations.ts';
import type { LoadedExchange, LoadedTarget } from './loaded-table.ts';
import { type KnownObject, pinsOf } from './pinned.ts';
import type { RequestContext } from './request-context.ts';
import type { Place } from './service-targets.ts';
import { StoredStream } from './stored-stream.ts';
import { upstreamHeaders } from './upstream-body.ts';

/** A route's are for answers that a model writes meanwhile. */
const TIMEOUTS: CallTimeouts = { connectMs: 2_000, firstTokenMs: 60_000, idleMs: 120_000, totalMs: 60_000 };
/** A larger one is passed on as it comes. */
const HELD_MAX_BYTES = 8 * 1024 * 1024;
/** What the upstream says of the object itself, and not of our account. */
const OF_THE_OBJECT: ReadonlySet<number> = new Set([400, 404, 409, 422]);

export interface StoredObjectHost extends RequestContext {
  fail(error: GatewayError): void;
  /** The client has an upstream's answer. */
  storedAnswered(answer: StoredAnswer): void;
}

/** What an upstream gave of something that it keeps. */
export interface StoredAnswer {
  readonly target: LoadedTarget;
  readonly stream: boolean;
  /** Why the client has only a part of it, and what it was told; null: it has all. */
  readonly failure: Failure | null;
  readonly code: ErrorCode | null;
}

/** Files that come of a batch. https://platform.openai.com/docs/api-reference/batch/object */
const OUTPUTS = ['output_file_id', 'error_file_id'];

/** Reads, ends or deletes what an upstream keeps: one call, to whoever keeps it, its answer passed on as it is. */
export class StoredObjectCall implements CallSink {
  readonly #host: StoredObjectHost;
  readonly #asked: StoredObject;
  readonly #target: LoadedTarget;
  /** By which it was made. */
  readonly #model: string;
  readonly #exchange: LoadedExchange;
  readonly #place: Place;
  readonly #call: UpstreamCall;
  readonly #sink: DecodingSink;
  readonly #client: ClientStream;
  #ticket = 0;
  #status = 0;
  #headers: AnswerHeaders = {};
  #chunks: Buffer[] = [];
  #heldBytes = 0;
  /** null: it is no stream of events. */
  #events: StoredStream | null = null;
  #over = false;

  constructor(host: StoredObjectHost, asked: StoredObject, { target, model }: KnownObject) {
    const exchange = target.exchange(asked.collection);
    if (exchange === null) throw new Error(`target ${target.target.name} keeps ${asked.collection}, but has no such operation`);
    this.#host = host;
    this.#asked = asked;
    this.#target = target;
    this.#model = model;
    this.#exchange = exchange;
    this.#place = target.place(exchange, [], asked.collection);
    this.#client = new ClientStream(host.exchange);
    this.#sink = new DecodingSink(this);
    this.#call = new UpstreamCall(this.#place.channel, this.#sink, TIMEOUTS, this.streaming, host.core.clock);
    this.#sink.attach(this.#call);
  }

  get streaming(): boolean {
    return this.#asked.query.split('&').includes('stream=true');
  }

  start(): void {
    const { method, id, below, query } = this.#asked;
    const [base = '', own = ''] = this.#exchange.path(this.#target.target.model ?? '', false).split('?', 2);
    const queries = [own, query].filter((part) => part !== '').join('&');
    const path = `${base}/${id}${below}${queries === '' ? '' : `?${queries}`}`;
    const headers = upstreamHeaders(this.#exchange, this.#host, false);
    const body = method === 'POST' ? NO_BYTES : null;
    this.#ticket = this.#place.health.started(this.#host.core.clock.nowMs());
    const { fixed, sign } = this.#exchange;
    if (sign === null) {
      this.#call.start({ method, path, fixed, headers, body });
      return;
    }
    sign(path, NO_BYTES, this.#host.core.clock.wallMs())
      .then((proof) => {
        if (!this.#over) this.#call.start({ method, path, fixed, headers: [...headers, ...proof], body });
      })
      .catch((error: unknown) => {
        if (error instanceof TokenError) this.#failed({ kind: 'auth', message: error.message });
        else this.#host.fault(error);
      });
  }

  /** The client left: nothing more is reported. */
  cancel(): void {
    if (this.#end()) this.#sink.cancel();
  }

  /** The gateway cannot go on. */
  abandon(error: GatewayError): void {
    const underWay = this.#end();
    if (underWay) this.#sink.cancel();
    if (underWay && this.#client.opened) this.#cut(error, { kind: 'client_gone', message: error.message });
    else this.#host.fail(error);
  }

  onAnswer(status: number, headers: AnswerHeaders): void {
    this.#status = status;
    this.#headers = headers;
    if (status !== 200 || !isEventStream(this.#headers['content-type'])) return;
    if (this.#asked.collection === 'responses') this.#events = new StoredStream(this.#exchange.readStream(this.#headers));
    this.#open();
  }

  onChunk(chunk: Buffer): void {
    if (this.#client.opened) {
      const bytes = this.#events === null ? chunk : this.#events.read(chunk);
      if (!this.#client.write(bytes, () => this.#sink.resume())) this.#sink.pause();
      const broken = this.#events?.broken ?? null;
      if (broken === null) return;
      this.#sink.cancel();
      this.onBroken(broken);
    } else if (this.#heldBytes + chunk.length <= HELD_MAX_BYTES && this.#host.core.budget.take(chunk.length)) {
      this.#heldBytes += chunk.length;
      this.#chunks.push(chunk);
    } else if (this.#status < 300) {
      this.#open();
      for (const held of this.#chunks) this.#client.write(held, () => this.#sink.resume());
      this.#release();
      this.onChunk(chunk);
    } else {
      this.#sink.cancel();
      this.#failed({ kind: 'malformed', message: `an error of HTTP ${this.#status} that is too large to be one` });
    }
  }

  onComplete(): void {
    const body = Buffer.concat(this.#chunks, this.#heldBytes);
    const secret = this.#target.target.credential?.value.reveal() ?? '';
    if (!this.#client.opened && this.#status >= 300 && !OF_THE_OBJECT.has(this.#status)) {
      const { failure } = this.#exchange.readAnswer(this.#status, this.#headers, body, true);
      this.#failed(failure ?? { kind: 'malformed', message: `HTTP ${this.#status}`, status: this.#status });
      return;
    }
    const last = this.#events?.end() ?? null;
    if (this.#events?.finished === false) {
      this.onBroken({
        kind: 'stream_broken',
        sentBytes: this.#client.sentBytes,
        message: 'the stream ended without a finish reason',
      });
      return;
    }
    if (!this.#end()) return;
    if (this.#status < 300) this.#remember(body);
    if (this.#client.opened) this.#client.end(last);
    else this.#client.whole(this.#status, this.#answerHeaders(), this.#status < 300 ? body : redactErrorBody(body, secret));
    this.#answered(null, null);
  }

  onBroken(failure: Failure): void {
    this.#place.health.failed(this.#ticket, failure, this.#asked.collection, this.#host.core.clock.nowMs());
    this.#failed(failure);
  }

  #failed(failure: Failure): void {
    if (!this.#end()) return;
    if (failure.kind === 'auth') this.#target.proofRefused();
    if (this.#client.opened) {
      this.#cut(interruptedError(failure, { target: this.#target }), failure);
      return;
    }
    const { name } = this.#target.target;
    this.#host.core.log.logger.warn(
      { requestId: this.#host.requestId, target: name, reason: failure.message },
      `a kept object, of the ${this.#asked.collection}`,
    );
    this.#host.fail({
      code: exhaustedCode(failure),
      message: `The upstream of model ${name}, which keeps this, gave no answer: ${describe(failure)}.`,
    });
  }

  /** An event says so; what is no stream of events has no place for it. */
  #cut(error: GatewayError, failure: Failure): void {
    if (this.#events === null) this.#client.abort();
    else this.#client.end(streamErrorEvent('responses', error, this.#events.nextSequenceNumber));
    this.#answered(failure, error.code);
  }

  #answered(failure: Failure | null, code: ErrorCode | null): void {
    this.#host.storedAnswered({ target: this.#target, stream: this.#events !== null, failure, code });
  }

  /** What was deleted is nowhere any more; what came of a batch is where the batch is. */
  #remember(answer: Buffer): void {
    const { collection, method, id } = this.#asked;
    const { core, caller } = this.#host;
    const pins = pinsOf(core, collection);
    if (method === 'DELETE') pins.forget(caller.tenant, id);
    if (collection !== 'batches' || this.#client.opened) return;
    const batch = parseJson(answer.toString('utf8'));
    if (!isObject(batch)) return;
    for (const name of OUTPUTS) {
      const output = batch[name];
      if (typeof output === 'string') pins.keep(caller.tenant, output, this.#target.target, this.#model);
    }
  }

  #open(): void {
    this.#client.open(this.#answerHeaders());
    this.#call.committed();
  }

  #answerHeaders(): string[] {
    const headers = ['x-request-id', this.#host.requestId, 'x-fairlead-model', this.#target.target.name];
    headers.push('x-fairlead-reason', 'pinned', 'x-fairlead-attempts', '1');
    passedHeaders(headers, this.#headers);
    return headers;
  }

  /** False: it was over before. */
  #end(): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#release();
    this.#place.health.finished(this.#ticket);
    return true;
  }

  #release(): void {
    this.#host.core.budget.give(this.#heldBytes);
    this.#heldBytes = 0;
    this.#chunks = [];
  }
}

const NO_BYTES = Buffer.alloc(0);
