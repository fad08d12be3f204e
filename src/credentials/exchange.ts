/** How Microsoft and Google give out an access token: one documented HTTP exchange each. */
import { createSign } from 'node:crypto';
import type { CloudIdentity } from '../routetable/types.ts';
import type { Expiring, TokenEnvironment } from './service.ts';
import { askService, jsonObjectOf, neededVariable, readTokenFile, refusedBy, TokenError } from './service.ts';

export interface AccessToken extends Expiring {
  readonly value: string;
}

/** Who is given a token, and not keys to sign with. */
export type TokenIdentity = Exclude<CloudIdentity, { kind: 'AwsPods' }>;

/** https://learn.microsoft.com/azure/ai-foundry/openai/how-to/managed-identity */
const ENTRA_SCOPE = 'https://cognitiveservices.azure.com/.default';
const ENTRA_AUTHORITY = 'https://login.microsoftonline.com';
const ENTRA_AUTHORITIES: ReadonlySet<string> = new Set([
  ENTRA_AUTHORITY,
  'https://login.microsoftonline.us',
  'https://login.partner.microsoftonline.cn',
]);
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const CLIENT_ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const GOOGLE_TOKENS = 'https://oauth2.googleapis.com/token';
const GOOGLE_SCOPE = 'https://www.googleapis.com/auth/cloud-platform';
/** https://cloud.google.com/compute/docs/metadata/querying-metadata: the only address within a cluster that is asked. */
const GOOGLE_METADATA = 'http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token';
const ASSERTION_SECONDS = 3_600;

export async function requestToken(identity: TokenIdentity, environment: TokenEnvironment): Promise<AccessToken> {
  switch (identity.kind) {
    case 'EntraSecret':
      return ask(environment, entraUrl(ENTRA_AUTHORITY, identity.tenantId), {
        client_id: identity.clientId,
        scope: ENTRA_SCOPE,
        grant_type: 'client_credentials',
        client_secret: identity.secret.reveal(),
      });
    case 'EntraWorkload':
      return askAsWorkload(environment);
    case 'GcpKey':
      return ask(environment, GOOGLE_TOKENS, {
        grant_type: JWT_BEARER,
        assertion: googleAssertion(identity, environment.wallMs()),
      });
    case 'GcpMetadata':
      return ask(environment, GOOGLE_METADATA, null);
  }
}

function entraUrl(authority: string, tenantId: string): string {
  return `${authority}/${encodeURIComponent(tenantId)}/oauth2/v2.0/token`;
}

/** https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow#third-case-access-token-request-with-a-federated-credential */
async function askAsWorkload(environment: TokenEnvironment): Promise<AccessToken> {
  const authority = (environment.variables['AZURE_AUTHORITY_HOST'] ?? ENTRA_AUTHORITY).replace(/\/+$/, '');
  if (!ENTRA_AUTHORITIES.has(authority)) throw new TokenError(`AZURE_AUTHORITY_HOST ${authority} is none of Microsoft's`);
  const assertion = await readTokenFile(environment, neededVariable(environment, 'AZURE_FEDERATED_TOKEN_FILE'));
  return ask(environment, entraUrl(authority, neededVariable(environment, 'AZURE_TENANT_ID')), {
    client_id: neededVariable(environment, 'AZURE_CLIENT_ID'),
    scope: ENTRA_SCOPE,
    grant_type: 'client_credentials',
    client_assertion_type: CLIENT_ASSERTION,
    client_assertion: assertion,
  });
}

/** https://developers.google.com/identity/protocols/oauth2/service-account#httprest */
function googleAssertion(key: Extract<CloudIdentity, { kind: 'GcpKey' }>, wallMs: number): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const issued = Math.floor(wallMs / 1_000);
  const claims = { iss: key.clientEmail, scope: GOOGLE_SCOPE, aud: GOOGLE_TOKENS, iat: issued, exp: issued + ASSERTION_SECONDS };
  const unsigned = `${part({ alg: 'RS256', typ: 'JWT', kid: key.keyId })}.${part(claims)}`;
  return `${unsigned}.${createSign('RSA-SHA256').update(unsigned).sign(key.privateKey.reveal(), 'base64url')}`;
}

/** `form` null: the metadata server, which is asked by GET. */
async function ask(
  environment: TokenEnvironment,
  url: string,
  form: Readonly<Record<string, string>> | null,
): Promise<AccessToken> {
  const { ok, status, body } = await askService(
    environment,
    url,
    form === null
      ? { method: 'GET', headers: { 'metadata-flavor': 'Google' }, form }
      : { method: 'POST', headers: { accept: 'application/json' }, form },
  );
  const answer = jsonObjectOf(body);
  const value = answer['access_token'];
  const seconds = Number(answer['expires_in']);
  if (ok && typeof value === 'string' && /^[!-~]+$/.test(value) && seconds > 0)
    return { value, expiresAtMs: environment.wallMs() + seconds * 1_000 };
  throw refusedBy(url, status, kindOf(answer));
}

/** What kind of error, never its text: Entra repeats there who asked. */
function kindOf(answer: Readonly<Record<string, unknown>>): string {
  const { error } = answer;
  const codes = answer['error_codes'];
  const [code] = Array.isArray(codes) ? (codes as readonly unknown[]) : [];
  const kind = typeof error === 'string' ? error : '';
  return typeof code === 'number' ? `${kind} AADSTS${code}` : kind;
}
