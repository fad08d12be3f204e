/** What the readers of all of OpenAI's streams have in common: their results, and how an event becomes a failure. */
import type { Failure } from '../../lib/failure.ts';
import type { Usage } from '../../lib/usage.ts';
import { StreamEvent, type AnswerHeaders, type StreamReader } from '../provider.ts';
import { classifyError, failureOf, type ErrorOrigin } from '../shared/classify.ts';
import { NO_FACTS, readErrorFacts } from '../shared/error-facts.ts';
import { isObject, parseJson, type JsonObject } from '../../lib/json.ts';
import type { FailureTable } from './failure.ts';

export interface StreamContext {
  readonly table: FailureTable;
  /** The credential that was sent, kept out of messages; ''. */
  readonly secret: string;
  readonly headers: AnswerHeaders;
}

export abstract class OpenAIStream implements StreamReader {
  abstract readonly finished: boolean;
  finishReason: string | null = null;
  failure: Failure | null = null;
  usage: Usage | null = null;
  outputChars = 0;
  protected readonly context: StreamContext;
  protected outputSeen = false;

  constructor(context: StreamContext) {
    this.context = context;
  }

  abstract read(event: string, data: string): number;

  /** Reads an event that is parsed in full. */
  protected readParsed(event: string, data: string): number {
    // A heartbeat: an event field without data.
    if (data === '') return 0;
    if (data.length < 16 && data.trim() === '[DONE]') return StreamEvent.Done;
    const parsed = parseJson(data);
    if (!isObject(parsed)) {
      const facts = readErrorFacts(parsed);
      if (facts !== null) return this.fail(classifyError(this.context.table.errors, facts, this.origin()));
      // Some servers send a plain line after `event: error`.
      const message = event === 'error' ? data : 'an event of the stream is not a JSON object';
      return this.fail(failureOf(event === 'error' ? 'server_error' : 'malformed', { ...NO_FACTS, message }, this.origin()));
    }
    return this.readObject(event, parsed, data);
  }

  protected abstract readObject(event: string, parsed: JsonObject, data: string): number;

  /** The first failure stays: what follows it is its consequence. */
  protected fail(failure: Failure): number {
    this.failure ??= failure;
    return StreamEvent.Failed;
  }

  protected failWith(parsed: JsonObject): number {
    const facts = readErrorFacts(parsed) ?? NO_FACTS;
    return this.fail(classifyError(this.context.table.errors, facts, this.origin()));
  }

  protected origin(): ErrorOrigin {
    return { httpStatus: 200, headers: this.context.headers, outputSeen: this.outputSeen, secret: this.context.secret };
  }

  protected addOutput(chars: number): number {
    this.outputSeen = true;
    this.outputChars += chars;
    return StreamEvent.Output;
  }
}
