/** What of a client's request goes to a target, and what the target has no place for. */
import { type MultipartBody, type Span, type Upload, uploadPieces } from '../dialects/multipart.ts';
import { writeBatchInput } from '../dialects/openai/batch-input.ts';
import { thinkingTokens } from '../dialects/output-limit.ts';
import type { ParsedBody } from '../dialects/parsed-body.ts';
import { type BodyEdit, splicePieces } from '../dialects/splice-body.ts';
import type { Failure } from '../lib/failure.ts';
import type { Operation } from '../lib/operation.ts';
import type { Translation } from '../providers/provider.ts';
import type { Unsupported } from '../selection/types.ts';
import { inSlices } from './in-slices.ts';
import type { LoadedExchange, LoadedTarget } from './loaded-table.ts';
import type { RequestContext } from './request-context.ts';

/** The client's bytes with the target's edits; where the target has other names for some members, with those, whoever set them. */
export function passedBody(body: ParsedBody, edit: BodyEdit, exchange: LoadedExchange): PassedBody {
  const adapted = exchange.adapt(body);
  if (adapted === null) return { bytes: splicePieces(body, edit), dropped: NOTHING };
  const { model, defaults, override } = edit;
  const written: Record<string, unknown> = { ...adapted.json, model: model ?? body.model };
  for (const [name, value] of defaults) if (!Object.hasOwn(written, name)) written[name] = value;
  const set = Object.fromEntries(override);
  Object.assign(written, exchange.adapt({ json: set, outline: set })?.json ?? set);
  return { bytes: Buffer.from(JSON.stringify(written)), dropped: adapted.dropped };
}

/** An upload whose lines are to be written for its target; null: it has none. */
export function batchInput(body: ParsedBody | MultipartBody): BatchUpload | null {
  if (body.kind !== 'multipart' || body.upload === null) return null;
  const { upload } = body;
  return upload.purpose === 'batch' && upload.file !== null ? { form: body, upload, file: upload.file } : null;
}

export interface BatchUpload {
  readonly form: MultipartBody;
  readonly upload: Upload;
  readonly file: Span;
}

/** With the target's name of the model, and its parameters, in each line. null: nobody `wanted` it any more. */
export async function passedBatch(
  { form, upload, file }: BatchUpload,
  edit: BodyEdit,
  wanted: () => boolean,
): Promise<readonly Buffer[] | null> {
  const lines = await inSlices(writeBatchInput(form.bytes, file, edit), wanted);
  return lines === null ? null : uploadPieces(form, upload, lines);
}

export interface PassedBody {
  readonly bytes: Buffer | readonly Buffer[];
  /** Members that are left out, by the client's names. */
  readonly dropped: readonly string[];
}

const NOTHING: readonly string[] = [];

/** What says what the body is, and those of the client's that reach an upstream, beside those of the exchange. Flat. */
export function upstreamHeaders(exchange: LoadedExchange, run: RequestContext, multipart: boolean): string[] {
  const { headers: sent } = run.exchange;
  const contentType = (multipart ? sent['content-type'] : undefined) ?? 'application/json';
  const headers = ['content-type', contentType, 'x-request-id', run.requestId];
  const { headersUnsaid } = exchange;
  const forwarded = exchange.forwarded(sent);
  if (forwarded.length > 0) headers.push(...forwarded);
  for (let at = 0; at < headersUnsaid.length; at += 2) {
    const [name = '', value = ''] = headersUnsaid.slice(at, at + 2);
    if (!says(headers, name)) headers.push(name, value);
  }
  return headers;
}

function says(headers: readonly string[], name: string): boolean {
  return headers.some((each, at) => at % 2 === 0 && each === name);
}

/** Before the choice: what keeps the target from serving all of the request; null: nothing. */
export function unsupportedBy(target: LoadedTarget, operation: Operation, body: ParsedBody): Unsupported | null {
  const translation = target.exchange(operation)?.translation ?? null;
  const thinks = translation === null || translation.passesMembers === true ? beyondThinking(target, operation, body) : null;
  if (translation === null || thinks !== null) return thinks;
  const { invalid, refused } = translation.lacks(body);
  const [wrong] = invalid;
  if (wrong !== undefined) return { param: wrong.param, detail: wrong.message, droppable: false };
  const [param] = refused;
  if (param === undefined) return null;
  const names = refused.map((name) => JSON.stringify(name)).join(', ');
  return { param, detail: `${target.target.provider} cannot take ${names}`, droppable: target.target.unsupported === 'Drop' };
}

/** A bound is made smaller for a model that gives less; what the client lets it think before it answers is the client's to say. */
function beyondThinking({ target }: LoadedTarget, operation: Operation, { outline }: ParsedBody): Unsupported | null {
  const { maxOutputTokens } = target.capabilities;
  const least = thinkingTokens(operation, outline);
  if (maxOutputTokens === null || least === 0 || least < maxOutputTokens) return null;
  const detail = `the request lets the model think for ${least} tokens, and this one gives at most ${maxOutputTokens} in all`;
  return { param: 'thinking.budget_tokens', detail, droppable: false };
}

export interface LeftOut {
  /** The target was not chosen by its abilities, and does not have them. */
  readonly refusal: Failure | null;
  /** Members that are left out, by the client's names. */
  readonly dropped: readonly string[];
}

/** At the call: a target that a filter's or an overflow's rule names was not asked before. */
export function leftOut({ target }: LoadedTarget, translation: Translation, body: ParsedBody): LeftOut {
  const { invalid, refused, hints } = translation.lacks(body);
  const [wrong] = invalid;
  const reject = target.unsupported === 'Reject' ? refused[0] : undefined;
  if (wrong === undefined && reject === undefined) return { refusal: null, dropped: [...refused, ...hints] };
  const message = wrong?.message ?? `${target.name} cannot take ${JSON.stringify(reject)}`;
  return { refusal: { kind: 'invalid_request', message }, dropped: [] };
}
