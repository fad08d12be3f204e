/** The generated part of charts/fairlead: README.md and values.schema.json, from its values.yaml and, for the gateway's spec, the CRD. */
import { KINDS, objectSchema } from '../../src/api/crd.ts';
import type { StructuralSchema } from '../../src/api/structural.ts';
import { readChartValues, type ChartValue } from './chart-values.ts';

type JsonSchema = Readonly<Record<string, unknown>>;

const NAMESPACES: JsonSchema = {
  type: 'array',
  uniqueItems: true,
  items: { type: 'string', pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$', maxLength: 63 },
};
const TEXTS: JsonSchema = { type: 'object', additionalProperties: { type: 'string' } };

/** What a default cannot tell about its value. */
const STRICTER: Readonly<Record<string, JsonSchema>> = {
  'image.repository': { type: 'string', minLength: 1 },
  'image.digest': { type: 'string', pattern: '^(sha256:[0-9a-f]{64})?$' },
  'image.pullPolicy': { enum: ['Always', 'IfNotPresent', 'Never'] },
  imagePullSecrets: {
    type: 'array',
    items: { type: 'object', required: ['name'], properties: { name: { type: 'string' } }, additionalProperties: false },
  },
  'operator.replicas': { type: 'integer', minimum: 0, maximum: 5 },
  'operator.logLevel': { enum: ['debug', 'info', 'warn', 'error'] },
  'operator.podLabels': TEXTS,
  'operator.podAnnotations': TEXTS,
  'operator.serviceAccountAnnotations': TEXTS,
  'operator.nodeSelector': TEXTS,
  'operator.tolerations': { type: 'array', items: { type: 'object' } },
  'gateway.name': { type: 'string', pattern: '^[a-z]([-a-z0-9]*[a-z0-9])?$', maxLength: 63 },
  'gateway.spec': gatewaySpec(),
  gatewayNamespaces: NAMESPACES,
  'secrets.namespaces': NAMESPACES,
  'clientKeys.namespaces': NAMESPACES,
  'redis.mode': { enum: ['None', 'Bundled', 'Existing'] },
  'redis.onUnavailable': { enum: ['FailOpen', 'FailClosed', 'LocalShare'] },
  'prometheus.url': { type: 'string', pattern: '^(https?://.+)?$' },
  'prometheus.monitorLabels': TEXTS,
};

export function renderValuesSchema(valuesYaml: string): string {
  const values = readChartValues(valuesYaml);
  const unused = Object.keys(STRICTER).filter((path) => !paths(values).includes(path));
  if (unused.length > 0) throw new Error(`values.yaml has no ${unused.join(', ')}`);
  return `${JSON.stringify(
    {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      title: 'Values of the chart fairlead',
      ...objectOf(values, { global: { type: 'object', description: 'Of a parent chart.' } }),
    },
    null,
    2,
  )}\n`;
}

function paths(values: readonly ChartValue[]): readonly string[] {
  return values.flatMap(({ path, children }) => [path, ...paths(children)]);
}

function objectOf(values: readonly ChartValue[], more: Readonly<Record<string, JsonSchema>> = {}): JsonSchema {
  const properties = values.map((value) => [value.path.slice(value.path.lastIndexOf('.') + 1), schemaOf(value)] as const);
  return { type: 'object', additionalProperties: false, properties: { ...Object.fromEntries(properties), ...more } };
}

function schemaOf({ path, default: given, text, children }: ChartValue): JsonSchema {
  if (children.length > 0) return objectOf(children);
  return { ...(text === '' ? {} : { description: text }), ...(STRICTER[path] ?? { type: typeOf(path, given) }) };
}

function typeOf(path: string, given: unknown): string {
  if (Array.isArray(given)) return 'array';
  if (typeof given === 'number') return 'integer';
  if (typeof given === 'string' || typeof given === 'boolean') return typeof given;
  if (typeof given === 'object' && given !== null) return 'object';
  throw new Error(`values.yaml: ${path} has no default that tells its type`);
}

/** As the API server would judge it but for the rules over several fields, so that a misspelt field fails before anything is installed. */
function gatewaySpec(): JsonSchema {
  const kind = KINDS.find((definition) => definition.kind === 'LLMGateway');
  const spec = kind === undefined ? undefined : objectSchema(kind).properties?.['spec'];
  if (spec === undefined) throw new Error('LLMGateway has no spec');
  return jsonSchema(spec);
}

function jsonSchema(schema: StructuralSchema): JsonSchema {
  const { properties, items, additionalProperties, ...rest } = schema;
  const plain = Object.fromEntries(
    Object.entries(rest).filter(([key]) => !key.startsWith('x-kubernetes-') && key !== 'format' && key !== 'default'),
  );
  if (schema['x-kubernetes-int-or-string'] === true) return { ...plain, type: ['integer', 'string'] };
  return {
    ...plain,
    ...(properties === undefined
      ? {}
      : {
          additionalProperties: false,
          properties: Object.fromEntries(Object.entries(properties).map(([name, property]) => [name, jsonSchema(property)])),
        }),
    ...(items === undefined ? {} : { items: jsonSchema(items) }),
    ...(additionalProperties === undefined ? {} : { additionalProperties: jsonSchema(additionalProperties) }),
  };
}

/** `rights`: the table of what the operator may do. */
export function renderChartReadme(valuesYaml: string, rights: string): string {
  return `<!-- Generated from values.yaml and src/operator/rights.ts by \`npm run generate\`. Do not edit. -->
# Fairlead's Helm chart

The operator, its rights, and an LLMGateway called \`default\`, from which the operator makes gateway pods and a Service. Kubernetes 1.30 or
newer. No webhooks, no finalizers: deleting a namespace or the release never waits for the operator.

\`\`\`sh
helm install fairlead charts/fairlead --namespace fairlead-system --create-namespace --wait \\
  --set image.repository=registry.example.com/fairlead      # \`make image\` builds it
helm test fairlead --namespace fairlead-system
\`\`\`

What it prints then are two commands: one makes a client key, one is a request that works. From there on
\`kubectl apply -f llmroute.yaml\` is all; [manifests/samples](../../manifests/samples) has some to start from.

## Upgrade

Helm installs the CRDs of \`crds/\` once and never touches them again, neither at an upgrade nor at an uninstall (they say
\`helm.sh/resource-policy: keep\`, too: removing them would remove every route). So bring them up to date first:

\`\`\`sh
kubectl apply --server-side --force-conflicts -f charts/fairlead/crds/
helm upgrade fairlead charts/fairlead --namespace fairlead-system --wait
\`\`\`

An upgraded operator rolls each fleet of gateways to its own version, without losing a request. \`spec.version\` of an LLMGateway holds
one back at a version (operator and gateways work together one minor version apart), \`spec.paused\` leaves it exactly as it is.

\`helm uninstall\` removes the operator, the LLMGateway and, with it, the gateways and their snapshots. Routes, client keys and CRDs
stay, and so do the Lease and the CA of the operator (Secret, ConfigMap), which go with the namespace.
\`kubectl delete -f charts/fairlead/crds/\` removes the CRDs **with every object of theirs**.

## Prometheus

Operator and gateways serve \`/metrics\` on port 9090. Where the CRD PodMonitor exists each gateway gets one; the operator's is
\`prometheus.podMonitor.enabled\`. The trap is in the labels: a Prometheus of the Prometheus Operator takes only monitors that its own
\`podMonitorSelector\` selects, and is silent about all others. kube-prometheus-stack selects the label of its release:

\`\`\`yaml
prometheus:
  monitorLabels: {release: kube-prometheus-stack}
  podMonitor: {enabled: true}
\`\`\`

\`kubectl get prometheus -A -o jsonpath='{.items[*].spec.podMonitorSelector}'\` shows what yours wants.

## Redis

Without Redis each gateway pod counts limits for itself. With it they count together:

- \`redis.mode=Existing\` takes the URL from a Secret of the release's namespace: \`kubectl create secret generic redis --from-file=url=/dev/stdin\`
  reads it without showing it, then \`--set redis.mode=Existing,redis.existing.secretName=redis\`.
- \`redis.mode=Bundled\` starts a single one that keeps nothing over a restart: for trying out.

Sentinel, Cluster and an authority of Redis' own (\`tls.caRef\`) are set in \`gateway.spec.redis\`, which wins over both. Redis must not
evict (\`maxmemory-policy noeviction\`), and gateways say so where it may. A user of their own (\`ACL SETUSER\`) needs
\`~fairlead:* &fairlead:* +evalsha +eval +get +set +time +zadd +zrem +zremrangebyscore +zcard +zrange +pexpire +publish +subscribe
+cluster|slots\`; gateways name what is missing.

## What the operator may do

By a ClusterRole, and by Roles in the namespaces that values name. It never has \`*\`, and never \`escalate\`, \`bind\` or \`impersonate\`.

${rights}
## Values

| value | default | what it is |
|---|---|---|
${rows(readChartValues(valuesYaml)).join('\n')}
`;
}

function rows(values: readonly ChartValue[]): readonly string[] {
  return values.flatMap(({ path, default: given, text, children }) => {
    if (children.length > 0) return rows(children);
    return [`| \`${path}\` | \`${JSON.stringify(given)}\` | ${text.replaceAll('|', '\\|')} |`];
  });
}
