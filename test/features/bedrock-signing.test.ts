// Promise: calls to Bedrock are signed with the route's AWS credentials (Signature Version 4), and the secret never leaves.
import { createHash, createHmac } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../src/lib/clock.ts';
import { request } from './support/client.ts';
import { compileYaml, startGateway, type TestGateway } from './support/gateway.ts';
import { FakeUpstream, type ReceivedCall } from './support/upstream.ts';
import { chatRouteYaml } from './support/yaml.ts';

const SECRET = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';

const ANSWER = JSON.stringify({
  output: { message: { role: 'assistant', content: [{ text: 'Signed.' }] } },
  stopReason: 'end_turn',
  usage: { inputTokens: 1, outputTokens: 1, totalTokens: 2 },
});

const route = (
  url: string,
  provider = `{type: Bedrock, bedrock: {region: eu-central-1, model: "amazon.nova-pro-v1:0", baseURL: "${url}"}}`,
  auth = '{secretRef: {name: aws}}',
): string => `${chatRouteYaml(
  `  - {name: only, provider: ${provider}, auth: {type: AWS, aws: ${auth}}}`,
  '  - {name: default, targets: [{model: only}]}',
)}
---
apiVersion: v1
kind: Secret
metadata: {name: aws, namespace: default}
stringData: {accessKeyId: AKIDEXAMPLE, secretAccessKey: "${SECRET}", sessionToken: session-token}
`;

const hex = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');
const hmac = (key: string | Buffer, data: string): Buffer => createHmac('sha256', key).update(data).digest();

/** The service's side, written from its documentation: the signature of what came in. */
function signatureOf(call: ReceivedCall, signedHeaders: string): string {
  const date = call.headers['x-amz-date'] ?? '';
  const [path = ''] = call.path.split('?');
  // Each segment is encoded once more than it is on the wire.
  const canonicalPath = path.split('/').map(encodeURIComponent).join('/');
  const headers = signedHeaders.split(';').map((name) => `${name}:${call.headers[name] ?? ''}\n`);
  const canonical = [call.method, canonicalPath, '', headers.join(''), signedHeaders, hex(call.body)].join('\n');
  const scope = `${date.slice(0, 8)}/eu-central-1/bedrock/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', date, scope, hex(canonical)].join('\n');
  const key = ['eu-central-1', 'bedrock', 'aws4_request'].reduce<Buffer>(hmac, hmac(`AWS4${SECRET}`, date.slice(0, 8)));
  return hmac(key, toSign).toString('hex');
}

function expectSigned(call: ReceivedCall): void {
  const found =
    /^AWS4-HMAC-SHA256 Credential=\w+\/20261124\/eu-central-1\/bedrock\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(
      call.headers['authorization'] ?? '',
    );
  expect(found?.[2]).toBe(signatureOf(call, found?.[1] ?? ''));
}

const NOW_MS = Date.UTC(2026, 10, 24, 12, 0, 0);
const HI = { model: 'chat', messages: [{ role: 'user', content: 'Hi' }] };

/** A model that is an LLMBackend beside the gateway, whose pods have what EKS Pod Identity gives them. */
async function startWithPodIdentity(agent: string): Promise<{ gateway: TestGateway; upstream: FakeUpstream }> {
  const upstream = await FakeUpstream.start((call) => call.answer(200, ANSWER));
  const yaml = `${chatRouteYaml('  - {name: only, backendRef: {name: bedrock}}', '  - {name: default, targets: [{model: only}]}')}
---
apiVersion: fairlead.dev/v1alpha1
kind: LLMBackend
metadata: {name: bedrock, namespace: default}
spec:
  provider: {type: Bedrock, bedrock: {region: eu-central-1, model: "amazon.nova-pro-v1:0", baseURL: "http://127.0.0.1:${upstream.port}"}}
  auth: {type: AWS}
`;
  const gateway = await startGateway(yaml, {
    clock: new ManualClock(NOW_MS),
    variables: { AWS_CONTAINER_CREDENTIALS_FULL_URI: agent, AWS_CONTAINER_AUTHORIZATION_TOKEN: 'token-of-the-pod' },
  });
  return { gateway, upstream };
}

describe('Bedrock', () => {
  it('gets calls that are signed for their time, path and body', async () => {
    const upstream = await FakeUpstream.start((call) => call.answer(200, ANSWER));
    const gateway = await startGateway(route(`http://127.0.0.1:${upstream.port}`), { clock: new ManualClock(NOW_MS) });
    const got = await request(gateway.port, { body: HI });
    expect(got.status).toBe(200);
    expect(got.text).toContain('Signed.');
    const [call] = upstream.calls;
    if (call === undefined) throw new Error('no call came');
    expect(call.path).toBe('/model/amazon.nova-pro-v1%3A0/converse');
    expect(call.headers).toMatchObject({ 'x-amz-date': '20261124T120000Z', 'x-amz-security-token': 'session-token' });
    expect(call.headers['authorization']).toMatch(/^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\//);
    expectSigned(call);
    expect(JSON.stringify(call.headers)).not.toContain(SECRET);
  });

  it('gets calls that are signed with the keys that the pods’ identity agent gives, asked for once', async () => {
    const expiration = new Date(NOW_MS + 3_600_000).toISOString();
    const agent = await FakeUpstream.start((call) =>
      call.answer(
        200,
        JSON.stringify({ AccessKeyId: 'ASIAPODS', SecretAccessKey: SECRET, Token: 'pods-token', Expiration: expiration }),
      ),
    );
    const { gateway, upstream } = await startWithPodIdentity(`http://127.0.0.1:${agent.port}/v1/credentials`);
    for (let asked = 0; asked < 2; asked++) expect((await request(gateway.port, { body: HI })).text).toContain('Signed.');
    expect(agent.calls.map(({ method, path, headers }) => [method, path, headers['authorization']])).toEqual([
      ['GET', '/v1/credentials', 'token-of-the-pod'],
    ]);
    for (const call of upstream.calls) {
      expect(call.headers['x-amz-security-token']).toBe('pods-token');
      expect(call.headers['authorization']).toMatch(/^AWS4-HMAC-SHA256 Credential=ASIAPODS\//);
      expectSigned(call);
    }
  });

  it('is passed over where the agent gives no keys; the log says which model and why', async () => {
    const agent = await FakeUpstream.start((call) => call.answer(400, `{"code":"AccessDeniedException","message":"${SECRET}"}`));
    const { gateway, upstream } = await startWithPodIdentity(`http://127.0.0.1:${agent.port}/v1/credentials`);
    const answer = await request(gateway.port, { body: HI });
    expect(answer.status).toBe(502);
    expect(answer.text).toContain('auth');
    expect(upstream.calls).toEqual([]);
    const [line] = gateway.requests;
    expect(line?.attempts).toMatchObject([{ target: 'only', outcome: 'auth' }]);
    const told = JSON.stringify([gateway.requests, gateway.lines]);
    expect(told).toContain('AccessDeniedException');
    expect(told).not.toContain(SECRET);
  });

  it('has a route’s model left out whose keys would have to be the pods’', () => {
    const { table, statuses } = compileYaml(route('http://127.0.0.1:9', undefined, '{}'));
    expect(table?.routes[0]?.targets ?? []).toEqual([]);
    expect(JSON.stringify([...statuses.values()])).toContain(
      "the pods' own identity is for LLMBackends of the gateway's namespace",
    );
  });

  it('is the only provider that AWS credentials are for', () => {
    const { statuses } = compileYaml(route('', '{type: OpenAI}'));
    expect(JSON.stringify([...statuses.values()])).toContain('AWS credentials are for Bedrock');
  });
});
