import type { JsonValue } from '../routetable/types.ts';
import { applyEdits, type Edit, editedPieces } from './edits.ts';
import { type MemberSpan, scanObject, skipSpace } from './json-span.ts';
import type { ParsedBody } from './parsed-body.ts';

/** What one target wants changed in every request. Depends on the target alone, so it is made once, when a table is loaded. */
export interface BodyEdit {
  /** The upstream's name of the model; null: the client's name goes through. */
  readonly model: string | null;
  /** `model` as it is written into a body. */
  readonly modelJson: Buffer | null;
  /** Ask for usage in the streams of chat and completions whose client did not. */
  readonly includeUsage: boolean;
  /** Top-level members, set where the client gave none (an explicit null counts as given). */
  readonly defaults: readonly (readonly [string, JsonValue])[];
  /** Top-level members, set always. */
  readonly override: readonly (readonly [string, JsonValue])[];
  /** Both of them by name, as they are written into a body. */
  readonly parameters: ReadonlyMap<string, Parameter>;
}

interface Parameter {
  readonly member: string;
  readonly value: string;
  /** Whatever the client gave. */
  readonly always: boolean;
}

export function bodyEdit(wanted: Omit<BodyEdit, 'modelJson' | 'parameters'>): BodyEdit {
  const { model, includeUsage, defaults, override } = wanted;
  const modelJson = model === null ? null : Buffer.from(JSON.stringify(model));
  const parameters = defaults.length + override.length === 0 ? NO_PARAMETERS : parametersOf(defaults, override);
  return { model, modelJson, includeUsage, defaults, override, parameters };
}

const NO_PARAMETERS: BodyEdit['parameters'] = new Map();

function parametersOf(defaults: BodyEdit['defaults'], override: BodyEdit['override']): BodyEdit['parameters'] {
  const found = new Map<string, Parameter>();
  const add = ([name, json]: BodyEdit['override'][number], always: boolean): void => {
    if (RESERVED_PARAMETERS.includes(name)) return;
    const value = JSON.stringify(json);
    found.set(name, { member: `${JSON.stringify(name)}:${value}`, value, always });
  };
  for (const each of defaults) add(each, false);
  for (const each of override) add(each, true);
  return found;
}

/**
 * What `defaults` and `override` cannot set: routing, relaying and accounting stand on the client's own. Compile refuses
 * them; here they have no effect.
 */
export const RESERVED_PARAMETERS: readonly string[] = ['model', 'stream', 'stream_options'];

const USAGE_OPTIONS = '{"include_usage":true}';
/** Before other members, of which there is `stream` at least. */
const USAGE_MEMBER = Buffer.from(`"stream_options":${USAGE_OPTIONS},`);

/**
 * The body as the target wants it. Every byte that is not replaced stays as the client wrote it. Returns `body.bytes` itself
 * where nothing changes; two edits of the same content give equal bytes, so a failover between targets that name the model
 * alike may use the result again.
 */
export function spliceBody(body: ParsedBody, edit: BodyEdit): Buffer {
  const edits = bodyEdits(body, edit);
  return edits.length === 0 ? body.bytes : applyEdits(body.bytes, edits);
}

/**
 * The same in pieces, of which those that stay lie in `body.bytes`: who sends them puts them behind a head anyway, and a copy before
 * that took 4,500 instructions and 180 lines of cache even of a small body.
 */
export function splicePieces(body: ParsedBody, edit: BodyEdit): readonly Buffer[] {
  const edits = bodyEdits(body, edit);
  return edits.length === 0 ? [body.bytes] : editedPieces(body.bytes, edits);
}

function bodyEdits(body: ParsedBody, edit: BodyEdit): Edit[] {
  const newModel = (edit.model ?? body.model) !== body.bodyModel;
  const newUsage =
    edit.includeUsage && body.stream && !body.includeUsage && (body.operation === 'chat' || body.operation === 'completions');
  const edits: Edit[] =
    newModel && body.modelStart !== -1 ? [{ start: body.modelStart, end: body.modelEnd, text: modelJson(body, edit) }] : [];
  const addsModel = newModel && body.modelStart === -1;
  if (!addsModel && !newUsage && edit.parameters.size === 0) return edits;

  const members: string[] = addsModel ? [`"model":${modelJson(body, edit).toString()}`] : [];
  const present: string[] = [];
  for (const [name, { member, always }] of edit.parameters) {
    if (!Object.hasOwn(body.outline, name)) members.push(member);
    else if (always) present.push(name);
  }
  const open = skipSpace(body.bytes, 0) + 1;
  if (newUsage) {
    if (Object.hasOwn(body.outline, 'stream_options')) present.push('stream_options');
    else edits.unshift({ start: open, end: open, text: USAGE_MEMBER });
  }
  if (present.length > 0) {
    for (const span of spansOf(body.bytes, present)) {
      if (span.name === 'stream_options') addUsageOption(body, span, edits);
      // Of a key that is given twice each value is replaced, whichever of them the upstream reads.
      else edits.push({ start: span.start, end: span.end, text: edit.parameters.get(span.name)?.value ?? 'null' });
    }
  }

  if (members.length > 0) {
    edits.push({ start: open, end: open, text: members.join(',') + (isEmpty(body.outline) ? '' : ',') });
  }
  return edits;
}

function modelJson(body: ParsedBody, edit: BodyEdit): Buffer {
  return edit.modelJson ?? Buffer.from(JSON.stringify(body.model));
}

/** Merges `include_usage` into the client's own options; what is neither object nor null is the upstream's to refuse. */
function addUsageOption(body: ParsedBody, span: MemberSpan, edits: Edit[]): void {
  const options = body.outline['stream_options'];
  if (options === null) {
    edits.push({ start: span.start, end: span.end, text: USAGE_OPTIONS });
    return;
  }
  if (typeof options !== 'object' || Array.isArray(options)) return;
  if (Object.hasOwn(options, 'include_usage')) {
    for (const inner of spansOf(body.bytes, ['include_usage'], span.start))
      edits.push({ start: inner.start, end: inner.end, text: 'true' });
    return;
  }
  const open = span.start + 1;
  edits.push({ start: open, end: open, text: isEmpty(options) ? '"include_usage":true' : '"include_usage":true,' });
}

function spansOf(bytes: Buffer, names: readonly string[], from = 0): readonly MemberSpan[] {
  const spans = scanObject(bytes, names, from);
  if (!spans.ok) throw new Error(`invariant: parsed JSON cannot be scanned: ${spans.error}`);
  return spans.value.members;
}

function isEmpty(object: object): boolean {
  for (const _ in object) return false;
  return true;
}
