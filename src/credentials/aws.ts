/** How AWS gives pods keys that sign for an hour: by a role of the ServiceAccount (IRSA), or by EKS Pod Identity's agent on the node. */
import { SecretValue } from '../lib/secret.ts';
import type { Expiring, TokenEnvironment } from './service.ts';
import { askService, jsonObjectOf, neededVariable, readTokenFile, refusedBy, TokenError } from './service.ts';

export interface AwsKeys extends Expiring {
  readonly accessKeyId: string;
  readonly secretAccessKey: SecretValue;
  readonly sessionToken: SecretValue;
}

const WEB_IDENTITY_FILE = 'AWS_WEB_IDENTITY_TOKEN_FILE';
const CONTAINER_URI = 'AWS_CONTAINER_CREDENTIALS_FULL_URI';
const CONTAINER_TOKEN = 'AWS_CONTAINER_AUTHORIZATION_TOKEN';
const CONTAINER_TOKEN_FILE = 'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE';
const STS_VERSION = '2011-06-15';
const SESSION_NAME = 'fairlead';

/**
 * `region`: where the keys are to sign, for where none is said of the cluster's own. In the order of AWS' own libraries; a node's own
 * role, which they would try last, is not the pods' and is never asked for.
 */
export async function requestAwsKeys(region: string, environment: TokenEnvironment): Promise<AwsKeys> {
  const { variables } = environment;
  if ((variables[WEB_IDENTITY_FILE] ?? '') !== '') return assumeRole(region, environment);
  if ((variables[CONTAINER_URI] ?? '') !== '') return askAgent(environment);
  throw new TokenError(
    `the pods have no identity of AWS: neither ${WEB_IDENTITY_FILE} nor ${CONTAINER_URI} is set (is the ServiceAccount annotated with its role, or associated with one?)`,
  );
}

/** https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html; of the region, so that it works without the global one. */
async function assumeRole(region: string, environment: TokenEnvironment): Promise<AwsKeys> {
  const { variables } = environment;
  const url = stsUrl(variables['AWS_REGION'] ?? variables['AWS_DEFAULT_REGION'] ?? region);
  const token = await readTokenFile(environment, neededVariable(environment, WEB_IDENTITY_FILE));
  const { ok, status, body } = await askService(environment, url, {
    method: 'POST',
    headers: { accept: 'text/xml' },
    form: {
      Action: 'AssumeRoleWithWebIdentity',
      Version: STS_VERSION,
      RoleArn: neededVariable(environment, 'AWS_ROLE_ARN'),
      RoleSessionName: variables['AWS_ROLE_SESSION_NAME'] ?? SESSION_NAME,
      WebIdentityToken: token,
    },
  });
  const keys = keysOf((name) => element(body, name), 'SessionToken', environment.wallMs());
  if (ok && keys !== null) return keys;
  throw refusedBy(url, status, element(body, 'Code'));
}

function stsUrl(region: string): string {
  if (!/^[a-z]{2,8}(-[a-z0-9]{1,16}){1,4}$/.test(region)) throw new TokenError(`${JSON.stringify(region)} is no region of AWS`);
  return `https://sts.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}/`;
}

/** https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html */
async function askAgent(environment: TokenEnvironment): Promise<AwsKeys> {
  const { variables } = environment;
  const url = agentUrl(neededVariable(environment, CONTAINER_URI));
  const file = variables[CONTAINER_TOKEN_FILE] ?? '';
  const token = file === '' ? (variables[CONTAINER_TOKEN] ?? '') : await readTokenFile(environment, file);
  if (/[\r\n]/.test(token)) throw new TokenError(`the token of ${file === '' ? CONTAINER_TOKEN : file} has more than one line`);
  const headers: Readonly<Record<string, string>> = token === '' ? {} : { authorization: token };
  const { ok, status, body } = await askService(environment, url, { method: 'GET', headers, form: null });
  const answer = jsonObjectOf(body);
  const text = (name: string): string => (typeof answer[name] === 'string' ? answer[name] : '');
  const keys = keysOf(text, 'Token', environment.wallMs());
  if (ok && keys !== null) return keys;
  throw refusedBy(url, status, text('code'));
}

/** Without TLS only what is this pod or its node: the addresses that AWS' own libraries allow. */
const AGENTS: ReadonlySet<string> = new Set(['localhost', '[::1]', '169.254.170.2', '169.254.170.23', '[fd00:ec2::23]']);

function agentUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol === 'https:') return url.href;
  if (url?.protocol === 'http:' && (AGENTS.has(url.hostname) || /^127(\.\d{1,3}){3}$/.test(url.hostname))) return url.href;
  throw new TokenError(
    `${CONTAINER_URI} ${url === null ? 'is no URL' : `leads to ${url.host}`}: it must begin with https://, or lead to the agent of ECS or EKS or to the pod itself`,
  );
}

/** null: something is missing, or it is over already. */
function keysOf(text: (name: string) => string, tokenName: string, wallMs: number): AwsKeys | null {
  const accessKeyId = text('AccessKeyId');
  const secretAccessKey = text('SecretAccessKey');
  const sessionToken = text(tokenName);
  const expiresAtMs = Date.parse(text('Expiration'));
  if (!/^\w{8,128}$/.test(accessKeyId) || secretAccessKey === '' || !/^[!-~]+$/.test(sessionToken)) return null;
  if (!(expiresAtMs > wallMs)) return null;
  return {
    accessKeyId,
    secretAccessKey: new SecretValue(secretAccessKey),
    sessionToken: new SecretValue(sessionToken),
    expiresAtMs,
  };
}

/** The text of an element that has no other in it; '' where there is none. Neither keys nor codes hold what XML would escape. */
function element(xml: string, name: string): string {
  return new RegExp(`<${name}>([^<>&]*)</${name}>`).exec(xml)?.[1] ?? '';
}
