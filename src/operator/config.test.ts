import { describe, expect, it } from '@jest/globals';

import { readConfig } from './config.ts';

describe('readConfig', () => {
  it('needs no more than the namespace', () => {
    expect(readConfig({ FAIRLEAD_NAMESPACE: 'fairlead-system' })).toMatchObject({
      ok: true,
      value: {
        lease: 'fairlead',
        pod: null,
        image: null,
        gatewayNamespaces: ['fairlead-system'],
        secretNamespaces: [],
        streamUrl: 'https://fairlead-stream.fairlead-system.svc:9443',
        streamPort: 9443,
        adminPort: 9090,
        logLevel: 'info',
      },
    });
  });

  it('reads lists and labels', () => {
    const env = {
      FAIRLEAD_NAMESPACE: 'a',
      FAIRLEAD_GATEWAY_NAMESPACES: 'b, c,b',
      FAIRLEAD_SECRET_NAMESPACES: 'd',
      FAIRLEAD_CLIENT_KEY_NAMESPACES: 'e,f',
      FAIRLEAD_POD_MONITOR_LABELS: 'release=prometheus,a=b=c',
    };
    expect(readConfig(env)).toMatchObject({
      ok: true,
      value: {
        gatewayNamespaces: ['b', 'c'],
        secretNamespaces: ['d'],
        keyNamespaces: ['e', 'f'],
        podMonitorLabels: { release: 'prometheus', a: 'b=c' },
      },
    });
  });

  it('names everything that is wrong at once', () => {
    const read = readConfig({
      FAIRLEAD_ADMIN_PORT: '99999',
      FAIRLEAD_LOG_LEVEL: 'loud',
      FAIRLEAD_POD_MONITOR_LABELS: 'x',
      FAIRLEAD_STREAM_URL: 'http://x',
    });
    expect(read.ok).toBe(false);
    for (const name of ['NAMESPACE', 'ADMIN_PORT=99999', 'LOG_LEVEL=loud', 'POD_MONITOR_LABELS', 'STREAM_URL=http://x'])
      expect(read.ok ? '' : read.error).toContain(`FAIRLEAD_${name}`);
  });
});
