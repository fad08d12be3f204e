import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ManualClock } from '../lib/clock.ts';
import { loadKubeConfig, type KubeConfigOptions } from './kubeconfig.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kubeconfig-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function config(name: string, user: string, extra = ''): string {
  return `
apiVersion: v1
kind: Config
current-context: ${name}
clusters: [{name: ${name}, cluster: {server: "https://${name}.test:6443/", certificate-authority-data: ${Buffer.from('CA').toString('base64')}${extra}}}]
users: [{name: ${name}, user: ${user}}]
contexts: [{name: ${name}, context: {cluster: ${name}, user: ${name}, namespace: team}}]
`;
}

function load(options: Partial<KubeConfigOptions>) {
  return loadKubeConfig({ env: { HOME: folder }, clock: new ManualClock(), ...options });
}

describe('a kubeconfig', () => {
  test('names the server, its authority, the namespace and a credential that is not printed', async () => {
    const access = load({ file: write('a', config('one', '{token: s3cret}')) });
    expect(access).toMatchObject({ server: 'https://one.test:6443', caPem: 'CA', namespace: 'team', insecureSkipVerify: false });
    const credentials = await access.credentials.refresh();
    expect(credentials.token?.reveal()).toBe('s3cret');
    expect(JSON.stringify(credentials)).not.toContain('s3cret');
  });

  test('several are merged, the first to name a thing wins; a context can be chosen', () => {
    const files = [write('a', config('one', '{token: a}')), join(folder, 'not-there'), write('b', config('two', '{token: b}'))];
    const env = { HOME: folder, KUBECONFIG: files.join(delimiter) };
    expect(load({ env }).server).toBe('https://one.test:6443');
    expect(load({ env, context: 'two' }).server).toBe('https://two.test:6443');
    expect(() => load({ env, context: 'three' })).toThrow('there is no context "three"; there is one, two');
  });

  test('paths count from its folder, and a token file is read again once its token was refused or is a minute old', async () => {
    mkdirSync(join(folder, 'sub'));
    write('sub/token', 'first\n');
    const clock = new ManualClock();
    const { credentials } = load({ file: write('sub/config', config('one', '{tokenFile: token}')), clock });
    const first = await credentials.refresh();
    expect(first.token?.reveal()).toBe('first');
    write('sub/token', 'second');
    expect(credentials.current()).toBe(first);
    clock.advance(60_000);
    expect(credentials.current()).toBeNull();
    const second = await credentials.refresh();
    expect(second.token?.reveal()).toBe('second');
    // A refusal of what is no longer held says nothing about what is.
    credentials.refused(first);
    expect(credentials.current()).toBe(second);
    credentials.refused(second);
    expect(credentials.current()).toBeNull();
  });

  test('a plugin is run once for everybody who waits, and again when its credential ends', async () => {
    const clock = new ManualClock();
    const until = new Date(clock.wallMs() + 100_000).toISOString();
    const script = `echo x >> ${join(folder, 'runs')}; echo '{"status":{"token":"'$GREETING'","expirationTimestamp":"${until}"}}'`;
    const exec = {
      apiVersion: 'client.authentication.k8s.io/v1',
      command: 'sh',
      args: ['-c', script],
      env: [{ name: 'GREETING', value: 'hello' }],
    };
    const { credentials } = load({ file: write('a', config('one', JSON.stringify({ exec }))), clock });
    const [one, other] = await Promise.all([credentials.refresh(), credentials.refresh()]);
    expect([one.token?.reveal(), one === other]).toEqual(['hello', true]);
    clock.advance(89_000);
    expect(credentials.current()).toBe(one);
    clock.advance(1000);
    expect(credentials.current()).toBeNull();
  });

  test('says what is wrong without repeating what may be secret', async () => {
    const cases: [string, string][] = [
      ['token: "s3cret\n  - [', 'it must be a YAML mapping with clusters, users and contexts'],
      ['{}', 'current-context is not set'],
      [config('one', '{auth-provider: {name: gcp}}'), 'user.auth-provider of one is not supported; use a token'],
      [config('one', '{token: s3cret}', ', proxy-url: "http://p"'), 'cluster.proxy-url of context one is not supported'],
      [config('one', '{exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: x}}'), 'v1alpha1 is not known'],
    ];
    for (const [text, message] of cases) {
      const file = write('a', text);
      expect(() => load({ file })).toThrow(message);
      expect(() => load({ file })).not.toThrow('s3cret');
    }
    const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: 'sh', args: ['-c', 'echo no luck >&2; exit 3'] };
    await expect(load({ file: write('a', config('one', JSON.stringify({ exec }))) }).credentials.refresh()).rejects.toThrow(
      'exec plugin sh ended with 3: no luck',
    );
  });

  test('without any, a pod’s service account counts; without that, it says what to set', async () => {
    mkdirSync(join(folder, 'account'));
    for (const [name, text] of [
      ['token', 't'],
      ['ca.crt', 'CA'],
      ['namespace', 'mine\n'],
    ] as const)
      write(`account/${name}`, text);
    const serviceAccount = join(folder, 'account');
    const env = { HOME: folder, KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' };
    const access = load({ env, serviceAccount });
    expect(access).toMatchObject({ server: 'https://[fd00::1]:443', caPem: 'CA', namespace: 'mine' });
    expect((await access.credentials.refresh()).token?.reveal()).toBe('t');
    expect(() => load({ serviceAccount })).toThrow('set KUBECONFIG');
  });
});
