/** The verbs that talk to a cluster, and their options. */
import { type Command, Option } from 'commander';
import { clusterStatus } from './cluster-status.ts';
import type { ClusterFlags } from './cluster.ts';
import { listClientKeys, revokeClientKey } from './cluster-keys.ts';
import { doctor } from './doctor.ts';
import type { ExitCode, Io } from './io.ts';
import { DATA_FORMATS, type DataFormat } from './output.ts';

interface Flags {
  readonly namespace?: string;
  readonly context?: string;
  readonly kubeconfig?: string;
  readonly output?: DataFormat;
}

type Done = (code: ExitCode) => void;

export function withClusterOptions(command: Command): Command {
  return command
    .option('--context <name>', "context of the kubeconfig (default: the kubeconfig's current one)")
    .option('--kubeconfig <file>', 'kubeconfig (default: KUBECONFIG, ~/.kube/config, or the service account of the pod)');
}

export function clusterFlags({ context, kubeconfig }: Pick<Flags, 'context' | 'kubeconfig'>): ClusterFlags {
  return { context: context ?? null, kubeconfig: kubeconfig ?? null };
}

/** Of every verb that can print its result for programs. */
export function outputOption(): Option {
  return new Option('-o, --output <format>', 'print data for programs').choices(DATA_FORMATS);
}

export function addCluster(program: Command, io: Io, done: Done): void {
  withClusterOptions(program.command('status'))
    .summary('say what a cluster serves, and what fails and why')
    .description(
      'Lists LLMGateways, LLMBackends, LLMQuotas and LLMRoutes of a cluster with whether every ready pod serves them; exit code 1 where something is not as it should be.',
    )
    .option('-n, --namespace <namespace>', 'of this namespace only (default: all)')
    .addOption(outputOption())
    .action(async (flags: Flags) => {
      done(await clusterStatus(io, { ...clusterFlags(flags), namespace: flags.namespace ?? null, output: flags.output ?? null }));
    });
  withClusterOptions(program.command('doctor'))
    .summary('look for what keeps a cluster from serving')
    .description(
      'Looks at CRDs, operator, gateways, backends, quotas, routes and client keys of a cluster, and says what is wrong and what to do; exit code 1 where there is a problem.',
    )
    .option('-n, --namespace <namespace>', 'where the operator runs', 'fairlead-system')
    .addOption(outputOption())
    .action(async (flags: Flags & { readonly namespace: string }) => {
      done(await doctor(io, { ...clusterFlags(flags), namespace: flags.namespace, output: flags.output ?? null }));
    });
}

export function addClusterKeys(key: Command, io: Io, done: Done): void {
  withClusterOptions(key.command('list'))
    .summary('list the client keys of a cluster')
    .description(
      'Lists the client keys of a cluster: whose they are, what they may use and when they end. The keys themselves are stored nowhere.',
    )
    .option('-n, --namespace <namespace>', 'of this namespace only (default: all)')
    .addOption(outputOption())
    .action(async (flags: Flags) => {
      done(
        await listClientKeys(io, { ...clusterFlags(flags), namespace: flags.namespace ?? null, output: flags.output ?? null }),
      );
    });
  withClusterOptions(key.command('revoke'))
    .summary('revoke a client key of a cluster')
    .description('Deletes the Secret of a client key, and nothing that is none.')
    .argument('<name>', 'name of its Secret')
    .option('-n, --namespace <namespace>', 'its namespace', 'default')
    .action(async (name: string, flags: Flags & { readonly namespace: string }) => {
      done(await revokeClientKey(io, { ...clusterFlags(flags), name, namespace: flags.namespace }));
    });
}
