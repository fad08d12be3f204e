/** The rights as a table for people, for the chart's README. */
import { RIGHTS, type RightScope } from './rights.ts';

const WHERE: Readonly<Record<RightScope, string>> = {
  Cluster: 'the cluster',
  Release: "the release's namespace",
  Gateways: "the release's namespace, `gatewayNamespaces`",
  Secrets: '`secrets.namespaces`',
  ClientKeys: '`clientKeys.namespaces`',
};

export function renderRights(): string {
  const rows = RIGHTS.map(({ scope, group, resources, verbs, names, why }) => {
    const what = resources.map((resource) => `\`${inGroup(resource, group)}\``).join(', ');
    const only = names === undefined ? '' : ` (${names.map((name) => `\`${name}\``).join(', ')} alone)`;
    return `| ${WHERE[scope]} | ${what}${only} | ${verbs.join(', ')} | ${why} |`;
  });
  return ['| in | what | verbs | for |', '|---|---|---|---|', ...rows, ''].join('\n');
}

/** As `kubectl auth can-i` takes it, with the subresource behind. */
function inGroup(resource: string, group: string): string {
  const [plural = '', subresource] = resource.split('/');
  return `${plural}${group === '' ? '' : `.${group}`}${subresource === undefined ? '' : `/${subresource}`}`;
}
