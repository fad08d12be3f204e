/** `fairlead` in this process: its arguments, what it prints, what it serves. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from '@jest/globals';

import type { ExitCode } from '../../../src/cli/io.ts';
import { main } from '../../../src/cli/main.ts';
import { TestIo, type TestIoOptions } from '../../../src/cli/testdata/test-io.ts';

/** Shared machines stall; nothing here waits for as long as this unless it fails. */
export const PATIENCE_MS = 120_000;

/** Of the test that runs: where its files are. */
export let folder = '';
const ios: TestIo[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'fairlead-cli-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
  for (const io of ios.splice(0)) io.dispose();
});

export function newIo(options: TestIoOptions = {}): TestIo {
  const io = new TestIo(options);
  ios.push(io);
  return io;
}

export function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

export interface Ran {
  readonly code: ExitCode;
  readonly out: string;
  readonly err: string;
}

export async function fairlead(argv: readonly string[], options: TestIoOptions = {}): Promise<Ran> {
  const io = newIo(options);
  const code = await main(argv, io);
  return { code, out: io.stdout.text, err: io.stderr.text };
}

export function routeYaml(
  origin: string,
  { name = 'chat', targets = '[{model: fast, priority: 0}, {model: strong, priority: 1}]', more = '' } = {},
): string {
  const model = (id: string): string => `  - name: ${id}
    provider: {type: OpenAICompatible, openAICompatible: {model: ${id}, baseURL: "${origin}/v1"}}
    auth: {type: APIKey, apiKey: {secretKeyRef: {name: upstream}}}
    pricing: {input: "1", output: "2"}
`;
  return `apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat}
spec:
  modelNames: [${name}]
  models:
${model('fast')}${model('strong')}  rules:
  - name: default
    targets: ${targets}
${more}---
apiVersion: v1
kind: Secret
metadata: {name: upstream}
stringData: {api-key: sk-upstream-secret}
`;
}

export async function ask(url: string, model: string, { key = '', stream = false } = {}): Promise<Response> {
  return fetch(`${url}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(key === '' ? {} : { authorization: `Bearer ${key}` }) },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello' }], stream }),
  });
}

/** `fairlead run` until the test stops it. */
export async function serving(
  argv: readonly string[],
  options: TestIoOptions = {},
): Promise<{ readonly io: TestIo; readonly url: string; readonly ended: Promise<ExitCode> }> {
  const io = newIo(options);
  const ended = main(['run', '--port', '0', '--admin-port', '0', ...argv], io);
  return { io, ended, url: await endpoint(io, ended) };
}

export async function endpoint(io: TestIo, ended: Promise<ExitCode>): Promise<string> {
  const announced = io.stderr.until(/^API +(\S+)/m);
  const first = await Promise.race([announced, ended]);
  if (typeof first === 'number') throw new Error(`ended with ${first}: ${io.stderr.text}`);
  await io.stderr.until(/^config .*\n/m);
  return first[1] ?? '';
}
