/**
 * One model of a pool: an entry of LLMRoute's `spec.models`, and word for word LLMBackend's `spec`. One shape, written once.
 */
import { z } from 'zod';

import { celEquals, unionRules, withRules } from '../cel.ts';
import { secretKeyRef, secretRefSchema, serviceRefSchema } from './common.ts';
import { count, dataKey, decimal, headerName, headerValue, httpUrl, jsonObject, namedList, objectName, text } from './fields.ts';

const PASS_THROUGH = 'Default: the name that the client sent goes through.';

function upstreamModel(example: string): z.ZodOptional<z.ZodString> {
  return text(256).optional().describe(`The provider's name of the model, e.g. \`${example}\`. ${PASS_THROUGH}`);
}

function baseURL(standard: string): z.ZodOptional<z.ZodString> {
  return httpUrl()
    .optional()
    .describe(`Where the API is served, up to the version's path, e.g. for a regional endpoint. Default: \`${standard}\`.`);
}

const azureOpenAI = z.strictObject({
  endpoint: httpUrl().describe("The resource's endpoint, e.g. `https://team-a.openai.azure.com`."),
  deployment: text(128).optional().describe(`Name of the deployment, e.g. \`gpt-4o\`. ${PASS_THROUGH}`),
  model: text(256)
    .optional()
    .describe(
      'The model that is deployed, e.g. `gpt-4o`: its price and capabilities are those of the built-in lists. Default: unknown, because a deployment may have any name.',
    ),
  apiVersion: text(32, '^[0-9A-Za-z-]+$')
    .optional()
    .describe('Azure\'s API version, quoted, e.g. `"2024-10-21"`. Default: none, which uses Azure\'s `/openai/v1` form.'),
});

const openAICompatible = withRules(
  z.strictObject({
    model: upstreamModel('llama-3.1-8b'),
    baseURL: httpUrl()
      .optional()
      .describe(
        "Where the API is served, up to the version's path, e.g. `https://api.groq.com/openai/v1`. Private addresses must be allowed by the gateway (`upstreams.allow`); what runs in the cluster goes by `serviceRef`.",
      ),
    serviceRef: serviceRefSchema
      .optional()
      .describe('A Service of the same namespace that serves the API, e.g. vLLM. Spoken to over HTTPS where `tls` is set.'),
  }),
  {
    rule: 'has(self.baseURL) != has(self.serviceRef)',
    message: 'exactly one of baseURL and serviceRef must be set',
    check: (value) => (value.baseURL !== undefined) !== (value.serviceRef !== undefined),
  },
);

export const PROVIDER_TYPES = [
  'OpenAI',
  'AzureOpenAI',
  'Anthropic',
  'Gemini',
  'VertexAI',
  'Bedrock',
  'Mistral',
  'Cohere',
  'OpenAICompatible',
] as const;

const providerFields = z.strictObject({
  type: z
    .enum(PROVIDER_TYPES)
    .describe(
      'What is spoken upstream. The member of the same name holds its settings, e.g. `azureOpenAI` for AzureOpenAI. OpenAICompatible is for vLLM, Ollama, TGI, Groq, DeepSeek, xAI, OpenRouter and others.',
    ),
  openAI: z
    .strictObject({ model: upstreamModel('gpt-4o'), baseURL: baseURL('https://api.openai.com/v1') })
    .optional()
    .describe('Settings for OpenAI; may be left out.'),
  azureOpenAI: azureOpenAI.optional().describe('Settings for AzureOpenAI.'),
  anthropic: z
    .strictObject({ model: upstreamModel('claude-sonnet-4-5'), baseURL: baseURL('https://api.anthropic.com/v1') })
    .optional()
    .describe('Settings for Anthropic; may be left out.'),
  gemini: z
    .strictObject({
      model: upstreamModel('gemini-2.5-flash'),
      baseURL: baseURL('https://generativelanguage.googleapis.com/v1beta'),
    })
    .optional()
    .describe('Settings for Gemini (Google AI Studio); may be left out.'),
  vertexAI: z
    .strictObject({
      project: text(63).describe('Google Cloud project, e.g. `team-a-prod`.'),
      location: text(63, '^[a-z0-9-]+$').describe('Location, e.g. `europe-west4` or `global`.'),
      model: upstreamModel('gemini-2.5-pro'),
      baseURL: httpUrl()
        .optional()
        .describe(
          'Where the API is served, up to the version, e.g. behind Private Service Connect. Default: `https://{location}-aiplatform.googleapis.com/v1`.',
        ),
    })
    .optional()
    .describe('Settings for VertexAI.'),
  bedrock: z
    .strictObject({
      region: text(63, '^[a-z0-9-]+$').describe('AWS region, e.g. `eu-central-1`.'),
      model: upstreamModel('anthropic.claude-sonnet-4-5-20250929-v1:0'),
      baseURL: httpUrl()
        .optional()
        .describe('Where the runtime is served, e.g. a VPC endpoint. Default: `https://bedrock-runtime.{region}.amazonaws.com`.'),
    })
    .optional()
    .describe('Settings for Bedrock.'),
  mistral: z
    .strictObject({ model: upstreamModel('mistral-large-latest'), baseURL: baseURL('https://api.mistral.ai/v1') })
    .optional()
    .describe('Settings for Mistral; may be left out.'),
  cohere: z
    .strictObject({ model: upstreamModel('command-a-03-2025'), baseURL: baseURL('https://api.cohere.com/v2') })
    .optional()
    .describe('Settings for Cohere; may be left out.'),
  openAICompatible: openAICompatible.optional().describe("Settings for OpenAICompatible for every server of OpenAI's API."),
});

const providerSchema = withRules(
  providerFields,
  ...unionRules<z.output<typeof providerFields>>('type', [
    { type: 'OpenAI', member: 'openAI', presence: 'optional' },
    { type: 'AzureOpenAI', member: 'azureOpenAI', presence: 'required' },
    { type: 'Anthropic', member: 'anthropic', presence: 'optional' },
    { type: 'Gemini', member: 'gemini', presence: 'optional' },
    { type: 'VertexAI', member: 'vertexAI', presence: 'required' },
    { type: 'Bedrock', member: 'bedrock', presence: 'required' },
    { type: 'Mistral', member: 'mistral', presence: 'optional' },
    { type: 'Cohere', member: 'cohere', presence: 'optional' },
    { type: 'OpenAICompatible', member: 'openAICompatible', presence: 'required' },
  ]),
);

const authFields = z.strictObject({
  type: z
    .enum(['APIKey', 'AWS', 'GCP', 'Entra', 'None'])
    .describe(
      'How the gateway proves itself upstream: APIKey (a key from a Secret), AWS (SigV4), GCP (OAuth access tokens), Entra (Microsoft Entra ID tokens, for Azure), None (no credential is sent).',
    ),
  apiKey: z
    .strictObject({
      secretKeyRef: secretKeyRef('api-key').describe('The Secret, of the same namespace, that holds the key.'),
      header: headerName()
        .optional()
        .describe(
          "Header that carries the key, e.g. `api-key`; with `authorization` it is sent as `Bearer …`. Default: the provider's own.",
        ),
    })
    .optional()
    .describe('Settings for APIKey.'),
  aws: z
    .strictObject({
      secretRef: secretRefSchema
        .optional()
        .describe(
          "Secret with `accessKeyId`, `secretAccessKey` and optionally `sessionToken`. Default: the pods' own identity, which only LLMBackends of the gateway's namespace may use.",
        ),
    })
    .optional()
    .describe('Settings for AWS; may be left out.'),
  gcp: z
    .strictObject({
      secretRef: secretRefSchema
        .optional()
        .describe(
          "Secret with a service account's `credentials.json`. Default: the pods' own identity, which only LLMBackends of the gateway's namespace may use.",
        ),
    })
    .optional()
    .describe('Settings for GCP; may be left out.'),
  entra: z
    .strictObject({
      secretRef: secretRefSchema
        .optional()
        .describe(
          "Secret with `tenantId`, `clientId` and `clientSecret`. Default: the pods' own identity, which only LLMBackends of the gateway's namespace may use.",
        ),
    })
    .optional()
    .describe('Settings for Entra; may be left out.'),
});

const authSchema = withRules(
  authFields,
  ...unionRules<z.output<typeof authFields>>('type', [
    { type: 'APIKey', member: 'apiKey', presence: 'required' },
    { type: 'AWS', member: 'aws', presence: 'optional' },
    { type: 'GCP', member: 'gcp', presence: 'optional' },
    { type: 'Entra', member: 'entra', presence: 'optional' },
  ]),
);

/** Whom a TLS client trusts, and by which name. */
export const tls = withRules(
  z.strictObject({
    caRef: z
      .strictObject({
        kind: z.enum(['ConfigMap', 'Secret']).default('ConfigMap').describe('What holds the bundle. Default: ConfigMap.'),
        name: objectName().describe('Its name, in the same namespace.'),
        key: dataKey().default('ca.crt').describe('Key in its data whose value is the PEM bundle. Default: `ca.crt`.'),
      })
      .optional()
      .describe("Certificate authorities that the server's certificate is checked against, instead of the public ones."),
    serverName: text(253)
      .optional()
      .describe("Name sent in the TLS handshake (SNI) and expected in the certificate. Default: the URL's host."),
  }),
  {
    rule: 'has(self.caRef) || has(self.serverName)',
    message: 'at least one of caRef and serverName must be set',
    check: (value) => value.caRef !== undefined || value.serverName !== undefined,
  },
);

const capacity = z.strictObject({
  requestsPerMinute: count(1)
    .optional()
    .describe('Requests a minute that the provider grants, e.g. 1800. Default: unknown, learned from its rate-limit headers.'),
  tokensPerMinute: count(1)
    .optional()
    .describe(
      'Tokens a minute that the provider grants, input and output together, e.g. 300000. Default: unknown, learned from its rate-limit headers.',
    ),
  concurrency: count(1, 1_000_000)
    .optional()
    .describe('Calls under way at once, over all gateway pods, e.g. 64. Default: unbounded.'),
});

const pricing = z.strictObject({
  unit: z
    .enum(['USDPerMillionTokens'])
    .default('USDPerMillionTokens')
    .describe('What the prices are per. Default: USDPerMillionTokens, US dollars per million tokens.'),
  input: decimal().describe('Price of input tokens, a decimal string, e.g. "2.50".'),
  cachedInput: decimal()
    .optional()
    .describe('Price of input tokens that the provider read from its prompt cache, e.g. "1.25". Default: as `input`.'),
  output: decimal().describe('Price of output tokens, a decimal string, e.g. "10".'),
});

export const capabilities = z.strictObject({
  tools: z
    .boolean()
    .optional()
    .describe('It can call tools. Default: as the built-in model list says; unknown models are taken to be able.'),
  jsonSchema: z.boolean().optional().describe('It can answer in a given JSON schema. Default: as the built-in model list says.'),
  vision: z.boolean().optional().describe('It can read images. Default: as the built-in model list says.'),
  contextTokens: count(1)
    .optional()
    .describe('Tokens of input and output together, e.g. 128000. Default: as the built-in model list says.'),
  maxOutputTokens: count(1)
    .optional()
    .describe(
      'Tokens of one answer at most, e.g. 16384: a request for more is asked of it with this bound, which the answer tells. Default: as the built-in model list says.',
    ),
});

const header = z.strictObject({
  name: headerName().describe('Name of the header, e.g. `x-project`.'),
  value: headerValue().describe('Value of the header, sent as it is. Credentials belong into `auth`.'),
});

/** Everything of a model but `provider` and `auth`, which a route's entry may leave to a backend. */
const settings = {
  capacity: capacity
    .optional()
    .describe('What the provider grants this deployment. Requests beyond it go to the next target before the provider says 429.'),
  pricing: pricing
    .optional()
    .describe(
      "What its tokens cost, for cost headers, limits in USD and LeastCost. Default: the gateway's `prices`, then the built-in price list; what neither has costs an unknown amount.",
    ),
  capabilities: capabilities
    .optional()
    .describe('What it can do: requests that need more go to other targets. Default: the built-in model list.'),
  tls: tls
    .optional()
    .describe('How the upstream is verified. Default: by the public certificate authorities and the host in its URL.'),
  headers: namedList(header, 'name', 0, 16).optional().describe('Headers sent with each call to it.'),
  defaults: jsonObject(32)
    .optional()
    .describe(
      'Request parameters for where the client gave none: top-level members of the JSON body, e.g. `{temperature: 0.2}`.',
    ),
  override: jsonObject(32)
    .optional()
    .describe("Request parameters that replace the client's: top-level members of the JSON body, e.g. `{store: false}`."),
};

const unsupported = z
  .enum(['Reject', 'Drop'])
  .default('Reject')
  .describe(
    'What happens to a request parameter that this model cannot serve: Reject (the request is refused and the parameter named) or Drop (it is left out and named in `x-fairlead-dropped`). Default: Reject.',
  );

/** LLMBackend's spec: a model with its own provider and credential. */
export const backendSpecSchema = z.strictObject({
  provider: providerSchema.describe('Which service answers, and where.'),
  auth: authSchema.describe('How the gateway proves itself upstream.'),
  ...settings,
  unsupported,
});

const backendRef = z.strictObject({
  kind: z.enum(['LLMBackend']).default('LLMBackend').describe('Kind of the object. Default: LLMBackend.'),
  name: objectName().describe('Its name, e.g. `gpt-4o-swedencentral`.'),
  namespace: text(63, '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')
    .optional()
    .describe("Its namespace. Another than the route's own needs a ReferenceGrant there. Default: the route's own."),
});

const EXCLUDED_BY_BACKEND = ['auth', 'capacity', 'pricing', 'capabilities', 'tls', 'headers', 'defaults', 'override'] as const;

/** An entry of `LLMRoute.spec.models`. */
export const modelSchema = withRules(
  z.strictObject({
    name: text(63, '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$').describe(
      'What rules, limits, headers and metrics call this model; unique in the pool, e.g. `azure-ptu`.',
    ),
    backendRef: backendRef
      .optional()
      .describe(
        "An LLMBackend that is this model: many routes then share its credentials, capacity and price. Excludes `provider` and all settings, which are the backend's.",
      ),
    provider: providerSchema.optional().describe('Which service answers, and where. Excludes `backendRef`.'),
    auth: authSchema.optional().describe('How the gateway proves itself upstream; goes with `provider`.'),
    ...settings,
    unsupported,
  }),
  {
    rule: 'has(self.backendRef) != has(self.provider)',
    message: 'exactly one of backendRef and provider must be set',
    check: (value) => (value.backendRef !== undefined) !== (value.provider !== undefined),
  },
  {
    rule: '!has(self.provider) || has(self.auth)',
    message: 'auth must be set with provider; write {type: None} where no credential is sent',
    check: (value) => value.provider === undefined || value.auth !== undefined,
  },
  {
    rule: `!has(self.backendRef) || !(${EXCLUDED_BY_BACKEND.map((field) => `has(self.${field})`).join(' || ')} || ${celEquals('unsupported', 'Drop')})`,
    message: `with backendRef only name may be set: ${EXCLUDED_BY_BACKEND.join(', ')} and unsupported are the LLMBackend's`,
    check: (value) =>
      value.backendRef === undefined ||
      (EXCLUDED_BY_BACKEND.every((field) => value[field] === undefined) && value.unsupported === 'Reject'),
  },
);

export type Model = z.output<typeof modelSchema>;
export type BackendSpec = z.output<typeof backendSpecSchema>;
export type Provider = z.output<typeof providerSchema>;
export type Auth = z.output<typeof authSchema>;
