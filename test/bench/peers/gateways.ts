/** Gateways for models: they parse what they pass on. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { freePort } from '../processes.ts';
import { CLIENT_KEY, ROUTE_MODEL } from '../workload.ts';
import { fromNpm, fromPath, fromPyPI } from './install.ts';
import { chatTarget, type Peer } from './peer.ts';

// Its package runs the gateway inside of Python, on a port of its own choice.
const TENSORZERO_STARTER = `
import sys, threading
import tensorzero
config, port_file = sys.argv[1:]
server = tensorzero._start_http_gateway(
    config_file=config, clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False)
with open(port_file, "w") as out:
    out.write(server.base_url.rsplit(":", 1)[1].split("/")[0] + "\\n")
threading.Event().wait()
`;

export const tensorzero: Peer = {
  setUp: () => fromPyPI('tensorzero', '2026.6.0', 'python'),
  launch: async ({ upstreamPort, dir }, program) => {
    const config = join(dir, 'tensorzero.toml');
    const starter = join(dir, 'tensorzero-start.py');
    const portFile = join(dir, 'tensorzero.port');
    const lines = [
      '[gateway.observability]',
      'enabled = false',
      '[models.chat]',
      'routing = ["upstream"]',
      '[models.chat.providers.upstream]',
      'type = "openai"',
      'model_name = "mock-1"',
      `api_base = "http://127.0.0.1:${upstreamPort}/v1/"`,
      'api_key_location = "none"',
    ];
    writeFileSync(config, `${lines.join('\n')}\n`);
    writeFileSync(starter, TENSORZERO_STARTER);
    writeFileSync(portFile, '');
    return {
      argv: [program, starter, config, portFile],
      env: { TENSORZERO_DISABLE_PSEUDONYMOUS_USAGE_ANALYTICS: '1' },
      target: chatTarget(0, { path: '/openai/v1/chat/completions', model: 'tensorzero::model_name::chat' }),
      portFile,
    };
  },
};

// Portkey adds headers to the answer that fetch gave it. Those of a stream are immutable, so that this release answers each with
// 500. A copy's headers are not; whole answers are left as they are, so that their figures are not touched.
const PORTKEY_STREAMS = `
const original = globalThis.fetch;
globalThis.fetch = async (...call) => {
  const answer = await original(...call);
  const streamed = answer.headers.get('content-type')?.startsWith('text/event-stream');
  return streamed ? new Response(answer.body, { status: answer.status, headers: [...answer.headers] }) : answer;
};
`;

export const portkey: Peer = {
  setUp: () => fromNpm('@portkey-ai/gateway', '1.15.2', join('build', 'start-server.js')),
  launch: async ({ upstreamPort, dir }, program) => {
    const port = await freePort();
    const preload = join(dir, 'portkey-streams.mjs');
    writeFileSync(preload, PORTKEY_STREAMS);
    const headers = { 'x-portkey-provider': 'openai', 'x-portkey-custom-host': `http://127.0.0.1:${upstreamPort}/v1` };
    return {
      argv: [process.execPath, '--import', preload, program, '--headless', `--port=${port}`],
      env: { NODE_ENV: 'production' },
      target: chatTarget(port, { headers }),
    };
  },
};

export const litellm: Peer = {
  slow: true,
  setUp: () => fromPath('litellm', '--version', "pip install 'litellm[proxy]'"),
  launch: async ({ upstreamPort, dir }, program) => {
    const port = await freePort();
    const config = join(dir, 'litellm.json');
    const parameters = { model: 'openai/mock-1', api_base: `http://127.0.0.1:${upstreamPort}/v1`, api_key: 'sk-upstream' };
    const models = [{ model_name: ROUTE_MODEL, litellm_params: parameters }];
    const settings = { telemetry: false, num_retries: 0 };
    // YAML is what it reads; JSON is YAML.
    writeFileSync(
      config,
      JSON.stringify({ model_list: models, litellm_settings: settings, general_settings: { master_key: CLIENT_KEY } }),
    );
    return {
      argv: [program, '--config', config, '--host', '127.0.0.1', '--port', String(port), '--num_workers', '1'],
      env: { LITELLM_LOCAL_MODEL_COST_MAP: 'True', LITELLM_LOG: 'ERROR', LITELLM_MODE: 'PRODUCTION', NO_DOCS: 'True' },
      target: chatTarget(port),
    };
  },
};

/**
 * The gateway under test. `command` gets UP (the upstream's port), PORT and ADMIN (where to listen, and with /metrics) and NODE;
 * it must know `CLIENT_KEY` and `ROUTE_MODEL`. `more`: what else it is told in its environment.
 */
export function gatewayUnderTest(command: string, version: string, more: Readonly<Record<string, string>> = {}): Peer {
  return {
    setUp: () => (existsSync(command) ? { version, program: command } : { missing: `${command} is not there` }),
    launch: async ({ upstreamPort }, program) => {
      const port = await freePort();
      const adminPort = await freePort();
      const env = { UP: String(upstreamPort), PORT: String(port), ADMIN: String(adminPort), NODE: process.execPath };
      return { argv: [program], env: { ...env, ...more, NODE_ENV: 'production' }, target: chatTarget(port), adminPort };
    },
  };
}
