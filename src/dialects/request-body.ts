import { isAscii, isUtf8 } from 'node:buffer';
import type { JsonObject } from '../lib/json.ts';
import { parseJsonOrThrow } from '../lib/json-parse.ts';
import type { Operation } from '../lib/operation.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { outlineOf } from './json-outline.ts';
import { decodeString, duplicateMember, MAX_JSON_DEPTH, scanObject, skipSpace, stringEnd } from './json-span.ts';
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

/** Members whose meaning the gateway depends on, so no two parsers may read them differently. */
const UNIQUE_MEMBERS: readonly string[] = [
  'model',
  'stream',
  'stream_options',
  'previous_response_id',
  'conversation',
  'input_file_id',
];
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

const MODEL_KEY = '"model"';
/** Searched for by its first characters: V8 searches from seven on by a table made for each search, in prose at a third of the speed. */
const MODEL_KEY_START = MODEL_KEY.slice(0, 5);
const MODEL_KEY_REST = MODEL_KEY.slice(5);
const STREAM_START = '"stre';
const STREAM_REST = 'am';
const OPTIONS_SUFFIX = '_options"';
const ESCAPE_PREFIX = '\\u00';
/** The letters of `UNIQUE_MEMBERS` are all within 0x5f..0x76, so an escape of one of them begins so. */
const LETTER_ESCAPES = ['\\u005', '\\u006', '\\u007'];
const QUOTE = 0x22;
const COLON = 0x3a;

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
  // What was left out was not searched.
  return new ParsedBody(operation, bytes, { ...read.value, ...inBody, mayNameIds: true }, left);
}

/** `bytes`: a body's, or its outline's. */
function readMembers(
  bytes: Buffer,
  ascii: boolean,
  urlModel: string | null,
  maxDepth = MAX_JSON_DEPTH,
): Result<BodyReading, BodyError> {
  const text = bytes.toString(ascii ? 'latin1' : 'utf8');
  const read = readObject(bytes, text, maxDepth);
  if (!read.ok) return read;
  const json = read.value;

  const named = readModel(json, urlModel);
  if (!named.ok) return named;
  const stream = json['stream'];
  if (stream !== undefined && stream !== null && typeof stream !== 'boolean') {
    return refuse('invalid_type', `Invalid type for 'stream': expected true or false, but got ${typeName(stream)}.`, 'stream');
  }

  const bodyModel = named.value;
  const escapeAt = text.indexOf(ESCAPE_PREFIX);
  const start = modelValueStart(bytes, text, json, bodyModel !== null, escapeAt);
  if (!start.ok) return start;
  const modelStart = start.value;
  let modelEnd = -1;
  if (bodyModel !== null) {
    // What is cut out must be what was read: routing and access were decided on it. As it stands in the text it has no escape,
    // or it would not be longer by the two quotes alone.
    const plainEnd = modelStart + bodyModel.length + 2;
    const plain =
      ascii && text.startsWith(bodyModel, modelStart + 1) && bytes[plainEnd - 1] === QUOTE && !bodyModel.includes('\\');
    modelEnd = plain ? plainEnd : stringEnd(bytes, modelStart);
    if (!plain && decodeString(bytes, modelStart, modelEnd) !== bodyModel) {
      throw new Error('invariant: the scanned model is not the parsed one');
    }
  }

  return ok({
    outline: json,
    model: urlModel ?? bodyModel ?? '',
    bodyModel,
    modelStart,
    modelEnd,
    stream: stream === true,
    includeUsage: asksForUsage(json['stream_options']),
    mayNameIds: escapeAt !== -1 || text.includes('_id'),
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

function readObject(bytes: Buffer, text: string, maxDepth: number): Result<JsonObject, BodyError> {
  let value: unknown;
  try {
    value = parseJsonOrThrow(text);
  } catch (thrown) {
    return refuse('invalid_json', parseErrorMessage(bytes, thrown), null);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refuse('invalid_json', `The body is JSON, but ${typeName(value)}; an object is expected.`, null);
  }
  if (mayNestDeeper(text, maxDepth) && !scanObject(bytes, [], 0, maxDepth).ok) {
    return refuse('json_too_deep', `The body nests deeper than ${MAX_JSON_DEPTH} levels.`, null);
  }
  return ok(value as JsonObject);
}

/** Judged by the text, not by the value, which has only the last of two members of one name: each level takes a bracket of its own. */
function mayNestDeeper(text: string, maxDepth: number): boolean {
  if (text.length <= 2 * maxDepth) return false;
  let opened = 0;
  for (const bracket of '{[') {
    for (let at = text.indexOf(bracket); at !== -1; at = text.indexOf(bracket, at + 1)) if (++opened > maxDepth) return true;
  }
  return false;
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
function readModel(json: JsonObject, urlModel: string | null): Result<string | null, BodyError> {
  for (const key in json) {
    if (GUARDED_NAMES.has(key) || !GUARDED_LENGTHS.has(key.length)) continue;
    const meant = GUARDED_MEMBERS.get(folded(key));
    if (meant !== undefined) return refuse('duplicate_parameter', `Unknown parameter: '${key}'; write it as '${meant}'.`, meant);
  }
  if (!Object.hasOwn(json, 'model')) {
    return urlModel === null ? refuse('missing_model', 'you must provide a model parameter', 'model') : ok(null);
  }
  const model = json['model'];
  if (typeof model !== 'string') {
    return refuse('invalid_type', `Invalid type for 'model': expected a string, but got ${typeName(model)}.`, 'model');
  }
  const wrong = checkModel(model);
  return wrong === null ? ok(model) : err(wrong);
}

/**
 * Where the value of the top-level `model` begins (-1: `hasModel` is false), once it is certain that no member of
 * `UNIQUE_MEMBERS` occurs twice.
 *
 * Without scanning, where possible: let no escape of a letter of these names be in the bytes. Then every top-level key that
 * decodes to `model` is spelled `"model"`, and JSON.parse found at least one. If `"model"` occurs once, that is the key, and
 * no second one exists; a nested key, a value "model" or a string that ends in `\"model"` would be a second occurrence. The
 * same holds for the names of streams: at most one occurrence, at most one key; and none where JSON.parse found none. The rare
 * others are scanned for where JSON.parse found one.
 */
function modelValueStart(
  bytes: Buffer,
  text: string,
  json: JsonObject,
  hasModel: boolean,
  escapeAt: number,
): Result<number, BodyError> {
  const goesOn =
    Object.hasOwn(json, 'previous_response_id') || Object.hasOwn(json, 'conversation') || Object.hasOwn(json, 'input_file_id');
  if (!goesOn && !mayEscapeLetters(text, escapeAt)) {
    const first = nextModelKey(text, 0);
    const single = hasModel ? nextModelKey(text, first + MODEL_KEY.length) === -1 : first === -1;
    const streams = Object.hasOwn(json, 'stream') || Object.hasOwn(json, 'stream_options');
    if (single && !(streams && mayRepeatStream(text))) {
      if (!hasModel) return ok(-1);
      const key = text.length === bytes.length ? first : bytes.indexOf(MODEL_KEY);
      const colon = skipSpace(bytes, key + MODEL_KEY.length);
      if (bytes[colon] === COLON) return ok(skipSpace(bytes, colon + 1));
    }
  }

  const spans = scanObject(bytes, UNIQUE_MEMBERS);
  if (!spans.ok) throw new Error(`invariant: parsed JSON cannot be scanned: ${spans.error}`);
  const twice = duplicateMember(spans.value);
  if (twice !== null) return refuse('duplicate_parameter', `Duplicate parameter: '${twice}' is given more than once.`, twice);
  return ok(spans.value.members.find((member) => member.name === 'model')?.start ?? -1);
}

/** `text.indexOf('"model"', from)`. */
function nextModelKey(text: string, from: number): number {
  let at = text.indexOf(MODEL_KEY_START, from);
  while (at !== -1 && !text.startsWith(MODEL_KEY_REST, at + MODEL_KEY_START.length)) at = text.indexOf(MODEL_KEY_START, at + 1);
  return at;
}

/** `first`: where the first escape is, or -1. */
function mayEscapeLetters(text: string, first: number): boolean {
  return first !== -1 && LETTER_ESCAPES.some((escape) => text.includes(escape, first));
}

/** False where `"stream"` and `"stream_options"` each occur once at most. */
function mayRepeatStream(text: string): boolean {
  let streams = 0;
  let options = 0;
  let others = 0;
  for (let at = text.indexOf(STREAM_START); at !== -1; at = text.indexOf(STREAM_START, at)) {
    at += STREAM_START.length;
    if (!text.startsWith(STREAM_REST, at)) continue;
    at += STREAM_REST.length;
    if (text.charCodeAt(at) === QUOTE) streams++;
    else if (text.startsWith(OPTIONS_SUFFIX, at)) options++;
    else others++;
    // A body full of such words is cheaper to scan once.
    if (streams > 1 || options > 1 || others > 8) return true;
  }
  return false;
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
