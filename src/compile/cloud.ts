/** A model whose calls carry a cloud's access token: whose identity asks for it. */
import type { BackendSpec } from '../api/v1alpha1/model.ts';
import { isObject, parseJson } from '../lib/json.ts';
import { issue, type Issue } from '../lib/issue.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { SecretValue } from '../lib/secret.ts';
import { secretDigest } from '../routetable/digest.ts';
import type { CloudIdentity } from '../routetable/types.ts';
import type { ModelContext } from './model-context.ts';
import { isLine, secretLine, secretValue } from './references.ts';

export interface CompiledIdentity {
  readonly identity: CloudIdentity;
  /** Tells it from others, free of secrets. */
  readonly id: string;
}

/** Where a token of each cloud is taken. */
const TAKES: Readonly<Record<'Entra' | 'GCP', readonly string[]>> = {
  Entra: ['AzureOpenAI'],
  GCP: ['VertexAI', 'Gemini'],
};

const CLOUDS = { EntraWorkload: 'entra', GcpMetadata: 'gcp', AwsPods: 'aws' } as const;

const GOOGLE_TOKENS = 'https://oauth2.googleapis.com/token';

/** `path`: that of `auth`. */
export function compileIdentity(
  { provider, auth }: BackendSpec,
  type: 'Entra' | 'GCP',
  path: string,
  context: ModelContext,
): Result<CompiledIdentity, Issue> {
  if (!TAKES[type].includes(provider.type))
    return err(
      issue(`${path}.type`, 'InvalidSpec', `${type} tokens are for ${TAKES[type].join(' and ')}: ${provider.type} takes APIKey`),
    );
  const name = (type === 'Entra' ? auth.entra : auth.gcp)?.secretRef?.name;
  const member = `${path}.${type.toLowerCase()}`;
  if (name === undefined) return podIdentity({ kind: type === 'Entra' ? 'EntraWorkload' : 'GcpMetadata' }, member, context);
  return type === 'Entra' ? entraSecret(name, `${member}.secretRef`, context) : gcpKey(name, `${member}.secretRef`, context);
}

/** Whoever may write an LLMRoute must not call with what the platform's pods may. */
export function podIdentity(
  identity: Extract<CloudIdentity, { kind: 'EntraWorkload' | 'GcpMetadata' | 'AwsPods' }>,
  path: string,
  { gateway, namespace, isBackend }: ModelContext,
): Result<CompiledIdentity, Issue> {
  if (isBackend !== true || (gateway !== null && gateway.metadata.namespace !== namespace))
    return err(
      issue(
        path,
        'RefNotPermitted',
        "the pods' own identity is for LLMBackends of the gateway's namespace alone: name a Secret in secretRef",
      ),
    );
  return ok({ identity, id: `${CLOUDS[identity.kind]}:pods` });
}

function entraSecret(name: string, path: string, { read, namespace }: ModelContext): Result<CompiledIdentity, Issue> {
  const values: string[] = [];
  for (const key of ['tenantId', 'clientId', 'clientSecret']) {
    const found = secretLine(read, namespace, { name, key }, path);
    if (!found.ok) return found;
    values.push(found.value.reveal());
  }
  const [tenantId = '', clientId = '', secret = ''] = values;
  for (const [key, value] of [
    ['tenantId', tenantId],
    ['clientId', clientId],
  ] as const)
    if (!/^[0-9A-Za-z.-]{1,128}$/.test(value))
      return err(
        issue(path, 'InvalidSpec', `Secret ${namespace}/${name} holds under ${JSON.stringify(key)} what is no id or domain`),
      );
  const value = new SecretValue(secret);
  return ok({ identity: { kind: 'EntraSecret', tenantId, clientId, secret: value }, id: idOf('entra', clientId, value) });
}

function gcpKey(name: string, path: string, { read, namespace }: ModelContext): Result<CompiledIdentity, Issue> {
  const key = 'credentials.json';
  const found = secretValue(read, namespace, { name, key }, path);
  if (!found.ok) return found;
  const wrong = (what: string): Result<CompiledIdentity, Issue> =>
    err(issue(path, 'InvalidSpec', `Secret ${namespace}/${name} holds under ${JSON.stringify(key)} ${what}`));
  const file = parseJson(found.value.reveal());
  if (!isObject(file)) return wrong('what is no JSON object');
  const text = (member: string): string => (typeof file[member] === 'string' ? file[member] : '');
  if (text('type') !== 'service_account')
    return wrong(`credentials of type ${JSON.stringify(text('type').slice(0, 64))}: a service account's key is needed`);
  if (text('token_uri') !== '' && text('token_uri') !== GOOGLE_TOKENS) return wrong(`another token_uri than ${GOOGLE_TOKENS}`);
  const missing = ['client_email', 'private_key_id', 'private_key'].find((member) => text(member) === '');
  if (missing !== undefined) return wrong(`no ${missing}`);
  const odd = ['client_email', 'private_key_id'].find((member) => !isLine(text(member)));
  if (odd !== undefined) return wrong(`a ${odd} that is not one line of ASCII`);
  if (!text('private_key').includes('-----BEGIN PRIVATE KEY-----')) return wrong('a private_key that is not in PEM');
  const privateKey = new SecretValue(text('private_key'));
  const clientEmail = text('client_email');
  return ok({
    identity: { kind: 'GcpKey', clientEmail, keyId: text('private_key_id'), privateKey },
    id: idOf('gcp', clientEmail, privateKey),
  });
}

function idOf(cloud: string, who: string, secret: SecretValue): string {
  return `${cloud}:${who}:${secretDigest(secret).slice(0, 12)}`;
}
