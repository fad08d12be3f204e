/** What the tests of this folder share. Nothing of the product imports it. */
import { SecretValue } from '../lib/secret.ts';
import type { Operation } from '../lib/operation.ts';
import type { ProviderKind, Target } from '../routetable/types.ts';
import type { Answer, AnswerHeaders, Exchange } from './provider.ts';
import { providerFor } from './index.ts';
import { PLAIN_TARGET } from './plain-target.ts';

export const TEST_KEY = 'sk-test-0123456789abcdef';

export function target(changes: Partial<Target> = {}): Target {
  return { ...PLAIN_TARGET, credential: { header: 'authorization', value: new SecretValue(TEST_KEY) }, ...changes };
}

export function exchange(kind: ProviderKind, operation: Operation): Exchange {
  const made = providerFor(kind).exchange(target({ provider: kind }), operation);
  if (made === null) throw new Error(`${kind} has no ${operation}`);
  return made;
}

/** A whole answer to a chat request; `body` as JSON unless it is text. */
export function answer(kind: ProviderKind, status: number, body: unknown, headers: AnswerHeaders = {}): Answer {
  const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  return exchange(kind, 'chat').readAnswer(status, headers, bytes, true);
}

/** A failure's kind with what distinguishes it further; `ok` for none. */
export function kindOf({ failure }: Answer): string {
  if (failure === null) return 'ok';
  if (failure.kind === 'content_filtered') return `${failure.kind}/${failure.phase}`;
  return failure.kind === 'rate_limited' && failure.permanent ? 'rate_limited/permanent' : failure.kind;
}
