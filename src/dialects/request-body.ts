import { isAscii, isUtf8 } from 'node:buffer';
import type { JsonObject } from '../lib/json.ts';
import { parseJsonOrThrow, parseJsonUnmended } from '../lib/json-parse.ts';
import type { Operation } from '../lib/operation.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { type BodyScan, scanBody, UNIQUE_MEMBERS } from './body-scan.ts';
import { outlineOf } from './json-outline.ts';
import { decodeString, MAX_JSON_DEPTH, stringEnd } from './json-span.ts';
import { type BodyReading, ParsedBody } from './parsed-body.ts';

export const MAX_MODEL_CHARS = 256;

export type BodyErrorCode =
  | 'empty_body'
  | 'invalid_utf8'
  | 'invalid_json'
  | 'json_too_deep'
  | 'missing_model'
  | 'invalid_model'
  | 'invalid_type'
  | 'duplicate_parameter'
  | 'invalid_multipart'
  | 'invalid_batch';

/** Why a body is refused, always with HTTP 400. The message never quotes the body, so that it can be logged. */
export interface BodyError {
  readonly code: BodyErrorCode;
  readonly message: string;
  /** The request parameter at fault, or null. */
  readonly param: string | null;
}

/**
 * What limits, access, capabilities and the reading of the answer go by. Go's encoding/json, which Ollama, LocalAI and others use, takes
 * a name in any case, and the last of several. Which kind will serve is not known yet, so no kind gets a second spelling.
 */
const GUARDED_NAMES: ReadonlySet<string> = new Set([
  ...UNIQUE_MEMBERS,
  'messages',
  'prompt',
  'input',
  'instructions',
  'system',
  'max_tokens',
  'max_completion_tokens',
  'max_output_tokens',
  'n',
  'best_of',
  'tools',
  'functions',
  'response_format',
]);
const GUARDED_MEMBERS: ReadonlyMap<string, string> = new Map([...GUARDED_NAMES].map((name) => [folded(name), name]));
const GUARDED_LENGTHS: ReadonlySet<number> = new Set([...GUARDED_NAMES].map(({ length }) => length));

/** From here on it pays to leave texts out: sooner where they are not ASCII, because V8's strings take two bytes a character then. */
const OUTLINE_FROM_BYTES = 512;
const OUTLINE_ASCII_FROM_BYTES = 4_096;
/** Whoever serves these needs all of it: to find other providers' thoughts in it, or to translate it. */
const READ_WHOLE: ReadonlySet<Operation> = new Set(['messages', 'count_tokens']);

/**
 * Reads a JSON request body. Everything the gateway will replace in it is found and unambiguous afterwards. `urlModel`: the
 * model that the URL names (Azure's deployments), which makes the body's own optional; null where the body must name it.
 * Total: whatever the bytes, they give a body or a reason.
 */
export function readRequestBody(
  bytes: Buffer,
  operation: Operation,
  urlModel: string | null = null,
): Result<ParsedBody, BodyError> {
  if (bytes.length === 0) return refuse('empty_body', 'The request has no body; a JSON object is expected.', null);
  const ascii = isAscii(bytes);
  if (!ascii && !isUtf8(bytes)) return refuse('invalid_utf8', 'The body is not valid UTF-8.', null);
  const outlined = readOutline(bytes, ascii, operation, urlModel);
  if (outlined !== null) return ok(outlined);
  const read = readMembers(bytes, ascii, urlModel);
  return read.ok ? ok(new ParsedBody(operation, bytes, read.value, null)) : read;
}

/** null: it is to be read whole, as is one that is refused, so that it is for what it says itself. */
function readOutline(bytes: Buffer, ascii: boolean, operation: Operation, urlModel: string | null): ParsedBody | null {
  if (bytes.length < (ascii ? OUTLINE_ASCII_FROM_BYTES : OUTLINE_FROM_BYTES) || READ_WHOLE.has(operation)) return null;
  const outline = outlineOf(bytes);
  if (outline === null) return null;
  const { left } = outline;
  // A message that was left out is a level more than what stands for it.
  const read = readMembers(outline.bytes, ascii || isAscii(outline.bytes), urlModel, MAX_JSON_DEPTH - 1);
  if (!read.ok) return null;
  const { modelStart, modelEnd } = read.value;
  const inBody = modelStart === -1 ? {} : { modelStart: left.bodyOffset(modelStart), modelEnd: left.bodyOffset(modelEnd) };
  // Names of members, but for those of messages, are never left out.
  return new ParsedBody(operation, bytes, { ...read.value, ...inBody }, left);
}

/** `bytes`: a body's, or its outline's. */
function readMembers(
  bytes: Buffer,
  ascii: boolean,
  urlModel: string | null,
  maxDepth = MAX_JSON_DEPTH,
): Result<BodyReading, BodyError> {
  const text = bytes.toString(ascii ? 'latin1' : 'utf8');
  const read = readObject(bytes, text);
  if (!read.ok) return read;
  const scan = scanBody(bytes, maxDepth);
  if (scan.tooDeep) return refuse('json_too_deep', `The body nests deeper than ${MAX_JSON_DEPTH} levels.`, null);
  const json = scan.escapedName ? (parseJsonOrThrow(text) as JsonObject) : read.value;

  const named = readModel(json, scan, urlModel);
  if (!named.ok) return named;
  const stream = scan.hasStream ? json['stream'] : null;
  if (stream !== null && typeof stream !== 'boolean') {
    return refuse('invalid_type', `Invalid type for 'stream': expected true or false, but got ${typeName(stream)}.`, 'stream');
  }
  const { twice, modelStart, plainModelEnd } = scan;
  if (twice !== null) return refuse('duplicate_parameter', `Duplicate parameter: '${twice}' is given more than once.`, twice);

  const bodyModel = named.value;
  let modelEnd = -1;
  if (bodyModel !== null) {
    const plain = ascii && plainModelEnd !== -1;
    modelEnd = plain ? plainModelEnd : stringEnd(bytes, modelStart);
    // What is cut out must be what was read: routing and access were decided on it.
    const same = plain
      ? plainModelEnd - modelStart === bodyModel.length + 2 && text.startsWith(bodyModel, modelStart + 1)
      : decodeString(bytes, modelStart, modelEnd) === bodyModel;
    if (!same) throw new Error('invariant: the scanned model is not the parsed one');
  }

  return ok({
    outline: json,
    model: urlModel ?? bodyModel ?? '',
    bodyModel,
    modelStart,
    modelEnd,
    stream: stream === true,
    includeUsage: scan.hasStreamOptions && asksForUsage(json['stream_options']),
    namesFiles: scan.namesFiles,
  });
}

/** null where `model` can be routed, logged and put into a URL; else why not. */
export function checkModel(model: string): BodyError | null {
  if (model === '') return error('missing_model', 'you must provide a model parameter', 'model');
  if (model.length > MAX_MODEL_CHARS) {
    return error(
      'invalid_model',
      `Invalid 'model': ${model.length} characters long, at most ${MAX_MODEL_CHARS} are allowed.`,
      'model',
    );
  }
  for (let i = 0; i < model.length; i++) {
    const unit = model.charCodeAt(i);
    if (unit < 0x20 || unit === 0x7f) return error('invalid_model', "Invalid 'model': it contains a control character.", 'model');
  }
  if (!model.isWellFormed()) return error('invalid_model', "Invalid 'model': it contains half of a surrogate pair.", 'model');
  return null;
}

/** Where a name is written with an escape, it may be wrong. */
function readObject(bytes: Buffer, text: string): Result<JsonObject, BodyError> {
  let value: unknown;
  try {
    value = parseJsonUnmended(text);
  } catch (thrown) {
    return refuse('invalid_json', parseErrorMessage(bytes, thrown), null);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refuse('invalid_json', `The body is JSON, but ${typeName(value)}; an object is expected.`, null);
  }
  return ok(value as JsonObject);
}

/** The engine's own message quotes the text, which may be a prompt: only the position is taken from it. */
function parseErrorMessage(bytes: Buffer, thrown: unknown): string {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) {
    return 'The body begins with a byte order mark; send JSON without one (RFC 8259, section 8.1).';
  }
  const position = thrown instanceof Error ? / at position (\d+)/.exec(thrown.message)?.[1] : undefined;
  return position === undefined ? 'The body is not valid JSON.' : `The body is not valid JSON (at character ${position}).`;
}

/** As Go folds: the long s and the sign for kelvin are letters to it. https://pkg.go.dev/encoding/json#Unmarshal */
function folded(name: string): string {
  return name.toLowerCase().toUpperCase();
}

/** The body's own model, null where it has none and needs none. */
function readModel(json: JsonObject, scan: BodyScan, urlModel: string | null): Result<string | null, BodyError> {
  if (scan.foldableName) {
    for (const key in json) {
      if (GUARDED_NAMES.has(key) || !GUARDED_LENGTHS.has(key.length)) continue;
      const meant = GUARDED_MEMBERS.get(folded(key));
      if (meant !== undefined)
        return refuse('duplicate_parameter', `Unknown parameter: '${key}'; write it as '${meant}'.`, meant);
    }
  }
  if (scan.modelStart === -1) {
    return urlModel === null ? refuse('missing_model', 'you must provide a model parameter', 'model') : ok(null);
  }
  const model = json['model'];
  if (typeof model !== 'string') {
    return refuse('invalid_type', `Invalid type for 'model': expected a string, but got ${typeName(model)}.`, 'model');
  }
  // Of a plain one the length alone can be wrong, and to ask a string for each of its characters takes long.
  const plainChars = scan.plainModelEnd - scan.modelStart - 2;
  const wrong = plainChars > 0 && plainChars <= MAX_MODEL_CHARS ? null : checkModel(model);
  return wrong === null ? ok(model) : err(wrong);
}

function asksForUsage(streamOptions: unknown): boolean {
  return typeof streamOptions === 'object' && streamOptions !== null && (streamOptions as JsonObject)['include_usage'] === true;
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

function error(code: BodyErrorCode, message: string, param: string | null): BodyError {
  return { code, message, param };
}

function refuse(code: BodyErrorCode, message: string, param: string | null): { readonly ok: false; readonly error: BodyError } {
  return err(error(code, message, param));
}
