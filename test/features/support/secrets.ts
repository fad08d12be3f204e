import { keySecretYaml, type KeySecret } from '../../../src/auth/new-key.ts';
import { sha256Hex } from '../../../src/auth/client-keys.ts';

/** Asks for client keys; its namespace is the platform's. `more`: members of its spec, in flow style without braces. */
export function gatewayYaml(more = 'clientAuth: {type: APIKey}'): string {
  return `
apiVersion: fairlead.dev/v1alpha1
kind: LLMGateway
metadata: {name: default, namespace: platform, annotations: {fairlead.dev/is-default-gateway: "true"}}
spec: {${more}}
`;
}

/** The Secret of a client key, as `fairlead key create` makes it. */
export function clientKeyYaml(key: string, secret: Omit<KeySecret, 'sha256'>): string {
  return keySecretYaml({ ...secret, sha256: sha256Hex(key) });
}

/** A Secret with these values, each in a block of its own. */
export function secretYaml(name: string, namespace: string, values: Readonly<Record<string, string>>): string {
  return JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, type: 'Opaque', stringData: values });
}

/** Several documents as one file. */
export function documents(...parts: readonly string[]): string {
  return parts.join('\n---\n');
}
