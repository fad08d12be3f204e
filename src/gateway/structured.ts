/** Holds the answers of one attempt to the JSON schema of its request, as the rule says. */
import type { RequestFacts } from '../dialects/facts.ts';
import type { MultipartBody } from '../dialects/multipart.ts';
import type { ParsedBody } from '../dialects/parsed-body.ts';
import { answerTexts, StreamedText, wantedSchema, withStreamedText, withTexts } from '../dialects/structured/answer-text.ts';
import { judge, type Judgement } from '../dialects/structured/judge.ts';
import type { Failure } from '../lib/failure.ts';
import type { Operation } from '../lib/operation.ts';
import type { StructuredOutput } from '../routetable/types.ts';

export class StructuredCheck {
  /** Streams wait for their end. */
  readonly holds: boolean;
  /** null: not known yet, or there was nothing to check (a call of a tool, a refusal). */
  state: Judgement['state'] | null = null;
  readonly #operation: Operation;
  readonly #schema: unknown;
  readonly #policy: StructuredOutput;
  readonly #streamed: StreamedText;
  /** What stands in the place of a held stream's text; null: it is as it was. */
  #mended: string | null = null;

  constructor(operation: Operation, schema: unknown, policy: StructuredOutput) {
    this.#operation = operation;
    this.#schema = schema;
    this.#policy = policy;
    this.#streamed = new StreamedText(operation);
    this.holds = policy.holdStream;
  }

  /** A whole answer in the client's dialect: what the client gets in its place, or why it gets none. */
  whole(body: Buffer): Buffer | Failure {
    const texts = answerTexts(this.#operation, body);
    const found = texts.map((text) => judge(this.#schema, text, this.#policy.repair));
    const [worst] = found.toSorted((a, b) => RANK[b.state] - RANK[a.state]);
    const failure = this.#conclude(worst);
    if (failure !== null) return failure;
    if (this.state !== 'repaired') return body;
    return withTexts(
      this.#operation,
      body,
      texts.map((text, index) => {
        const judgement = found[index];
        return judgement?.state === 'repaired' ? judgement.text : text;
      }),
    );
  }

  /** `data`: of one event on its way to the client. */
  read(data: string): void {
    this.#streamed.read(data);
  }

  /** Whole frames on their way to the client. */
  readFrames(frames: string): void {
    this.#streamed.readFrames(frames);
  }

  /** A stream has come to a good end. `held`: its frames, where none of them has gone out. */
  streamed(held: string | null): string | Failure | null {
    const { text, calls, several } = this.#streamed;
    if (text === '' || calls) return held;
    const judgement: Judgement = several
      ? { state: 'unchecked', why: 'the stream has several choices' }
      : judge(this.#schema, text, this.#policy.repair && held !== null);
    const failure = this.#conclude(judgement);
    if (failure !== null) return failure;
    if (held === null || judgement.state !== 'repaired') return held;
    this.#mended = judgement.text;
    return withStreamedText(this.#operation, held, text, judgement.text);
  }

  /** What ends a stream: some dialects tell the text again in it. */
  tail(frames: string): string {
    return this.#mended === null ? frames : withStreamedText(this.#operation, frames, this.#streamed.text, this.#mended);
  }

  /** What people read at the end of a stream whose headers were gone before its text was known; ''. */
  get comment(): string {
    return this.state === null || this.state === 'valid' || this.holds ? '' : `: x-fairlead-structured-output ${this.state}\n\n`;
  }

  #conclude(judgement: Judgement | undefined): Failure | null {
    this.state = judgement?.state ?? null;
    if (judgement?.state !== 'invalid' || this.#policy.onInvalid === 'Return') return null;
    return { kind: 'invalid_output', message: judgement.why };
  }
}

/** null: the rule does not ask for it, or the request has no schema. */
export function structuredCheckOf(
  policy: StructuredOutput | undefined,
  { operation, jsonSchema }: RequestFacts,
  body: ParsedBody | MultipartBody | null,
): StructuredCheck | null {
  if (policy === undefined || !jsonSchema || body?.kind !== 'json') return null;
  const schema = wantedSchema(operation, body.json);
  return schema === undefined ? null : new StructuredCheck(operation, schema, policy);
}

const RANK: Readonly<Record<Judgement['state'], number>> = { valid: 0, repaired: 1, unchecked: 2, invalid: 3 };
