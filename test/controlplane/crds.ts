/** The kinds of our API on a control plane, and the one of Gateway API that we read. */
import { customResourceDefinition, KINDS } from '../../src/api/crd.ts';
import type { ControlPlane } from './control-plane.ts';

const GRANT_VERSION = {
  served: true,
  schema: {
    openAPIV3Schema: {
      type: 'object',
      properties: {
        spec: {
          type: 'object',
          required: ['from', 'to'],
          properties: {
            from: peers(['group', 'kind', 'namespace'], ['group', 'kind', 'namespace']),
            to: peers(['group', 'kind'], ['group', 'kind', 'name']),
          },
        },
      },
    },
  },
};

/** As much of Gateway API's ReferenceGrant as is read here. */
export const REFERENCE_GRANTS = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: {
    name: 'referencegrants.gateway.networking.k8s.io',
    // Without it the API server refuses kinds of a group that ends in k8s.io.
    annotations: { 'api-approved.kubernetes.io': 'https://github.com/kubernetes-sigs/gateway-api' },
  },
  spec: {
    group: 'gateway.networking.k8s.io',
    scope: 'Namespaced',
    names: { kind: 'ReferenceGrant', listKind: 'ReferenceGrantList', plural: 'referencegrants', singular: 'referencegrant' },
    versions: [
      { ...GRANT_VERSION, name: 'v1beta1', storage: true },
      { ...GRANT_VERSION, name: 'v1', storage: false },
    ],
  },
};

function peers(required: readonly string[], fields: readonly string[]): unknown {
  return {
    type: 'array',
    minItems: 1,
    maxItems: 16,
    items: { type: 'object', required, properties: Object.fromEntries(fields.map((field) => [field, { type: 'string' }])) },
  };
}

/** Resolves when objects of the kinds can be made. */
export async function installCrds(plane: ControlPlane, more: readonly unknown[] = []): Promise<void> {
  const items = [...KINDS.map((kind) => customResourceDefinition(kind)), ...more];
  await plane.kubectl(['apply', '--server-side', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  await plane.kubectl(['wait', '--for=condition=Established', '--timeout=60s', 'crd', '--all']);
}
