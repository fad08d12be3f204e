import { describe, expect, it } from '@jest/globals';
import type { Condition } from '../../src/compile/status.ts';
import { formatIssue } from '../../src/lib/issue.ts';
import { request } from './support/client.ts';
import { chat } from './support/dialects.ts';
import { type Compiled, compileYaml, startGateway, type TestGateway } from './support/gateway.ts';
import { documents, gatewayYaml } from './support/secrets.ts';
import { FakeUpstream } from './support/upstream.ts';

/** What a user applies wrongly is told by name, and everything else serves on. */

function route(name: string, url: string, { spec = '', auth = 'auth: {type: None}' } = {}): string {
  return `
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: ${name}, namespace: team}
spec:
  modelNames: [${name}]
  models:
  - name: a
    provider: {type: OpenAICompatible, openAICompatible: {model: m, baseURL: "${url}"}}
    ${auth}
  rules: [{name: default, targets: [{model: a}]}]
  ${spec}
`;
}

interface Setting {
  readonly url: string;
  readonly gateway: TestGateway;
  /** Applies this beside the route \`good\`, which must serve on. */
  readonly apply: (...yaml: readonly string[]) => Promise<Compiled>;
  /** Asks for a model; what comes back: 200, or the error's code and message. */
  readonly ask: (model: string) => Promise<number | { readonly status: number; readonly code: string; readonly message: string }>;
}

async function start(): Promise<Setting> {
  const upstream = await FakeUpstream.start((call) => call.answer(200, chat.whole('Hello')));
  const good = documents(gatewayYaml('clientAuth: {type: None}'), route('good', upstream.url));
  const gateway = await startGateway(good);
  const ask: Setting['ask'] = async (model) => {
    const { status, text } = await request(gateway.port, { body: { model, messages: [] } });
    if (status === 200) return status;
    const { error } = JSON.parse(text) as { error: { code: string; message: string } };
    return { status, code: error.code, message: error.message };
  };
  return {
    url: upstream.url,
    gateway,
    ask,
    apply: async (...yaml) => {
      const compiled = compileYaml(documents(good, ...yaml));
      if (compiled.table === null) throw new Error('nothing is served any more');
      gateway.gateway.apply(compiled.table);
      expect(await ask('good')).toBe(200);
      return compiled;
    },
  };
}

function condition({ statuses }: Compiled, name: string, type: Condition['type']): Condition | undefined {
  return statuses.get(`LLMRoute/team/${name}`)?.conditions.find((one) => one.type === type);
}

describe('a file', () => {
  it('with a field that is not one: its object is refused, by path and with what was meant', async () => {
    const { url, apply, ask } = await start();
    const { issues } = await apply(route('bad', url, { spec: 'rateLimit: []' }));
    expect(issues.map(formatIssue).join()).toMatch(/spec.*rateLimit.*rateLimits/);
    expect(await ask('bad')).toMatchObject({ status: 404, code: 'model_not_found' });
  });

  it('with a value that is not one', async () => {
    const { url, apply } = await start();
    const { issues } = await apply(route('bad', url).replace('type: OpenAICompatible', 'type: OpenAi'));
    expect(issues[0]?.path).toBe('spec.models[0].provider.type');
    expect(issues[0]?.message).toMatch(/"OpenAi" is not supported.*did you mean OpenAI\?/);
  });

  it('that is broken YAML in one document', async () => {
    const { apply } = await start();
    const { issues } = await apply('kind: LLMRoute\n  metadata: [');
    expect(issues).not.toHaveLength(0);
    expect(issues[0]?.message).toMatch(/test\.yaml:\d+/);
  });
});

describe('a route', () => {
  it('without its Secret: that model is left out, and clients are told that it is the configuration', async () => {
    const { url, apply, ask } = await start();
    const auth = 'auth: {type: APIKey, apiKey: {secretKeyRef: {name: forgotten, key: api-key}}}';
    const compiled = await apply(route('bad', url, { auth }));
    expect(condition(compiled, 'bad', 'ResolvedRefs')).toMatchObject({
      status: 'False',
      reason: 'SecretNotFound',
      message: expect.stringContaining('team/forgotten'),
    });
    expect(await ask('bad')).toMatchObject({
      status: 503,
      code: 'no_target',
      message: expect.stringMatching(/route team\/bad .*no model that can serve/),
    });
  });

  it('that names a model it does not have', async () => {
    const { url, apply, ask } = await start();
    const compiled = await apply(route('bad', url).replace('targets: [{model: a}]', 'targets: [{model: b}]'));
    const told = [...compiled.issues.map(formatIssue), condition(compiled, 'bad', 'Accepted')?.message].join('; ');
    expect(told).toMatch(/targets\[0\]\.model.*"b"/);
    expect(await ask('bad')).toMatchObject({ status: 404 });
  });

  it('whose name another one has: the older keeps it', async () => {
    const { url, apply, ask, gateway } = await start();
    const compiled = await apply(route('later', url).replace('modelNames: [later]', 'modelNames: [good, later]'));
    expect(condition(compiled, 'later', 'Accepted')?.message).toMatch(/good.*team\/good/);
    expect(await ask('later')).toBe(200);
    const all = await apply(route('later', url).replace('modelNames: [later]', 'modelNames: [good]'));
    expect(condition(all, 'later', 'Accepted')).toMatchObject({ status: 'False', reason: 'ModelNameConflict' });
    expect(await ask('later')).toMatchObject({ status: 404 });
    await ask('good');
    expect(gateway.requests.at(-1)?.route).toBe('team/good');
  });

  it('whose upstream is a private address', async () => {
    const { apply, ask } = await start();
    const compiled = await apply(route('bad', 'http://169.254.169.254/latest'));
    expect(condition(compiled, 'bad', 'ResolvedRefs')).toMatchObject({
      status: 'False',
      reason: 'RefNotPermitted',
      message: expect.stringContaining('169.254.169.254'),
    });
    expect(await ask('bad')).toMatchObject({ status: 503, code: 'no_target' });
  });

  it('with a limit that nobody could hold is not served at all, and says so', async () => {
    const { url, apply, ask } = await start();
    const limit =
      'rateLimits: [{name: usd, per: [Tenant], unit: USD, limit: "5", calendar: {period: Month, timeZone: Europe/Roma}}]';
    const compiled = await apply(route('bad', url, { spec: limit }));
    expect(condition(compiled, 'bad', 'Accepted')).toMatchObject({
      status: 'False',
      reason: 'InvalidSpec',
      message: expect.stringContaining('"Europe/Roma" is no time zone'),
    });
    expect(await ask('bad')).toMatchObject({ status: 404, code: 'model_not_found' });
  });
});
