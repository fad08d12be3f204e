import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Bus } from '../../src/limits/redis/bus.ts';
import type { Decision } from '../../src/limits/limiter.ts';
import { REDIS_PERMISSIONS } from '../../src/limits/redis/reason.ts';
import { SecretValue } from '../../src/lib/secret.ts';
import type { Limit, RedisSettings } from '../../src/routetable/types.ts';
import { freePort } from '../controlplane/ports.ts';
import { makeAuthority } from '../features/support/certificates.ts';
import { eventually, settingsFor, TestPod } from './pods.ts';
import { ClusterGroup, clusterNode, SentinelGroup } from './redis-groups.ts';
import { redisAbsent, RedisProcess } from './redis-process.ts';

const HOUR_MS = 3_600_000;
const LIMIT = 100;
const FAILOVER_MS = 120_000;
/** A replica gives up after five seconds (CLUSTER_MF_TIMEOUT). */
const MANUAL_FAILOVER_MS = 6_000;

const limit = (name: string): Limit => ({ name, per: [], unit: 'Requests', limit: LIMIT, windowMs: HOUR_MS });
const REQUESTS = [limit('rph')];
/** Of so many that each master of a Cluster has some. */
const MANY = Array.from({ length: 12 }, (_, i) => limit(`limit-${i}`));

if (redisAbsent === null) {
  describe('limits over Redis as it is run', () => {
    const pods: TestPod[] = [];
    const ends: (() => Promise<void>)[] = [];
    let directory: string;

    const connected = async (settings: RedisSettings): Promise<TestPod> => {
      const pod = await TestPod.connected(settings, 5_000);
      pods.push(pod);
      return pod;
    };
    const redis = async (...options: string[]): Promise<RedisProcess> => {
      const process = await RedisProcess.start(...options);
      ends.push(async () => process.kill());
      return process;
    };
    /** What a pod says that cannot make use of Redis. */
    const refusal = async (settings: RedisSettings): Promise<string> => {
      const pod = new TestPod(settings, 5_000);
      pods.push(pod);
      await eventually(() => pod.told.states.length > 0);
      expect(pod.told.states).toMatchObject([{ reachable: false }]);
      return pod.told.states[0]?.reason ?? '';
    };
    const file = async (name: string, text: string): Promise<string> => {
      await writeFile(join(directory, name), text);
      return join(directory, name);
    };

    beforeEach(async () => {
      directory = await mkdtemp(join(tmpdir(), 'redis-modes-'));
    });
    afterEach(async () => {
      await Promise.all(pods.splice(0).map(async (pod) => pod.fleet.close()));
      await Promise.all(ends.splice(0).map(async (end) => end()));
      await rm(directory, { recursive: true });
    });

    it(
      'Sentinel: hold over the death of the master, and nothing but decisions reaches who asks',
      async () => {
        const group = await SentinelGroup.start();
        ends.push(async () => group.close());
        const settings = settingsFor(0, 'FailClosed', {
          mode: 'Sentinel',
          masterName: SentinelGroup.masterName,
          address: { nodes: group.nodes },
        });
        const two = [await connected(settings), await connected(settings)];
        const before = await Promise.all(two.map(async (pod) => pod.burst(REQUESTS, 20)));
        expect(before.flat()).toHaveLength(40);
        await group.master.replicated();
        await group.killMaster();
        let admitted = before.flat().length + (await failover(two, REQUESTS));
        await eventually(async () => {
          for (const pod of two) admitted += (await pod.burst(REQUESTS, LIMIT)).length;
          return admitted >= LIMIT;
        });
        expect(admitted).toBe(LIMIT);
        // A master that has just become one hangs up on everybody once more: away once or twice, each told by one line.
        for (const { told } of two) {
          expect(told.states.map(({ reachable }) => reachable)).toEqual(told.states.map((_, i) => i % 2 === 0));
          expect(told.states.length).toBeGreaterThanOrEqual(2);
          expect(told.states.length).toBeLessThanOrEqual(5);
        }
      },
      FAILOVER_MS,
    );

    it(
      'Cluster: counters lie where they may, and hold over the death of a master',
      async () => {
        const group = await ClusterGroup.start();
        ends.push(async () => group.close());
        const settings = settingsFor(0, 'FailClosed', { mode: 'Cluster', address: { nodes: group.nodes } });
        const two = [await connected(settings), await connected(settings)];
        const told: string[] = [];
        const listening = Promise.withResolvers<void>();
        const listener = new Bus(
          { ...settings, address: { ...settings.address, nodes: group.nodes.slice(1, 2) } },
          'fairlead:test',
          {
            received: (message) => told.push(message),
            joined: () => listening.resolve(),
            refused: (reason) => listening.reject(new Error(reason)),
          },
        );
        ends.push(async () => listener.close());
        await listening.promise;
        await group.masters[0]?.command('PUBLISH', 'fairlead:test', 'by another node');
        await eventually(() => told.includes('by another node'));
        const before = await Promise.all(two.map(async (pod) => pod.burst(MANY, 20)));
        expect(before.flat()).toHaveLength(40);
        for (const master of group.masters) {
          expect(await master.command('DBSIZE')).not.toBe(':0\r\n');
          await master.replicated();
        }
        await group.killMaster();
        const meanwhile = await failover(two, MANY);
        // All of a request's limits or none, so that each counter sees the same; what one pod holds and the other wants goes back.
        let admitted = before.flat().length + meanwhile;
        await eventually(async () => {
          for (const pod of two) admitted += (await pod.burst(MANY, LIMIT)).length;
          return admitted >= LIMIT;
        });
        expect(admitted).toBe(LIMIT);
      },
      FAILOVER_MS,
    );

    it(
      'Cluster: masters that are changed as planned reach nobody who asks, and nothing is counted twice',
      async () => {
        const group = await ClusterGroup.start();
        ends.push(async () => group.close());
        const settings = settingsFor(0, 'FailClosed', { mode: 'Cluster', address: { nodes: group.nodes } });
        const two = [await connected(settings), await connected(settings)];
        const limits = MANY.map((each) => ({ ...each, limit: 1_000 }));
        const decisions: Decision[] = [];
        let over = false;
        const callers = two.map(async (pod, index) => {
          for (let asked = 0; !over; asked++) {
            // A counter that nobody knows yet is asked for, at any of the masters.
            decisions.push(await pod.reserve([...limits, limit(`${index}-${asked}`)]));
            await sleep(20);
          }
        });
        const decided = async (): Promise<void> => {
          const before = decisions.length;
          await eventually(() => decisions.length >= before + 20);
        };
        try {
          for (const replica of group.replicas) {
            await decided();
            await promote(replica);
          }
          await decided();
        } finally {
          over = true;
        }
        await Promise.all(callers);
        expect(decisions.filter((decision) => !decision.ok && decision.reason === 'unavailable')).toEqual([]);
        for (const { told } of two) expect(told.states.map(({ reachable }) => reachable)).toEqual([true]);
        // What is counted twice, nobody can have.
        let admitted = decisions.filter(({ ok }) => ok).length;
        await eventually(async () => {
          for (const pod of two) admitted += (await pod.burst(limits, 100)).length;
          return admitted >= 1_000;
        });
        expect(admitted).toBe(1_000);
      },
      FAILOVER_MS,
    );

    it('TLS: by an authority of its own, and each mistake is named with its field', async () => {
      const authority = makeAuthority('Redis authority');
      const { certificatePem, privateKeyPem } = authority.issue(['redis.test', '127.0.0.1']);
      const tlsPort = await freePort();
      const plain = await redis(...(await tlsOptions(tlsPort, certificatePem, privateKeyPem)));
      const over = (tls: boolean, caPem: string | null, port = tlsPort, serverName: string | null = null): RedisSettings =>
        settingsFor(port, 'FailClosed', { address: { tls }, trust: { caPem, serverName } });

      const pod = await connected(over(true, authority.certificatePem));
      expect(await pod.burst(REQUESTS, LIMIT + 1)).toHaveLength(LIMIT);
      await connected(over(true, authority.certificatePem, tlsPort, 'redis.test'));

      expect(await refusal(over(true, makeAuthority('another').certificatePem))).toContain('spec.redis.tls.caRef');
      expect(await refusal(over(true, null))).toContain('spec.redis.tls.caRef');
      expect(await refusal(over(true, authority.certificatePem, tlsPort, 'other.test'))).toContain('spec.redis.tls.serverName');
      expect(await refusal(over(false, null))).toContain('must begin with rediss://');
      expect(await refusal(over(true, authority.certificatePem, plain.port))).toContain('must begin with redis://');
    });

    it.each([
      ['TLS refuses what it cannot read', Buffer.from([21, 3, 3, 0, 2, 2, 70]), 'must begin with rediss://'],
      ['something else answers', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), "does not speak Redis' protocol"],
    ])('says what to put right where %s', async (_what, answer, advice) => {
      const server = createServer((socket) => socket.on('error', () => {}).once('data', () => socket.write(answer)));
      ends.push(async () => promisify(server.close.bind(server))());
      await once(server.listen(0, '127.0.0.1'), 'listening');
      expect(await refusal(settingsFor((server.address() as AddressInfo).port, 'FailClosed'))).toContain(advice);
    });

    it('TLS in a Cluster', async () => {
      const authority = makeAuthority('Redis authority');
      const { certificatePem, privateKeyPem } = authority.issue(['localhost', '127.0.0.1']);
      const tlsPort = await freePort();
      const node = await redis(
        ...(await clusterNode(directory, 'one')),
        ...(await tlsOptions(tlsPort, certificatePem, privateKeyPem)),
        ...['--tls-cluster', 'yes', '--cluster-announce-ip', '127.0.0.1'],
      );
      await node.command('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
      await eventually(async () => (await node.command('CLUSTER', 'INFO')).includes('cluster_state:ok'));
      const pod = await connected(
        settingsFor(tlsPort, 'FailClosed', {
          mode: 'Cluster',
          address: { tls: true, nodes: [{ host: 'localhost', port: tlsPort }] },
          trust: { caPem: authority.certificatePem, serverName: null },
        }),
      );
      expect(await pod.burst(MANY, LIMIT + 1)).toHaveLength(LIMIT);
    });

    it('ACL: a user with the permissions that the README lists, and what one lacks is named once', async () => {
      const process = await redis();
      const password = new SecretValue('s3cret');
      await process.command('ACL', 'SETUSER', 'fairlead', 'on', '>s3cret', ...REDIS_PERMISSIONS);
      const as = (username: string | null, secret: SecretValue | null): RedisSettings =>
        settingsFor(process.port, 'FailClosed', { address: { username, password: secret } });
      const pod = await connected(as('fairlead', password));
      expect(await pod.burst(REQUESTS, LIMIT + 1)).toHaveLength(LIMIT);
      expect(await refusal(as('fairlead', new SecretValue('wrong')))).toMatch(/WRONGPASS.*spec\.redis\.addressRef/);

      // It was not asked for once, and is for nothing but an exact share.
      await process.command('ACL', 'SETUSER', 'fairlead', '-zrange');
      await connected(as('fairlead', password));

      await process.command('ACL', 'SETUSER', 'fairlead', '-zadd');
      await pod.until(false);
      expect(pod.told.states.at(-1)?.reason).toMatch(/can't run this command.*\+zadd/);
      await process.command('ACL', 'SETUSER', 'fairlead', '+zadd', '-evalsha');
      expect(await refusal(as('fairlead', password))).toMatch(/NOPERM.*'evalsha'.*spec\.redis\.addressRef/);
      await process.command('ACL', 'SETUSER', 'fairlead', '+evalsha');
      await pod.until(true);
      expect(pod.told.states.map(({ reachable }) => reachable)).toEqual([true, false, true]);
    });

    it('name a mode that is not how this Redis is run', async () => {
      const one = await redis();
      const node = await redis(...(await clusterNode(directory, 'one')));
      await node.command('CLUSTER', 'ADDSLOTSRANGE', '0', '8000');
      const wrongMaster = await RedisProcess.sentinel(
        await file('sentinel.conf', `sentinel monitor main 127.0.0.1 ${one.port} 1\n`),
      );
      ends.push(async () => wrongMaster.kill());
      expect(await refusal(settingsFor(one.port, 'FailClosed', { mode: 'Cluster' }))).toContain('spec.redis.mode');
      expect(await refusal(settingsFor(wrongMaster.port, 'FailClosed', { mode: 'Sentinel', masterName: 'other' }))).toContain(
        'spec.redis.sentinel.masterName',
      );
      expect(await refusal(settingsFor(one.port, 'FailClosed', { mode: 'Sentinel', masterName: 'main' }))).toContain(
        'must lead to the sentinels',
      );
    });

    it('a master that became a replica is said to be one, and used again when it is the master again', async () => {
      const [one, other] = [await redis(), await redis()];
      const pod = await connected(settingsFor(one.port, 'FailClosed'));
      await one.command('REPLICAOF', '127.0.0.1', String(other.port));
      await pod.until(false);
      expect(pod.told.states.at(-1)?.reason).toMatch(/READONLY|the connection was lost/);
      await one.command('REPLICAOF', 'NO', 'ONE');
      await pod.until(true);
      expect(await pod.burst(REQUESTS, LIMIT + 1)).toHaveLength(LIMIT);
    });

    it('wait for a Redis that is still loading what it had', async () => {
      const kept = ['--dir', directory, '--dbfilename', 'kept.rdb', '--enable-debug-command', 'yes'];
      const before = await redis(...kept);
      await before.command('DEBUG', 'POPULATE', '2000');
      await before.command('SAVE');
      await before.kill();
      // It looks at what it is asked after every few keys.
      const loading = await redis(...kept, '--key-load-delay', '2000', '--loading-process-events-interval-bytes', '1024');
      const pod = new TestPod(settingsFor(loading.port, 'FailClosed'), 5_000);
      pods.push(pod);
      await pod.until(true);
      expect(pod.told.states.map(({ reachable }) => reachable)).toEqual([false, true]);
      expect(pod.told.states[0]?.reason).toContain('LOADING');
      expect(await pod.burst(REQUESTS, LIMIT + 1)).toHaveLength(LIMIT);
    });

    async function tlsOptions(tlsPort: number, certificatePem: string, privateKeyPem: string): Promise<string[]> {
      const certificate = await file('tls.crt', certificatePem);
      return [
        ...['--tls-port', String(tlsPort), '--tls-cert-file', certificate],
        ...['--tls-key-file', await file('tls.key', privateKeyPem)],
        ...['--tls-ca-cert-file', certificate, '--tls-auth-clients', 'no'],
      ];
    }
  });
} else {
  it(`absent: limits over Sentinel, Cluster and TLS: ${redisAbsent}`, () => undefined);
}

/** A change of masters as planned. It is given up where the two are not at the same place in time, and must be asked for again. */
async function promote(replica: RedisProcess): Promise<void> {
  for (;;) {
    expect(await replica.command('CLUSTER', 'FAILOVER')).toBe('+OK\r\n');
    for (const givenUpMs = performance.now() + MANUAL_FAILOVER_MS; performance.now() < givenUpMs; await sleep(5)) {
      if ((await replica.command('ROLE')).includes('master')) return;
    }
  }
}

/**
 * Asks on and on while a master is replaced; answers how many were admitted, from leases, until Redis decides again: after it was away, or
 * where leases lasted until the limit was used up, which only Redis says.
 */
async function failover(pods: readonly TestPod[], limits: readonly Limit[]): Promise<number> {
  let admitted = 0;
  let away = false;
  for (;;) {
    const decisions = await Promise.all(pods.map(async (pod) => pod.reserve(limits)));
    admitted += decisions.filter(({ ok }) => ok).length;
    const unavailable = decisions.some((decision) => !decision.ok && decision.reason === 'unavailable');
    const exceeded = decisions.some((decision) => !decision.ok && decision.reason === 'exceeded');
    if (unavailable) away = true;
    else if (away || exceeded) return admitted;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
