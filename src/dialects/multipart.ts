import { isUtf8 } from 'node:buffer';
import type { Operation } from '../lib/operation.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { applyEdits } from './edits.ts';
import { type BodyError, checkModel } from './request-body.ts';

/** Bytes `[start, end)` of a body. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A file that an upstream is to keep. */
export interface Upload {
  /** '' where the form does not say it. */
  readonly purpose: string;
  /** null: the form has none. */
  readonly file: Span | null;
  /** The `model` with all of its part, which is ours alone to read; null: the form has none. */
  readonly modelPart: Span | null;
}

/** A multipart/form-data request that may be served (image edits, audio, uploads). Its files are not looked at. */
export interface MultipartBody {
  readonly kind: 'multipart';
  readonly operation: Operation;
  /** As the client sent them. */
  readonly bytes: Buffer;
  /** What the client named: the URL's name where the URL has one (Azure), else the `model` field's. */
  readonly model: string;
  /** The form's own `model`; null where it has none, which only a URL that names the model allows. */
  readonly bodyModel: string | null;
  /** The bytes of that field's value; where there is none, both are where a part can be put in. */
  readonly modelStart: number;
  readonly modelEnd: number;
  readonly stream: boolean;
  readonly boundary: string;
  /** null: its files are for this request alone. */
  readonly upload: Upload | null;
}

const MAX_PARTS = 256;
const MAX_PART_HEADER_BYTES = 8 * 1024;
/** A field of ours is short; a longer one is a mistake. */
const MAX_FIELD_BYTES = 1024;

const HEADERS_END = Buffer.from('\r\n\r\n');

/** What is asked for with files. Elsewhere the upstream would be sent members that nobody has looked at. */
const WITH_FILES: ReadonlySet<Operation> = new Set([
  'images_edits',
  'images_variations',
  'audio_transcriptions',
  'audio_translations',
  'files',
]);

/** True for a form with files where the operation takes one. */
export function isMultipart(operation: Operation, contentType: string | undefined): boolean {
  return WITH_FILES.has(operation) && contentType !== undefined && /^\s*multipart\/form-data\s*(;|$)/i.test(contentType);
}

/**
 * Reads the fields `model` and `stream` of a form (RFC 7578). Strict where parsers differ, so that the upstream cannot read
 * another model than we did: CRLF line ends, nothing outside of the parts, each of the two fields once and as plain text. An upload
 * need name no model, has its `purpose` read as well, and one file. Total; linear in the bytes.
 */
export function readMultipart(
  bytes: Buffer,
  operation: Operation,
  contentType: string,
  urlModel: string | null = null,
): Result<MultipartBody, BodyError> {
  const boundary = boundaryOf(contentType);
  if (boundary === null) return invalid('the content-type has no boundary of 1 to 70 characters (RFC 2046, section 5.1.1)');
  const uploads = operation === 'files';
  const fields = readFields(bytes, boundary, uploads ? UPLOAD_FIELDS : FIELDS);
  if (!fields.ok) return fields;
  const { model: span, stream, upload } = fields.value;

  const bodyModel = span === null ? null : bytes.toString('utf8', span.start, span.end);
  const model = urlModel ?? bodyModel ?? '';
  // The URL's name too is written into the form, where a line's end in it would begin another part.
  const wrong = uploads && bodyModel === null && urlModel === null ? null : (checkModel(model) ?? checkModel(bodyModel ?? model));
  if (wrong !== null) return err(wrong);
  // Before the first delimiter: a part put there comes with a delimiter of its own.
  return ok({
    kind: 'multipart',
    operation,
    bytes,
    model,
    bodyModel,
    modelStart: span?.start ?? 0,
    modelEnd: span?.end ?? 0,
    stream,
    boundary,
    upload: uploads ? upload : null,
  });
}

/** An upload as its upstream takes it: without the part that names the model, and with `file` for its file (null: its own). */
export function uploadPieces({ bytes }: MultipartBody, upload: Upload, file: readonly Buffer[] | null): readonly Buffer[] {
  const replaced: (Span & { readonly by: readonly Buffer[] })[] = [];
  if (upload.modelPart !== null) replaced.push({ ...upload.modelPart, by: [] });
  if (upload.file !== null && file !== null) replaced.push({ ...upload.file, by: file });
  const pieces: Buffer[] = [];
  let from = 0;
  for (const { start, end, by } of replaced.toSorted((one, other) => one.start - other.start)) {
    pieces.push(bytes.subarray(from, start), ...by);
    from = end;
  }
  pieces.push(bytes.subarray(from));
  return pieces.filter(({ length }) => length > 0);
}

/** The form with `model` in its field (null: the client's name), every other byte as it came; `body.bytes` itself where nothing changes. */
export function spliceMultipart(body: MultipartBody, model: string | null): Buffer {
  const name = model ?? body.model;
  if (name === body.bodyModel) return body.bytes;
  const text =
    body.bodyModel === null ? `--${body.boundary}\r\nContent-Disposition: form-data; name="model"\r\n\r\n${name}\r\n` : name;
  return applyEdits(body.bytes, [{ start: body.modelStart, end: body.modelEnd, text }]);
}

interface Fields {
  readonly model: Span | null;
  readonly stream: boolean;
  readonly upload: Upload;
}

const FIELDS: ReadonlySet<string | null> = new Set(['model', 'stream']);
const UPLOAD_FIELDS: ReadonlySet<string | null> = new Set(['model', 'purpose', 'file']);

function readFields(bytes: Buffer, boundary: string, wanted: ReadonlySet<string | null>): Result<Fields, BodyError> {
  const delimiter = Buffer.from(`\r\n--${boundary}`);
  let model: Span | null = null;
  let modelPart: Span | null = null;
  let file: Span | null = null;
  let fileEncoded = false;
  let purpose: string | null = null;
  let stream: boolean | null = null;
  // The first delimiter has no line end before it.
  if (!bytes.subarray(0, delimiter.length - 2).equals(delimiter.subarray(2)))
    return invalid(`it does not begin with the boundary "--${boundary}"`);
  let at = delimiter.length - 2;

  for (let parts = 0; ; parts++) {
    if (bytes[at] === 0x2d && bytes[at + 1] === 0x2d) break;
    if (parts === MAX_PARTS) return invalid(`it has more than ${MAX_PARTS} parts`);
    const partStart = at - (delimiter.length - 2);
    while (bytes[at] === 0x20 || bytes[at] === 0x09) at++;
    if (bytes[at] !== 0x0d || bytes[at + 1] !== 0x0a) return invalid('a boundary is not followed by a line end (CRLF)');

    // From the delimiter's own line end, so that a part without headers is found too.
    const headersEnd = bytes.subarray(at, at + MAX_PART_HEADER_BYTES).indexOf(HEADERS_END);
    if (headersEnd === -1) return invalid(`a part's headers do not end within ${MAX_PART_HEADER_BYTES} bytes`);
    const start = at + headersEnd + HEADERS_END.length;
    // From the headers' last line end, because a part may be empty.
    const end = bytes.indexOf(delimiter, start - 2);
    if (end === -1) return invalid('its last boundary is missing: was the body cut?');
    const headers = bytes.toString('latin1', at + 2, at + headersEnd);
    at = end + delimiter.length;

    const name = fieldName(headers);
    if (!name.ok) return name;
    if (!wanted.has(name.value)) continue;
    const span = { start, end: Math.max(start, end) };
    if (name.value === 'file') {
      if (file !== null) return duplicate('file');
      file = span;
      fileEncoded = TRANSFER_ENCODING.test(headers);
      continue;
    }
    const value = readField(bytes, span.start, span.end, name.value ?? '', headers);
    if (!value.ok) return value;
    if (name.value === 'model') {
      if (model !== null) return duplicate('model');
      model = span;
      modelPart = { start: partStart, end: at - (delimiter.length - 2) };
    } else if (name.value === 'purpose') {
      if (purpose !== null) return duplicate('purpose');
      purpose = value.value;
    } else {
      if (stream !== null) return duplicate('stream');
      stream = /^(true|1|yes|on|t|y)$/i.test(value.value);
    }
  }

  // Its lines are read as they came: an upstream that takes the encoding off would read others.
  if (fileEncoded && purpose === 'batch') return invalid('the file has a transfer encoding; send it as it is', 'file');
  if (hasLooseBoundary(bytes, delimiter)) return invalid('its boundary is also found after a line end other than CRLF');
  for (let after = at + 2; after < bytes.length; after++) {
    const byte = bytes[after];
    if (byte !== 0x0d && byte !== 0x0a && byte !== 0x20 && byte !== 0x09) return invalid('something follows its last boundary');
  }
  return ok({ model, stream: stream === true, upload: { purpose: purpose ?? '', file, modelPart } });
}

/** RFC 2046 has CRLF before each boundary; parsers that take CR or LF alone would find further parts, a second `model` among them. */
function hasLooseBoundary(bytes: Buffer, delimiter: Buffer): boolean {
  const boundary = delimiter.subarray(2);
  for (let found = bytes.indexOf(boundary, 1); found !== -1; found = bytes.indexOf(boundary, found + boundary.length)) {
    const before = bytes[found - 1];
    if (before === 0x0d || (before === 0x0a && bytes[found - 2] !== 0x0d)) return true;
  }
  return false;
}

/** One that some parsers take off. Others leave it, as RFC 7578 (section 4.7) has it. */
const TRANSFER_ENCODING = /^content-transfer-encoding[ \t]*:(?!\s*(binary|7bit|8bit)\s*$)/im;

function readField(bytes: Buffer, start: number, end: number, name: string, headers: string): Result<string, BodyError> {
  if (end - start > MAX_FIELD_BYTES) return invalid(`the field '${name}' is longer than ${MAX_FIELD_BYTES} bytes`, name);
  if (/;\s*filename\*?\s*=/i.test(headers)) return invalid(`the field '${name}' is a file; send it as plain text`, name);
  if (TRANSFER_ENCODING.test(headers)) return invalid(`the field '${name}' has a transfer encoding; send it as plain text`, name);
  const value = bytes.subarray(start, end);
  if (!isUtf8(value)) return invalid(`the field '${name}' is not valid UTF-8`, name);
  return ok(value.toString());
}

/** A type and parameters, each a token and a token or quoted string; values in any encoding. */
const DISPOSITION =
  /^content-disposition[ \t]*:[ \t]*[a-z-]+(?:[ \t]*;[ \t]*[!#$%&'*+.^_`|~0-9a-z-]+[ \t]*=[ \t]*(?:"(?:[^"\\]|\\.)*"|[^\s;"]+))*[ \t]*;?[ \t]*$/i;

/** The part's name as each parser would read it; null: it has none, so it is no field. */
function fieldName(headers: string): Result<string | null, BodyError> {
  if (/\r(?!\n)|(?<!\r)\n|\r\n[ \t]/.test(headers))
    return invalid("a part's headers have folded lines or line ends other than CRLF");
  const lines = headers.split('\r\n');
  if (headers !== '' && !lines.every((line) => /^[!#$%&'*+.^_`|~0-9a-z-]+[ \t]*:/i.test(line)))
    return invalid("a part has a line among its headers that is not a header ('Name: value')");
  const dispositions = lines.filter((line) => /^content-disposition[ \t]*:/i.test(line));
  if (dispositions.length !== 1) return invalid('a part has no content-disposition, or several');
  const line = dispositions[0] ?? '';
  // A stray quote is where parsers part ways: `name="a; name="model"` is a field `model` to some of them.
  if (!DISPOSITION.test(line)) return invalid('a content-disposition is not well-formed (RFC 6266, section 4.1)');
  if (/;\s*name\*/i.test(line))
    return invalid('a part has a name in extended notation (name*=), which RFC 7578 does not allow in forms');
  const names = [...line.matchAll(/;\s*name\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))/gi)];
  if (names.length > 1) return invalid('a part has several names');
  const [, quoted, bare] = names[0] ?? [];
  return ok(quoted?.replaceAll(/\\(.)/g, '$1') ?? bare ?? null);
}

function boundaryOf(contentType: string): string | null {
  const [, quoted, bare] = /;\s*boundary\s*=\s*(?:"([^"\\\r\n]{1,70})"|([^\s;"\\]{1,70}))\s*(?:;|$)/i.exec(contentType) ?? [];
  return quoted ?? bare ?? null;
}

function invalid(why: string, param: string | null = null): { readonly ok: false; readonly error: BodyError } {
  return err({ code: 'invalid_multipart', message: `The body is not valid multipart/form-data: ${why}.`, param });
}

function duplicate(name: string): { readonly ok: false; readonly error: BodyError } {
  return err({ code: 'duplicate_parameter', message: `Duplicate parameter: '${name}' is given more than once.`, param: name });
}
