/** What the command line says of files and requests: validate, init, explain, try, and what it makes of bad arguments. */
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';

import { startMockModels } from '../../src/cli/mock-models.ts';
import type { TestIoOptions } from '../../src/cli/testdata/test-io.ts';
import { VERSION } from '../../src/cli/version.ts';
import { fairlead, folder, PATIENCE_MS, routeYaml, serving, write } from './support/cli.ts';

const ROOT = join(import.meta.dirname, '..', '..');

describe('fairlead validate', () => {
  it('says everything that is wrong, for people and for programs', async () => {
    const text = routeYaml('http://127.0.0.1:1').replace('modelNames', 'modelName').replace('[{model: fast,', '[{model: fest,');
    const person = await fairlead(['validate', '-f', '-'], { stdin: text });
    expect(person.code).toBe(1);
    expect(person.err).toMatch(/stdin:5: error: spec\.modelName: unknown field[^]*did you mean modelNames/);
    expect(person.out).toMatch(/^invalid: 1 object read, \d errors/);
    const program = await fairlead(['validate', '-f', '-', '-o', 'json'], { stdin: text });
    expect([program.code, program.err]).toEqual([1, '']);
    expect(JSON.parse(program.out)).toMatchObject({
      valid: false,
      findings: expect.arrayContaining([expect.objectContaining({ severity: 'error', line: 5, path: 'spec.modelName' })]),
    });
  });

  it('takes a reference to elsewhere for a warning, and what init writes for valid', async () => {
    const file = join(folder, 'llmroute.yaml');
    expect((await fairlead(['init', file])).code).toBe(0);
    const again = await fairlead(['init', file]);
    expect([again.code, again.err]).toEqual([1, expect.stringContaining('--force')]);
    const { code, out } = await fairlead(['validate', file, '-o', 'yaml']);
    expect(code).toBe(0);
    expect(parse(out)).toMatchObject({ valid: true, findings: [{ severity: 'warning', reason: 'SecretNotFound' }] });
  });

  it('takes what is wrong in itself for an error, whatever else is elsewhere, and tells of each model', async () => {
    const { code: written, out: starter } = await fairlead(['init', '-']);
    expect(written).toBe(0);
    const wrong = starter.replace('    pricing: {input: "0.15"', '    override: {model: gpt-4o}\n    pricing: {input: "0.15"');
    const { code, out, err } = await fairlead(['validate', '-f', '-'], { stdin: wrong });
    expect([code, out]).toEqual([1, 'invalid: 1 object read, 1 error, 1 warning\n']);
    expect(err).toMatch(/stdin:\d+: error: spec\.models\[0\]\.override\.model: "model" is the client's alone/);

    const auth = `{type: APIKey, apiKey: {secretKeyRef: {name: ${'long-'.repeat(30)}name}}}`;
    const models = Array.from({ length: 30 }, (_, at) => `  - {name: m${at}, provider: {type: OpenAI}, auth: ${auth}}\n`).join(
      '',
    );
    const pool = starter.replace('  models:\n', `  models:\n${models}`);
    const many = await fairlead(['validate', '-f', '-'], { stdin: pool });
    expect([many.code, many.out]).toEqual([0, 'valid: 1 object read, 31 warnings\n']);
  });

  it('takes a ConfigMap that is elsewhere for a warning', async () => {
    const gateway = `apiVersion: fairlead.dev/v1alpha1
kind: LLMGateway
metadata: {name: default}
spec:
  prices: {configMapRef: {name: prices, key: prices.json}}
`;
    const { code, out, err } = await fairlead(['validate', '-f', '-'], { stdin: gateway });
    expect(err).toBe('stdin:5: warning: spec.prices.configMapRef: ConfigMap default/prices is not found\n');
    expect([code, out]).toEqual([0, 'valid: 1 object read, 1 warning\n']);
  });

  const quota = (limit: number): string => `apiVersion: fairlead.dev/v1alpha1
kind: LLMQuota
metadata: {name: fair, namespace: platform}
spec:
  targetRefs:
  - {kind: LLMRoute, name: elsewhere}
  limits:
  - {name: all, unit: Requests, limit: ${limit}, window: 1m}
`;

  it('takes what a quota is over for something that may be in the cluster, and a limit that is none for an error, at its line', async () => {
    const sound = await fairlead(['validate', '-f', write('quota.yaml', quota(5))]);
    expect([sound.code, sound.out]).toEqual([0, 'valid: 1 object read, 1 warning\n']);
    expect(sound.err).toMatch(/quota\.yaml:6: warning: spec\.targetRefs\[0\]: LLMRoute platform\/elsewhere is not found/);
    const wrong = await fairlead(['validate', '-f', write('quota.yaml', quota(0))]);
    expect([wrong.code, wrong.out]).toEqual([1, 'invalid: 0 objects read, 1 error\n']);
    expect(wrong.err).toMatch(/quota\.yaml:8: error: spec\.limits\[0\]\.limit: 0 is out of range; it must be at least 1/);
  });
});

describe('fairlead explain', () => {
  const body = JSON.stringify({
    model: 'chat',
    messages: [{ role: 'user', content: 'Hello' }],
    tools: [{ type: 'function', function: { name: 'f' } }],
  });

  it(
    'decides as the gateway does, and says why the others are left out',
    async () => {
      const models = await startMockModels();
      const text = routeYaml(models.origin).replace(
        '    pricing: {input: "1", output: "2"}\n',
        '    pricing: {input: "1", output: "2"}\n    capabilities: {tools: false}\n',
      );
      const file = write('routes.yaml', text);
      const request = write('body.json', body);
      const { code, out } = await fairlead(['explain', '-f', file, '--request', request, '-o', 'json']);
      expect(code).toBe(0);
      const decision = JSON.parse(out) as { chosen: string; leftOut: unknown[]; facts: object };
      expect(decision).toMatchObject({
        model: 'chat',
        route: 'default/chat',
        rule: 'default',
        chosen: 'strong',
        reason: 'spilled',
        leftOut: [{ name: 'fast', reason: 'tools' }],
      });
      // What a user can act on, and nothing of how it is reckoned.
      expect(Object.keys(decision.facts).sort()).toEqual([
        'images',
        'includeUsage',
        'jsonSchema',
        'maxOutputTokens',
        'maxPromptTokens',
        'operation',
        'path',
        'promptTokens',
        'stream',
        'tools',
      ]);

      const { io, url, ended } = await serving(['-f', file, '--log', 'none']);
      const answer = await fetch(`${url}/chat/completions`, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json' },
      });
      expect([answer.headers.get('x-fairlead-model'), answer.headers.get('x-fairlead-reason')]).toEqual([
        decision.chosen,
        'spilled',
      ]);
      await answer.text();
      io.stop();
      await ended;
      await models.close();
    },
    PATIENCE_MS,
  );

  it('needs no keys, shows shares of a draw, and sees models that cannot be served', async () => {
    const yaml = routeYaml('http://127.0.0.1:1', {
      targets: '[{model: fast, weight: 3}, {model: strong, weight: 1}, {model: other}]',
    }).replace('  rules:', '  - name: other\n    backendRef: {kind: LLMBackend, name: gone}\n  rules:');
    const file = write('routes.yaml', yaml.slice(0, yaml.indexOf('---')));
    const { code, out } = await fairlead(['explain', '-f', file, '--request', '-'], { stdin: body });
    expect(code).toBe(0);
    expect(out).toMatch(/^weights +fast 75 %, strong 25 %$/m);
    expect(out).toMatch(/^left out +- +other +.*gone/m);
  });

  it.each([
    ['AWS', 'Bedrock, bedrock: {region: eu-west-1}', 'aws'],
    ['Entra', 'AzureOpenAI, azureOpenAI: {endpoint: "https://a.openai.azure.com"}', 'entra'],
    ['GCP', 'VertexAI, vertexAI: {project: p, location: global}', 'gcp'],
  ])('needs no Secret of %s, nor those of the gateway itself', async (type, provider, member) => {
    const text = `apiVersion: fairlead.dev/v1alpha1
kind: LLMGateway
metadata: {name: default}
spec:
  listener: {tls: {secretRef: {name: elsewhere}}}
  redis: {mode: Standalone, addressRef: {name: elsewhere}, onUnavailable: FailClosed}
---
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat}
spec:
  parentRefs: [{name: default}]
  modelNames: [chat]
  models:
  - {name: cloud, provider: {type: ${provider}}, auth: {type: ${type}, ${member}: {secretRef: {name: elsewhere}}}}
  rules: [{name: default, targets: [{model: cloud}]}]
`;
    const { code, out, err } = await fairlead(['explain', '-f', write('cloud.yaml', text), '--request', '-'], { stdin: body });
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/^targets +1\. cloud/m);
  });

  it('lists the limits that count the request, with those of quotas', async () => {
    const own = '  rateLimits: [{name: own, per: [APIKey, Model], unit: Requests, limit: 600, window: 90s}]';
    const quota = `---
apiVersion: fairlead.dev/v1alpha1
kind: LLMQuota
metadata: {name: fair, namespace: default}
spec:
  targetRefs: [{kind: LLMGateway, name: default}]
  limits:
  - {name: money, per: [Tenant], unit: USD, limit: "0.50", calendar: {period: Month, timeZone: Europe/Rome}}
  - {name: slots, unit: Concurrency, limit: 4}
`;
    const yaml = routeYaml('http://127.0.0.1:1').trimEnd();
    const route = yaml.slice(0, yaml.indexOf('\n---'));
    const file = write('limited.yaml', `${route}\n${own}\n${quota}`);
    const { code, out } = await fairlead(['explain', '-f', file, '--request', '-'], { stdin: body });
    expect(code).toBe(0);
    expect(out).toMatch(/^limits +own: 600 Requests in 1m30s, for each APIKey and Model$/m);
    expect(out).toMatch(/^ +default\/fair\/money: 0\.5 USD in Month \(Europe\/Rome\), for each Tenant$/m);
    expect(out).toMatch(/^ +default\/fair\/slots: 4 Concurrency$/m);
    const data = await fairlead(['explain', '-f', file, '--request', '-', '-o', 'json'], { stdin: body });
    expect(JSON.parse(data.out)).toMatchObject({
      limits: [{ quota: null }, { quota: 'default/fair', unit: 'USD', limit: '0.5' }, {}],
    });
  });

  it('is told by a caller whom no route admits', async () => {
    const file = write(
      'routes.yaml',
      routeYaml('http://127.0.0.1:1').replace('spec:\n', 'spec:\n  access: {from: Tenants, tenants: [blue]}\n'),
    );
    const blue = await fairlead(['explain', '-f', file, '--request', '-', '--as', 'blue'], { stdin: body });
    expect(blue.code).toBe(0);
    const red = await fairlead(['explain', '-f', file, '--request', '-', '--as', 'red'], { stdin: body });
    expect([red.code, red.err]).toEqual([
      1,
      expect.stringMatching(/answers 404: no route that this caller may use has the model "chat"/),
    ]);
  });
});

describe('fairlead try', () => {
  it(
    'prints the answer on stdout and how it was made on stderr',
    async () => {
      const models = await startMockModels();
      const file = write('routes.yaml', routeYaml(models.origin));
      const whole = await fairlead(['try', '-f', file, '-m', 'chat', 'Hello']);
      expect([whole.code, whole.out]).toEqual([0, expect.stringMatching(/^Small, quick and cheap.*\n$/)]);
      expect(whole.err).toMatch(/fast answered · only · 1 attempt · \d+ \+ \d+ tokens · \$0\.\d+/);
      const streamed = await fairlead(['try', '-f', file, '-m', 'chat', '--stream', 'Hello']);
      expect(streamed.out).toBe(whole.out);
      expect(streamed.err).toMatch(/\$0\.\d+ · first token after/);
      const gateway = `apiVersion: fairlead.dev/v1alpha1
kind: LLMGateway
metadata: {name: default, annotations: {fairlead.dev/is-default-gateway: "true"}}
spec: {listener: {tls: {secretRef: {name: elsewhere}}}}
`;
      const secured = await fairlead(['try', '-f', file, '-f', write('gateway.yaml', gateway), '-m', 'chat', 'Hello']);
      expect([secured.code, secured.out]).toEqual([0, whole.out]);
      const unknown = await fairlead(['try', '-f', file, '-m', 'nope', '-o', 'json', 'Hello']);
      expect(unknown.code).toBe(1);
      expect(JSON.parse(unknown.out)).toMatchObject({ status: 404, error: { code: 'model_not_found' } });
      await models.close();
    },
    PATIENCE_MS,
  );

  it('asks a running gateway with a key from the environment, and says where none answers', async () => {
    let authorization: string | undefined;
    const other = http.createServer((request, response) => {
      ({ authorization } = request.headers);
      response.end('{"choices":[{"message":{"content":"from afar"}}]}');
    });
    await new Promise<void>((resolve) => {
      other.listen(0, '127.0.0.1', resolve);
    });
    const address = other.address();
    const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
    const answered = await fairlead(['try', '--url', `${url}/v1/`, '--key-env', 'MY_KEY', '-m', 'm', 'Hello'], {
      env: { MY_KEY: 'fl-abc' },
    });
    expect([answered.out, authorization]).toEqual(['from afar\n', 'Bearer fl-abc']);
    other.close();
    other.closeAllConnections();
    const gone = await fairlead(['try', '--url', url, '-m', 'm', 'Hello']);
    expect([gone.code, gone.err]).toEqual([1, expect.stringMatching(/no answer from http.*ECONNREFUSED/)]);
  });
});

describe('a secret', () => {
  it.each([
    ['fl-verysecret', /never the client key itself/],
    ['TWO_LINES', /holds no client key/],
    ['QUOTED', /holds no client key/],
  ])('of --key-env %s is not repeated', async (variable, message) => {
    const env = { TWO_LINES: 'fl-verysecret\nand more', QUOTED: '\u201cfl-verysecret\u201d' };
    const { code, out, err } = await fairlead(['try', '--url', 'http://127.0.0.1:9', '--key-env', variable, '-m', 'm', 'Hi'], {
      env,
    });
    expect([code, err]).toEqual([2, expect.stringMatching(message)]);
    expect(out + err).not.toContain('verysecret');
  });

  it('in --url is not repeated', async () => {
    const { code, err } = await fairlead(['try', '--url', 'http://me:verysecret@127.0.0.1:9', '-m', 'm', 'Hi']);
    expect([code, err]).toEqual([2, expect.stringMatching(/--key-env/)]);
    expect(err).not.toContain('verysecret');
  });
});

describe('the command line', () => {
  it.each([
    [['rum'], /unknown command 'rum'[^]*Did you mean run\?/],
    [['run', '--wach', '-f', 'x'], /unknown option '--wach'[^]*Did you mean --watch\?/],
    [['run'], /which files\?/],
    [['run', '-f', '-', '--watch'], /--watch needs files/],
    [['run', '-f', 'x', '--port', '99999'], /A port is a number/],
    [['run', '-f', 'x', '--secret', 'openai/api-key=UNSET_VARIABLE'], /UNSET_VARIABLE is not set/],
    [['validate', '-f', 'x', '-o', 'xml'], /Allowed choices are json, yaml/],
    [['key', 'create'], /--name/],
    [['key', 'create', '--name', 'Alice'], /metadata\.name/],
    [['key', 'create', '--name', 'a', '--expires', 'tomorrow'], /is not a time like/],
    [['key', 'create', '--name', 'a', '--expires', '2199-02-31T00:00:00Z'], /is not a time like/],
    [['key', 'create', '--name', 'a', '--expires', '2020-01-01T00:00:00Z'], /in the past/],
    [['explain', '-f', 'x', '--request', 'y', '--header', 'bad header'], /write NAME=VALUE/],
    [['validate', '-f', ''], /-f "" names no file/],
    [['try', '--url', 'ftp://x', '-m', 'm', 'Hello'], /ftp:\/\/x is no URL of a gateway: write it like http:/],
    [['try', '--url', 'localhost:8080', '-m', 'm', 'Hello'], /localhost:8080 is no URL of a gateway/],
    [['try', '-m', 'm', 'Hello'], /either --file.*or --url/],
    [['try', '--url', 'http://x', '--key-env', 'UNSET_VARIABLE', '-m', 'm', 'Hello'], /not set/],
  ])('%j is a usage error', async (argv, message) => {
    const { code, out, err } = await fairlead(argv);
    expect([code, out]).toEqual([2, '']);
    expect(err).toMatch(message);
  });

  it('has the version of the package, and help on stdout', async () => {
    const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    expect(VERSION).toBe(manifest.version);
    expect(await fairlead(['--version'])).toEqual({ code: 0, out: `${VERSION}\n`, err: '' });
    for (const argv of [[], ['--help'], ['run', '--help'], ['help', 'explain']]) {
      const { code, out, err } = await fairlead(argv);
      expect([code, err]).toEqual([0, '']);
      expect(out).toMatch(/^Usage: fairlead/);
    }
  });

  it('cannot read a file that is not there, and says so', async () => {
    const none = join(folder, 'none');
    const file = write('route.yaml', routeYaml('http://127.0.0.1:1'));
    for (const argv of [
      ['validate', '-f', none],
      ['explain', '-f', file, '--request', none],
    ]) {
      const { code, err } = await fairlead(argv);
      expect([code, err]).toEqual([1, expect.stringContaining('none: there is no such file')]);
    }
  });

  it('names the kubeconfig that it cannot read', async () => {
    const { code, err } = await fairlead(['status', '--kubeconfig', join(folder, 'none')]);
    expect([code, err]).toEqual([1, expect.stringMatching(/kubeconfig .*none: it cannot be read \(.*ENOENT/)]);
  });

  it('paints only terminals, and none with NO_COLOR', async () => {
    const text = routeYaml('http://127.0.0.1:1');
    const painted = async (options: TestIoOptions): Promise<boolean> =>
      (await fairlead(['validate', '-f', '-'], { stdin: text, ...options })).out.includes('\u001b');
    expect(await painted({ terminal: true })).toBe(true);
    expect(await painted({ terminal: true, env: { NO_COLOR: '1' } })).toBe(false);
    expect(await painted({ terminal: true, env: { TERM: 'dumb' } })).toBe(false);
    expect(await painted({})).toBe(false);
  });
});
