// Promise: what a provider's content filter stops goes to the targets that the route lists for it, whichever provider it is and in
// whichever of the four shapes it says so: an HTTP error, a success, in a stream before output, in a stream after output (which
// then ends as a filtered one). Where the route lists none, the client gets the provider's refusal in its own dialect.
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ask } from '../fixtures/ask.ts';
import { type Fixture, readFixtures } from '../fixtures/fixture.ts';
import { GatewayProcess } from '../fixtures/gateway.ts';
import { type Replay, startReplay } from '../fixtures/replay.ts';
import { type Client, type Setting, settingOf } from '../fixtures/setting.ts';

const OWN = readFixtures(path.join(import.meta.dirname, '../fixtures/providers'));
const FILTERED = OWN.filter(({ expect: { outcome, action } }) => outcome === 'content_filter' && action !== 'masked');
const MASKED = OWN.filter(({ expect: { action } }) => action === 'masked');

/** Answers for whoever is asked next. */
const GOOD: Readonly<Record<'whole' | 'stream', Fixture | undefined>> = {
  whole: OWN.find(({ id }) => id === 'openai/chat-text'),
  stream: OWN.find(({ id }) => id === 'openai/chat-stream-tool-call'),
};

const ALL = [...FILTERED, ...MASKED];
let replay: Replay;
let gateway: GatewayProcess;
let settings: readonly Setting[];

function routeYaml({ name, provider, fixture }: Setting, origin: string): string {
  const good = `${origin}/good-${fixture.stream ? 'stream' : 'whole'}/v1`;
  const models = `
  models:
  - {name: first, provider: ${provider}, auth: {type: None}}
  - {name: second, provider: {type: OpenAI, openAI: {model: gpt-4o, baseURL: "${good}"}}, auth: {type: None}}
  - {name: other, provider: {type: OpenAI, openAI: {model: gpt-4o, baseURL: "${origin}/nobody/v1"}}, auth: {type: None}}`;
  const route = (suffix: string, rule: string): string => `apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: ${name}${suffix}, namespace: default}
spec:
  modelNames: [${name}${suffix}]${models}
  rules:
  - name: default
    targets: [{model: first, priority: 0}, {model: other, priority: 1}]
    ${rule}
`;
  return [
    route('', 'failover: {contentFilter: {mode: Failover, stages: [Prompt, Completion], targets: [second]}}'),
    route('-return', 'failover: {contentFilter: {mode: Return}}'),
  ].join('---\n');
}

beforeAll(async () => {
  replay = await startReplay((name) =>
    name === 'good-whole' ? GOOD.whole : name === 'good-stream' ? GOOD.stream : ALL[Number(name.slice('fx-'.length))],
  );
  settings = ALL.map((fixture, index) => settingOf(fixture, index, replay.origin));
  gateway = await GatewayProcess.start(settings.map((setting) => routeYaml(setting, replay.origin)).join('---\n'));
});
afterAll(async () => {
  await gateway.stop();
  await replay.close();
});

/** By the clients that can ask for the fixture, of those whom the second target answers. */
const rows = (fixtures: readonly Fixture[]): (readonly [string, Client, number])[] =>
  fixtures.flatMap((fixture) =>
    settingOf(fixture, 0, 'http://replay.test')
      .clients.filter((client) => client === 'chat' || client === 'messages')
      .map((client) => [fixture.id, client, ALL.indexOf(fixture)] as const),
  );

async function asked(index: number, client: Client, suffix = '') {
  const { fixture, name } = settings[index] ?? { fixture: undefined, name: '' };
  const requestId = `${name}${suffix}-${client}`;
  const seen = await ask(gateway.port, client, `${name}${suffix}`, fixture?.stream ?? false, requestId);
  return { seen, line: await gateway.lineOf(requestId), fixture };
}

describe('a filter', () => {
  it.each(rows(FILTERED))('%s: a client of %s is answered by the target that is listed for it', async (_id, client, index) => {
    const { seen, line, fixture } = await asked(index, client);
    const delivered = fixture?.stream === true && fixture.expect.content_delivered === true;
    expect(seen.status).toBe(200);
    if (delivered) {
      expect(seen.text).toBe(fixture.expect.text);
      // An error in the stream is one to the client, too; what ends as filtered ends so.
      if (seen.error === null) expect(seen.finish).toBe('content_filter');
      expect(line.attempts).toMatchObject([{ outcome: 'content_filtered', phase: 'mid_stream' }]);
    } else {
      expect(seen.error).toBeNull();
      expect(seen).toMatchObject({ text: fixture?.stream === true ? 'Let me see.' : 'Hello there.' });
      expect(line.attempts).toMatchObject([{ outcome: 'content_filtered' }, { outcome: 'ok' }]);
      expect(seen.headers.get('x-fairlead-reason')).toContain('ContentFilter');
    }
  });

  it.each(rows(FILTERED))('%s: a client of %s gets the refusal where the route lists no target', async (_id, client, index) => {
    const { seen, line, fixture } = await asked(index, client, '-return');
    expect(line.attempts).toMatchObject([{ outcome: 'content_filtered' }]);
    // To who speaks its dialect a provider says it in its own words.
    const own = settings[index]?.clients[0] === client && seen.status === fixture?.response.status;
    if (own && seen.finish !== 'content_filter') expect(['sensitive', 'SAFETY', null]).toContain(seen.finish);
    else if (seen.status === 200) expect(seen.finish).toBe('content_filter');
    else expect(seen.error).toMatchObject(client === 'messages' ? { type: 'error' } : { error: { message: expect.any(String) } });
  });

  it.each(rows(MASKED))('%s: a client of %s gets what a guardrail has only masked', async (_id, client, index) => {
    const { seen, line, fixture } = await asked(index, client);
    expect(seen.text).toBe(fixture?.expect.text);
    expect(line.attempts).toMatchObject([{ outcome: 'ok', masked: fixture?.expect.phase }]);
  });
});
