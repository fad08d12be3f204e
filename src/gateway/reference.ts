import { MAX_LINES } from '../dialects/openai/batch-input.ts';
import { FILES_KEPT_MS, MAX_IN_MEMORY, RESPONSES_KEPT_MS } from '../pins/upstream-pins.ts';
import { GATEWAY_ERRORS } from './errors.ts';

/** Headers of ours, for the reference; a feature test holds that no answer carries one that is not here. */
const ANSWER_HEADERS: readonly (readonly [string, string])[] = [
  [
    'x-request-id',
    "On every answer: the client's own `x-request-id` where it sent a plain one, else a new one. It is in the log and goes upstream.",
  ],
  ['x-fairlead-model', 'The entry of `spec.models` that answered.'],
  [
    'x-fairlead-reason',
    'Why that one: `only`, `weighted`, `round-robin`, `least-busy`, `spilled`, `saturated`, `panic`, `downgraded`, `pinned` (it keeps a response or a file that the request names); after failed attempts `failover:Reason(model),…` or `retry:…`; `failed:…` where none answered; `estimated` for count_tokens where no provider of the model counts, and the gateway tells its own estimate.',
  ],
  ['x-fairlead-attempts', 'Upstream calls made for this request.'],
  [
    'x-fairlead-cost',
    'Of a whole answer, in US dollars, e.g. `0.001805`; `unknown` where the model has no price, or the provider did not say what was used.',
  ],
  ['x-fairlead-downgraded', 'The request is beyond the limit of this name, whose `onExceeded` let another model answer.'],
  [
    'x-fairlead-max-tokens-clamped',
    'The model was asked for no longer answers than this many tokens, though the client asked for more: it gives no more (`capabilities.maxOutputTokens`), or what is left of a budget in USD pays for no more.',
  ],
  [
    'x-fairlead-dropped',
    "Members of the request that the model's provider has no place for, and parts of the answer (`answer.images`) that the client's dialect has none for; a stream tells the latter in a comment before its end.",
  ],
  [
    'x-fairlead-structured-output',
    'Where the rule has `structuredOutput` and the request a JSON schema: `valid`, `repaired`, `invalid`, or `unchecked` (the schema asks for what is not checked).',
  ],
  ['x-fairlead-limit', "On a 429 of the gateway's own: the name of the limit."],
  [
    'x-fairlead-limits',
    'While Redis is away, what limits a request was held to: `unchecked` (FailOpen) or `local-share` (LocalShare).',
  ],
  ['x-ratelimit-limit-requests, -tokens', 'The tightest limit of the unit that applies to the request.'],
  ['x-ratelimit-remaining-requests, -tokens', 'What is left of it; in the head of a stream, as it was at most a second ago.'],
  ['x-ratelimit-reset-requests, -tokens', 'Until the whole of it is free again, like `88ms`, `1.5s`, `6m0s`.'],
  ['retry-after, retry-after-ms', 'When the same request would be admitted, were nothing else to come.'],
  [
    'x-should-retry',
    "On errors of the gateway's own: whether a client should repeat the request; OpenAI's clients obey it. `false` once the gateway has exhausted its own failover.",
  ],
];

const REQUEST_HEADERS: readonly (readonly [string, string])[] = [
  ['authorization, api-key, x-api-key', 'The client key, as `Bearer …` or plain. It never goes upstream.'],
  ['x-request-id', 'Taken over where it has 1 to 128 letters, digits, `.`, `_` or `-`.'],
  ['x-fairlead-include-cost: true', "Puts `cost` (US dollars) into the answer's `usage`, in a stream's usage chunk too."],
  ['openai-beta, idempotency-key, traceparent, tracestate', 'Go upstream as they are; no other header of the client does.'],
];

/** docs/reference/http.md */
export function renderHttpReference(): string {
  const errors = Object.entries(GATEWAY_ERRORS).map(
    ([code, { status, type, retryable, meaning }]) =>
      `| \`${code}\` | ${status} | \`${type}\` | ${retryable ? 'yes' : 'no'} | ${meaning} |`,
  );
  const rows = (headers: readonly (readonly [string, string])[]): string =>
    headers.map(([name, meaning]) => `| \`${name}\` | ${meaning} |`).join('\n');
  return `<!-- Generated from src/gateway by \`npm run generate\`. Do not edit. -->
# HTTP: headers and errors

## Request headers
| header | meaning |
|---|---|
${rows(REQUEST_HEADERS)}

## Answer headers
| header | meaning |
|---|---|
${rows(ANSWER_HEADERS)}

## GET /v1/usage
What the key that asks has used of its limits, across the routes that it may use; it is counted by none. \`{"object": "list", "limits": [{"name",
"route" or "quota" or both, "scope", "model", "unit", "window" or "calendar", "limit", "used", "remaining", "resetsAt"}]}\`: amounts of USD are decimal strings,
a \`quota\` is an LLMQuota's, told once for all routes that it counts together,
\`model\` is there where a limit counts by model name, limits by a header tell of the header's value in the question itself. Over
Redis, what pods have leased and not used yet counts as used, and an answer is up to a second old.

## Responses that an upstream keeps
What OpenAI's Responses API keeps (\`store\`, which is on where a request does not say \`false\`) lives in one account of one upstream. The gateway
remembers for ${RESPONSES_KEPT_MS / 3_600_000} hours which: a request with \`previous_response_id\` comes to a target of that account (of the rule's in their order, else any of the
model's) and fails over to no other; \`GET\` and \`DELETE /v1/responses/{id}\`, \`GET …/input_items\` and \`POST …/cancel\` are passed on there, query and answer
as they are, a stream too. Whoever asks or goes on must be of the tenant that made the response, and may use its model; for all others it does not exist. Limits do not count
these look-ups, and what a \`background\` response uses later is not counted: its answer has no usage yet.

It is remembered in the gateway's Redis for all pods, and in the memory of the pod that made it (its latest ${MAX_IN_MEMORY} there; without Redis there alone). While Redis uses more
than 80 % of its \`maxmemory\`, or is away, other pods do not learn of new ones. What was made elsewhere, or longer ago, is
\`previous_response_not_found\` or \`response_not_found\`, though the provider may still keep it; so is all of it once Redis has lost what it had, or a pod without one ends. An answer that was translated is kept nowhere, and says \`store: false\`.

Reasoning that a client brings back encrypted (\`reasoning.encrypted_content\`) can be read by one account alone: where several of OpenAI's or Azure's are behind
a model, for as long only a target of that account is sent it. Targets of other dialects may answer all the same, without that reasoning, which
\`x-fairlead-dropped\` names.

Conversations, stored chat completions, vector stores and the rest of what upstreams keep get a 501 by name: their paths name no model, so nothing says whose
they would be. Ids of such things within a request (an \`item_reference\`, a vector store, a prompt, a file of Anthropic's) go upstream as they are, to whichever target is chosen, and
whoever knows one may use it: where tenants share a provider's account and must not, or where several accounts are behind a model, send the content instead.

## Files and batches
\`POST /v1/files\` (below Azure's paths too) goes to a target of one model, chosen by its route as for any other request, of those whose provider keeps files in
OpenAI's form: OpenAI, AzureOpenAI, and those OpenAICompatible that do (one that does not is told by a 501). Which model:
1. the one that the lines of the file name, where \`purpose\` is \`batch\`;
2. else \`model\`, in the form (in Python \`extra_body={"model": …}\`) or in the URL (\`?model=\`); the upstream is not sent it;
3. else the only one that the key may use and that leads to an upstream which keeps files; where there are several, the request is refused, and says so.

The input of a batch is read line by line (${MAX_LINES.toLocaleString('en-US')} at most): all lines name one model, by the name that this gateway has for it; each goes upstream with the
target's own name, its \`defaults\` and its \`override\`, as a request that comes alone does, and every other byte as it was. A line that is not a request, has
another model, or goes on from an earlier response, is refused by its number, and nothing is sent. An upload is held in memory until it is answered (a batch's
twice), within \`maxRequestBytes\` and the pod's bound on buffered bytes. \`POST /v1/batches\` goes to the account that has the \`input_file_id\`, once: what fails is not
repeated, or it might be paid for twice. Files that come of a batch are known by their ids once an answer of \`GET /v1/batches/{id}\` has named them.

For ${FILES_KEPT_MS / (24 * 3_600_000)} days the gateway remembers, in the same way as of responses, which account has what, whoever of a tenant made it: \`GET\` and \`DELETE /v1/files/{id}\`,
\`GET …/content\`, \`GET /v1/batches/{id}\` and \`POST …/cancel\` are passed on there, and a chat or a response that names a file (\`file_id\`) is answered by that account and
fails over to no other. What another tenant made, or somebody elsewhere, is \`file_not_found\` or \`batch_not_found\`, and so is a file that the model of the request does not
lead to. Lists (\`GET /v1/files\`, \`GET /v1/batches\`) get a 501: an account's list shows what all tenants have there. So do uploads in parts and Anthropic's own files and batches.

An upload and a batch count as one request each for limits. What the requests of a batch use is not counted: it is not known before they run, and
nothing of theirs comes by here. So a route with a limit in USD takes no batches.

## Errors of the gateway's own
In OpenAI's shape, \`{"error": {"message", "type", "param", "code"}}\`, so every client library raises its typed error. What an
upstream says about the *request* (a 400, a refusal by its content filter) reaches the client as the upstream wrote it; what it
says about the gateway's own account (401, 403, 404) never does.

| code | status | type | retry | when |
|---|---|---|---|---|
${errors.join('\n')}
`;
}
