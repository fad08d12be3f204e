/** What an answer with an error status says, whatever its body is. */
import { isObject, parseJson } from '../../lib/json.ts';
import type { AnswerHeaders } from '../provider.ts';
import { NO_FACTS, readErrorFacts, type ErrorFacts } from './error-facts.ts';

/** Of a body that is not JSON only this much is looked at: enough for any message. */
const MAX_TEXT_BYTES = 1024;

export function httpErrorFacts(headers: AnswerHeaders, body: Buffer): ErrorFacts {
  const parsed = body.length === 0 ? undefined : parseJson(unframed(body.toString('utf8')));
  const facts = readErrorFacts(parsed);
  if (facts !== null) return facts;
  // AWS and Cohere: nothing but a message. Under an error status that is one.
  const said = isObject(parsed) ? (parsed['message'] ?? parsed['Message']) : undefined;
  if (typeof said === 'string' && said !== '') return { ...NO_FACTS, message: said.trim() };
  // A few words of plain text are the message (Azure's front door, TGI); a page of HTML is not.
  const text = parsed === undefined ? body.subarray(0, MAX_TEXT_BYTES).toString('utf8').trim() : '';
  const plain =
    text !== '' && !text.startsWith('<') && !text.startsWith('{') && !text.startsWith('[') && !text.includes('\u0000');
  return { ...NO_FACTS, message: plain ? text : notJson(headers, body) };
}

/** The first event's data, where an error is framed as its stream would have been (Alibaba: `event:error`, `data:{…}`). */
function unframed(text: string): string {
  if (!/^\s*(?:id|event|data):/.test(text)) return text;
  return /^data: ?(.*)$/m.exec(text)?.[1] ?? text;
}

export function notJson(headers: AnswerHeaders, body: Buffer): string {
  return body.length === 0
    ? 'the answer is empty'
    : `the answer is not the expected JSON (${headers['content-type'] ?? 'no content type'}, ${body.length} bytes)`;
}
