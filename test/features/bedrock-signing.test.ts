// Promise: calls to Bedrock are signed with the route's AWS credentials (Signature Version 4), and the secret never leaves.
import { createHash, createHmac } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../src/lib/clock.ts';
import { request } from './support/client.ts';
import { compileYaml, startGateway } from './support/gateway.ts';
import { FakeUpstream, type ReceivedCall } from './support/upstream.ts';

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
): string => `
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat, namespace: default}
spec:
  modelNames: [chat]
  models:
  - name: only
    provider: ${provider}
    auth: {type: AWS, aws: ${auth}}
  rules:
  - {name: default, targets: [{model: only}]}
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

describe('Bedrock', () => {
  it('gets calls that are signed for their time, path and body', async () => {
    const upstream = await FakeUpstream.start((call) => call.answer(200, ANSWER));
    const clock = new ManualClock(Date.UTC(2026, 10, 24, 12, 0, 0));
    const gateway = await startGateway(route(`http://127.0.0.1:${upstream.port}`), { clock });
    const got = await request(gateway.port, { body: { model: 'chat', messages: [{ role: 'user', content: 'Hi' }] } });
    expect(got.status).toBe(200);
    expect(got.text).toContain('Signed.');
    const [call] = upstream.calls;
    if (call === undefined) throw new Error('no call came');
    expect(call.path).toBe('/model/amazon.nova-pro-v1%3A0/converse');
    expect(call.headers).toMatchObject({ 'x-amz-date': '20261124T120000Z', 'x-amz-security-token': 'session-token' });
    const found =
      /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/20261124\/eu-central-1\/bedrock\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(
        call.headers['authorization'] ?? '',
      );
    expect(found?.[2]).toBe(signatureOf(call, found?.[1] ?? ''));
    expect(JSON.stringify(call.headers)).not.toContain(SECRET);
  });

  it('has a model left out whose credentials it would have to take from the pod', () => {
    const { table, statuses } = compileYaml(route('http://127.0.0.1:9', undefined, '{}'));
    expect(table?.routes[0]?.targets ?? []).toEqual([]);
    expect(JSON.stringify([...statuses.values()])).toContain('the pods’ own identity');
  });

  it('is the only provider that AWS credentials are for', () => {
    const { statuses } = compileYaml(route('', '{type: OpenAI}'));
    expect(JSON.stringify([...statuses.values()])).toContain('AWS credentials are for Bedrock');
  });
});
