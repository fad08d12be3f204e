/** `--secret NAME/KEY=ENVVAR`: Secrets whose values come from the environment, so that none is ever on a command line or in a file. */
import type { ApiObject } from '../api/parse.ts';
import type { Secret } from '../api/core.ts';
import type { Auth } from '../api/v1alpha1/model.ts';
import { SecretValue } from '../lib/secret.ts';
import { type Io, UsageError } from './io.ts';
import type { ReadObject } from './read-objects.ts';

/** One value of a Secret. */
export interface SecretEntry {
  readonly namespace: string;
  readonly name: string;
  readonly key: string;
  readonly value: SecretValue;
}

const NAME = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;
const KEY = /^[-._a-zA-Z0-9]+$/;
export const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Throws UsageError for what is not `[NAMESPACE/]NAME/KEY=ENVVAR`, or a variable that is not set. */
export function parseEnvSecret(text: string, env: Io['env']): SecretEntry {
  const equals = text.indexOf('=');
  const parts = text.slice(0, Math.max(0, equals)).split('/');
  const [key = '', name = '', namespace = 'default', ...more] = parts.toReversed();
  const variable = text.slice(equals + 1);
  if (equals === -1 || more.length > 0 || !NAME.test(name) || !NAME.test(namespace) || !KEY.test(key)) {
    // The text is not repeated: by mistake it may hold the secret itself.
    throw new UsageError(
      '--secret takes NAME/KEY=ENVVAR or NAMESPACE/NAME/KEY=ENVVAR, e.g. --secret openai/api-key=OPENAI_API_KEY',
    );
  }
  const what = `--secret ${parts.join('/')}`;
  if (!VARIABLE.test(variable)) {
    throw new UsageError(`${what}: after = comes the name of an environment variable, never the secret itself`);
  }
  const value = env[variable];
  if (value === undefined || value === '') {
    throw new UsageError(`${what}: the environment variable ${variable} is ${value === undefined ? 'not set' : 'empty'}`);
  }
  return { namespace, name, key, value: new SecretValue(value) };
}

/** The objects with these values in their Secrets; a Secret that is not among them is added. */
export function withSecrets(objects: readonly ReadObject[], secrets: readonly SecretEntry[]): readonly ReadObject[] {
  const result = [...objects];
  for (const { namespace, name, key, value } of secrets) {
    const at = result.findIndex(
      ({ object }) => isSecret(object) && object.metadata.namespace === namespace && object.metadata.name === name,
    );
    const before = result[at];
    if (before !== undefined && isSecret(before.object)) {
      result[at] = { ...before, object: { ...before.object, data: { ...before.object.data, [key]: value } } };
    } else {
      const secret: Secret = {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name, namespace, labels: {}, annotations: {} },
        type: 'Opaque',
        data: { [key]: value },
      };
      result.push({ object: secret, source: { file: '', line: 0, lineOf: () => 0 } });
    }
  }
  return result;
}

function isSecret(object: ApiObject): object is Secret {
  return object.kind === 'Secret';
}

/**
 * Stands in for every provider key that the files refer to and do not have: a decision does not depend on what a key is. Nothing is
 * ever sent with these.
 */
export function missingKeys(objects: readonly ReadObject[]): readonly SecretEntry[] {
  const entries: SecretEntry[] = [];
  for (const { object } of objects) {
    if (object.kind !== 'LLMRoute' && object.kind !== 'LLMBackend') continue;
    const { namespace } = object.metadata;
    const models = object.kind === 'LLMRoute' ? object.spec.models : [object.spec];
    for (const { auth } of models) {
      for (const { name, key, value } of auth === undefined ? [] : keysFor(auth)) {
        const known = objects.some(
          ({ object: other }) =>
            isSecret(other) &&
            other.metadata.namespace === namespace &&
            other.metadata.name === name &&
            Object.hasOwn(other.data, key),
        );
        if (!known) entries.push({ namespace, name, key, value: new SecretValue(value) });
      }
    }
  }
  return entries;
}

const NO_KEY = 'not-a-key';

const NO_SERVICE_ACCOUNT = JSON.stringify({
  type: 'service_account',
  client_email: NO_KEY,
  private_key_id: NO_KEY,
  private_key: '-----BEGIN PRIVATE KEY-----',
});

/** All that a model's Secret must hold, in the form in which it is looked at. */
function keysFor({
  apiKey,
  aws,
  entra,
  gcp,
}: Auth): readonly { readonly name: string; readonly key: string; readonly value: string }[] {
  if (apiKey !== undefined) return [{ ...apiKey.secretKeyRef, value: NO_KEY }];
  const of = (name: string | undefined, values: Readonly<Record<string, string>>): ReturnType<typeof keysFor> =>
    name === undefined ? [] : Object.entries(values).map(([key, value]) => ({ name, key, value }));
  return [
    ...of(aws?.secretRef?.name, { accessKeyId: 'NOTAKEY0', secretAccessKey: NO_KEY }),
    ...of(entra?.secretRef?.name, { tenantId: NO_KEY, clientId: NO_KEY, clientSecret: NO_KEY }),
    ...of(gcp?.secretRef?.name, { 'credentials.json': NO_SERVICE_ACCOUNT }),
  ];
}
