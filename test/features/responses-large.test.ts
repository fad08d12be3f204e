// Promise: what an upstream keeps of the Responses API is found there and told of however large it is.
import { expect, it } from '@jest/globals';
import { type Answer, request } from './support/client.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { FakeUpstream } from './support/upstream.ts';
import { routeYaml } from './support/yaml.ts';

const LARGE = 'x'.repeat(9 * 1024 * 1024);

const response = (id: string, result = ''): string =>
  JSON.stringify({
    id,
    object: 'response',
    status: 'completed',
    output: [{ type: 'image_generation_call', result }],
    store: true,
    usage: { input_tokens: 3, output_tokens: 2, total_tokens: 5 },
  });

interface Setting {
  readonly gateway: TestGateway;
  readonly upstreams: readonly FakeUpstream[];
  /** The number of the upstream that has given a response, and the response's id. */
  readonly at: number;
  readonly id: string;
}

/** Two upstreams, one of which has given a response. */
async function start(result: string, more: object = {}): Promise<Setting> {
  const ids = ['resp_0', 'resp_1'];
  const upstreams = await Promise.all(
    ids.map(async (id) => FakeUpstream.start((call) => call.answer(200, response(id, result)))),
  );
  const models = Object.fromEntries(upstreams.map(({ url }, at) => [`m${at}`, url]));
  const gateway = await startGateway(routeYaml(models, '    selection: {strategy: RoundRobin}'));
  const { text } = await ask(gateway, more);
  const at = ids.findIndex((id) => text.startsWith(`{"id":"${id}"`));
  return { gateway, upstreams, at, id: ids[at] ?? '' };
}

async function ask({ port }: TestGateway, more: object = {}): Promise<Answer> {
  return request(port, { path: '/v1/responses', body: { model: 'chat', input: 'Hi', ...more } });
}

it('a request that goes on from a response too large to hold comes to the upstream that keeps it', async () => {
  const { gateway, upstreams, at, id } = await start(LARGE);
  for (const upstream of upstreams) upstream.respond((call) => call.answer(200, response('resp_later')));
  for (let i = 0; i < 3; i++) expect((await ask(gateway, { previous_response_id: id })).status).toBe(200);
  expect(upstreams.map(({ calls }) => calls.length)).toEqual(at === 0 ? [4, 0] : [0, 4]);
});

it('one that its client did not want kept is not found', async () => {
  const { gateway, id } = await start(LARGE, { store: false });
  const answer = await ask(gateway, { previous_response_id: id });
  expect([answer.status, answer.text]).toEqual([400, expect.stringContaining('previous_response_not_found')]);
});

it('a kept response too large to hold is logged as cut where its upstream cuts it', async () => {
  const { gateway, upstreams, id } = await start('');
  for (const upstream of upstreams)
    upstream.respond((call) => {
      call.open(200, { 'content-type': 'application/json' });
      call.chunk(response(id, LARGE).slice(0, -100));
      call.cut();
    });
  const answer = await request(gateway.port, { path: `/v1/responses/${id}`, method: 'GET' });
  expect(answer.complete).toBe(false);
  expect(gateway.requests.at(-1)).toMatchObject({ errorCode: 'stream_interrupted', stream: false });
});
