/** Responses: reasoning of another provider's model, whose proofs OpenAI refuses, is taken out of the input, where bytes pass otherwise. */
import { REDACTED } from '../../dialects/openai/read-responses.ts';
import type { ParsedBody } from '../../dialects/parsed-body.ts';
import { isSealed } from '../../dialects/neutral/signature.ts';
import { isObject, stringOf, type JsonObject } from '../../lib/json.ts';
import type { Adapted } from '../provider.ts';

/** null: there is nothing of others in it. */
export function withoutForeignReasoning(body: Pick<ParsedBody, 'json' | 'outline'>): Adapted | null {
  if (!itemsOf(body.outline).some(isReasoning)) return null;
  const { json } = body;
  const items = itemsOf(json);
  const dropped = items.flatMap((item, index) => (isForeign(item) ? [`input[${index}]`] : []));
  return dropped.length === 0 ? null : { json: { ...json, input: items.filter((item) => !isForeign(item)) }, dropped };
}

function itemsOf({ input }: JsonObject): readonly unknown[] {
  return Array.isArray(input) ? input : [];
}

function isReasoning(item: unknown): item is JsonObject {
  return isObject(item) && item['type'] === 'reasoning';
}

function isForeign(item: unknown): boolean {
  if (!isReasoning(item)) return false;
  const proof = stringOf(item['encrypted_content']);
  return isSealed(proof) || proof.startsWith(REDACTED);
}
