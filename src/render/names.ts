/** What a gateway's objects are called, and the labels that select its pods. */
import { byText } from '../routetable/order.ts';
import { issue, type Issue } from '../lib/issue.ts';

/** A Service's name is narrower than an LLMGateway's, and so is a label's value. */
const SERVICE_NAME = /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/;
const SUFFIX = '-gateway';

/** undefined: the objects can be named after it. */
export function nameIssue(gatewayName: string): Issue | undefined {
  return SERVICE_NAME.test(gatewayName)
    ? undefined
    : issue(
        'metadata.name',
        'InvalidSpec',
        `${JSON.stringify(gatewayName)} cannot be the name of a Service: at most 63 of a-z, 0-9 and -, beginning with a letter and ending with a letter or digit`,
      );
}

export function serviceName(gatewayName: string): string {
  return gatewayName;
}

/** Of the Deployment and all beside it but the Service. Not the plain name: each namespace has a ServiceAccount called `default`. */
export function workloadName(gatewayName: string): string {
  return `${gatewayName}${SUFFIX}`;
}

/** The gateway whose pods run under this ServiceAccount, going by its name alone. */
export function gatewayOfServiceAccount(serviceAccountName: string): string | null {
  return serviceAccountName.endsWith(SUFFIX) && serviceAccountName.length > SUFFIX.length
    ? serviceAccountName.slice(0, -SUFFIX.length)
    : null;
}

/** Immutable in a Deployment: what is here stays for ever. */
export function selectorLabels(gatewayName: string): Readonly<Record<string, string>> {
  return {
    'app.kubernetes.io/component': 'gateway',
    'app.kubernetes.io/name': 'fairlead',
    'fairlead.dev/gateway': gatewayName,
  };
}

export function objectLabels(gatewayName: string): Readonly<Record<string, string>> {
  return sorted({ ...selectorLabels(gatewayName), 'app.kubernetes.io/managed-by': 'fairlead-operator' });
}

/** The same bytes whatever the order in which a map was written. */
export function sorted<T>(map: Readonly<Record<string, T>>): Readonly<Record<string, T>> {
  return Object.fromEntries(Object.entries(map).sort(([a], [b]) => byText(a, b)));
}
