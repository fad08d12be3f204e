/** What the readers of all translated streams have in common: their results, and how an event becomes a failure. */
import type { FinishReason, ReplySink } from '../../dialects/neutral/reply.ts';
import type { Failure } from '../../lib/failure.ts';
import type { Usage } from '../../lib/usage.ts';
import { StreamEvent } from '../provider.ts';
import { failureOf, type ErrorOrigin } from './classify.ts';
import { NO_FACTS } from './error-facts.ts';
import type { StreamOrigin, UpstreamStream } from './upstream-dialect.ts';

export abstract class UpstreamReader implements UpstreamStream {
  finishReason: FinishReason | null = null;
  stopSequence: string | null = null;
  failure: Failure | null = null;
  usage: Usage | null = null;
  outputChars = 0;
  outputSeen = false;
  protected readonly sink: ReplySink;
  readonly #context: StreamOrigin;

  constructor(sink: ReplySink, context: StreamOrigin) {
    this.sink = sink;
    this.#context = context;
  }

  /** Where there is no end mark, a finish reason stands until another comes. */
  get finished(): boolean {
    return this.finishReason !== null && this.failure === null;
  }

  abstract read(event: string, data: string): number;

  protected output(chars: number): number {
    this.outputSeen = true;
    this.outputChars += chars;
    return StreamEvent.Output;
  }

  /** Output where there are characters of it. */
  protected outputIfAny(chars: number): number {
    return chars === 0 ? 0 : this.output(chars);
  }

  protected malformed(message: string): number {
    return this.fail(failureOf('malformed', { ...NO_FACTS, message }, this.origin()));
  }

  /** The first failure stays: what follows it is its consequence. */
  protected fail(failure: Failure): number {
    this.failure ??= failure;
    return StreamEvent.Failed;
  }

  protected origin(): ErrorOrigin {
    const { headers, secret } = this.#context;
    return { httpStatus: 200, headers, outputSeen: this.outputSeen, secret };
  }
}
