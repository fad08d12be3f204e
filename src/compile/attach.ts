/** Which gateways a route belongs to, and whether they take it. */
import type { LLMGateway } from '../api/v1alpha1/llmgateway.ts';
import type { LLMRoute } from '../api/v1alpha1/llmroute.ts';
import { issue, type Issue } from '../lib/issue.ts';
import type { Read } from './memo.ts';
import { selects } from './selector.ts';
import { objectId } from './snapshot.ts';
import { DEFAULT_GATEWAY_ANNOTATION } from './world.ts';

export interface Attachment {
  readonly parentRef: { readonly name: string; readonly namespace: string };
  /** null where there is none of that name. */
  readonly gateway: LLMGateway | null;
  /** Why the gateway does not serve it; null: it does. */
  readonly refused: Issue | null;
}

/** One a gateway named, in the route's order; empty where there is no gateway to belong to. */
export function attachments(route: LLMRoute, read: Read): readonly Attachment[] {
  const refs = route.spec.parentRefs ?? [];
  if (refs.length === 0) {
    const gateway = read((world) => world.defaultGateway);
    return gateway === null ? [] : [attach(route, gateway, read)];
  }
  const standIn = read((world) => world.standIn);
  if (standIn !== null) return [attach(route, standIn, read)];
  const byGateway = new Map<string, Attachment>();
  for (const [index, { name, namespace = route.metadata.namespace }] of refs.entries()) {
    const id = `${namespace}/${name}`;
    if (byGateway.has(id)) continue;
    const gateway = read((world) => world.gateways.get(id));
    const missing = issue(`spec.parentRefs[${index}]`, 'NoMatchingParent', `LLMGateway ${id} is not found`);
    byGateway.set(
      id,
      gateway === undefined ? { parentRef: { name, namespace }, gateway: null, refused: missing } : attach(route, gateway, read),
    );
  }
  return [...byGateway.values()];
}

/** What to say where `attachments` is empty. */
export const NO_DEFAULT_GATEWAY: Issue = issue(
  'spec.parentRefs',
  'NoMatchingParent',
  `no LLMGateway is the cluster's default one: name one here, or annotate one with ${DEFAULT_GATEWAY_ANNOTATION}: "true"`,
);

function attach(route: LLMRoute, gateway: LLMGateway, read: Read): Attachment {
  const { name, namespace } = gateway.metadata;
  const why = notAllowed(route.metadata.namespace, gateway, read);
  return {
    parentRef: { name, namespace },
    gateway,
    refused: why === null ? null : issue('', 'NotAllowedByParent', `LLMGateway ${objectId(gateway)} ${why}`),
  };
}

function notAllowed(namespace: string, gateway: LLMGateway, read: Read): string | null {
  const { from, selector = {} } = gateway.spec.allowedRoutes.namespaces;
  switch (from) {
    case 'All':
      return null;
    case 'Same':
      return namespace === gateway.metadata.namespace
        ? null
        : 'takes routes of its own namespace only (spec.allowedRoutes.namespaces.from: Same)';
    case 'Selector': {
      // On a laptop there may be no Namespace object; the API server gives every one this label.
      const known = read((world) => world.namespaces.get(namespace));
      const labels = { 'kubernetes.io/metadata.name': namespace, ...known?.metadata.labels };
      return selects(selector, labels)
        ? null
        : `takes routes of namespaces that spec.allowedRoutes.namespaces.selector selects, and the labels of ${namespace} do not fit`;
    }
  }
}
