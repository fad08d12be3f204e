/** `fairlead try`: one prompt, its answer, and how it was made. */
import type { RouteTable } from '../routetable/types.ts';
import { chat, type ChatAnswer } from './client.ts';
import { chooseTable, configure } from './configuration.ts';
import { CommandFailed, ExitCode, type Io, messageOf, UsageError } from './io.ts';
import { type DataFormat, printData } from './output.ts';
import { type ReadObject, readObjects } from './read-objects.ts';
import { printFindings, printSecretHint } from './report.ts';
import { parseEnvSecret, VARIABLE, withSecrets } from './secrets.ts';
import { startServer } from './server.ts';
import { milliseconds, printable, styleFor } from './style.ts';

export interface TryOptions {
  /** Empty exactly where `url` is given. */
  readonly files: readonly string[];
  readonly secrets: readonly string[];
  readonly gateway: string | null;
  /** A running gateway. */
  readonly url: string | null;
  /** Name of the environment variable with the client key for `url`. */
  readonly keyEnv: string | null;
  readonly model: string;
  readonly prompt: string;
  readonly stream: boolean;
  readonly output: DataFormat | null;
}

export async function tryPrompt(io: Io, options: TryOptions): Promise<ExitCode> {
  if ((options.url === null) === (options.files.length === 0))
    throw new UsageError('try needs either --file, to start a gateway for this request, or --url of a running one');
  if (options.keyEnv !== null && options.url === null)
    throw new UsageError('--key-env goes with --url: a gateway that is started for this request needs no key');
  if (options.url !== null && !isHttpUrl(options.url))
    throw new UsageError(`--url ${options.url} is no URL of a gateway: write it like http://127.0.0.1:8080`);
  if (options.url !== null && hasPassword(options.url))
    throw new UsageError('--url takes no user and no password: --key-env names the environment variable with the client key');
  const answer =
    options.url === null ? await askHere(io, options) : await ask(io, options, options.url, keyFrom(io, options.keyEnv));
  print(io, options, answer);
  return answer.error === null ? ExitCode.Ok : ExitCode.Failed;
}

function isHttpUrl(text: string): boolean {
  return ['http:', 'https:'].includes(URL.parse(text)?.protocol ?? '');
}

function hasPassword(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && (url.username !== '' || url.password !== '');
}

async function askHere(io: Io, options: TryOptions): Promise<ChatAnswer> {
  const fromEnv = options.secrets.map((text) => parseEnvSecret(text, io.env));
  const read = await readObjects(options.files, io);
  const objects = withSecrets(read.objects, fromEnv).map(withoutCertificate);
  const configuration = configure(objects, read.problems, { where: 'Laptop' });
  printFindings(
    io,
    configuration.findings.filter(({ severity }) => severity !== 'note'),
  );
  printSecretHint(io, configuration.findings);
  const table = withoutClientAuth(chooseTable(configuration, options.gateway));
  const server = await startServer(io, table, { host: '127.0.0.1', port: 0, adminPort: 0, log: 'none' });
  try {
    return await ask(io, options, server.url, null);
  } finally {
    await server.gateway.close(0);
  }
}

/** Whoever has the files may use what is in them; nobody else reaches this gateway, on a port of its own for one request. */
function withoutClientAuth(table: RouteTable): RouteTable {
  return { ...table, settings: { ...table.settings, clientAuth: 'None' } };
}

/** Its listener speaks plain HTTP for the same reason, so the Secret of its certificate may be elsewhere. */
function withoutCertificate(read: ReadObject): ReadObject {
  const { object } = read;
  if (object.kind !== 'LLMGateway') return read;
  const { tls: _, ...listener } = object.spec.listener;
  return { ...read, object: { ...object, spec: { ...object.spec, listener } } };
}

function keyFrom(io: Io, variable: string | null): string | null {
  if (variable === null) return null;
  // Not repeated: by mistake it may be the key itself. Nor is what the variable holds, which whoever sends it would quote.
  if (!VARIABLE.test(variable))
    throw new UsageError('--key-env takes the name of an environment variable, never the client key itself');
  const key = io.env[variable]?.trim();
  if (key === undefined || key === '') throw new UsageError(`--key-env ${variable}: the environment variable is not set`);
  if (!/^[!-~]+$/.test(key))
    throw new UsageError(`--key-env ${variable}: the environment variable holds no client key, which is one word of ASCII`);
  return key;
}

async function ask(io: Io, { model, prompt, stream, output }: TryOptions, url: string, key: string | null): Promise<ChatAnswer> {
  const shown = output === null && stream ? { onText: (text: string) => io.stdout.write(shownText(io, text)) } : {};
  try {
    return await chat({ url, key, model, prompt, stream, ...shown }, () => io.clock.nowMs());
  } catch (error) {
    // fetch itself says only that it failed; its cause says why.
    const cause: unknown = typeof error === 'object' && error !== null && 'cause' in error ? error.cause : error;
    throw new CommandFailed(`no answer from ${url}: ${messageOf(cause)}`, { cause: error });
  }
}

/** A model's text is somebody else's: at a terminal it is kept from steering it; a pipe gets it as it is. */
function shownText(io: Io, text: string): string {
  return io.stdout.isTTY ? printable(text) : text;
}

function print(io: Io, { output, stream }: TryOptions, answer: ChatAnswer): void {
  const { headers, usage, cost, error, durationMs, firstTokenMs } = answer;
  const made = {
    target: headers.get('x-fairlead-model'),
    reason: headers.get('x-fairlead-reason'),
    attempts: Number(headers.get('x-fairlead-attempts') ?? '0'),
    requestId: headers.get('x-request-id'),
  };
  if (output !== null) {
    printData(io, output, {
      status: answer.status,
      answer: answer.text,
      error,
      ...made,
      usage,
      costUsd: cost,
      durationMs: Math.round(durationMs),
      firstTokenMs: firstTokenMs === null ? null : Math.round(firstTokenMs),
    });
    return;
  }
  if (!stream) io.stdout.write(answer.text === '' ? '' : `${shownText(io, answer.text)}\n`);
  else if (answer.text !== '') io.stdout.write('\n');
  const style = styleFor(io.stderr, io.env);
  if (error !== null)
    io.stderr.write(
      `${style.red(`${answer.status}${error.code === null ? '' : ` ${error.code}`}`)}: ${printable(error.message)}\n`,
    );
  const facts = [
    made.target === null ? null : `${made.target} answered`,
    made.reason === null ? null : printable(made.reason),
    `${made.attempts} ${made.attempts === 1 ? 'attempt' : 'attempts'}`,
    usage === null ? null : `${usage.inputTokens} + ${usage.outputTokens} tokens`,
    cost === null ? null : `$${cost}`,
    firstTokenMs === null ? null : `first token after ${milliseconds(firstTokenMs)}`,
    milliseconds(durationMs),
  ];
  io.stderr.write(`${style.dim(facts.filter((fact) => fact !== null).join(' · '))}\n`);
}
