// Promise: a model's calls carry a fresh token of its cloud identity; without one the next target answers, and nothing secret is told.
import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../src/lib/clock.ts';
import { request } from './support/client.ts';
import { chat, streamOf } from './support/dialects.ts';
import { startGateway, type TestGateway, type TestGatewayOptions } from './support/gateway.ts';
import { FakeUpstream } from './support/upstream.ts';
import { chatRouteYaml } from './support/yaml.ts';

const SECRET = 'entra~client~secret~of~the~route';

const route = (azure: string, other: string): string => `${chatRouteYaml(
  `
  - name: azure
    provider: {type: AzureOpenAI, azureOpenAI: {endpoint: "${azure}", deployment: gpt}}
    auth: {type: Entra, entra: {secretRef: {name: entra}}}
  - name: other
    provider: {type: OpenAICompatible, openAICompatible: {model: m, baseURL: "${other}"}}
    auth: {type: None}`,
  '  - {name: default, targets: [{model: azure, priority: 0}, {model: other, priority: 1}]}',
)}
---
apiVersion: v1
kind: Secret
metadata: {name: entra, namespace: default}
stringData: {tenantId: contoso, clientId: app, clientSecret: "${SECRET}"}
`;

async function start(
  token: () => Promise<Response>,
  options: TestGatewayOptions = {},
): Promise<{ gateway: TestGateway; azure: FakeUpstream }> {
  const azure = await FakeUpstream.start((call) =>
    call.body.includes('"stream":true') ? call.stream(streamOf(chat, 'azure')) : call.answer(200, chat.whole('azure')),
  );
  const other = await FakeUpstream.start((call) => call.answer(200, chat.whole('other')));
  return { gateway: await startGateway(route(azure.url, other.url), { ...options, fetchToken: token }), azure };
}

describe('a model with Entra credentials', () => {
  it('is called with a token, whole and streamed, that is asked for once', async () => {
    let asked = 0;
    const { gateway, azure } = await start(async () => Response.json({ access_token: `fresh-${++asked}`, expires_in: 3_600 }));
    const answer = await request(gateway.port, { body: chat.body, headers: { authorization: 'Bearer of-the-client' } });
    expect(answer.text).toBe(chat.whole('azure'));
    expect((await request(gateway.port, { body: { ...chat.body, stream: true } })).text).toContain('azure');
    expect(azure.calls.map(({ headers }) => headers['authorization'])).toEqual(['Bearer fresh-1', 'Bearer fresh-1']);
    expect(azure.calls.map(({ headers }) => headers['api-key'])).toEqual([undefined, undefined]);
    expect(asked).toBe(1);
  });

  it('is soon called with another token where it refuses the one that is held', async () => {
    let asked = 0;
    const clock = new ManualClock();
    clock.advance(1);
    const { gateway, azure } = await start(async () => Response.json({ access_token: `fresh-${++asked}`, expires_in: 86_400 }), {
      clock,
    });
    azure.respond((call) =>
      call.headers['authorization'] === 'Bearer fresh-1'
        ? call.answer(401, JSON.stringify({ error: { code: '401', message: 'Access denied due to an invalid token.' } }))
        : call.answer(200, chat.whole('azure')),
    );
    const texts: string[] = [];
    for (let requests = 0; requests < 10; requests++) {
      texts.push((await request(gateway.port, { body: chat.body })).text);
      // What keeps away from the model for what it said is over by then.
      clock.advance(60_000);
    }
    expect(texts[0]).toBe(chat.whole('other'));
    expect(texts.at(-1)).toBe(chat.whole('azure'));
    expect(asked).toBe(2);
  });

  it('fails over when there is no token; the log names the model and why, nobody is told the secret', async () => {
    const { gateway, azure } = await start(async () =>
      Response.json({ error: 'invalid_client', error_description: `no ${SECRET}`, error_codes: [7000215] }, { status: 401 }),
    );
    const answer = await request(gateway.port, { body: chat.body });
    expect(answer.text).toBe(chat.whole('other'));
    expect(azure.calls).toHaveLength(0);
    expect(gateway.requests[0]?.attempts).toMatchObject([
      { target: 'azure', outcome: 'auth' },
      { target: 'other', outcome: 'ok' },
    ]);
    const told = JSON.stringify([answer.headers, answer.text, gateway.requests, gateway.lines]);
    expect(told).not.toContain(SECRET);
  });
});
