/** The rights that the chart gives, from every combination of the values that they depend on: what src/operator/rights.ts lists, no more. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from '@jest/globals';

import { RIGHTS, type Right, type RightScope } from '../../src/operator/rights.ts';
import { whyNoBinary } from '../controlplane/binaries.ts';
import { product, type Choice } from './combinations.ts';
import { CHART, RELEASE, renderChart, valuesOf, type Manifest } from './helm.ts';

const NAMESPACE_VALUES = {
  gatewayNamespaces: [[], ['edge', 'team-a']],
  'secrets.namespaces': [[], ['team-a', 'team-b']],
  'clientKeys.namespaces': [[], ['team-c']],
} as const;

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

const TEMPLATES = join(CHART, 'templates');

describe('the rights of the operator', () => {
  it('name no *, and no right to give rights or to act as another', () => {
    const words = RIGHTS.flatMap(({ group, resources, verbs }) => [group, ...resources, ...verbs]);
    expect(words.filter((word) => /\*|^(escalate|bind|impersonate)$/.test(word))).toEqual([]);
    expect(words).not.toContain('clusterroles');
    expect(words).not.toContain('serviceaccounts/token');
  });

  it('come from one template, which reads no values but those below', () => {
    const templates = readdirSync(TEMPLATES).filter((file) => file.endsWith('.yaml') || file.endsWith('.tpl'));
    const text = (file: string): string => readFileSync(join(TEMPLATES, file), 'utf8');
    const withRights = templates.filter((file) => /^rules:/m.test(text(file)));
    expect(withRights).toEqual(['rbac.yaml']);
    const read = new Set([...text('rbac.yaml').matchAll(/\.Values\.([A-Za-z.]+)/g)].map(([, path = '']) => path));
    const helpers = [...text('rbac.yaml').matchAll(/include "(fairlead\.[A-Za-z]+)"/g)].map(([, name]) => name);
    expect(read).toEqual(new Set(['clientKeys.namespaces', 'secrets.namespaces']));
    expect(new Set(helpers)).toEqual(
      new Set(['fairlead.fullname', 'fairlead.gatewayNamespaces', 'fairlead.labels', 'fairlead.roleBinding', 'fairlead.subject']),
    );
    expect(new Set(Object.keys(NAMESPACE_VALUES))).toEqual(new Set([...read, 'gatewayNamespaces']));
  });

  const why = whyNoBinary('helm');
  if (why !== undefined) it(`absent: helm: ${why}`, () => undefined);
  else
    it.each(product(NAMESPACE_VALUES).map((choice) => [JSON.stringify(choice), choice] as const))(
      'are these with %s',
      async (_, choice) => {
        const manifests = await renderChart(valuesOf(choice));
        expect(granted(manifests)).toEqual(expected(choice));
        expect(strangers(manifests)).toEqual([]);
      },
    );
});

/** One line a right: where, what, verb. */
function granted(manifests: readonly Manifest[]): readonly string[] {
  const lines = manifests
    .filter(({ kind }) => kind === 'ClusterRole' || kind === 'Role')
    .flatMap((role) =>
      (role['rules'] as readonly Rule[]).flatMap((rule) =>
        rule.apiGroups.flatMap((group) => linesOf(role.metadata.namespace, { ...rule, group, names: rule.resourceNames })),
      ),
    );
  return [...new Set(lines)].sort();
}

function expected(choice: Choice): readonly string[] {
  const secretNamespaces = choice['secrets.namespaces'] as readonly string[];
  const namespaces: Readonly<Record<RightScope, readonly (string | undefined)[]>> = {
    Cluster: [undefined],
    Release: [RELEASE.namespace],
    Gateways: [RELEASE.namespace, ...(choice['gatewayNamespaces'] as readonly string[])],
    Secrets: secretNamespaces,
    ClientKeys: choice['clientKeys.namespaces'] as readonly string[],
  };
  const lines = RIGHTS.filter(
    ({ scope, resources }) => !(scope === 'Cluster' && resources.includes('secrets') && secretNamespaces.length > 0),
  ).flatMap((right) => namespaces[right.scope].flatMap((namespace) => linesOf(namespace, right)));
  return [...new Set(lines)].sort();
}

function linesOf(
  namespace: string | undefined,
  {
    group,
    resources,
    verbs,
    names,
  }: Pick<Right, 'group' | 'resources' | 'verbs'> & { readonly names?: readonly string[] | undefined },
): readonly string[] {
  const only = names === undefined ? '' : ` ${names.join(',')}`;
  return resources.flatMap((resource) => verbs.map((verb) => `${namespace ?? '(cluster)'}: ${verb} ${group}/${resource}${only}`));
}

/** Bindings of others than the operator, or to other roles than those rendered beside them; roles that nobody has. */
function strangers(manifests: readonly Manifest[]): readonly string[] {
  const id = (kind: string, namespace: string | undefined, name: string): string => `${kind} ${namespace ?? ''}/${name}`;
  const roles = new Set(
    manifests
      .filter(({ kind }) => /^(Cluster)?Role$/.test(kind))
      .map(({ kind, metadata }) => id(kind, metadata.namespace, metadata.name)),
  );
  const bindings = manifests.filter(({ kind }) => /^(Cluster)?RoleBinding$/.test(kind));
  const bound = bindings.map(({ kind, metadata, ...rest }) => {
    const { roleRef, subjects } = rest as unknown as {
      readonly roleRef: { readonly kind: string; readonly name: string };
      readonly subjects: unknown;
    };
    const subject = { kind: 'ServiceAccount', name: 'fairlead-operator', namespace: RELEASE.namespace };
    const right = JSON.stringify(subjects) === JSON.stringify([subject]) && kind === `${roleRef.kind}Binding`;
    return right
      ? id(roleRef.kind, metadata.namespace, roleRef.name)
      : `${kind} ${metadata.name} binds ${JSON.stringify(subjects)}`;
  });
  return [...bound.filter((role) => !roles.has(role)), ...[...roles].filter((role) => !bound.includes(role))];
}
