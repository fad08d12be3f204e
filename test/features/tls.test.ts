import http from 'node:http';
import https from 'node:https';
import { TLSSocket, type PeerCertificate } from 'node:tls';
import { describe, expect, it } from '@jest/globals';
import { makeAuthority, type ServerCertificate } from './support/certificates.ts';
import { onCleanUp } from './support/clean-up.ts';
import { request, send } from './support/client.ts';
import { chat, streamOf } from './support/dialects.ts';
import { compileYaml, startGateway, type TestGateway } from './support/gateway.ts';
import { documents, gatewayYaml, secretYaml } from './support/secrets.ts';
import { FakeUpstream, type ReceivedCall } from './support/upstream.ts';
import { routeYaml } from './support/yaml.ts';

const authority = makeAuthority('Authority of the test');
const other = makeAuthority('Authority of somebody else');
const hello = (call: ReceivedCall): void => call.answer(200, chat.whole('Hello'));

describe('the listener', () => {
  const tlsGateway = gatewayYaml('clientAuth: {type: None}, listener: {tls: {secretRef: {name: gateway-tls}}}');

  function yaml(certificate: ServerCertificate, upstreamUrl: string): string {
    const secret = secretYaml('gateway-tls', 'platform', {
      'tls.crt': certificate.certificatePem,
      'tls.key': certificate.privateKeyPem,
    });
    return documents(tlsGateway, secret, routeYaml({ a: upstreamUrl }));
  }

  /** Whose certificate is shown on a connection, and what a request on it is answered. */
  async function visit(
    gateway: TestGateway,
    agent?: https.Agent,
  ): Promise<{ readonly status: number; readonly peer: PeerCertificate }> {
    return new Promise((resolve, reject) => {
      const sent = https.request(
        {
          host: '127.0.0.1',
          port: gateway.port,
          path: '/v1/models',
          ca: authority.certificatePem,
          servername: 'localhost',
          agent: agent ?? false,
        },
        (response) => {
          const { socket } = response;
          if (!(socket instanceof TLSSocket)) throw new Error('not TLS');
          const peer = socket.getPeerCertificate();
          response.resume().on('end', () => resolve({ status: response.statusCode ?? 0, peer }));
        },
      );
      sent.on('error', reject).end();
    });
  }

  it('serves HTTPS, streams too, and takes up a new certificate without losing a connection', async () => {
    const upstream = await FakeUpstream.start((call) => {
      call.open();
      for (const frame of streamOf(chat, 'Hello').slice(0, -2)) call.chunk(frame);
    });
    const first = authority.issue(['localhost']);
    const gateway = await startGateway(yaml(first, upstream.url));
    const caPem = authority.certificatePem;
    const stream = send(gateway.port, { body: { ...chat.body, stream: true }, caPem });
    await stream.waitFor('Hello');
    const agent = new https.Agent({ keepAlive: true });
    onCleanUp(() => agent.destroy());
    const before = await visit(gateway, agent);
    expect(before.status).toBe(200);

    gateway.apply(yaml(authority.issue(['localhost']), upstream.url));
    const after = await visit(gateway);
    expect(after.status).toBe(200);
    expect(after.peer.fingerprint256).not.toBe(before.peer.fingerprint256);
    // Old connections go on with the old one.
    expect((await visit(gateway, agent)).peer.fingerprint256).toBe(before.peer.fingerprint256);
    const call = await upstream.nextCall();
    for (const frame of chat.ending) call.chunk(frame);
    call.end();
    expect(await stream.answer).toMatchObject({ status: 200, complete: true, text: streamOf(chat, 'Hello').join('') });

    const dump = await request(gateway.adminPort, { path: '/config' });
    expect(dump.text).not.toContain('PRIVATE KEY');
    expect(dump.text).not.toContain(first.privateKeyPem.split('\n')[1] ?? '');
  });

  it('refuses what is not TLS, and serves on', async () => {
    const upstream = await FakeUpstream.start(hello);
    const gateway = await startGateway(yaml(authority.issue(['localhost']), upstream.url));
    await expect(request(gateway.port, { body: { ...chat.body } })).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect((await request(gateway.port, { body: { ...chat.body }, caPem: authority.certificatePem })).status).toBe(200);
  });

  it.each([
    [
      'a key that does not belong to the certificate',
      { 'tls.key': authority.issue(['localhost']).privateKeyPem },
      /"tls\.key" a key that does not belong/,
    ],
    [
      'a certificate that is none',
      { 'tls.crt': '-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n' },
      /"tls\.crt"/,
    ],
    ['a key that is none', { 'tls.key': '-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n' }, /"tls\.key"/],
  ])('is told of %s, and shows the last good one', async (_what, wrong, told) => {
    const good = authority.issue(['localhost']);
    const values: Record<string, string> = { 'tls.crt': good.certificatePem, 'tls.key': good.privateKeyPem, ...wrong };
    const { table, statuses } = compileYaml(
      documents(tlsGateway, secretYaml('gateway-tls', 'platform', values), routeYaml({ a: 'http://127.0.0.1:9/v1' })),
    );
    expect(table).toBeNull();
    const condition = statuses.get('LLMGateway/platform/default')?.conditions.find(({ type }) => type === 'ResolvedRefs');
    expect(condition).toMatchObject({ status: 'False', reason: 'ArtifactInvalid', message: expect.stringMatching(told) });
    expect(condition?.message).not.toContain('nonsense');
  });
});

describe('an upstream over HTTPS', () => {
  const certificate = authority.issue(['models.internal', '127.0.0.1']);
  const caYaml = (caPem: string): string =>
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'ca', namespace: 'default' },
      data: { 'ca.crt': caPem },
    });
  const secure = async (respond = hello, shown = certificate): Promise<FakeUpstream> =>
    FakeUpstream.start(respond, { tls: shown });
  const TRUSTING = 'tls: {caRef: {name: ca}}';

  it('is trusted by the route’s own authority', async () => {
    const upstream = await secure();
    const gateway = await startGateway(
      documents(routeYaml({ a: { url: upstream.url, more: TRUSTING } }), caYaml(authority.certificatePem)),
    );
    expect((await request(gateway.port, { body: { ...chat.body } })).text).toBe(chat.whole('Hello'));
    expect(upstream.url).toMatch(/^https:/);
  });

  it('is known by another name where the route gives one', async () => {
    const upstream = await secure(hello, authority.issue(['models.internal']));
    const gateway = await startGateway(
      documents(
        routeYaml({ a: { url: upstream.url, more: 'tls: {caRef: {name: ca}, serverName: models.internal}' } }),
        caYaml(authority.certificatePem),
      ),
    );
    expect((await request(gateway.port, { body: { ...chat.body } })).status).toBe(200);
    const { socket } = await upstream.nextCall();
    expect(socket instanceof TLSSocket && socket.servername).toBe('models.internal');
  });

  it('gets its next connection on the session of the one before', async () => {
    const upstream = await secure((call) => call.answer(200, chat.whole('Hello'), { connection: 'close' }));
    const gateway = await startGateway(
      documents(routeYaml({ a: { url: upstream.url, more: TRUSTING } }), caYaml(authority.certificatePem)),
    );
    const reused: unknown[] = [];
    for (let round = 0; round < 3; round++) {
      expect((await request(gateway.port, { body: { ...chat.body } })).status).toBe(200);
      const { socket, gone } = await upstream.nextCall();
      reused.push(socket instanceof TLSSocket && socket.isSessionReused());
      socket.end();
      await gone;
    }
    expect(reused).toEqual([false, true, true]);
    expect(upstream.accepted).toBe(3);
  });

  it.each([
    ['signed by somebody else', TRUSTING, other.issue(['127.0.0.1']), /self-signed certificate|unable to verify/],
    ['signed by nobody who is known', 'headers: []', certificate, /self-signed certificate|unable to verify|unable to get/],
    [
      'for another name',
      'tls: {caRef: {name: ca}, serverName: other.internal}',
      certificate,
      /does not match certificate's altnames/,
    ],
  ])('whose certificate is %s fails over, and the log says why', async (_how, more, shown, why) => {
    const upstream = await secure(hello, shown);
    const second = await FakeUpstream.start(hello);
    const gateway = await startGateway(
      documents(routeYaml({ a: { url: upstream.url, more }, b: second.url }), caYaml(authority.certificatePem)),
    );
    const answer = await request(gateway.port, { body: { ...chat.body } });
    expect(answer.status).toBe(200);
    expect(answer.headers['x-fairlead-reason']).toBe('failover:ConnectFailure(a)');
    expect(upstream.calls).toHaveLength(0);
    const alone = await startGateway(documents(routeYaml({ a: { url: upstream.url, more } }), caYaml(authority.certificatePem)));
    const failed = await request(alone.port, { body: { ...chat.body } });
    expect(failed.status).toBe(502);
    expect(failed.text).toMatch(why);
    expect(alone.requests[0]?.errorMessage).toMatch(why);
  });

  it('whose route gives an authority that is none is never called: the other one answers', async () => {
    const upstream = await secure();
    const second = await FakeUpstream.start(hello);
    const nonsense = '-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n';
    const gateway = await startGateway(
      documents(routeYaml({ a: { url: upstream.url, more: TRUSTING }, b: second.url }), caYaml(nonsense)),
    );
    const answer = await request(gateway.port, { body: { ...chat.body } });
    expect(answer.headers['x-fairlead-reason']).toBe('only');
    expect(upstream.calls).toHaveLength(0);
  });

  it('that speaks plain HTTP fails over', async () => {
    const plain = http.createServer((_request, response) => response.end('{}'));
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
    onCleanUp(() => plain.close());
    const address = plain.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    const second = await FakeUpstream.start(hello);
    const gateway = await startGateway(routeYaml({ a: `https://127.0.0.1:${port}/v1`, b: second.url }));
    const answer = await request(gateway.port, { body: { ...chat.body } });
    expect(answer.headers['x-fairlead-reason']).toBe('failover:ConnectFailure(a)');
  });
});
