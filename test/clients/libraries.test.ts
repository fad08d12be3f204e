// Promise: libraries that are made for OpenAI or Anthropic get their answer of every kind of provider: whole, streamed, and with a
// tool that they are asked to call, whose result they send back.
import { cpSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type MockedGateway, startMockedGateway } from './gateway.ts';
import { installedClients } from './install.ts';
import { inFolder, type Ran, runClient } from './program.ts';
import type { Heard, Turn } from './speakers.ts';

const PROGRAMS = path.join(import.meta.dirname, 'programs');

interface Line {
  readonly client: string;
  readonly model: string;
  readonly error?: string;
}

const EXPECTED = {
  whole: 'It is sunny.',
  streamed: 'It is sunny.',
  asked: [{ city: 'Rome' }, { city: 'Rome' }],
  after: 'It is 31 degrees in Rome.',
  afterStreamed: 'It is 31 degrees in Rome.',
};

/** Program → the clients that it tries. */
const CLIENTS: readonly (readonly [program: string, clients: readonly string[]])[] = [
  ['ai.mjs', ['@ai-sdk/openai chat', '@ai-sdk/openai responses', '@ai-sdk/anthropic', '@ai-sdk/openai-compatible']],
  ['langchain.mjs', ['@langchain/openai chat', '@langchain/openai responses']],
  ['llamaindex.mjs', ['llamaindex']],
  ['openai_sdk.py', ['openai (Python) chat', 'openai (Python) responses']],
  ['anthropic_sdk.py', ['anthropic (Python)']],
  ['litellm_client.py', ['litellm openai', 'litellm anthropic']],
];

function weather({ tools, toolResults }: Heard): Turn {
  if (toolResults > 0) return { text: EXPECTED.after };
  if (tools.length === 0) return { text: EXPECTED.whole };
  return { call: { id: 'call_1', name: 'get_weather', arguments: { city: 'Rome' } } };
}

const installed = installedClients();

describe('libraries', () => {
  if (installed === undefined) {
    it('absent: libraries of others: `make test-clients` installs them', () => undefined);
    return;
  }
  let gateway: MockedGateway;
  beforeAll(async () => {
    gateway = await startMockedGateway(weather);
  });
  afterAll(() => gateway.stop());

  it.each(CLIENTS)('%s over every kind of provider', async (program, clients) => {
    const ran = await inFolder((folder) => runProgram(program, folder, installed, gateway));
    const lines = ran.stdout
      .split('\n')
      .filter((text) => text.startsWith('{'))
      .map((text) => JSON.parse(text) as Line);
    if (lines.length === 0) throw new Error(`${program} ended with ${ran.code}: ${ran.stderr.slice(-4_000)}`);
    const wanted = clients.flatMap((client) => gateway.models.map((model) => ({ client, model, ...EXPECTED })));
    for (const line of lines) expect(line).not.toHaveProperty('error');
    expect(lines).toHaveLength(wanted.length);
    for (const row of wanted)
      expect(lines.find(({ client, model }) => client === row.client && model === row.model)).toMatchObject(row);
    for (const { inputTokens } of lines as unknown as readonly { inputTokens: readonly number[] }[])
      expect(new Set(inputTokens)).toEqual(new Set([42]));
    expect(gateway.mock.strays).toEqual([]);
  });
});

async function runProgram(program: string, folder: string, clients: string, { origin, models }: MockedGateway): Promise<Ran> {
  cpSync(PROGRAMS, folder, { recursive: true });
  // A program finds libraries beside itself.
  symlinkSync(path.join(clients, 'node_modules'), path.join(folder, 'node_modules'));
  const env = {
    FAIRLEAD_ORIGIN: origin,
    FAIRLEAD_MODELS: models.join(','),
    PYTHONPATH: path.join(clients, 'python'),
    PYTHONDONTWRITEBYTECODE: '1',
    LITELLM_LOCAL_MODEL_COST_MAP: 'True',
  };
  return runClient(program.endsWith('.py') ? 'python3' : process.execPath, [path.join(folder, program)], folder, env);
}
