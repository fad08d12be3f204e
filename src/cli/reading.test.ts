import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { CERTIFICATE_PEM, PRIVATE_KEY_PEM } from '../compile/testdata/certificate.ts';
import { configure } from './configuration.ts';
import { formatFinding, splitMessage } from './findings.ts';
import { UsageError } from './io.ts';
import { keepLastGood } from './last-good.ts';
import { LiveConfiguration } from './live.ts';
import { objectLabel, objectsOf, type ReadResult, readObjects } from './read-objects.ts';
import { parseEnvSecret, withSecrets } from './secrets.ts';
import { STARTER } from './starter.ts';
import { TestIo } from './testdata/test-io.ts';
import { stateOf, watchPaths } from './watch.ts';

const route = (name: string, more = ''): string => `apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: ${name}}
spec:
  modelNames: [${name}]
  models:
  - name: only
    provider: {type: OpenAI}
    auth: {type: APIKey, apiKey: {secretKeyRef: {name: openai}}}
${more}  rules:
  - {name: default, targets: [{model: only}]}
`;

const key = (name: string): string => `apiVersion: v1
kind: Secret
metadata: {name: ${name}, labels: {fairlead.dev/api-key: "true"}}
stringData: {sha256: "${'0'.repeat(64)}"}
`;

function messages(read: ReadResult): readonly string[] {
  return configure(read.objects, read.problems, { where: 'Laptop' }).findings.map(formatFinding);
}

describe('what files say', () => {
  it('points at the line at fault, in any document, and reads the others', () => {
    const text = `${route('one')}---\n${route('two', '  modells: []\n')}---\n${route('three')}`;
    const read = objectsOf([{ name: 'routes.yaml', text }]);
    expect(read.objects.map(({ object }) => objectLabel(object))).toEqual(['LLMRoute default/one', 'LLMRoute default/three']);
    const said = messages(read);
    expect(said).toContain('routes.yaml:9: warning: spec.models[0].auth.apiKey.secretKeyRef: Secret default/openai is not found');
    expect(said).toContain('routes.yaml:22: error: spec.modells: unknown field "modells"; did you mean models?');
  });

  it('points into lists of objects', () => {
    const items = `kind: List
apiVersion: v1
items:
- ${route('one').trimEnd().replaceAll('\n', '\n  ')}
- apiVersion: fairlead.dev/v1alpha1
  kind: LLMRoute
  metadata: {name: two}
  spec:
    modelNames: [two]
    models:
    - name: x
      provider:
        type: Nobody
      auth: {type: None}
    rules:
    - name: default
      targets: [{model: x}]
`;
    const said = messages(objectsOf([{ name: 'list.yaml', text: items }]));
    expect(said.join('\n')).toMatch(/^list\.yaml:23: error: spec\.models\[0\]\.provider\.type: "Nobody" is not supported/m);
  });

  it('refuses the second of two objects with one name and says where the first is', () => {
    const read = objectsOf([
      { name: 'a.yaml', text: route('one') },
      { name: 'b.yaml', text: `\n${route('one')}` },
    ]);
    expect(read.objects).toHaveLength(1);
    expect(read.problems.map(({ file, line, message }) => `${file}:${line} ${message}`)).toEqual([
      'b.yaml:2 LLMRoute default/one is already in a.yaml:1, which is used',
    ]);
  });

  it('passes over what is of somebody else, but not a slip in what is ours', () => {
    const foreign = 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n';
    const slip = 'apiVersion: fairlead.dev/v1alpha1\nkind: LLMRout\nmetadata: {name: x}\n';
    expect(objectsOf([{ name: 'f', text: foreign }]).problems.map(({ fatal }) => fatal)).toEqual([false]);
    expect(objectsOf([{ name: 'f', text: slip }]).problems.map(({ fatal, message }) => [fatal, message])).toEqual([
      [true, expect.stringMatching(/did you mean LLMRoute\?/)],
    ]);
  });

  it('takes a condition apart into its issues', () => {
    expect(splitMessage('spec.models[0].auth: a; b; spec.rules[1].targets: c')).toEqual([
      { path: 'spec.models[0].auth', message: 'a; b' },
      { path: 'spec.rules[1].targets', message: 'c' },
    ]);
    expect(splitMessage('LLMGateway x is not found')).toEqual([{ path: '', message: 'LLMGateway x is not found' }]);
  });
});

describe('a bad edit', () => {
  const good = objectsOf([{ name: 'f', text: `${route('one')}---\n${route('two')}` }]);

  it('keeps the version that an object had, by its name', () => {
    const next = objectsOf([{ name: 'f', text: `${route('one', '  nonsense: 1\n')}---\n${route('two')}` }]);
    const { objects, kept } = keepLastGood(next, good.objects);
    expect(kept).toEqual([good.objects[0]]);
    expect(objects).toHaveLength(2);
  });

  it.each([
    ['a bracket', `${route('two')}  foo: [\n`],
    ['a bracket further up', route('two').replace('spec:', 'foo: [\nspec:')],
    ['a quote', route('two').replace('[two]', '["two]')],
    ['no kind', route('two').replace('kind: LLMRoute\n', '')],
    ['no name', route('two').replace('name: two', 'nam: two')],
  ])('keeps what has %s so that the object cannot be told, and lets go what was deleted', (_, broken) => {
    const last = objectsOf([
      { name: 'f', text: `${route('one')}---\n${route('two')}---\n${route('gone')}---\n${key('two')}` },
      { name: 'other', text: route('also') },
    ]);
    expect(last.problems).toEqual([]);
    for (const text of [`${route('one')}---\n${broken}`, `${broken}---\n${route('one')}`]) {
      const next = objectsOf([{ name: 'f', text }]);
      // An open quote takes in what follows it, which is as broken then.
      const labels = [...next.objects, ...keepLastGood(next, last.objects).kept].map(({ object }) => objectLabel(object));
      expect(labels.filter((label) => label.startsWith('LLMRoute')).sort()).toEqual([
        'LLMRoute default/one',
        'LLMRoute default/two',
      ]);
    }
  });

  it.each([
    ['is of no kind of ours', 'apiVersion: fairlead.dev/v1alpha1\nkind: Nonsense\nmetadata: {name: fresh}\n'],
    ['has a name that none may have', route('Fresh')],
    ['has a name beside it', route('gone_team')],
    ['has a field that there is not', route('fresh', '  nonsense: 1\n')],
    ['is no YAML', `${route('fresh')}  foo: [\n`],
    ['is in the namespace that the key is called after', `${route('fresh').replace('{name', '{namespace: team-a, name')}  - [\n`],
    ['has no name', route('fresh').replace('name: fresh', 'labels: {}')],
  ])('lets a deleted key go beside what was never valid: it %s', (_, broken) => {
    const last = objectsOf([{ name: 'f', text: `${route('one')}---\n${key('team-a')}---\n${broken}` }]);
    expect(last.objects).toHaveLength(2);
    const next = objectsOf([{ name: 'f', text: `${route('one')}---\n${broken}` }]);
    expect(next.problems.some(({ fatal }) => fatal)).toBe(true);
    expect(keepLastGood(next, last.objects).kept).toEqual([]);
  });

  it('keeps a gateway that was deleted where the one in its place cannot be read', () => {
    const gateway = (name: string, more = ''): string =>
      `apiVersion: fairlead.dev/v1alpha1\nkind: LLMGateway\nmetadata: {name: ${name}}\nspec: {clientAuth: {type: APIKey}${more}}\n`;
    const last = objectsOf([{ name: 'f', text: gateway('old') }]);
    const next = objectsOf([{ name: 'f', text: gateway('new', ', nonsense: 1') }]);
    expect(keepLastGood(next, last.objects).kept).toEqual(last.objects);
    expect(keepLastGood(objectsOf([{ name: 'f', text: gateway('new') }]), last.objects).kept).toEqual([]);
  });

  it.each([
    ['its kind', route('one').replace('kind: LLMRoute', 'kind: LLMRout')],
    ['its name', route('one').replace('{name: one}', '{name: One}')],
    ['its namespace', route('one').replace('{name: one}', '{name: one, namespace: Team}')],
  ])('keeps what has a slip in %s', (_, slip) => {
    const next = objectsOf([{ name: 'f', text: `${slip}---\n${route('two')}` }]);
    expect(keepLastGood(next, good.objects).kept).toEqual([good.objects[0]]);
  });

  it('keeps a Namespace, and lets go what was deleted beside it', () => {
    const namespace = 'apiVersion: v1\nkind: Namespace\nmetadata: {name: team, labels: {tier: gold}}\n';
    const last = objectsOf([{ name: 'f', text: `${namespace}---\n${route('one')}` }]);
    const next = objectsOf([{ name: 'f', text: namespace.replace('gold', 'on') }]);
    expect(keepLastGood(next, last.objects).kept.map(({ object }) => objectLabel(object))).toEqual(['Namespace team']);
  });

  it('keeps nothing when nothing is wrong', () => {
    expect(keepLastGood(objectsOf([{ name: 'f', text: route('one') }]), good.objects).kept).toEqual([]);
  });
});

describe('--secret', () => {
  const env = { KEY: 'sk-very-secret', EMPTY: '' };

  it('resolves a reference without the value ever being printed', () => {
    const { objects } = objectsOf([{ name: 'f', text: route('one') }]);
    const given = withSecrets(objects, [parseEnvSecret('openai/api-key=KEY', env)]);
    const { findings, tables } = configure(given, [], { where: 'Laptop' });
    expect(findings).toEqual([]);
    const [table] = tables.values();
    expect(table?.routes[0]?.targets[0]?.credential?.value.reveal()).toBe('sk-very-secret');
    expect(JSON.stringify(given)).not.toContain('sk-very-secret');
  });

  it('sets a key of a Secret that is there and leaves the others', () => {
    const secret = 'apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: team}\nstringData: {a: one, b: two}\n';
    const { objects } = objectsOf([{ name: 'f', text: secret }]);
    const [{ object } = { object: null }] = withSecrets(objects, [parseEnvSecret('team/s/b=KEY', env)]);
    const data = object?.kind === 'Secret' ? object.data : {};
    expect([data['a']?.reveal(), data['b']?.reveal()]).toEqual(['one', 'sk-very-secret']);
  });

  it.each([
    'openai/api-key=sk-live-pasted-by-mistake',
    'sk-live-pasted-by-mistake',
    'a/b/c/d=KEY',
    'openai=KEY',
    'openai/api-key=NONE',
    'openai/api-key=EMPTY',
  ])('refuses %p without repeating what may be a secret', (text) => {
    expect(() => parseEnvSecret(text, env)).toThrow(UsageError);
    expect(() => parseEnvSecret(text, env)).not.toThrow(/sk-live/);
  });
});

describe('files on disk', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'fairlead-files-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('reads the YAML and JSON files of a directory in order, and stdin', async () => {
    writeFileSync(join(folder, 'b.yml'), route('b'));
    writeFileSync(join(folder, 'a.json'), '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}');
    writeFileSync(join(folder, 'notes.txt'), 'not: [yaml');
    const io = new TestIo({ stdin: route('c') });
    const { objects, problems } = await readObjects([folder, '-'], io);
    io.dispose();
    expect(problems).toEqual([]);
    expect(objects.map(({ object }) => objectLabel(object))).toEqual(['Namespace a', 'LLMRoute default/b', 'LLMRoute default/c']);
  });

  it('passes over directories in a directory', async () => {
    mkdirSync(join(folder, 'old.yaml'));
    writeFileSync(join(folder, 'a.yaml'), route('a'));
    const io = new TestIo();
    expect((await readObjects([folder], io)).objects).toHaveLength(1);
    rmSync(join(folder, 'a.yaml'));
    await expect(readObjects([folder], io)).rejects.toThrow(/has no \.yaml, \.yml, \.json files in it/);
    io.dispose();
  });

  it.each(['utf-16le', 'utf-16be'])('reads %s, as PowerShell writes it', async (encoding) => {
    const file = join(folder, 'a.yaml');
    const bytes = Buffer.from(`\uFEFF# naïve\n${route('a')}`, 'utf16le');
    writeFileSync(file, encoding === 'utf-16le' ? bytes : bytes.swap16());
    const io = new TestIo();
    const { objects, problems } = await readObjects([file], io);
    io.dispose();
    expect(problems).toEqual([]);
    expect(objects.map(({ object }) => objectLabel(object))).toEqual(['LLMRoute default/a']);
  });

  it('holds a gateway whose certificate is deleted, and no key that is deleted with it', async () => {
    const gateway =
      'apiVersion: fairlead.dev/v1alpha1\nkind: LLMGateway\nmetadata: {name: g}\nspec: {listener: {tls: {secretRef: {name: tls}}}}\n';
    const certificate = `apiVersion: v1\nkind: Secret\nmetadata: {name: tls}\nstringData: {tls.crt: ${JSON.stringify(CERTIFICATE_PEM)}, tls.key: ${JSON.stringify(PRIVATE_KEY_PEM)}}\n`;
    const file = join(folder, 'all.yaml');
    writeFileSync(file, [gateway, certificate, key('alice'), route('one')].join('---\n'));
    const io = new TestIo();
    const live = new LiveConfiguration(io, { files: [file], secrets: [], gateway: null });
    expect((await live.load()).clientKeys).toHaveLength(1);
    writeFileSync(file, [gateway, route('one')].join('---\n'));
    const { settings, clientKeys } = await live.load();
    expect([settings.tls !== null, clientKeys]).toEqual([true, []]);
    expect(io.stderr.text).toContain('Secret default/tls is not found');
    writeFileSync(file, gateway.replace('name: g', 'name: other'));
    await expect(live.load()).rejects.toThrow(/LLMGateway default\/other cannot be served/);
    io.dispose();
  });

  it('tells of a file that is written, added or removed since it was read', async () => {
    const file = join(folder, 'a.yaml');
    writeFileSync(file, 'one');
    let told = Promise.withResolvers<void>();
    const next = async (): Promise<void> => {
      await told.promise;
      told = Promise.withResolvers<void>();
    };
    const before = await stateOf([folder]);
    expect(await stateOf([folder])).toBe(before);
    writeFileSync(file, 'two!');
    const stop = watchPaths([folder], before, async () => told.resolve(), { settleMs: 20, lookEveryMs: 50 });
    try {
      await next();
      writeFileSync(join(folder, 'b.yaml'), 'new');
      await next();
      rmSync(file);
      await next();
    } finally {
      stop();
    }
  }, 20_000);
});

describe('the starter file', () => {
  it('is valid, and lacks nothing but the key', () => {
    const read = objectsOf([{ name: 'llmroute.yaml', text: STARTER }]);
    const { findings } = configure(read.objects, read.problems, { where: 'Cluster' });
    expect(findings.map(({ severity, reason }) => [severity, reason])).toEqual([['warning', 'SecretNotFound']]);
  });
});
