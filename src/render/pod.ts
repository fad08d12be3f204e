/** The pod of a gateway's Deployment. */
import type { LLMGatewaySpec } from '../api/v1alpha1/llmgateway.ts';
import { GATEWAY_ENV, GATEWAY_PATHS, POD_PORTS } from '../lib/pod.ts';
import { digestOf } from '../routetable/digest.ts';
import { SNAPSHOT_KEY, SNAPSHOT_PARTS, snapshotFile, snapshotSecretName } from '../routetable/snapshot-pack.ts';
import type { ObjectName } from '../routetable/types.ts';
import { imageOf } from './image.ts';
import { selectorLabels, sorted, workloadName } from './names.ts';
import { canonicalQuantity } from './quantity.ts';
import type { RenderContext } from './types.ts';

/** So long after a pod was told to stop it takes requests as before, while load balancers and proxies learn that it goes. */
const PRE_STOP_S = 10;
/** What a process may take to end after its drain. */
const ENDING_S = 10;
/** Not root, and no user that an image of others would have. */
const USER = 65_532;
const SERVICE_ACCOUNT_MARK = 'fairlead.dev/service-account-digest';
const TOKEN_LIFETIME_S = 3600;

export interface PodInput {
  readonly gateway: ObjectName;
  readonly spec: LLMGatewaySpec;
  readonly drainMs: number;
  readonly context: RenderContext;
}

export function podTemplate({ gateway, spec, drainMs, context }: PodInput): unknown {
  const own = spec.podTemplate;
  const annotations = { ...own.annotations, ...identityMark(own.serviceAccountAnnotations) };
  return {
    metadata: {
      labels: sorted({ ...own.labels, ...selectorLabels(gateway.name) }),
      ...(Object.keys(annotations).length === 0 ? {} : { annotations: sorted(annotations) }),
    },
    spec: {
      serviceAccountName: workloadName(gateway.name),
      // A gateway never talks to the API server: whoever breaks into one finds no token for it.
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: USER,
        runAsGroup: USER,
        fsGroup: USER,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      terminationGracePeriodSeconds: PRE_STOP_S + Math.ceil(drainMs / 1000) + ENDING_S,
      ...(own.priorityClassName === '' ? {} : { priorityClassName: own.priorityClassName }),
      ...(own.imagePullSecrets.length === 0 ? {} : { imagePullSecrets: own.imagePullSecrets.map(({ name }) => ({ name })) }),
      ...(Object.keys(own.nodeSelector).length === 0 ? {} : { nodeSelector: sorted(own.nodeSelector) }),
      ...(own.tolerations.length === 0 ? {} : { tolerations: own.tolerations.map(sorted) }),
      ...(own.topologySpread ? { topologySpreadConstraints: spread(gateway.name) } : {}),
      containers: [container(gateway, spec, context)],
      volumes: [identityVolume(context), snapshotVolume(gateway.name)],
    },
  };
}

/** A cloud's webhook gives a pod its identity when it is made, and never after: with another ServiceAccount the pods are made anew. */
function identityMark(serviceAccountAnnotations: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  if (Object.keys(serviceAccountAnnotations).length === 0) return {};
  return { [SERVICE_ACCOUNT_MARK]: digestOf(serviceAccountAnnotations).slice(0, 16) };
}

function container(gateway: ObjectName, spec: LLMGatewaySpec, context: RenderContext): unknown {
  const { identity, snapshot } = GATEWAY_PATHS;
  const env: Readonly<Record<string, string>> = {
    [GATEWAY_ENV.gateway]: `${gateway.namespace}/${gateway.name}`,
    [GATEWAY_ENV.port]: String(POD_PORTS.client),
    [GATEWAY_ENV.adminPort]: String(POD_PORTS.admin),
    [GATEWAY_ENV.operatorUrl]: context.stream.url,
    [GATEWAY_ENV.tokenFile]: `${identity}/token`,
    [GATEWAY_ENV.caFile]: `${identity}/ca.crt`,
    [GATEWAY_ENV.snapshotDir]: snapshot,
  };
  return {
    name: 'gateway',
    image: imageOf(context.image, spec.version),
    imagePullPolicy: context.imagePullPolicy,
    args: ['gateway'],
    env: Object.entries({ ...env, ...sorted(spec.podTemplate.env) }).map(([name, value]) => ({ name, value })),
    ports: [
      { name: portName(spec), containerPort: POD_PORTS.client, protocol: 'TCP' },
      { name: 'admin', containerPort: POD_PORTS.admin, protocol: 'TCP' },
    ],
    ...resourcesOf(spec),
    // On a node that is starved of CPU a process takes minutes to begin: ended for that, it would never be any further.
    startupProbe: { httpGet: { path: '/healthz', port: 'admin' }, periodSeconds: 1, timeoutSeconds: 10, failureThreshold: 300 },
    readinessProbe: { httpGet: { path: '/readyz', port: 'admin' }, periodSeconds: 2, timeoutSeconds: 5, failureThreshold: 3 },
    // A busy process answers late; one that has not answered for a minute is stuck.
    livenessProbe: { httpGet: { path: '/healthz', port: 'admin' }, periodSeconds: 10, timeoutSeconds: 10, failureThreshold: 6 },
    lifecycle: { preStop: { sleep: { seconds: PRE_STOP_S } } },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
    volumeMounts: [
      { name: 'identity', mountPath: identity, readOnly: true },
      { name: 'snapshot', mountPath: snapshot, readOnly: true },
    ],
  };
}

/** Without what is empty, which the API server would drop. */
function resourcesOf({ resources }: LLMGatewaySpec): Readonly<Record<string, unknown>> {
  const kept = (['requests', 'limits'] as const).filter((bound) => Object.keys(resources[bound]).length > 0);
  if (kept.length === 0) return {};
  return { resources: Object.fromEntries(kept.map((bound) => [bound, sorted(canonical(resources[bound]))])) };
}

function canonical(amounts: Readonly<Record<string, string | number>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(amounts).map(([name, amount]) => [name, canonicalQuantity(amount)]));
}

/** Of the container's and the Service's port, and what Istio and others go by. */
export function portName(spec: LLMGatewaySpec): 'http' | 'https' {
  return spec.listener.tls === undefined ? 'http' : 'https';
}

/** Over nodes and zones, counting only pods of the same revision: an update does not end up on one node. */
function spread(gatewayName: string): unknown {
  return ['kubernetes.io/hostname', 'topology.kubernetes.io/zone'].map((topologyKey) => ({
    maxSkew: 1,
    topologyKey,
    whenUnsatisfiable: 'ScheduleAnyway',
    labelSelector: { matchLabels: selectorLabels(gatewayName) },
    matchLabelKeys: ['pod-template-hash'],
  }));
}

function identityVolume({ stream, caBundle }: RenderContext): unknown {
  return {
    name: 'identity',
    projected: {
      sources: [
        { serviceAccountToken: { audience: stream.audience, expirationSeconds: TOKEN_LIFETIME_S, path: 'token' } },
        { configMap: { name: caBundle.configMap, items: [{ key: caBundle.key, path: 'ca.crt' }] } },
      ],
    },
  };
}

/** One mount instead of sixteen. Each part is optional, so a fleet starts before it has a snapshot, and later finds what there is. */
function snapshotVolume(gatewayName: string): unknown {
  return {
    name: 'snapshot',
    projected: {
      sources: Array.from({ length: SNAPSHOT_PARTS }, (_, part) => ({
        secret: {
          name: snapshotSecretName(gatewayName, part),
          items: [{ key: SNAPSHOT_KEY, path: snapshotFile(part) }],
          optional: true,
        },
      })),
    },
  };
}
