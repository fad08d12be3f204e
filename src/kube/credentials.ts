import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import type { Clock } from '../lib/clock.ts';
import { parseJson } from '../lib/json.ts';
import { SecretValue } from '../lib/secret.ts';
import type { Credentials, CredentialSource } from './access.ts';
import { isRecord } from './json.ts';

/** The kubelet replaces a projected token at 80 % of its life (48 min of 60): a minute is early enough. client-go does the same. */
const TOKEN_FILE_MS = 60_000;
/** A credential is renewed this long before it ends. */
const EXPIRY_SKEW_MS = 10_000;
const EXEC_TIMEOUT_MS = 60_000;
const MAX_EXEC_OUTPUT = 1024 * 1024;
const EXEC_VERSIONS = ['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1'];

export interface ExecPlugin {
  readonly apiVersion: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Credentials that never change. */
export function fixedCredentials(credentials: Credentials): CredentialSource {
  return { current: () => credentials, refresh: () => Promise.resolve(credentials), refused: () => {} };
}

/** One refresh at a time, kept until it expires or is refused. */
class Renewed implements CredentialSource {
  readonly #clock: Clock;
  readonly #fetch: () => Promise<{ readonly credentials: Credentials; readonly untilWallMs: number }>;
  #held: { readonly credentials: Credentials; readonly untilWallMs: number } | null = null;
  #fetching: Promise<Credentials> | null = null;

  constructor(clock: Clock, fetch: () => Promise<{ readonly credentials: Credentials; readonly untilWallMs: number }>) {
    this.#clock = clock;
    this.#fetch = fetch;
  }

  current(): Credentials | null {
    return this.#held !== null && this.#clock.wallMs() < this.#held.untilWallMs ? this.#held.credentials : null;
  }

  refresh(): Promise<Credentials> {
    this.#fetching ??= this.#fetch()
      .then((held) => {
        this.#held = held;
        return held.credentials;
      })
      .finally(() => {
        this.#fetching = null;
      });
    return this.#fetching;
  }

  refused(credentials: Credentials): void {
    if (this.#held?.credentials === credentials) this.#held = null;
  }
}

/** A token that somebody else keeps fresh in a file. */
export function tokenFile(path: string, clock: Clock, fixed: Credentials = {}): CredentialSource {
  return new Renewed(clock, async () => {
    const token = (await readFile(path, 'utf8')).trim();
    if (token === '') throw new Error(`the token file ${path} is empty`);
    return { credentials: { ...fixed, token: new SecretValue(token) }, untilWallMs: clock.wallMs() + TOKEN_FILE_MS };
  });
}

/** A program that prints an ExecCredential, as kubeconfigs of cloud providers name one. */
export function execPlugin(plugin: ExecPlugin, clock: Clock): CredentialSource {
  if (!EXEC_VERSIONS.includes(plugin.apiVersion)) {
    throw new Error(
      `exec plugin ${plugin.command}: apiVersion ${plugin.apiVersion} is not known; ${EXEC_VERSIONS.join(' or ')} is`,
    );
  }
  return new Renewed(clock, async () => {
    const answer = parseJson(await run(plugin));
    const status = isRecord(answer) && isRecord(answer['status']) ? answer['status'] : {};
    const { token, clientCertificateData, clientKeyData, expirationTimestamp } = status;
    const credentials: Credentials = {
      ...(typeof token === 'string' && token !== '' ? { token: new SecretValue(token) } : {}),
      ...(typeof clientCertificateData === 'string' && typeof clientKeyData === 'string'
        ? { certificatePem: clientCertificateData, keyPem: new SecretValue(clientKeyData) }
        : {}),
    };
    if (credentials.token === undefined && credentials.keyPem === undefined) {
      throw new Error(
        `exec plugin ${plugin.command} printed no ExecCredential with a token or a client certificate in its status`,
      );
    }
    const endMs = typeof expirationTimestamp === 'string' ? Date.parse(expirationTimestamp) : Number.NaN;
    return { credentials, untilWallMs: Number.isNaN(endMs) ? Number.POSITIVE_INFINITY : endMs - EXPIRY_SKEW_MS };
  });
}

function run(plugin: ExecPlugin): Promise<string> {
  const info = { kind: 'ExecCredential', apiVersion: plugin.apiVersion, spec: { interactive: false } };
  const child = spawn(plugin.command, plugin.args, {
    env: { ...process.env, ...plugin.env, KUBERNETES_EXEC_INFO: JSON.stringify(info) },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: EXEC_TIMEOUT_MS,
  });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8');
    child[name].on('data', (chunk: string) => {
      if (output[name].length < MAX_EXEC_OUTPUT) output[name] += chunk;
    });
  }
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  child.on('error', (error) =>
    reject(new Error(`exec plugin ${plugin.command} does not start: ${error.message}`, { cause: error })),
  );
  child.on('close', (code, signal) => {
    if (code === 0) resolve(output.stdout);
    else reject(new Error(`exec plugin ${plugin.command} ended with ${code ?? signal}: ${output.stderr.trim().slice(0, 500)}`));
  });
  return promise;
}
