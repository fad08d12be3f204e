/** Following references to Secrets and ConfigMaps: the value, or the issue that says what is missing and where it was looked for. */
import { issue, type Issue } from '../lib/issue.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { SecretValue } from '../lib/secret.ts';
import type { ConfigMap } from '../api/core.ts';
import { GROUP } from '../api/v1alpha1/common.ts';
import { authoritiesFault } from './certificate.ts';
import type { Read } from './memo.ts';

interface KeyRef {
  readonly name: string;
  readonly key: string;
}

export function secretValue(read: Read, namespace: string, ref: KeyRef, path: string): Result<SecretValue, Issue> {
  const id = `${namespace}/${ref.name}`;
  const secret = read((world) => world.secrets.get(id));
  if (secret === undefined) {
    const forbidden = read((world) => world.forbiddenSecrets.has(id));
    return forbidden
      ? err(
          issue(
            path,
            'SecretForbidden',
            `Secret ${id} may not be read by the operator: allow its namespace in the chart's values`,
          ),
        )
      : err(issue(path, 'SecretNotFound', `Secret ${id} is not found`));
  }
  const value = Object.hasOwn(secret.data, ref.key) ? secret.data[ref.key] : undefined;
  if (value === undefined || value.reveal().trim() === '') {
    const what =
      value === undefined ? `has no key ${JSON.stringify(ref.key)}` : `is empty under the key ${JSON.stringify(ref.key)}`;
    return err(issue(path, 'SecretKeyMissing', `Secret ${id} ${what}; its keys are: ${keysOf(secret.data)}`));
  }
  return ok(value);
}

/** The same of what a header or a form carries, without the blanks around it: a Secret made from a file ends in a line break. */
export function secretLine(read: Read, namespace: string, ref: KeyRef, path: string): Result<SecretValue, Issue> {
  const found = secretValue(read, namespace, ref, path);
  if (!found.ok) return found;
  const line = found.value.reveal().trim();
  if (isLine(line)) return ok(new SecretValue(line));
  return err(
    issue(
      path,
      'InvalidSpec',
      `Secret ${namespace}/${ref.name} holds under ${JSON.stringify(ref.key)} what no header can carry: one line of ASCII is needed`,
    ),
  );
}

export function isLine(text: string): boolean {
  return /^[ -~]+$/.test(text);
}

/** With the ConfigMap itself, to remember by what was made of it. */
export function configMapValue(
  read: Read,
  namespace: string,
  ref: KeyRef,
  path: string,
): Result<{ readonly map: ConfigMap; readonly value: string }, Issue> {
  const id = `${namespace}/${ref.name}`;
  const map = read((world) => world.configMaps.get(id));
  const absent = (what: string): Issue => ({ ...issue(path, 'ArtifactInvalid', `ConfigMap ${id} ${what}`), absent: true });
  if (map === undefined) return err(absent('is not found'));
  const value = Object.hasOwn(map.data, ref.key) ? map.data[ref.key] : undefined;
  if (value !== undefined) return ok({ map, value });
  return err(absent(`has no key ${JSON.stringify(ref.key)}; its keys are: ${keysOf(map.data)}`));
}

/** A PEM bundle of certificates from a ConfigMap or a Secret. */
export function certificates(
  read: Read,
  namespace: string,
  ref: KeyRef & { readonly kind: 'ConfigMap' | 'Secret' },
  path: string,
): Result<string, Issue> {
  let text: string;
  if (ref.kind === 'Secret') {
    const value = secretValue(read, namespace, ref, path);
    if (!value.ok) return value;
    text = value.value.reveal();
  } else {
    const found = configMapValue(read, namespace, ref, path);
    if (!found.ok) return found;
    text = found.value.value;
  }
  const fault = authoritiesFault(text);
  if (fault === null) return ok(text);
  const where = `${ref.kind} ${namespace}/${ref.name} holds under the key ${JSON.stringify(ref.key)}`;
  return err(issue(path, 'ArtifactInvalid', `${where} ${fault}`));
}

function keysOf(data: object): string {
  const keys = Object.keys(data).sort();
  return keys.length === 0 ? 'none' : keys.join(', ');
}

interface Reference {
  readonly kind: string;
  /** Where the reference is written. */
  readonly from: string;
  readonly to: { readonly kind: string; readonly namespace: string; readonly name: string };
}

/** May an object of ours in one namespace refer to one in another? A ReferenceGrant there says so. */
export function isGranted(read: Read, { kind, from, to }: Reference): boolean {
  if (from === to.namespace) return true;
  return read((world) => {
    for (const { metadata, spec } of world.referenceGrants.values()) {
      if (metadata.namespace !== to.namespace) continue;
      const fromFits = spec.from.some((entry) => entry.group === GROUP && entry.kind === kind && entry.namespace === from);
      if (
        fromFits &&
        spec.to.some(
          (entry) => entry.group === GROUP && entry.kind === to.kind && (entry.name === undefined || entry.name === to.name),
        )
      )
        return true;
    }
    return false;
  });
}
