import { expect, it } from '@jest/globals';

import { kubernetesVersion } from './binaries.ts';
import { startControlPlane } from './control-plane.ts';
import { describeWithControlPlane } from './describe.ts';

describeWithControlPlane('a control plane', (plane) => {
  it('is the version it says', async () => {
    const { text } = await plane().request('GET', '/version');
    expect(JSON.parse(text)).toMatchObject({ gitVersion: `v${kubernetesVersion('api')}` });
  });

  it('runs the controllers: a namespace is emptied and goes', async () => {
    await plane().kubectl(['create', 'namespace', 'leaving']);
    await plane().kubectl(['-n', 'leaving', 'create', 'configmap', 'a']);
    await plane().kubectl(['delete', 'namespace', 'leaving', '--timeout=60s']);
    expect((await plane().request('GET', '/api/v1/namespaces/leaving')).status).toBe(404);
  });

  it('knows a ServiceAccount by its token, and holds it to its rights', async () => {
    await plane().kubectl(['create', 'serviceaccount', 'somebody']);
    const token = (await plane().kubectl(['create', 'token', 'somebody'])).trim();
    const kubeconfig = plane().kubeconfigFor('somebody', token);
    const who = await plane().kubectl([
      `--kubeconfig=${kubeconfig}`,
      'auth',
      'whoami',
      '-o',
      'jsonpath={.status.userInfo.username}',
    ]);
    expect(who).toBe('system:serviceaccount:default:somebody');
    await expect(plane().kubectl([`--kubeconfig=${kubeconfig}`, 'get', 'secrets'])).rejects.toThrow('forbidden');
  });

  it('keeps what it stored when its programs are killed', async () => {
    await plane().kubectl(['create', 'configmap', 'kept', '--from-literal=a=b']);
    await plane().apiServer.kill();
    await expect(plane().request('GET', '/readyz')).rejects.toThrow('ECONNREFUSED');
    await plane().etcd.kill();
    plane().etcd.start();
    plane().apiServer.start();
    await plane().ready();
    expect(await plane().kubectl(['get', 'configmap', 'kept', '-o', 'jsonpath={.data.a}'])).toBe('b');
  });

  it('is another one each time', async () => {
    const other = await startControlPlane({ controllers: false });
    try {
      expect(other.url).not.toBe(plane().url);
      await other.kubectl(['create', 'namespace', 'only-there']);
      expect((await plane().request('GET', '/api/v1/namespaces/only-there')).status).toBe(404);
      expect((await plane().request('GET', '/api', undefined, { authorization: `Bearer ${other.token}` })).status).toBe(401);
    } finally {
      await other.stop();
    }
  });
});
