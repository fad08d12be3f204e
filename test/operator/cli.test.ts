/** What a person sees of a cluster on the command line, and the life of a client key. */
import { expect, it } from '@jest/globals';

import { describeWithControlPlane } from '../controlplane/describe.ts';
import { fairlead } from '../features/support/cli.ts';
import { apply, eventually, install, NAMESPACE, startOperator } from './support/operator.ts';
import { startPod } from './support/pod.ts';

const route = (name: string, auth: unknown): Readonly<Record<string, unknown>> => ({
  kind: 'LLMRoute',
  metadata: { name, namespace: 'team-a' },
  spec: {
    modelNames: [name],
    models: [{ name: 'main', provider: { type: 'OpenAI' }, auth }],
    rules: [{ name: 'default', targets: [{ model: 'main' }] }],
  },
});
const MISSING = { type: 'APIKey', apiKey: { secretKeyRef: { name: 'nowhere' } } };

describeWithControlPlane('the command line on a cluster', (plane) => {
  it('tells what is missing before anything is installed, then what is served, what is not and why', async () => {
    const cluster = ['--kubeconfig', plane().kubeconfig];
    const before = await fairlead(['doctor', ...cluster]);
    expect(before.code).toBe(1);
    expect(before.out).toMatch(/problem +CRDs: CRD llmroutes\.fairlead\.dev is not installed/);
    expect((await fairlead(['status', ...cluster])).err).toContain("Fairlead's CRDs are not installed here");

    await install(plane());
    const running = await startOperator(plane());
    const pod = await startPod(plane(), running, 'pod-1');
    await plane().kubectl(['create', 'namespace', 'team-a']);
    await apply(plane(), route('good', { type: 'None' }), route('broken', MISSING));
    await plane().kubectl(['wait', '--for=condition=Programmed', 'llmroute', '--all', '-n', 'team-a', '--timeout=60s']);
    await plane().kubectl(['wait', '--for=condition=Programmed', 'llmgateway', '--all', '-n', NAMESPACE, '--timeout=60s']);
    await eventually(async () =>
      (await fairlead(['status', '-n', 'team-a', ...cluster])).out.includes('SecretNotFound') ? true : null,
    );

    const status = await fairlead(['status', ...cluster]);
    expect(status.code).toBe(1);
    expect(status.out).toMatch(/fairlead-system +default +True +- +1\/1 +http:\/\/default\.fairlead-system\.svc:8080\/v1/);
    expect(status.out).toMatch(/team-a +good +True +True +1\/1/);
    expect(status.out).toMatch(
      /team-a +broken[^\n]*\n +ResolvedRefs: SecretNotFound +spec\.models\[0\]\.auth\.apiKey\.secretKeyRef: Secret team-a\/nowhere is not found/,
    );
    const rows = JSON.parse((await fairlead(['status', '-n', 'team-a', '-o', 'json', ...cluster])).out) as {
      name: string;
      fault: unknown;
    }[];
    expect(rows.map(({ name, fault }) => [name, fault === null])).toEqual([
      ['broken', false],
      ['good', true],
    ]);

    const found = await fairlead(['doctor', ...cluster]);
    expect(found.out).toContain('LLMRoute team-a/broken: ResolvedRefs is False, SecretNotFound');
    expect(found.out).toContain('no operator pod is in namespace fairlead-system');
    expect(found.out).toMatch(/warning +client keys: there is none/);

    const made = await fairlead(['key', 'create', '--name', 'alice', '-n', NAMESPACE, '--models', 'good', '--apply', ...cluster]);
    expect(made.code).toBe(0);
    expect(made.out).toBe('');
    expect(made.err).toMatch(/fl-[\w-]{40,}/);
    expect((await fairlead(['key', 'create', '--name', 'alice', '-n', NAMESPACE, '--apply', ...cluster])).err).toContain(
      'exists already',
    );
    await eventually(() => (pod.table()?.clientKeys[0]?.id === `${NAMESPACE}/alice` ? true : null));
    const listed = await fairlead(['key', 'list', ...cluster]);
    expect(listed.out).toMatch(/fairlead-system +alice +fairlead-system +good +never +Valid/);
    expect(listed.out).not.toContain(pod.table()?.clientKeys[0]?.sha256 ?? '');
    expect((await fairlead(['key', 'revoke', 'fairlead-ca', '-n', NAMESPACE, ...cluster])).err).toContain('is no client key');
    expect((await fairlead(['key', 'revoke', 'alice', '-n', NAMESPACE, ...cluster])).code).toBe(0);
    await eventually(() => (pod.table()?.clientKeys.length === 0 ? true : null));
  });
});
