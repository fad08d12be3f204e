import { type MultipartBody, spliceMultipart, uploadPieces } from '../dialects/multipart.ts';
import { clampedBody, clampedEdit, outputTokensOfClient } from '../dialects/output-limit.ts';
import type { ParsedBody } from '../dialects/parsed-body.ts';
import type { FailoverPolicy } from '../routetable/types.ts';
import { headerList } from './answers.ts';
import type { Attempt } from './attempt.ts';
import type { LoadedExchange, LoadedTarget } from './loaded-table.ts';
import { type PassedBody, passedBody } from './upstream-body.ts';

/** What its limits leave of a request: how long each of its answers may be, and who may give them. */
export class Allowance {
  /** null: as asked. */
  maxOutputTokens: number | null = null;
  /** The limit that it is beyond, for which one target answers and no other. */
  beyond: string | null = null;

  /** It names what one account keeps: nobody else may answer. */
  pinned = false;

  /** Whoever asked for something got something else. */
  get reduced(): boolean {
    return this.maxOutputTokens !== null || this.beyond !== null;
  }

  /** How long each answer of this target may be, where that is less than asked; null: as asked. */
  outputBound({ outline, operation }: ParsedBody, loaded: LoadedTarget): number | null {
    const able = loaded.target.capabilities.maxOutputTokens;
    const asked = able === null ? null : outputTokensOfClient(operation, outline, loaded.edit, loaded.boundPaths(operation));
    const own = able !== null && asked !== null && asked > able ? able : null;
    return own === null || this.maxOutputTokens === null ? (own ?? this.maxOutputTokens) : Math.min(own, this.maxOutputTokens);
  }

  /** `bound`: as `outputBound` has it. */
  passedBody(body: ParsedBody | MultipartBody, target: LoadedTarget, exchange: LoadedExchange, bound: number | null): PassedBody {
    if (body.kind !== 'json')
      return {
        bytes: body.upload === null ? spliceMultipart(body, target.target.model) : uploadPieces(body, body.upload, null),
        dropped: [],
      };
    // No model answers it, and none is in it.
    if (body.operation === 'batches') return { bytes: body.bytes, dropped: [] };
    return passedBody(
      body,
      bound === null ? target.edit : clampedEdit(target.edit, body, target.target.provider, bound),
      exchange,
    );
  }

  /** To be translated for this target. `bound`: as `outputBound` has it. */
  body(body: ParsedBody, { target }: LoadedTarget, bound: number | null): ParsedBody {
    return bound === null ? body : clampedBody(body, target.provider, bound);
  }

  policy(policy: FailoverPolicy): FailoverPolicy {
    return this.beyond === null && !this.pinned ? policy : { ...policy, contentFilter: null, contextOverflow: null };
  }

  addHeaders(headers: string[], { outputBound }: Pick<Attempt, 'outputBound'>): void {
    if (this.beyond !== null) headers.push('x-fairlead-downgraded', headerList([this.beyond]));
    if (outputBound !== null) headers.push('x-fairlead-max-tokens-clamped', String(outputBound));
  }
}
