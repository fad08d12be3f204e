/** The command line: verbs, their options, their help, and what becomes of what they throw. */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { addCluster, addClusterKeys, clusterFlags, outputOption, withClusterOptions } from './cluster-commands.ts';
import { demo } from './demo.ts';
import { explain } from './explain.ts';
import { init } from './init.ts';
import { CommandFailed, ExitCode, type Io, UsageError } from './io.ts';
import { createClientKey } from './key.ts';
import type { DataFormat } from './output.ts';
import { run } from './run.ts';
import { LOG_FORMATS, type LogFormat } from './server.ts';
import { styleFor } from './style.ts';
import { tryPrompt } from './try.ts';
import { validate } from './validate.ts';
import { VERSION } from './version.ts';

/** Runs one command. `argv`: without node and script. Resolves with the process's exit code; throws only what is a fault of ours. */
export async function main(argv: readonly string[], io: Io): Promise<ExitCode> {
  let code: ExitCode = ExitCode.Ok;
  const program = buildProgram(io, (result) => {
    code = result;
  });
  try {
    if (argv.length === 0) program.outputHelp();
    else await program.parseAsync(argv, { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.Ok : ExitCode.Usage;
    const style = styleFor(io.stderr, io.env);
    if (error instanceof UsageError) {
      io.stderr.write(`${style.red('error: ')}${error.message}\n`);
      return ExitCode.Usage;
    }
    if (error instanceof CommandFailed) {
      io.stderr.write(`${style.red('error: ')}${error.message}\n`);
      return ExitCode.Failed;
    }
    throw error;
  }
}

function buildProgram(io: Io, done: (code: ExitCode) => void): Command {
  const program = new Command('fairlead')
    .description('One endpoint in front of your language models: routing, failover and limits that explain themselves.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help for a command')
    .addHelpText(
      'after',
      `
Examples:
  fairlead demo                                     see it work: no key, no network
  fairlead init && fairlead validate -f llmroute.yaml
  fairlead run -f llmroute.yaml --watch --secret openai/api-key=OPENAI_API_KEY

Exit codes: 0 done, 1 it could not be done, 2 the command line is wrong.
Data goes to stdout, everything else to stderr. NO_COLOR turns colours off.`,
    );
  program.showSuggestionAfterError().showHelpAfterError('Run it with --help to see what there is.');
  // Subcommands take these over, so they come first.
  program.exitOverride().configureOutput({
    writeOut: (text) => io.stdout.write(text),
    writeErr: (text) => io.stderr.write(text),
    getOutHelpWidth: () => helpWidth(io.stdout.columns),
    getErrHelpWidth: () => helpWidth(io.stderr.columns),
    getOutHasColors: () => false,
    getErrHasColors: () => false,
    outputError: (text, write) => write(text.replace(/^error: /, styleFor(io.stderr, io.env).red('error: '))),
  });
  addServing(program, io, done);
  addChecking(program, io, done);
  addKeys(program, io, done);
  addCluster(program, io, done);
  return program;
}

const MAX_HELP_WIDTH = 100;

function helpWidth(columns: number | undefined): number {
  return Math.min(columns ?? MAX_HELP_WIDTH, MAX_HELP_WIDTH);
}

type Done = (code: ExitCode) => void;

interface RunFlags {
  readonly file?: readonly string[];
  readonly secret?: readonly string[];
  readonly gateway?: string;
  readonly host: string;
  readonly port?: number;
  readonly adminPort: number;
  readonly watch?: true;
  readonly log?: LogFormat;
}

function addServing(program: Command, io: Io, done: Done): void {
  program
    .command('demo')
    .summary('see it work: built-in models, no key, no network')
    .description(
      'Starts five mock models and a gateway on this machine, sends a handful of requests that show a weighted choice, failover, a content filter, a limit and streams, and goes on serving until Ctrl-C.',
    )
    .option('--once', 'end after the requests (so it does without a terminal)')
    .option('--port <port>', 'listen here (default: 8080, or one that is free)', parsePort)
    .action(async ({ once, port }: { readonly once?: true; readonly port?: number }) => {
      done(await demo(io, { once: once === true || !io.stdout.isTTY, port: port ?? null }));
    });

  program
    .command('run')
    .summary('serve the routes in files')
    .description('Serves the LLMRoutes in files on this machine: the same files that kubectl applies to a cluster.')
    .argument('[files...]', 'further files')
    .addOption(filesOption())
    .addOption(secretOption())
    .option('--watch', 'follow the files: a good edit is served at once, a bad one is told and changes nothing')
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <port>', "port for clients (default: the LLMGateway's, 8080 without one)", parsePort)
    .option('--admin-port <port>', 'port for health, metrics and configuration', parsePort, 9090)
    .addOption(gatewayOption())
    .addOption(
      new Option('--log <format>', 'what is logged of requests, on stdout (default: text at a terminal, else json)').choices(
        LOG_FORMATS,
      ),
    )
    .addHelpText(
      'after',
      `
Without an LLMGateway in the files one stands in: it serves every route, on the loopback, and asks for client keys
exactly when the files have Secrets labelled fairlead.dev/api-key (see "fairlead key create").

Requests are logged on stdout, everything else is said on stderr. Ctrl-C waits for requests under way; again, it does not.
HTTP_PROXY, HTTPS_PROXY and NO_PROXY are obeyed.

Examples:
  fairlead run -f llmroute.yaml --watch --secret openai/api-key=OPENAI_API_KEY
  fairlead run -f routes/ -f keys.yaml --port 4000
  kubectl get llmroute,llmbackend,llmquota,llmgateway,secret -o yaml | fairlead run -f -`,
    )
    .action(async (files: readonly string[], flags: RunFlags) => {
      const { secret, gateway, host, port, adminPort, watch, log } = flags;
      const options = {
        secrets: secret ?? [],
        gateway: gateway ?? null,
        host,
        port: port ?? null,
        adminPort,
        watch: watch === true,
        log: log ?? null,
      };
      done(await run(io, { files: allFiles(flags.file, files), ...options }));
    });

  program
    .command('try')
    .summary('send one prompt, see the answer and how it was made')
    .description(
      'Sends one prompt, through a gateway that is started for it or through a running one, and prints the answer (stdout) and how it was made (stderr).',
    )
    .argument('<prompt>', 'what to ask')
    .requiredOption('-m, --model <name>', 'the model name, as a client sends it')
    .addOption(filesOption('file, directory or - with the routes; may be repeated'))
    .addOption(secretOption())
    .option('--url <url>', 'ask this running gateway instead, e.g. http://127.0.0.1:8080')
    .option('--key-env <variable>', 'environment variable with the client key for --url')
    .option('--stream', 'print the answer as it comes')
    .addOption(gatewayOption())
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Examples:
  fairlead try -f llmroute.yaml -m chat --stream "Name three rivers"
  fairlead try --url http://127.0.0.1:8080 --key-env FAIRLEAD_KEY -m chat "Name three rivers"`,
    )
    .action(async (prompt: string, flags: TryFlags) => {
      const { file, secret, url, keyEnv, model, stream, gateway, output } = flags;
      const here = { files: file ?? [], secrets: secret ?? [], gateway: gateway ?? null };
      const there = { url: url ?? null, keyEnv: keyEnv ?? null };
      done(await tryPrompt(io, { ...here, ...there, model, prompt, stream: stream === true, output: output ?? null }));
    });
}

interface TryFlags {
  readonly file?: readonly string[];
  readonly secret?: readonly string[];
  readonly gateway?: string;
  readonly url?: string;
  readonly keyEnv?: string;
  readonly model: string;
  readonly stream?: true;
  readonly output?: DataFormat;
}

interface ExplainFlags {
  readonly file?: readonly string[];
  readonly request: string;
  readonly path: string;
  readonly header?: readonly string[];
  readonly as?: string;
  readonly gateway?: string;
  readonly output?: DataFormat;
}

function addChecking(program: Command, io: Io, done: Done): void {
  program
    .command('init')
    .summary('write a starter file')
    .description('Writes a commented starter file that runs on this machine and in a cluster.')
    .argument('[file]', 'where to; - for stdout', 'llmroute.yaml')
    .option('--force', 'overwrite a file that is there')
    .action(async (file: string, { force }: { readonly force?: true }) => {
      done(await init(io, { file, force: force === true }));
    });

  program
    .command('validate')
    .summary('say everything that is wrong with files')
    .description(
      'Checks files as strictly as the API server does, and what only the gateway can tell; exit code 1 where something is wrong. What the objects refer to may be elsewhere: that is a warning.',
    )
    .argument('[files...]', 'further files')
    .addOption(filesOption())
    .addOption(outputOption())
    .action(
      async (files: readonly string[], { file, output }: { readonly file?: readonly string[]; readonly output?: DataFormat }) => {
        done(await validate(io, { files: allFiles(file, files), output: output ?? null }));
      },
    );

  program
    .command('explain')
    .summary('say which model would answer a request, and why')
    .description(
      'Says which route, rule and model would answer a request, which would follow when that fails, and why each other one is left out. Nothing is sent; no keys are needed.',
    )
    .argument('[files...]', 'further files')
    .addOption(filesOption())
    .requiredOption('--request <file>', "file with the request's body, - for stdin")
    .option('--path <path>', 'the path that the client calls', '/v1/chat/completions')
    .addOption(new Option('--header <name=value>', 'a request header; may be repeated').argParser(collect))
    .option('--as <caller>', 'a tenant, or NAMESPACE/NAME of a client key (default: a caller who may use every route)')
    .addOption(gatewayOption())
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Example:
  fairlead explain -f llmroute.yaml --request body.json --header x-data=private --as team-a`,
    )
    .action(async (files: readonly string[], flags: ExplainFlags) => {
      const { request, path, header, as, gateway, output } = flags;
      const asked = { request, path, headers: header ?? [], as: as ?? null };
      done(await explain(io, { files: allFiles(flags.file, files), ...asked, gateway: gateway ?? null, output: output ?? null }));
    });
}

interface KeyFlags {
  readonly name: string;
  readonly namespace: string;
  readonly tenant?: string;
  readonly models?: string;
  readonly expires?: string;
  readonly output?: DataFormat;
  readonly apply?: true;
  readonly context?: string;
  readonly kubeconfig?: string;
}

function addKeys(program: Command, io: Io, done: Done): void {
  const key = program
    .command('key')
    .summary('make, list and revoke client keys')
    .description('Client keys: what callers of a gateway prove themselves with.');
  withClusterOptions(key.command('create'))
    .summary('make a client key')
    .description('Makes a client key. The Secret, with the hash alone, goes to stdout; the key itself is shown once, on stderr.')
    .requiredOption('--name <name>', 'name of the Secret')
    .option(
      '-n, --namespace <namespace>',
      "the team's namespace; keys of the gateway's namespace may call every route",
      'default',
    )
    .option('--tenant <tenant>', "whom the key speaks for; only in the gateway's namespace")
    .option('--models <names>', 'model names it may use, exact or with one trailing *, separated by commas (default: all)')
    .option('--expires <time>', 'when it ends, e.g. 2027-01-31T00:00:00Z (default: never)')
    .option('--apply', 'make the Secret in the cluster, instead of printing it')
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Examples:
  fairlead key create --name alice -n team-a --apply
  fairlead key create --name alice -n team-a | kubectl apply -f -
  fairlead key create --name ci --models 'chat,gpt-4o*' --expires 2027-01-31T00:00:00Z > key.yaml`,
    )
    .action(async (flags: KeyFlags) => {
      const { name, namespace, tenant, models, expires, output, apply } = flags;
      done(
        await createClientKey(io, {
          cluster: apply === true ? clusterFlags(flags) : null,
          name,
          namespace,
          tenant: tenant ?? null,
          models: models ?? null,
          expires: expires ?? null,
          output: output ?? null,
        }),
      );
    });
  addClusterKeys(key, io, done);
}

function filesOption(what = 'file, directory or - (stdin); may be repeated'): Option {
  return new Option('-f, --file <file>', what).argParser(collect);
}

function secretOption(): Option {
  return new Option(
    '--secret <name/key=variable>',
    "a Secret's value, [NAMESPACE/]NAME/KEY, from an environment variable; may be repeated",
  ).argParser(collect);
}

function gatewayOption(): Option {
  return new Option('--gateway <namespace/name>', 'which LLMGateway of the files, where they have several').argParser(
    (text: string) => {
      if (!/^[^/]+\/[^/]+$/.test(text)) throw new InvalidArgumentError('Write NAMESPACE/NAME.');
      return text;
    },
  );
}

/** `-f a -f b` and, because shells expand `-f *.yaml` so, `-f a b`. */
function allFiles(flags: readonly string[] = [], rest: readonly string[]): readonly string[] {
  const files = [...flags, ...rest];
  if (files.length === 0)
    throw new UsageError('which files? Give them with -f, e.g. -f llmroute.yaml (`fairlead init` writes one)');
  if (files.includes('')) throw new UsageError('-f "" names no file (is a variable empty?)');
  return files;
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535)
    throw new InvalidArgumentError('A port is a number from 0 (one that is free) to 65535.');
  return port;
}
