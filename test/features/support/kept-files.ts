/** Gateways over accounts of OpenAI's that keep files and run batches, and the official client that asks for them. */
import OpenAI, { toFile } from 'openai';
import { chat, responses } from './dialects.ts';
import { startGateway, type TestGateway, type TestGatewayOptions } from './gateway.ts';
import { clientKeyYaml, documents, gatewayYaml } from './secrets.ts';
import { FakeUpstream, type ReceivedCall } from './upstream.ts';

export const KEYS = {
  a: 'fl-team-a-key-one',
  a2: 'fl-team-a-key-two',
  b: 'fl-team-b-key',
  limited: 'fl-team-a-key-limited',
} as const;
export type Key = keyof typeof KEYS;
export const SECRETS = documents(
  clientKeyYaml(KEYS.a, { name: 'one', namespace: 'team-a' }),
  clientKeyYaml(KEYS.a2, { name: 'two', namespace: 'team-a' }),
  clientKeyYaml(KEYS.limited, { name: 'limited', namespace: 'team-a', models: ['other'] }),
  clientKeyYaml(KEYS.b, { name: 'key', namespace: 'team-b' }),
);

/** What is kept of a file. */
interface Kept {
  readonly purpose: string;
  readonly content: string;
}

/** OpenAI's service as its reference describes it, as far as these tests go: https://platform.openai.com/docs/api-reference/files */
export class Account {
  readonly upstream: FakeUpstream;
  readonly files = new Map<string, Kept>();
  readonly #name: string;
  #made = 0;

  private constructor(name: string, upstream: FakeUpstream) {
    this.#name = name;
    this.upstream = upstream;
  }

  static async start(name: string): Promise<Account> {
    const account = new Account(name, await FakeUpstream.start());
    account.upstream.respond((call) => account.answer(call));
    return account;
  }

  get calls(): number {
    return this.upstream.calls.length;
  }

  answer(call: ReceivedCall): void {
    const [path = ''] = call.path.replace(/^\/v1/, '').split('?');
    const [, collection = '', id, below] = path.split('/');
    const say = (status: number, body: object): void => call.answer(status, JSON.stringify(body));
    const missing = { error: { message: 'No such File object', type: 'invalid_request_error', param: 'id', code: null } };
    if (collection === 'files' && id === undefined) {
      const made = `file-${this.#name}${++this.#made}`;
      this.files.set(made, { purpose: field(call, 'purpose'), content: field(call, 'file') });
      say(200, this.#file(made));
    } else if (collection === 'files' && id !== undefined) {
      const kept = this.files.get(id);
      if (kept === undefined) say(404, missing);
      else if (below === 'content') call.answer(200, kept.content, { 'content-type': 'application/octet-stream' });
      else if (call.method === 'DELETE') say(200, { id, object: 'file', deleted: this.files.delete(id) });
      else say(200, this.#file(id));
    } else if (collection === 'batches') {
      const made = id ?? `batch_${this.#name}${++this.#made}`;
      const done = call.method === 'GET';
      if (done) this.files.set(`file-out-${made}`, { purpose: 'batch_output', content: `{"of":"${made}"}\n` });
      const status = below === 'cancel' ? 'cancelling' : done ? 'completed' : 'validating';
      say(200, {
        id: made,
        object: 'batch',
        status,
        ...(done ? { output_file_id: `file-out-${made}`, error_file_id: null } : {}),
      });
    } else {
      call.answer(200, (collection === 'responses' ? responses : chat).whole(`of ${this.#name}`));
    }
  }

  #file(id: string): object {
    const { purpose, content } = this.files.get(id) ?? { purpose: '', content: '' };
    return { id, object: 'file', bytes: content.length, created_at: 1, filename: 'f', purpose, status: 'processed' };
  }
}

/** A field of a form, as the service reads it. */
function field({ body, headers }: ReceivedCall, name: string): string {
  const boundary = /boundary=(.+)$/.exec(headers['content-type'] ?? '')?.[1] ?? '';
  for (const part of body.toString().split(`--${boundary}`)) {
    const [head = '', ...rest] = part.split('\r\n\r\n');
    if (head.includes(`name="${name}"`)) return rest.join('\r\n\r\n').replace(/\r\n$/, '');
  }
  return `no ${name}`;
}

interface Model {
  readonly account: Account;
  readonly kind?: 'OpenAI' | 'Anthropic' | 'OpenAICompatible' | 'AzureOpenAI';
  /** YAML, in flow style without braces. */
  readonly more?: string;
}

const PROVIDERS: Readonly<Record<NonNullable<Model['kind']>, (account: Account, at: number) => string>> = {
  OpenAI: ({ upstream }, at) => `openAI: {model: up-${at}, baseURL: "${upstream.url}"}`,
  OpenAICompatible: ({ upstream }, at) => `openAICompatible: {model: up-${at}, baseURL: "${upstream.url}"}`,
  Anthropic: ({ upstream }, at) => `anthropic: {model: up-${at}, baseURL: "${upstream.url}"}`,
  AzureOpenAI: ({ upstream }, at) =>
    `azureOpenAI: {endpoint: "http://127.0.0.1:${upstream.port}", deployment: up-${at}, apiVersion: "2024-10-21"}`,
};

export function route(models: readonly Model[], { names = 'chat', more = '' } = {}): string {
  const entries = models.map(
    ({ account, kind = 'OpenAI', more: extra = '' }, at) =>
      `  - {name: m${at}, provider: {type: ${kind}, ${PROVIDERS[kind](account, at)}}, auth: {type: APIKey, apiKey: {secretKeyRef: {name: openai}}}${extra}}`,
  );
  return `
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: ${/[a-z]+/.exec(names)?.[0] ?? ''}, namespace: platform}
spec:
  modelNames: [${names}]
  access: {from: All}
  models:
${entries.join('\n')}
  rules:
  - name: default
    selection: {strategy: RoundRobin}
    targets: [${models.map((_, at) => `{model: m${at}}`).join(', ')}]
${more}
---
apiVersion: v1
kind: Secret
metadata: {name: openai, namespace: platform}
stringData: {api-key: sk-secret-of-the-platform}
`;
}

export interface Setting {
  readonly gateway: TestGateway;
  readonly one: Account;
  readonly two: Account;
  readonly client: (key?: Key) => OpenAI;
}

export async function start(
  options: { names?: string; more?: string } = {},
  gatewayOptions?: TestGatewayOptions,
): Promise<Setting> {
  const [one, two] = [await Account.start('one'), await Account.start('two')];
  const models = [{ account: one }, { account: two }];
  const gateway = await startGateway(documents(gatewayYaml(), SECRETS, route(models, options)), gatewayOptions);
  return { gateway, one, two, client: (key = 'a') => clientOf(gateway, key) };
}

export function clientOf({ port }: TestGateway, key: Key = 'a'): OpenAI {
  return new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: KEYS[key], maxRetries: 0 });
}

export const line = (custom: string, body: object = {}, more: object = {}): string =>
  JSON.stringify({
    custom_id: custom,
    method: 'POST',
    url: '/v1/chat/completions',
    body: { model: 'chat', messages: [{ role: 'user', content: `Say "model" – ${custom}` }], ...body },
    ...more,
  });

export async function uploadBatch(client: OpenAI, lines: readonly string[]): Promise<OpenAI.FileObject> {
  return client.files.create({ file: await toFile(Buffer.from(lines.join('\n')), 'in.jsonl'), purpose: 'batch' });
}

export async function uploadText(client: OpenAI, more: object = {}): Promise<OpenAI.FileObject> {
  return client.files.create({ file: await toFile(Buffer.from('Some text.'), 'a.txt'), purpose: 'user_data', ...more });
}

export const keeperOf = ({ one, two }: Setting, { id }: { id: string }): { readonly keeps: Account; readonly other: Account } =>
  id.includes('one') ? { keeps: one, other: two } : { keeps: two, other: one };

export async function refusal(
  made: Promise<unknown>,
): Promise<{ status: number; code: string; message: string; param: unknown }> {
  try {
    await made;
  } catch (error) {
    if (error instanceof OpenAI.APIError)
      return { status: Number(error.status), code: String(error.code), message: error.message, param: error.param };
    throw error;
  }
  throw new Error('nothing was refused');
}
