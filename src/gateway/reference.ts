import { GATEWAY_ERRORS } from './errors.ts';

/** Headers of ours, for the reference; a feature test holds that no answer carries one that is not here. */
export const ANSWER_HEADERS: readonly (readonly [string, string])[] = [
  [
    'x-request-id',
    "On every answer: the client's own `x-request-id` where it sent a plain one, else a new one. It is in the log and goes upstream.",
  ],
  ['x-fairlead-model', 'The entry of `spec.models` that answered.'],
  [
    'x-fairlead-reason',
    'Why that one: `only`, `weighted`, `round-robin`, `least-busy`, `spilled`, `saturated`, `panic`; after failed attempts `failover:Reason(model),…` or `retry:…`; `failed:…` where none answered.',
  ],
  ['x-fairlead-attempts', 'Upstream calls made for this request.'],
  ['x-fairlead-cost', 'Of a whole answer, in US dollars; absent where the model has no price.'],
  ['x-fairlead-limit', "On a 429 of the gateway's own: the name of the limit."],
  ['x-ratelimit-limit-requests, -tokens', 'The tightest limit of the unit that applies to the request.'],
  ['x-ratelimit-remaining-requests, -tokens', 'What is left of it.'],
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

## Errors of the gateway's own
In OpenAI's shape, \`{"error": {"message", "type", "param", "code"}}\`, so every client library raises its typed error. What an
upstream says about the *request* (a 400, a refusal by its content filter) reaches the client as the upstream wrote it; what it
says about the gateway's own account (401, 403, 404) never does.

| code | status | type | retry | when |
|---|---|---|---|---|
${errors.join('\n')}
`;
}
