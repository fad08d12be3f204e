/** What the tests of this folder share. Nothing of the product imports it. */
import { SecretValue } from '../lib/secret.ts';
import type { Operation } from '../lib/operation.ts';
import type { ProviderKind, Target } from '../routetable/types.ts';
import type { Exchange } from './provider.ts';
import { providerFor } from './index.ts';

export const TEST_KEY = 'sk-test-0123456789abcdef';

export function target(changes: Partial<Target> = {}): Target {
  return {
    name: 'm',
    provider: 'OpenAI',
    upstreamId: 'u',
    credentialId: 'c',
    baseUrl: 'https://api.openai.com/v1',
    trusted: false,
    model: null,
    apiVersion: null,
    credential: { header: 'authorization', value: new SecretValue(TEST_KEY) },
    tls: null,
    headers: [],
    defaults: [],
    override: [],
    unsupported: 'Reject',
    capacity: { requestsPerMinute: null, tokensPerMinute: null, concurrency: null },
    pricing: null,
    capabilities: { tools: null, jsonSchema: null, vision: null, contextTokens: null, maxOutputTokens: null },
    ...changes,
  };
}

export function exchange(kind: ProviderKind, operation: Operation): Exchange {
  const made = providerFor(kind).exchange(target({ provider: kind }), operation);
  if (made === null) throw new Error(`${kind} has no ${operation}`);
  return made;
}
