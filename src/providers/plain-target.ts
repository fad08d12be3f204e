import type { Target } from '../routetable/types.ts';

/** A model of OpenAI's as a route names it without saying anything else: no credential, no tuning, nothing known of it. */
export const PLAIN_TARGET: Target = {
  name: 'm',
  provider: 'OpenAI',
  upstreamId: 'u',
  credentialId: 'c',
  baseUrl: 'https://api.openai.com/v1',
  trusted: false,
  model: null,
  apiVersion: null,
  credential: null,
  tls: null,
  headers: [],
  defaults: [],
  override: [],
  unsupported: 'Reject',
  capacity: { requestsPerMinute: null, tokensPerMinute: null, concurrency: null },
  pricing: null,
  capabilities: { tools: null, jsonSchema: null, vision: null, contextTokens: null, maxOutputTokens: null },
};
