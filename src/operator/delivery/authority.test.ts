import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, it } from '@jest/globals';

import {
  AUTHORITY_LIFE_MS,
  decodeAuthority,
  encodeAuthority,
  issueServing,
  planAuthority,
  SPREAD_MS,
  trustedBy,
  type AuthorityState,
} from './authority.ts';
import type { ServingCertificate } from './delivery.ts';

const NOW = Date.now();
const DAY = 86_400_000;
const NAMES = ['fairlead-operator.fairlead-system.svc', 'localhost'];

/** Whether a client that trusts the bundle accepts the certificate under this name. */
async function accepted(serving: ServingCertificate, bundle: string, servername = 'localhost'): Promise<boolean> {
  const server = https.createServer({ cert: serving.certificatePem, key: serving.privateKeyPem.reveal() }, (_, response) => {
    response.end('ok');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    return await new Promise<boolean>((resolve) => {
      https
        .get({ host: '127.0.0.1', port, servername, ca: bundle, agent: false }, (response) => {
          response.resume().on('end', () => resolve(true));
        })
        .on('error', () => resolve(false));
    });
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

describe('the authority', () => {
  it('signs certificates that a client accepts for the names in them and for no others', async () => {
    const { state, bundlePem, changed } = planAuthority(null, null, NOW);
    expect(changed).toBe(true);
    const serving = issueServing(state.current, NAMES, NOW);
    expect(await accepted(serving, bundlePem)).toBe(true);
    expect(await accepted(serving, bundlePem, NAMES[0])).toBe(true);
    expect(await accepted(serving, bundlePem, 'fairlead-operator.elsewhere.svc')).toBe(false);
    expect(await accepted(serving, planAuthority(null, null, NOW + 5_000).bundlePem)).toBe(false);
  });

  it('writes what OpenSSL takes for a certificate of a server, and of nothing else', () => {
    const { state } = planAuthority(null, null, NOW);
    const serving = issueServing(state.current, NAMES, NOW);
    const dir = mkdtempSync(join(tmpdir(), 'authority-'));
    try {
      writeFileSync(join(dir, 'ca.pem'), state.current.certificatePem);
      writeFileSync(join(dir, 'leaf.pem'), serving.certificatePem);
      const verify = (purpose: string): string =>
        execFileSync(
          'openssl',
          ['verify', '-x509_strict', '-purpose', purpose, '-CAfile', join(dir, 'ca.pem'), join(dir, 'leaf.pem')],
          {
            encoding: 'utf8',
            stdio: 'pipe',
          },
        );
      expect(verify('sslserver')).toContain('OK');
      expect(() => verify('sslclient')).toThrow('purpose');
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it('is steady: nothing changes until its succession is due', () => {
    const { state, bundlePem } = planAuthority(null, null, NOW);
    for (const days of [1, 100, 240]) {
      const later = planAuthority(state, bundlePem, NOW + days * DAY);
      expect([later.changed, later.bundlePem]).toEqual([false, bundlePem]);
    }
  });

  it('is replaced by one that was published first, and no client is turned away on the way', async () => {
    // Its end is near as the test runs: clients judge by the clock.
    const bornMs = NOW - AUTHORITY_LIFE_MS + 80 * DAY;
    let plan = planAuthority(null, null, bornMs);
    const first = plan.state.current;
    const oldBundle = plan.bundlePem;
    let wallMs = bornMs + AUTHORITY_LIFE_MS - 100 * DAY;

    plan = planAuthority(plan.state, oldBundle, wallMs);
    expect(plan.changed).toBe(true);
    expect(plan.state.current).toBe(first);
    const next = plan.state.next;
    if (next === null) throw new Error('no successor');
    expect([trustedBy(plan.bundlePem, first), trustedBy(plan.bundlePem, next)]).toEqual([true, true]);
    const newBundle = plan.bundlePem;

    // As long as the ConfigMap has not been seen to have it, time does not count.
    wallMs += 10 * DAY;
    plan = planAuthority(plan.state, oldBundle, wallMs);
    expect([plan.changed, plan.state.current]).toEqual([false, first]);

    plan = planAuthority(plan.state, newBundle, wallMs);
    expect([plan.changed, plan.state.current]).toEqual([true, first]);
    plan = planAuthority(plan.state, newBundle, wallMs + SPREAD_MS - 1);
    expect(plan.changed).toBe(false);
    plan = planAuthority(plan.state, newBundle, wallMs + SPREAD_MS);
    expect(plan.state.current.certificatePem).toBe(next.certificatePem);
    // Those whose volume is stale have read it by now; those of before are still served by a replica that has not renewed.
    expect(trustedBy(plan.bundlePem, first)).toBe(true);
    expect(await accepted(issueServing(plan.state.current, NAMES, NOW), newBundle)).toBe(true);
    expect(await accepted(issueServing(first, NAMES, NOW), plan.bundlePem)).toBe(true);

    const settled = planAuthority(plan.state, plan.bundlePem, wallMs + SPREAD_MS + 31 * DAY);
    expect([settled.state.previous, trustedBy(settled.bundlePem, first)]).toEqual([null, false]);
  });

  it('that has run out is replaced at once', () => {
    const { state } = planAuthority(null, null, NOW);
    const later = planAuthority(state, null, NOW + AUTHORITY_LIFE_MS);
    expect(later.state.current).not.toBe(state.current);
    expect(new X509Certificate(later.state.current.certificatePem).validToDate.getTime()).toBeGreaterThan(
      NOW + AUTHORITY_LIFE_MS,
    );
  });

  it('serves no longer than it lives', () => {
    const { state } = planAuthority(null, null, NOW);
    const endsMs = new X509Certificate(state.current.certificatePem).validToDate.getTime();
    const serving = issueServing(state.current, NAMES, endsMs - DAY);
    expect(new X509Certificate(serving.certificatePem).validToDate.getTime()).toBe(endsMs);
    expect(serving.renewMs).toBeLessThan(endsMs);
  });

  it('comes back from its Secret as it was, in every state, and prints no key', () => {
    const first = planAuthority(null, null, NOW);
    const due = NOW + AUTHORITY_LIFE_MS - 100 * DAY;
    const next = planAuthority(first.state, first.bundlePem, due);
    const published = planAuthority(next.state, next.bundlePem, due + 1);
    const switched = planAuthority(published.state, next.bundlePem, due + 1 + SPREAD_MS);
    for (const { state } of [first, next, published, switched]) {
      const back = decodeAuthority(encodeAuthority(state)) as AuthorityState;
      expect(encodeAuthority(back)).toEqual(encodeAuthority(state));
      expect(back.next?.publishedMs).toBe(state.next?.publishedMs);
      expect(JSON.stringify(state)).not.toContain('PRIVATE');
    }
  });

  it('that somebody has damaged is none', () => {
    const data = encodeAuthority(planAuthority(null, null, NOW).state);
    const other = encodeAuthority(planAuthority(null, null, NOW).state);
    expect(decodeAuthority({})).toBeNull();
    expect(decodeAuthority({ ...data, 'ca.key': other['ca.key'] ?? '' })).toBeNull();
    expect(decodeAuthority({ ...data, 'ca.crt': 'none' })).toBeNull();
  });
});
