/** Whether an answer is what the client's schema asks for, and what can be made of it where it is not. */
import { parseJson } from '../../lib/json.ts';
import { repairJson } from './repair.ts';
import { validate, type Verdict } from './validate.ts';

/** `text`: what takes the answer's place, where it was mended. */
export type Judgement =
  | { readonly state: 'valid' }
  | { readonly state: 'repaired'; readonly text: string }
  | { readonly state: 'invalid' | 'unchecked'; readonly why: string };

/** Longer answers are not held up for it. */
const MAX_CHARS = 1024 * 1024;

export function judge(schema: unknown, text: string, repair: boolean): Judgement {
  if (text.length > MAX_CHARS) return { state: 'unchecked', why: 'the answer is longer than 1 MiB' };
  const parsed = parseJson(text);
  const verdict: Verdict =
    parsed === undefined ? { kind: 'invalid', at: '', why: 'the answer is not JSON' } : validate(schema, parsed);
  if (verdict.kind === 'valid') return { state: 'valid' };
  if (verdict.kind === 'unchecked') return { state: 'unchecked', why: verdict.why };
  const mended = repair ? repairJson(text) : null;
  if (mended !== null && mended !== text && validate(schema, parseJson(mended)).kind === 'valid')
    return { state: 'repaired', text: mended };
  return { state: 'invalid', why: verdict.at === '' ? verdict.why : `${verdict.at}: ${verdict.why}` };
}
