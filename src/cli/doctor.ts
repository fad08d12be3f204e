/** `fairlead doctor`: looks for what keeps a cluster from serving, in the order in which one would, and says what to do. */
import { KINDS, type KindDefinition } from '../api/crd.ts';
import { isOlderInstallation, lacksOf } from '../api/crd-age.ts';
import { GROUP } from '../api/v1alpha1/common.ts';
import { API_KEY_LABEL } from '../auth/new-key.ts';
import type { KubeClient } from '../kube/client.ts';
import { keyOf, type KubeObject } from '../kube/objects.ts';
import type { KubeResult } from '../kube/outcome.ts';
import { member } from '../lib/json.ts';
import {
  BACKENDS,
  conditionsOf,
  CRDS,
  explainFailure,
  firstFault,
  GATEWAYS,
  LEASES,
  listObjects,
  PODS,
  QUOTAS,
  ROUTES,
  SECRETS,
  textOf,
  UPGRADE_CRDS,
  withCluster,
  type ClusterFlags,
} from './cluster.ts';
import { keyRow } from './cluster-keys.ts';
import { ExitCode, type Io, messageOf } from './io.ts';
import { printData, type DataFormat } from './output.ts';
import { counted, printable, styleFor } from './style.ts';

export interface DoctorOptions extends ClusterFlags {
  /** Where the operator runs. */
  readonly namespace: string;
  readonly output: DataFormat | null;
}

interface Finding {
  readonly state: 'ok' | 'warning' | 'problem';
  readonly check: string;
  readonly message: string;
  /** null: nothing is to be done. */
  readonly remedy: string | null;
}

const DEFAULT_ANNOTATION = 'fairlead.dev/is-default-gateway';
const OPERATOR_PODS = 'app.kubernetes.io/name=fairlead,app.kubernetes.io/component=operator';
const SHOWN_AT_MOST = 20;
/** Of the Lease's duration: a leader renews it five times as often. */
const LATE_MS = 15_000;

/** Exit code 1 where there is a problem. */
export async function doctor(io: Io, options: DoctorOptions): Promise<ExitCode> {
  const findings = await withCluster(io, options, (client) => examine(client, options.namespace, io.clock.wallMs()));
  if (options.output === null) print(io, findings);
  else printData(io, options.output, findings);
  return findings.some(({ state }) => state === 'problem') ? ExitCode.Failed : ExitCode.Ok;
}

async function examine(client: KubeClient, namespace: string, wallMs: number): Promise<readonly Finding[]> {
  const { findings: crds, absent } = await examineCrds(client);
  if (crds.some(({ state }) => state === 'problem')) return crds;
  // Each looks for itself: what one may not read keeps no other from looking.
  const rest = await Promise.all([
    guarded('operator', () => examineOperator(client, namespace, wallMs)),
    guarded('gateways', () => examineGateways(client)),
    ...[BACKENDS, QUOTAS]
      .filter(({ kind }) => !absent.has(kind))
      .map((of) => guarded(`${of.kind}s`, async () => faultsOf(await listObjects(client, of, null)))),
    guarded('routes', () => examineRoutes(client)),
    guarded('client keys', () => examineKeys(client, wallMs)),
  ]);
  return [...crds, ...rest.flat()];
}

async function guarded(check: string, look: () => Promise<readonly Finding[]>): Promise<readonly Finding[]> {
  try {
    return await look();
  } catch (error) {
    return [{ state: 'warning', check, message: `could not be looked at: ${messageOf(error)}`, remedy: null }];
  }
}

/** `absent`: kinds that the cluster does not know. */
async function examineCrds(
  client: KubeClient,
): Promise<{ readonly findings: readonly Finding[]; readonly absent: ReadonlySet<string> }> {
  const findings: Finding[] = [];
  const answers: (readonly [KindDefinition, KubeResult<KubeObject>])[] = [];
  for (const definition of KINDS) answers.push([definition, await client.get(CRDS, { name: `${definition.plural}.${GROUP}` })]);
  const absent = new Set(answers.flatMap(([{ kind }, got]) => (!got.ok && got.error.kind === 'not_found' ? [kind] : [])));
  const older = isOlderInstallation(absent);
  for (const [definition, installed] of answers) {
    const name = `${definition.plural}.${GROUP}`;
    if (absent.has(definition.kind)) {
      findings.push({
        state: older ? 'warning' : 'problem',
        check: 'CRDs',
        message: `CRD ${name} is not installed${older ? ': the installed CRDs are older than this build' : ''}`,
        remedy: older ? UPGRADE_CRDS : 'install the Helm chart, or kubectl apply --server-side -k crds/',
      });
      continue;
    }
    if (!installed.ok) {
      findings.push({
        state: installed.error.kind === 'forbidden' ? 'warning' : 'problem',
        check: 'CRDs',
        message: explainFailure(installed.error),
        remedy: null,
      });
      continue;
    }
    const lacks = lacksOf(definition, installed.value);
    if (lacks.length > 0)
      findings.push({
        state: 'warning',
        check: 'CRDs',
        message: `CRD ${name} is older than this build: it lacks ${lacks.slice(0, 5).join(', ')}${lacks.length > 5 ? ', …' : ''}`,
        remedy: UPGRADE_CRDS,
      });
  }
  if (findings.length === 0) findings.push(good('CRDs', `${counted(KINDS.length, 'CRD')} installed, as new as this build`));
  return { findings, absent };
}

async function examineOperator(client: KubeClient, namespace: string, wallMs: number): Promise<readonly Finding[]> {
  const pods = await listObjects(client, PODS, namespace, OPERATOR_PODS);
  const leases = await listObjects(client, LEASES, namespace);
  const findings: Finding[] = [];
  const ready = pods.filter(isReady).length;
  const remedy = `kubectl -n ${namespace} describe pods -l ${OPERATOR_PODS}; kubectl -n ${namespace} logs -l ${OPERATOR_PODS}`;
  if (pods.length === 0)
    findings.push({
      state: 'problem',
      check: 'operator',
      message: `no operator pod is in namespace ${namespace}`,
      remedy: 'install the Helm chart, or name its namespace with -n',
    });
  else
    findings.push(
      ready === pods.length
        ? good('operator', `${counted(ready, 'pod')} ready`)
        : {
            state: ready === 0 ? 'problem' : 'warning',
            check: 'operator',
            message: `${ready} of ${counted(pods.length, 'pod')} ready`,
            remedy,
          },
    );
  const held = leases.find(
    (lease) =>
      textOf(member(lease['spec'], 'holderIdentity')) !== '' &&
      pods.some(({ metadata }) => holderOf(lease).startsWith(`${metadata.name}_`)),
  );
  if (pods.length > 0 && held === undefined)
    findings.push({
      state: 'problem',
      check: 'leader',
      message: 'no operator pod holds the Lease, so nothing new is served',
      remedy,
    });
  if (held !== undefined) {
    const lateMs = wallMs - Date.parse(textOf(member(held['spec'], 'renewTime')));
    findings.push(
      lateMs > LATE_MS
        ? {
            state: 'problem',
            check: 'leader',
            message: `${holderOf(held)} has not renewed the Lease for ${Math.round(lateMs / 1_000)} s`,
            remedy,
          }
        : good('leader', holderOf(held)),
    );
  }
  return findings;
}

async function examineGateways(client: KubeClient): Promise<readonly Finding[]> {
  const gateways = await listObjects(client, GATEWAYS, null);
  if (gateways.length === 0)
    return [
      {
        state: 'problem',
        check: 'gateways',
        message: 'there is no LLMGateway',
        remedy: 'apply one; the Helm chart makes one called default',
      },
    ];
  const defaults = gateways
    .filter(({ metadata }) => metadata.annotations?.[DEFAULT_ANNOTATION] === 'true')
    .map(({ metadata }) => keyOf(metadata));
  const findings = faultsOf(gateways);
  if (defaults.length === 0)
    findings.push({
      state: 'warning',
      check: 'gateways',
      message: 'none is the default one: routes without parentRefs belong to nobody',
      remedy: `kubectl annotate llmgateway NAME ${DEFAULT_ANNOTATION}=true`,
    });
  if (defaults.length > 1)
    findings.push({
      state: 'warning',
      check: 'gateways',
      message: `several are called the default one, the oldest is: ${defaults.join(', ')}`,
      remedy: 'take the annotation from all but one',
    });
  return findings;
}

async function examineRoutes(client: KubeClient): Promise<readonly Finding[]> {
  const routes = await listObjects(client, ROUTES, null);
  if (routes.length === 0)
    return [
      { state: 'warning', check: 'routes', message: 'there is no LLMRoute yet', remedy: '`fairlead init` writes a first one' },
    ];
  return faultsOf(routes);
}

/** What does not hold, object by object; one line where everything does. */
export function faultsOf(objects: readonly KubeObject[]): Finding[] {
  const [first] = objects;
  if (first === undefined) return [];
  const check = `${first.kind}s`;
  const faulty = objects.flatMap((object): readonly Finding[] => {
    const fault = firstFault(object);
    const name = `${object.kind} ${keyOf(object.metadata)}`;
    if (conditionsOf(object).length === 0)
      return [{ state: 'problem', check, message: `${name} has no status: no operator has looked at it`, remedy: null }];
    const stale = conditionsOf(object).find((found) => found.stale);
    if (fault === null && stale !== undefined)
      return [
        {
          state: 'warning',
          check,
          message: `${name}: the operator has not judged its newest version yet (${stale.type})`,
          remedy: null,
        },
      ];
    if (fault === null) return [];
    // A model that is left out, or a field that is served otherwise, is worth a word; the rest serves.
    const state = fault.type === 'Accepted' || fault.type === 'Programmed' || fault.type === 'Ready' ? 'problem' : 'warning';
    return [
      { state, check, message: `${name}: ${fault.type} is ${fault.status}, ${fault.reason}: ${fault.message}`, remedy: null },
    ];
  });
  const shown = faulty.slice(0, SHOWN_AT_MOST);
  if (faulty.length > shown.length)
    shown.push({
      state: 'warning',
      check,
      message: `and ${faulty.length - shown.length} more`,
      remedy: '`fairlead status` shows all',
    });
  return faulty.length > 0
    ? shown
    : [
        good(
          check,
          first.kind === 'LLMQuota'
            ? `${objects.length} held by every ready pod`
            : `${objects.length} served by every ready pod, with a healthy target for each rule`,
        ),
      ];
}

async function examineKeys(client: KubeClient, wallMs: number): Promise<readonly Finding[]> {
  return keyFindings(await listObjects(client, SECRETS, null, `${API_KEY_LABEL}=true`), wallMs);
}

export function keyFindings(keys: readonly KubeObject[], wallMs: number): readonly Finding[] {
  if (keys.length === 0)
    return [
      {
        state: 'warning',
        check: 'client keys',
        message: 'there is none: gateways that ask for keys answer 401 to everybody',
        remedy: 'fairlead key create --name me -n NAMESPACE --apply',
      },
    ];
  const useless = keys.flatMap((secret): readonly Finding[] => {
    const { metadata } = secret;
    const { state } = keyRow(secret, wallMs);
    if (state === 'Valid') return [];
    return [
      {
        state: 'warning',
        check: 'client keys',
        message: `${keyOf(metadata)} ${state === 'Expired' ? 'has expired' : 'cannot be read, so that its key is refused: sha256, models or expires is malformed'}`,
        remedy: `fairlead key revoke ${metadata.name} -n ${metadata.namespace ?? ''}`,
      },
    ];
  });
  return [good('client keys', counted(keys.length, 'key')), ...useless];
}

function good(check: string, message: string): Finding {
  return { state: 'ok', check, message, remedy: null };
}

function holderOf(lease: KubeObject): string {
  return textOf(member(lease['spec'], 'holderIdentity'));
}

function isReady(pod: KubeObject): boolean {
  return conditionsOf(pod).some(({ type, status }) => type === 'Ready' && status === 'True');
}

function print(io: Io, findings: readonly Finding[]): void {
  const style = styleFor(io.stdout, io.env);
  const marks = { ok: style.green('ok     '), warning: style.yellow('warning'), problem: style.red('problem') };
  for (const { state, check, message, remedy } of findings) {
    io.stdout.write(`${marks[state]}  ${style.bold(check)}: ${printable(message)}\n`);
    if (remedy !== null) io.stdout.write(`         ${style.cyan(remedy)}\n`);
  }
  const problems = findings.filter(({ state }) => state === 'problem').length;
  io.stdout.write(
    problems === 0
      ? `\n${style.green('Nothing keeps this cluster from serving.')}\n`
      : `\n${style.red(counted(problems, 'problem'))}\n`,
  );
}
