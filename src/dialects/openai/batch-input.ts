/**
 * The input of a batch: a request a line. https://platform.openai.com/docs/guides/batch
 *
 * What is asked of each is what is asked of a request that comes alone: the lines name a model of the gateway's, are read as strictly,
 * and go upstream with the target's own name of the model and its parameters. All are read a piece at a time, so that a large file
 * holds up nobody.
 */
import { isUtf8 } from 'node:buffer';
import { isObject, parseJson } from '../../lib/json.ts';
import type { Operation } from '../../lib/operation.ts';
import { err, ok, type Result } from '../../lib/result.ts';
import { matchEndpoint } from '../endpoints.ts';
import { duplicateMember, scanObject, skipSpace } from '../json-span.ts';
import type { Span } from '../multipart.ts';
import type { ParsedBody } from '../parsed-body.ts';
import { type BodyError, readRequestBody } from '../request-body.ts';
import { type BodyEdit, spliceBody } from '../splice-body.ts';
import { fileIdsOf } from './file-ids.ts';

/** What all the requests of a batch have to do with. */
export interface BatchInput {
  /** As the client names it, the same on each line. */
  readonly model: string;
  /** Files that they name. */
  readonly fileIds: readonly string[];
}

/** Twice what OpenAI takes, and what Azure does. */
export const MAX_LINES = 100_000;
/** Between two pauses: some 4 ms where lines are short. */
const PIECE_BYTES = 64 * 1024;
const LINE_END = 0x0a;

/** Whose requests a batch may hold. */
const BATCHED: ReadonlySet<Operation> = new Set([
  'chat',
  'completions',
  'embeddings',
  'responses',
  'moderations',
  'images_generations',
]);
const MEMBERS = ['method', 'url', 'body'];
/** What decides who may have what. */
const GUARDED: ReadonlyMap<string, string> = new Map(MEMBERS.map((name) => [name.toUpperCase(), name]));

/** Yields where others may have their turn. */
export function* readBatchInput(bytes: Buffer, file: Span): Generator<void, Result<BatchInput, BodyError>> {
  let model: string | null = null;
  const fileIds = new Set<string>();
  for (const lines of piecesOf(bytes, file)) {
    for (const line of lines) {
      const read = readLine(bytes, line);
      if (!read.ok) return read;
      const { body } = read.value;
      if (body.model !== (model ??= body.model)) {
        const names = `${JSON.stringify(body.model)}, where those before ask for ${JSON.stringify(model)}`;
        return refuse(line, `it asks for the model ${names}: all requests of a batch go to one`);
      }
      for (const id of fileIdsOf(body)) fileIds.add(id);
    }
    if ((lines.at(-1)?.number ?? 0) > MAX_LINES) return refused(`it has more than ${MAX_LINES} lines`);
    yield;
  }
  return model === null ? refused('it holds no request') : ok({ model, fileIds: [...fileIds] });
}

/** The file of `readBatchInput` as a target wants it, in pieces. */
export function* writeBatchInput(bytes: Buffer, file: Span, edit: BodyEdit): Generator<void, readonly Buffer[]> {
  const written: Buffer[] = [];
  let from = file.start;
  for (const lines of piecesOf(bytes, file)) {
    const piece: Buffer[] = [];
    for (const line of lines) {
      const read = readLine(bytes, line);
      if (!read.ok) throw new Error(`invariant: a line that was read cannot be: ${read.error.message}`);
      const { body, at } = read.value;
      piece.push(bytes.subarray(from, at), spliceBody(body, edit));
      from = at + body.bytes.length;
    }
    // Many small ones would take more than they hold.
    written.push(Buffer.concat(piece));
    yield;
  }
  written.push(bytes.subarray(from, file.end));
  return written;
}

interface Line extends Span {
  /** From 1. */
  readonly number: number;
}

/** Lines that are not empty, some at a time. */
function* piecesOf(bytes: Buffer, { start, end }: Span): Generator<readonly Line[]> {
  let lines: Line[] = [];
  let from = start;
  let pieceFrom = start;
  for (let number = 1; from < end; number++) {
    const found = bytes.indexOf(LINE_END, from);
    const to = found === -1 || found > end ? end : found;
    // Looked at alone: past its end, each of many empty lines would be looked at as often as there are lines before it.
    const line = bytes.subarray(from, to);
    if (skipSpace(line, 0) < line.length) lines.push({ number, start: from, end: to });
    from = to + 1;
    if (from - pieceFrom < PIECE_BYTES && number <= MAX_LINES) continue;
    yield lines;
    lines = [];
    pieceFrom = from;
    if (number > MAX_LINES) return;
  }
  if (lines.length > 0) yield lines;
}

interface BatchRequest {
  readonly body: ParsedBody;
  /** Where its bytes begin. */
  readonly at: number;
}

function readLine(all: Buffer, line: Line): Result<BatchRequest, BodyError> {
  const bytes = all.subarray(line.start, line.end);
  const parsed = isUtf8(bytes) ? parseJson(bytes.toString()) : undefined;
  if (!isObject(parsed) || bytes[0] === 0xef) return refuse(line, 'it is not a JSON object in UTF-8');
  for (const name in parsed) {
    const meant = GUARDED.get(name.toUpperCase());
    if (meant !== undefined && meant !== name) return refuse(line, `it has ${JSON.stringify(name)}; write it as '${meant}'`);
  }
  const spans = scanObject(bytes, MEMBERS);
  if (!spans.ok) return refuse(line, 'it nests too deep');
  const twice = duplicateMember(spans.value);
  if (twice !== null) return refuse(line, `it has '${twice}' more than once`);
  const operation = operationOf(parsed['url']);
  if (operation === null)
    return refuse(line, "its 'url' is not one of which a batch may hold requests, such as /v1/chat/completions");
  const span = spans.value.members.find(({ name }) => name === 'body');
  if (span === undefined) return refuse(line, "it has no 'body'");
  const body = readRequestBody(bytes.subarray(span.start, span.end), operation);
  if (!body.ok) return refuse(line, body.error.message.replace(/\.$/, ''));
  for (const name of ['previous_response_id', 'conversation'])
    if ((body.value.outline[name] ?? null) !== null) return refuse(line, `a request of a batch cannot go on from '${name}'`);
  return ok({ body: body.value, at: line.start + span.start });
}

/** Azure has them without the version. */
function operationOf(url: unknown): Operation | null {
  if (typeof url !== 'string') return null;
  const endpoint = matchEndpoint('POST', /^\/(?:v1|openai)\//.test(url) ? url : `/v1${url}`);
  return endpoint.kind === 'operation' && endpoint.urlModel === null && BATCHED.has(endpoint.operation)
    ? endpoint.operation
    : null;
}

function refuse({ number }: Line, why: string): { readonly ok: false; readonly error: BodyError } {
  return refused(`line ${number}: ${why}`);
}

function refused(why: string): { readonly ok: false; readonly error: BodyError } {
  return err({ code: 'invalid_batch', message: `The file is not the input of a batch: ${why}.`, param: 'file' });
}
