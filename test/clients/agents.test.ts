// Promise: Codex (over responses) and Claude Code (over messages) finish a task with a model of every kind of provider.
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type MockedGateway, startMockedGateway } from './gateway.ts';
import { agentPrograms, installedClients } from './install.ts';
import { kinds } from './kinds.ts';
import { inFolder, type Ran, runClient } from './program.ts';
import type { Heard, Turn } from './speakers.ts';

const TASK = 'Write the word seen to proof.txt';
const COMMAND = 'echo seen > proof.txt';
const DONE = 'It is written.';

/** The tool that each runs commands with. */
function write({ tools, toolResults }: Heard): Turn {
  if (toolResults > 0) return { text: DONE };
  if (tools.includes('Bash'))
    return { call: { id: 'toolu_1', name: 'Bash', arguments: { command: COMMAND, description: 'Write it' } } };
  if (tools.includes('exec_command')) return { call: { id: 'call_1', name: 'exec_command', arguments: { cmd: COMMAND } } };
  return { text: 'A short title' };
}

const MODELS = [...kinds('http://127.0.0.1').keys()];
const installed = installedClients();

describe('agents', () => {
  if (installed === undefined) {
    it('absent: Codex and Claude Code: `make test-clients` installs them', () => undefined);
    return;
  }
  const { codex, claude } = agentPrograms(installed);
  let gateway: MockedGateway;
  beforeAll(async () => {
    gateway = await startMockedGateway(write);
  });
  afterAll(() => gateway.stop());

  async function finishesTask(ask: (work: string, home: string) => Promise<Ran>): Promise<void> {
    await inFolder(async (folder) => {
      const [work, home] = [path.join(folder, 'work'), path.join(folder, 'home')];
      mkdirSync(work);
      mkdirSync(home);
      const ran = await ask(work, home);
      if (ran.code !== 0) throw new Error(`it ended with ${ran.code}: ${ran.stdout.slice(-2_000)}${ran.stderr.slice(-2_000)}`);
      expect(readFileSync(path.join(work, 'proof.txt'), 'utf8')).toBe('seen\n');
      expect(ran.stdout).toContain(DONE);
      expect(gateway.mock.strays).toEqual([]);
    });
  }

  it.each(MODELS)('Codex: %s', async (model) => {
    await finishesTask((work, home) => {
      const provider = `{name="Fairlead", base_url="${gateway.origin}/v1", env_key="FAIRLEAD_KEY", wire_api="responses"}`;
      // Its search is run by its own provider; a model with `unsupported: Drop` would do without it by itself.
      const settings = ['web_search="disabled"', 'model_provider="fairlead"', `model_providers.fairlead=${provider}`];
      const argv = ['exec', '--skip-git-repo-check', '--dangerously-bypass-approvals-and-sandbox', '-m', model];
      return runClient(process.execPath, [codex, ...argv, ...settings.flatMap((setting) => ['-c', setting]), TASK], work, {
        CODEX_HOME: home,
        FAIRLEAD_KEY: 'sk-client',
      });
    });
  });

  it.each(MODELS)('Claude Code: %s', async (model) => {
    await finishesTask((work, home) =>
      runClient(claude, ['-p', TASK, '--model', model, '--allowedTools', 'Bash', '--output-format', 'json'], work, {
        HOME: home,
        ANTHROPIC_BASE_URL: gateway.origin,
        ANTHROPIC_AUTH_TOKEN: 'sk-client',
        ANTHROPIC_DEFAULT_HAIKU_MODEL: model,
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
      }),
    );
  });
});
