/** What the operator process is told, by its environment (names in lib/pod.ts, set by the chart). */
import { OPERATOR_ENV, POD_PORTS } from '../lib/pod.ts';
import { err, ok, type Result } from '../lib/result.ts';

export interface OperatorConfig {
  readonly namespace: string;
  /** Its own pod's name; null: it runs outside of a cluster, and labels no pod. */
  readonly pod: string | null;
  readonly lease: string;
  /** Of the gateways; null: that of its own pod. */
  readonly image: string | null;
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  /** Where LLMGateways are run. */
  readonly gatewayNamespaces: readonly string[];
  /** Namespaces whose Secrets are watched; empty: named Secrets are read one by one, anywhere. */
  readonly secretNamespaces: readonly string[];
  readonly keyNamespaces: readonly string[];
  readonly streamUrl: string;
  readonly streamPort: number;
  readonly adminPort: number;
  readonly podMonitorLabels: Readonly<Record<string, string>>;
  readonly prometheusUrl: string | null;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
}

type Env = Readonly<Record<string, string | undefined>>;

const PULL_POLICIES = ['Always', 'IfNotPresent', 'Never'] as const;
const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;

/** The error names the variable, its value and what would be right. */
export function readConfig(env: Env): Result<OperatorConfig, string> {
  const faults: string[] = [];
  const text = (name: string): string => env[name]?.trim() ?? '';
  const list = (name: string): readonly string[] =>
    text(name)
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '');
  const port = (name: string, standard: number): number => {
    const given = text(name);
    const value = given === '' ? standard : Number(given);
    if (!Number.isInteger(value) || value < 0 || value > 65_535) {
      faults.push(`${name}=${given} is not a port: a number from 0 (one that is free) to 65535`);
      return standard;
    }
    return value;
  };
  const oneOf = <T extends string>(name: string, all: readonly T[], standard: T): T => {
    const given = text(name);
    const found = given === '' ? standard : all.find((each) => each === given);
    if (found === undefined) faults.push(`${name}=${given} is not one of ${all.join(', ')}`);
    return found ?? standard;
  };

  const namespace = text(OPERATOR_ENV.namespace);
  if (namespace === '') faults.push(`${OPERATOR_ENV.namespace} is not set: the namespace that the operator runs in`);
  const lease = text(OPERATOR_ENV.lease) === '' ? 'fairlead' : text(OPERATOR_ENV.lease);
  const labels: Record<string, string> = {};
  for (const pair of list(OPERATOR_ENV.podMonitorLabels)) {
    const at = pair.indexOf('=');
    if (at < 1) faults.push(`${OPERATOR_ENV.podMonitorLabels} holds ${JSON.stringify(pair)}, which is not key=value`);
    else labels[pair.slice(0, at)] = pair.slice(at + 1);
  }
  const streamPort = port(OPERATOR_ENV.streamPort, POD_PORTS.stream);
  const streamUrl = text(OPERATOR_ENV.streamUrl) || `https://${lease}-stream.${namespace}.svc:${streamPort}`;
  if (!URL.canParse(streamUrl) || !streamUrl.startsWith('https://'))
    faults.push(`${OPERATOR_ENV.streamUrl}=${streamUrl} is not an https:// URL`);
  const gatewayNamespaces = list(OPERATOR_ENV.gatewayNamespaces);
  const config: OperatorConfig = {
    namespace,
    pod: text(OPERATOR_ENV.pod) || null,
    lease,
    image: text(OPERATOR_ENV.image) || null,
    imagePullPolicy: oneOf(OPERATOR_ENV.imagePullPolicy, PULL_POLICIES, 'IfNotPresent'),
    gatewayNamespaces: gatewayNamespaces.length === 0 ? [namespace] : [...new Set(gatewayNamespaces)],
    secretNamespaces: list(OPERATOR_ENV.secretNamespaces),
    keyNamespaces: list(OPERATOR_ENV.clientKeyNamespaces),
    streamUrl,
    streamPort,
    adminPort: port(OPERATOR_ENV.adminPort, POD_PORTS.admin),
    podMonitorLabels: labels,
    prometheusUrl: text(OPERATOR_ENV.prometheusUrl) || null,
    logLevel: oneOf(OPERATOR_ENV.logLevel, LOG_LEVELS, 'info'),
  };
  return faults.length === 0 ? ok(config) : err(faults.join('; '));
}
