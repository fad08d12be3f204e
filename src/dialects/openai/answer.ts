import { unreachable } from '../../lib/result.ts';
import type { Operation } from '../../lib/operation.ts';
import { scanObject, type MemberSpan } from '../json-span.ts';
import { formatSseEvent } from '../sse.ts';
import { anthropicErrorEvent } from '../anthropic/answer.ts';
import type { ClientError } from '../client-error.ts';
import { applyEdits, type Edit } from '../edits.ts';

/** The body of an error answer. */
export function errorBody(error: ClientError): Buffer {
  return Buffer.from(errorJson(error));
}

/**
 * The event that ends a stream which broke after output had flowed. Responses have their own error event; elsewhere clients
 * look for `error` in the data. `sequenceNumber`: the one that follows the last event sent (Responses only).
 */
export function errorEvent(operation: Operation, error: ClientError, sequenceNumber = 0): Buffer {
  switch (operation) {
    case 'responses': {
      const { code, message, param } = error;
      return formatSseEvent('error', JSON.stringify({ type: 'error', code, message, param, sequence_number: sequenceNumber }));
    }
    case 'messages':
    case 'count_tokens':
      return anthropicErrorEvent(error);
    case 'chat':
    case 'completions':
    case 'embeddings':
    case 'images_generations':
    case 'images_edits':
    case 'images_variations':
    case 'audio_speech':
    case 'audio_transcriptions':
    case 'audio_translations':
    case 'moderations':
    case 'files':
    case 'batches':
      return formatSseEvent('', errorJson(error));
    default:
      return unreachable(operation);
  }
}

/** GET /v1/models. `createdSeconds`: seconds since the epoch, for every model. */
export function modelsList(names: readonly string[], createdSeconds: number): Buffer {
  return Buffer.from(JSON.stringify({ object: 'list', data: names.map((name) => model(name, createdSeconds)) }));
}

/** GET /v1/models/{id}. */
export function modelObject(name: string, createdSeconds: number): Buffer {
  return Buffer.from(JSON.stringify(model(name, createdSeconds)));
}

/**
 * Sets `cost` in the usage of a whole answer or of one event's JSON: `usage` at the top, or (Responses' events) in
 * `response`. `costUsd` is a decimal number as text (`formatUsd`). All other bytes stay; the input itself comes back where
 * there is no usage object or the body is not JSON.
 */
export function spliceUsageCost(body: Buffer, costUsd: string): Buffer {
  return spliceCostFrom(body, 0, costUsd);
}

/** The same for a frame of a stream, `data: {…}` with its blank line. A frame with several data lines stays as it is. */
export function spliceUsageCostInFrame(frame: Buffer, costUsd: string): Buffer {
  if (frame.subarray(0, DATA_FIELD.length).equals(DATA_FIELD)) return spliceCostFrom(frame, DATA_FIELD.length, costUsd);
  const later = frame.indexOf(DATA_LINE);
  return later === -1 ? frame : spliceCostFrom(frame, later + DATA_LINE.length, costUsd);
}

const DATA_FIELD = Buffer.from('data:');
const DATA_LINE = Buffer.from('\ndata:');
const OPEN_OBJECT = 0x7b;

function spliceCostFrom(bytes: Buffer, from: number, costUsd: string): Buffer {
  const edits: Edit[] = [];
  const top = membersOf(bytes, ['usage', 'response'], from);
  const hasUsage = top.some((member) => member.name === 'usage');
  for (const member of top) {
    if (member.name === 'usage') addCost(bytes, member.start, costUsd, edits);
    else if (!hasUsage)
      for (const usage of membersOf(bytes, ['usage'], member.start)) addCost(bytes, usage.start, costUsd, edits);
  }
  return edits.length === 0 ? bytes : applyEdits(bytes, edits);
}

/** A cost that the provider put there itself is replaced: ours follows the route's prices, as the header does. */
function addCost(bytes: Buffer, usageStart: number, costUsd: string, edits: Edit[]): void {
  if (bytes[usageStart] !== OPEN_OBJECT) return;
  const usage = scanObject(bytes, ['cost'], usageStart);
  if (!usage.ok) return;
  const { open, empty, members } = usage.value;
  if (members.length === 0) edits.push({ start: open, end: open, text: `"cost":${costUsd}${empty ? '' : ','}` });
  for (const cost of members) edits.push({ start: cost.start, end: cost.end, text: costUsd });
}

function membersOf(bytes: Buffer, names: readonly string[], from: number): readonly MemberSpan[] {
  const spans = scanObject(bytes, names, from);
  return spans.ok ? spans.value.members : [];
}

function errorJson({ message, type, code, param }: ClientError): string {
  return JSON.stringify({ error: { message, type, param, code } });
}

interface Model {
  readonly id: string;
  readonly object: 'model';
  readonly created: number;
  readonly owned_by: string;
}

function model(id: string, createdSeconds: number): Model {
  return { id, object: 'model', created: createdSeconds, owned_by: 'fairlead' };
}
