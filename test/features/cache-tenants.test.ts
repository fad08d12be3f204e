// Promise: whoever asks the same, however often and at the same moment, gets no answer that another tenant was given.
import http from 'node:http';
import { describe, expect, it } from '@jest/globals';
import { redisAbsent, RedisProcess } from '../limits/redis-process.ts';
import { onCleanUp } from './support/clean-up.ts';
import { request } from './support/client.ts';
import { chat, streamOf } from './support/dialects.ts';
import { seededRandom, startGateway, type TestGateway } from './support/gateway.ts';
import { clientKeyYaml, documents, gatewayYaml } from './support/secrets.ts';
import { FakeUpstream } from './support/upstream.ts';
import { redisGatewayYaml } from './support/yaml.ts';

/** CACHE_REQUESTS says how many. */
const REQUESTS = Number(process.env['CACHE_REQUESTS'] ?? 2_000);
const CLIENTS = 32;
const TENANTS = 20;
const KEYS_A_TENANT = 2;
/** Far from what it takes; it must not depend on the machine. */
const TIMEOUT_MS = 60_000 + 20 * REQUESTS;

const CALLERS = Array.from({ length: TENANTS * KEYS_A_TENANT }, (_, index) => {
  const tenant = `tenant-${index % TENANTS}`;
  return { tenant, name: `key-${index}`, key: `fl-client-key-${index}` };
});

/** By whom each tells askers apart. */
const ROUTES = [
  { model: 'by-tenant', scope: 'Tenant' },
  { model: 'by-key', scope: 'APIKey' },
] as const;

function routesYaml({ url }: FakeUpstream): string {
  return documents(
    ...CALLERS.map(({ tenant, name, key }) => clientKeyYaml(key, { name, namespace: tenant })),
    ...ROUTES.map(
      ({ model, scope }) => `
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: ${model}, namespace: platform}
spec:
  modelNames: [${model}]
  models:
  - {name: m, provider: {type: OpenAICompatible, openAICompatible: {model: m, baseURL: "${url}"}}, auth: {type: None}}
  rules: [{name: default, targets: [{model: m}]}]
  cache: {ttl: 1h, scope: ${scope}}
`,
    ),
  );
}

/** Each call has an answer of its own, so that it is known whose it was. */
async function startUpstream(): Promise<FakeUpstream> {
  let calls = 0;
  return FakeUpstream.start((call) => {
    const text = `answer-${calls++}.`;
    if (call.body.includes('"stream":true')) call.stream(streamOf(chat, text));
    else call.answer(200, chat.whole(text));
  });
}

/** Throws for an answer that somebody else was given. Returns how many came from the cache. */
async function askAll(gateways: readonly TestGateway[]): Promise<number> {
  const random = seededRandom(1);
  const oneOf = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T;
  const agent = new http.Agent({ keepAlive: true, maxSockets: CLIENTS });
  onCleanUp(() => agent.destroy());
  const owners = new Map<string, string>();
  let sent = 0;
  let hits = 0;
  const client = async (): Promise<void> => {
    while (sent < REQUESTS) {
      const run = sent++;
      const { tenant, name, key } = oneOf(CALLERS);
      const { model, scope } = oneOf(ROUTES);
      const stream = random() < 0.3;
      const { port, requests } = oneOf(gateways);
      const body = { ...chat.body, model, ...(stream ? { stream } : {}) };
      const answer = await request(port, { body, headers: { 'api-key': key }, agent });
      const [text] = /answer-\d+\./.exec(answer.text) ?? [];
      if (answer.status !== 200 || text === undefined) throw new Error(`run ${run}: ${answer.status} ${answer.text}`);
      const owner = `${model} of ${scope === 'APIKey' ? name : tenant}, streamed: ${stream}`;
      const first = owners.get(text) ?? owner;
      if (first !== owner) throw new Error(`run ${run}: ${owner}, was given ${text} of ${first}`);
      owners.set(text, owner);
      if (answer.headers['x-fairlead-cache'] === 'hit') hits++;
      if (run % 1_000 === 0) requests.length = 0;
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return hits;
}

describe(`${REQUESTS} times the same prompt over ${TENANTS} tenants, ${CLIENTS} at a time`, () => {
  it(
    'give nobody the answer of another',
    async () => {
      const gateway = await startGateway(documents(gatewayYaml(''), routesYaml(await startUpstream())));
      expect(await askAll([gateway])).toBeGreaterThan(REQUESTS / 2);
    },
    TIMEOUT_MS,
  );

  it(
    `give nobody the answer of another where two pods share their cache${redisAbsent === null ? '' : ` (absent: ${redisAbsent})`}`,
    async () => {
      if (redisAbsent !== null) return;
      const redis = await RedisProcess.start();
      onCleanUp(() => redis.kill());
      const yaml = documents(
        redisGatewayYaml(redis.port, { redis: 'onUnavailable: FailOpen' }),
        routesYaml(await startUpstream()),
      );
      // How many it has in time depends on the machine.
      expect(await askAll([await startGateway(yaml), await startGateway(yaml)])).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );
});
