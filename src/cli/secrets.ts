/** `--secret NAME/KEY=ENVVAR`: Secrets whose values come from the environment, so that none is ever on a command line or in a file. */
import type { ApiObject } from '../api/parse.ts';
import type { Secret } from '../api/core.ts';
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
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;

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
      if (auth?.apiKey === undefined) continue;
      const { name, key } = auth.apiKey.secretKeyRef;
      const known = objects.some(
        ({ object: other }) =>
          isSecret(other) &&
          other.metadata.namespace === namespace &&
          other.metadata.name === name &&
          Object.hasOwn(other.data, key),
      );
      if (!known) entries.push({ namespace, name, key, value: new SecretValue('not-a-key') });
    }
  }
  return entries;
}
