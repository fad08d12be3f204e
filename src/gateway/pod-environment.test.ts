import { describe, expect, it } from '@jest/globals';

import { GATEWAY_ENV } from '../lib/pod.ts';
import { readPodEnvironment } from './pod-environment.ts';

const URL_ENV = { [GATEWAY_ENV.operatorUrl]: 'https://fairlead-stream.fairlead-system.svc:9443' };

describe("a pod's environment", () => {
  it('needs the address of the operator alone', () => {
    expect(readPodEnvironment(URL_ENV)).toMatchObject({
      ok: true,
      value: {
        port: 8080,
        adminPort: 9090,
        caFile: '/var/run/fairlead/identity/ca.crt',
        tokenFile: '/var/run/fairlead/identity/token',
        snapshotDir: '/var/run/fairlead/snapshot',
      },
    });
  });

  it.each([
    [{}, 'FAIRLEAD_OPERATOR_URL: "" is not an https URL'],
    [{ [GATEWAY_ENV.operatorUrl]: 'http://x' }, 'FAIRLEAD_OPERATOR_URL: "http://x" is not an https URL'],
    [{ ...URL_ENV, [GATEWAY_ENV.port]: '80a' }, 'FAIRLEAD_PORT: "80a" is not a port, write a number like 8080'],
    [{ ...URL_ENV, [GATEWAY_ENV.adminPort]: '70000' }, 'FAIRLEAD_ADMIN_PORT: "70000" is not a port, write a number like 9090'],
  ])('%o is refused by name', (env, why) => {
    expect(readPodEnvironment(env)).toMatchObject({ ok: false, error: expect.stringContaining(why) });
  });
});
