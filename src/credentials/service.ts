/** One call to a cloud's token service, and what both sides of it may be. */
import { isObject, type JsonObject, parseJson } from '../lib/json.ts';

/** What expires; wall clock. */
export interface Expiring {
  readonly expiresAtMs: number;
}

/** Why there is no token, free of secrets. */
export class TokenError extends Error {}

export interface TokenRequest {
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  /** null: none. */
  readonly form: Readonly<Record<string, string>> | null;
}

export interface TokenAnswer {
  readonly ok: boolean;
  readonly status: number;
  text(): Promise<string>;
}

/** Follows no redirect. Rejects where there is no answer, or none in time. */
export type FetchToken = (url: string, request: TokenRequest, timeoutMs: number) => Promise<TokenAnswer>;

export interface TokenEnvironment {
  wallMs(): number;
  random(): number;
  readonly fetch: FetchToken;
  /** The pod's own. */
  readonly variables: Readonly<Record<string, string | undefined>>;
  readFile(path: string): Promise<string>;
}

const TIMEOUT_MS = 10_000;
const MAX_ANSWER_CHARS = 65_536;

/** Rejects with a `TokenError` where there is no answer; one of any status is the caller's to read. */
export async function askService(
  environment: TokenEnvironment,
  url: string,
  request: TokenRequest,
): Promise<Pick<TokenAnswer, 'ok' | 'status'> & { readonly body: string }> {
  try {
    const answer = await environment.fetch(url, request, TIMEOUT_MS);
    return { ok: answer.ok, status: answer.status, body: (await answer.text()).slice(0, MAX_ANSWER_CHARS) };
  } catch (thrown) {
    throw new TokenError(`${hostOf(url)} gave no token: ${causeOf(thrown)}`);
  }
}

/** `kind`: the service's own word for it, or ''. */
export function refusedBy(url: string, status: number, kind: string): TokenError {
  const known = /^[\w.-]{1,64}( \w{1,64})?$/.test(kind) ? ` ${kind}` : '';
  return new TokenError(`${hostOf(url)} gave no token: HTTP ${status}${known}`);
}

/** A variable that the cloud's webhook sets on pods that have an identity. */
export function neededVariable({ variables }: TokenEnvironment, name: string): string {
  const value = variables[name];
  if (value === undefined || value === '')
    throw new TokenError(
      `the pods have no workload identity: ${name} is not set (is the webhook installed, and the ServiceAccount annotated?)`,
    );
  return value;
}

/** Anew each time: the kubelet replaces it. */
export async function readTokenFile(environment: TokenEnvironment, file: string): Promise<string> {
  try {
    return (await environment.readFile(file)).trim();
  } catch (thrown) {
    throw new TokenError(`the pods' own token in ${file} cannot be read: ${causeOf(thrown)}`);
  }
}

export function jsonObjectOf(text: string): JsonObject {
  const value = parseJson(text);
  return isObject(value) ? value : {};
}

function hostOf(url: string): string {
  return new URL(url).host;
}

function causeOf(thrown: unknown): string {
  const cause = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown;
  if (!(cause instanceof Error)) return 'no answer';
  return 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.name;
}
