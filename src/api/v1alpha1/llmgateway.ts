import { z } from 'zod';

import { unionRules, withRules } from '../cel.ts';
import {
  API_VERSION,
  conditionsField,
  configMapKeyRef,
  labelSelectorSchema,
  metadataSchema,
  secretKeyRef,
  secretRefSchema,
} from './common.ts';
import { count, duration, HTTP_URL, httpUrl, listOf, mapOf, objectName, quantity, setOf, share, text } from './fields.ts';
import { tls } from './model.ts';

const autoscaling = withRules(
  z.strictObject({
    minReplicas: count(1, 1000).default(2).describe('Pods at least. Default: 2.'),
    maxReplicas: count(1, 1000).describe('Pods at most.'),
    targetCPUPercent: count(1, 100)
      .default(70)
      .describe('CPU use, in percent of what is requested, that is aimed at. Default: 70.'),
    keda: z
      .strictObject({ inFlightStreams: count(1, 1_000_000).describe('Open streams a pod that are aimed at, e.g. 500.') })
      .optional()
      .describe('Scales with a KEDA ScaledObject instead of a HorizontalPodAutoscaler. Needs KEDA in the cluster.'),
  }),
  {
    rule: '!has(self.minReplicas) || self.minReplicas <= self.maxReplicas',
    message: 'minReplicas must not be above maxReplicas',
    check: (value) => value.minReplicas <= value.maxReplicas,
  },
);

const amounts = (what: string): z.ZodRecord<z.ZodString, ReturnType<typeof quantity>> =>
  mapOf(quantity().describe(`A quantity, e.g. \`${what}\`.`), 8);

const resources = z.strictObject({
  requests: amounts('100m')
    .default({ cpu: '100m', memory: '256Mi' })
    .describe('What a pod is given at least, by resource. Default: 100m of cpu, 256Mi of memory.'),
  limits: amounts('1Gi')
    .default({ memory: '1Gi' })
    .describe('What a pod may use at most, by resource. Default: 1Gi of memory, cpu without limit.'),
});

const listener = z.strictObject({
  port: count(1, 65_535).default(8080).describe('Port for clients. Default: 8080.'),
  maxRequestBytes: quantity()
    .default('32Mi')
    .describe('Largest request body, in bytes, as a quantity; beyond it 413. Default: 32Mi.'),
  maxConnectionAge: duration()
    .default('10m')
    .describe(
      "How old a client's connection may become, give or take a tenth: the next answer on it then says that it is the last, so that clients come to pods that are new. Never cuts an answer. Default: 10m.",
    ),
  tls: z
    .strictObject({
      secretRef: secretRefSchema.describe(
        'Secret of type kubernetes.io/tls in the same namespace: `tls.crt` and `tls.key`. A changed one is taken up without a restart.',
      ),
    })
    .optional()
    .describe('Serves HTTPS. Default: HTTP.'),
});

const redisFields = z.strictObject({
  mode: z.enum(['Standalone', 'Sentinel', 'Cluster']).default('Standalone').describe('How Redis is run. Default: Standalone.'),
  addressRef: secretKeyRef('url').describe(
    'Secret key with the URL, e.g. `redis://user:password@host:6379/0`, or `rediss://` for TLS; several, separated by commas, for Sentinel and Cluster.',
  ),
  sentinel: z
    .strictObject({ masterName: text(128).describe('Name of the master that the sentinels watch, e.g. `mymaster`.') })
    .optional()
    .describe('Settings for Sentinel.'),
  tls: tls
    .optional()
    .describe(
      'How Redis is verified where its URL begins with `rediss://`. Default: by the public certificate authorities and the host in its URL.',
    ),
  onUnavailable: z
    .enum(['FailOpen', 'FailClosed', 'LocalShare'])
    .default('LocalShare')
    .describe(
      'What limits do while Redis is away: FailOpen (requests pass, and say so), FailClosed (503 with Retry-After) or LocalShare (each pod enforces its share: the limit divided by the ready pods). Default: LocalShare.',
    ),
});

const redis = withRules(
  redisFields,
  ...unionRules<z.output<typeof redisFields>>('mode', [{ type: 'Sentinel', member: 'sentinel', presence: 'required' }]),
);

const clientAuthFields = z.strictObject({
  type: z
    .enum(['APIKey', 'JWT', 'None'])
    .default('APIKey')
    .describe(
      'How clients prove themselves: APIKey (keys from labelled Secrets), JWT (tokens of an issuer) or None (anyone may call). Default: APIKey.',
    ),
  apiKeySelector: labelSelectorSchema
    .default({ matchLabels: { 'fairlead.dev/api-key': 'true' } })
    .describe('For APIKey: which Secrets are client keys. Default: those labelled `fairlead.dev/api-key: "true"`.'),
  jwt: z
    .strictObject({
      issuer: httpUrl().describe('Expected `iss`, e.g. `https://login.example.com`.'),
      jwksURL: httpUrl().describe("Where the issuer's keys are published, e.g. `https://login.example.com/keys`."),
      audience: text(256).optional().describe('Expected `aud`. Default: not checked.'),
      tenantClaim: text(128).default('tenant').describe("Claim that names the caller's tenant. Default: `tenant`."),
    })
    .optional()
    .describe('Settings for JWT.'),
});

const clientAuth = withRules(
  clientAuthFields,
  ...unionRules<z.output<typeof clientAuthFields>>('type', [{ type: 'JWT', member: 'jwt', presence: 'required' }]),
);

const routeNamespacesFields = z.strictObject({
  from: z
    .enum(['Same', 'All', 'Selector'])
    .default('All')
    .describe(
      "Which namespaces' routes are taken: Same (the gateway's own), All, or Selector (those whose labels match). Default: All.",
    ),
  selector: labelSelectorSchema.optional().describe('For Selector: labels of the namespaces.'),
});

const routeNamespaces = withRules(
  routeNamespacesFields,
  ...unionRules<z.output<typeof routeNamespacesFields>>('from', [{ type: 'Selector', member: 'selector', presence: 'required' }]),
);

const telemetry = z.strictObject({
  otlpEndpoint: z
    .string()
    .max(512)
    .regex(new RegExp(`^$|${HTTP_URL}`))
    .default('')
    .describe('Where traces are sent over OTLP/HTTP, e.g. `http://otel-collector:4318`. Default: empty, no traces.'),
  traceSampling: share()
    .default('0.01')
    .describe('Share of requests that are traced where the client did not decide, e.g. "0.01". Default: "0.01".'),
  requestLog: z
    .enum(['None', 'Metadata', 'Full'])
    .default('Metadata')
    .describe(
      'What is logged of a request: None, Metadata (one line, never prompts) or Full (prompts and answers too: mind what they hold). Default: Metadata.',
    ),
});

const toleration = z.strictObject({
  key: text(317).optional().describe('Key of the taint; without it every key, with operator Exists.'),
  operator: z.enum(['Exists', 'Equal']).default('Equal').describe('Equal (`value` must be the same) or Exists. Default: Equal.'),
  value: z.string().max(63).optional().describe('Value of the taint.'),
  effect: z
    .enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute'])
    .optional()
    .describe('Effect of the taint. Default: every effect.'),
  tolerationSeconds: count(0).optional().describe('For NoExecute: how long the pod stays, in seconds. Default: for ever.'),
});

const textMap = (what: string): z.ZodRecord<z.ZodString, z.ZodString> => mapOf(z.string().max(4096).describe(what), 64);

const proxyUrl = (): z.ZodString => text(1024, '^https?://[^ ]+$');

/** Of the names that a process obeys, those that a gateway needs from outside: what else is in its environment is the operator's. */
const podEnvironment = z.strictObject({
  HTTPS_PROXY: proxyUrl()
    .optional()
    .describe('Proxy for calls to https:// addresses, those for tokens included, e.g. `http://proxy.example.com:3128`.'),
  HTTP_PROXY: proxyUrl().optional().describe('Proxy for calls to http:// addresses.'),
  NO_PROXY: text(4096)
    .optional()
    .describe('Hosts that are called without, e.g. `.example.com,10.0.0.7`. Services of the cluster always are.'),
});

const podTemplate = z.strictObject({
  labels: mapOf(z.string().max(63).describe('A label value.'), 64)
    .default({})
    .describe('Labels of the pods, beside our own. Default: none.'),
  annotations: textMap('An annotation value.').default({}).describe('Annotations of the pods. Default: none.'),
  nodeSelector: mapOf(z.string().max(63).describe('A label value.'), 16)
    .default({})
    .describe('Labels that a node must have. Default: none.'),
  tolerations: listOf(toleration, 0, 16).default([]).describe('Taints that the pods tolerate. Default: none.'),
  topologySpread: z.boolean().default(true).describe('Spreads the pods over nodes and zones where it can. Default: true.'),
  serviceAccountAnnotations: textMap('An annotation value.')
    .default({})
    .describe("Annotations of the pods' ServiceAccount: what workload identities of clouds are bound by. Default: none."),
  env: podEnvironment.default({}).describe('Environment of the pods: how calls leave the cluster. Default: none.'),
  imagePullSecrets: listOf(z.strictObject({ name: objectName().describe('Name of a Secret in the same namespace.') }), 0, 16)
    .default([])
    .describe('Secrets for pulling the image. Default: none.'),
  priorityClassName: z.string().max(253).default('').describe('PriorityClass of the pods. Default: empty, none.'),
});

const spec = withRules(
  z.strictObject({
    paused: z
      .boolean()
      .default(false)
      .describe(
        'While true the operator leaves the Deployment and all beside it as they are, whatever this spec or a newer operator would make of them; configuration still reaches the pods. Default: false.',
      ),
    version: text(63, '^[0-9]+[.][0-9]+[.][0-9]+(-[0-9A-Za-z.-]+)?$')
      .optional()
      .describe(
        "Version of Fairlead that the pods run, e.g. `0.1.0`: holds them back when the operator is upgraded. At most one minor version from the operator's. Default: the operator's own.",
      ),
    replicas: count(0, 1000).optional().describe('Number of gateway pods. Excludes `autoscaling`. Default, without either: 2.'),
    autoscaling: autoscaling.optional().describe('Lets the number of pods follow the load. Excludes `replicas`.'),
    resources: resources.prefault({}).describe('CPU and memory of a pod.'),
    listener: listener.prefault({}).describe('Where clients connect.'),
    prices: z
      .strictObject({
        configMapRef: configMapKeyRef('prices.json').describe('The ConfigMap, of the same namespace, with the list.'),
      })
      .optional()
      .describe('Prices and capabilities over the built-in lists; what a model says itself goes before both.'),
    redis: redis
      .optional()
      .describe('Redis, for limits and health that all pods share. Default: none; each pod counts for itself.'),
    clientAuth: clientAuth.prefault({}).describe('How clients prove themselves.'),
    allowedRoutes: z
      .strictObject({ namespaces: routeNamespaces.prefault({}).describe('By namespace.') })
      .prefault({})
      .describe('Which LLMRoutes may attach to this gateway.'),
    upstreams: z
      .strictObject({
        allow: setOf(text(253, '^[A-Za-z0-9*.:/-]+$').describe('A host, `*.suffix` or a CIDR, e.g. `10.20.0.0/16`.'), 0, 64)
          .default([])
          .describe(
            'Hosts and CIDRs that may be called beyond the public internet. Private, loopback, link-local and cluster addresses are refused after DNS resolution otherwise; what runs in the cluster goes by `serviceRef`. Default: none.',
          ),
      })
      .prefault({})
      .describe('Where the gateway may connect to.'),
    drain: z
      .strictObject({
        timeout: duration()
          .default('300s')
          .describe('How long open streams may run on after a pod was told to stop. Default: 300s.'),
      })
      .prefault({})
      .describe('How a pod leaves.'),
    telemetry: telemetry.prefault({}).describe('Traces and logs; metrics are always served.'),
    service: z
      .strictObject({
        type: z
          .enum(['ClusterIP', 'NodePort', 'LoadBalancer'])
          .default('ClusterIP')
          .describe('Type of the Service. Default: ClusterIP.'),
        annotations: textMap('An annotation value.')
          .default({})
          .describe('Annotations of the Service, e.g. for a load balancer. Default: none.'),
      })
      .prefault({})
      .describe('The Service in front of the pods.'),
    podTemplate: podTemplate.prefault({}).describe('What is set on the pods beyond what Fairlead decides.'),
  }),
  {
    rule: '!has(self.replicas) || !has(self.autoscaling)',
    message: 'replicas and autoscaling exclude each other',
    check: (value) => value.replicas === undefined || value.autoscaling === undefined,
  },
  {
    rule: "!has(self.autoscaling) || has(self.autoscaling.keda) || !has(self.resources) || !has(self.resources.requests) || 'cpu' in self.resources.requests || (has(self.resources.limits) && 'cpu' in self.resources.limits)",
    message: 'autoscaling by CPU needs cpu in resources.requests',
    check: ({ autoscaling: scaling, resources: { requests, limits } }) =>
      scaling === undefined || scaling.keda !== undefined || 'cpu' in requests || 'cpu' in limits,
  },
);

const status = z.strictObject({
  observedGeneration: count(0).optional().describe('The `metadata.generation` that this status is about.'),
  replicas: count(0).optional().describe('Gateway pods that are ready.'),
  programmed: count(0).optional().describe('Gateway pods that serve the newest configuration.'),
  endpoint: text(512).optional().describe('Base URL for clients, e.g. `http://default.fairlead-system.svc:8080/v1`.'),
  conditions: conditionsField(),
});

export const llmGatewaySchema = z.strictObject({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal('LLMGateway'),
  metadata: metadataSchema,
  spec: spec.prefault({}).describe('The fleet of gateway pods.'),
  status: status.optional().describe('What became of the spec. Written by the operator.'),
});

/** A fleet of gateway pods: replicas, autoscaling, Redis, listeners, client auth, telemetry. */
export type LLMGateway = z.output<typeof llmGatewaySchema>;
export type LLMGatewaySpec = z.output<typeof spec>;
