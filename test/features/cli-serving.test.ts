/** What the command line serves: the demo, files, files that change, signals. Once as a process of its own. */
import { spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import http, { type Server, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';

import { main } from '../../src/cli/main.ts';
import { startMockModels } from '../../src/cli/mock-models.ts';
import { run } from '../../src/cli/run.ts';
import { ask, endpoint, fairlead, folder, newIo, PATIENCE_MS, routeYaml, serving, write } from './support/cli.ts';

const ROOT = join(import.meta.dirname, '..', '..');

describe('fairlead demo', () => {
  it(
    "shows each promise with the gateway's own reason, counts them, and ends without a terminal",
    async () => {
      const { code, out, err } = await fairlead(['demo', '--port', '0']);
      expect(err).toBe('');
      expect(code).toBe(0);
      expect(out).toMatch(/answered by fast [789], strong [123] +weighted/);
      for (const reason of [
        'failover:ServerError(flaky)',
        'failover:ConnectFailure(flaky)',
        'failover:RateLimited(flaky)',
        'spilled',
        'failover:Timeout(slow)',
      ]) {
        expect(out).toContain(reason);
      }
      expect(out.match(/failover:ContentFilter\(filtered\)/g)).toHaveLength(2);
      expect(out).toMatch(/429: limit per-key, retry-after \d+ s +rate_limit_exceeded/);
      expect(out).toMatch(/first token at .*, \d+ tokens in/);
      expect(out).toMatch(/Metrics {2}22 requests, 6 failovers, 2 of them for a content filter, 1 limited/);
      expect(Math.max(...out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
    },
    PATIENCE_MS,
  );

  it(
    'goes on serving at a terminal, what its curl asks included, until it is stopped',
    async () => {
      const io = newIo({ terminal: true, env: { NO_COLOR: '1' } });
      const ended = main(['demo', '--port', '0'], io);
      await io.stdout.until(/Serving until Ctrl-C/);
      const [, url = ''] = /^API +(\S+)/m.exec(io.stdout.text) ?? [];
      const answer = await ask(url, 'steady');
      expect([answer.status, answer.headers.get('x-fairlead-model')]).toEqual([200, 'strong']);
      await answer.text();
      io.stop('SIGINT');
      expect(await ended).toBe(0);
      await expect(fetch(url)).rejects.toThrow('fetch failed');
      expect(io.stdout.text).not.toContain('\u001b');
    },
    PATIENCE_MS,
  );

  it(
    'runs as a process of its own',
    async () => {
      const child = spawn(process.execPath, [join(ROOT, 'cmd/fairlead/main.ts'), 'demo', '--once', '--port', '0'], {
        cwd: folder,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let out = '';
      let err = '';
      child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
      const code = await new Promise((resolve) => child.once('close', resolve));
      expect([code, err]).toEqual([0, '']);
      expect(out).toMatch(/Metrics {2}22 requests/);
    },
    PATIENCE_MS,
  );
});

describe('fairlead run', () => {
  it(
    'serves a file, says the state of each object, logs requests on stdout, and never shows a secret',
    async () => {
      const models = await startMockModels();
      const file = write('routes.yaml', routeYaml(models.origin, { more: '    sessionAffinity: {header: x-session-id}\n' }));
      const { io, url, ended } = await serving(['-f', file]);
      const answer = await ask(url, 'chat');
      expect([answer.status, answer.headers.get('x-fairlead-model')]).toEqual([200, 'fast']);
      await answer.text();
      expect((await ask(url, 'nope')).status).toBe(404);
      io.stop();
      expect(await ended).toBe(0);
      await models.close();
      expect(io.stderr.text).toMatch(/^LLMRoute default\/chat +Accepted +ResolvedRefs +2 models: fast, strong$/m);
      expect(io.stderr.text).toMatch(/routes\.yaml:\d+: note: spec\.rules\[0\]\.sessionAffinity: it is not served by this build/);
      expect(io.logLines()).toMatchObject([
        { msg: 'request', route: 'default/chat', target: 'fast', status: 200 },
        { msg: 'request', status: 404, errorCode: 'model_not_found' },
      ]);
      expect(io.everything()).not.toContain('sk-upstream-secret');
    },
    PATIENCE_MS,
  );

  it(
    'serves what is right of files with errors in them, and names the errors',
    async () => {
      const models = await startMockModels();
      const bad = write(
        'bad.yaml',
        'apiVersion: fairlead.dev/v1alpha1\nkind: LLMRoute\nmetadata: {name: bad}\nspec: {modelName: [x]}\n---\nfoo: [\n',
      );
      const good = write('good.yaml', routeYaml(models.origin));
      const { io, url, ended } = await serving(['-f', bad, good, '--log', 'none']);
      const answer = await ask(url, 'chat');
      expect([answer.status, answer.status === 200 ? '' : await answer.clone().text()]).toEqual([200, '']);
      await answer.text();
      io.stop();
      expect(await ended).toBe(0);
      await models.close();
      expect(io.stderr.text).toMatch(/bad\.yaml:4: error: spec\.modelName: unknown field "modelName"; did you mean modelNames\?/);
      expect(io.stderr.text).toMatch(/bad\.yaml:\d+: error: Flow sequence/);
      expect(io.stderr.text).toMatch(/^LLMRoute default\/bad +invalid$/m);
    },
    PATIENCE_MS,
  );

  it(
    'asks for the keys that `key create` makes, and keeps asking when their Secret goes',
    async () => {
      const created = newIo();
      expect(await main(['key', 'create', '--name', 'alice', '--models', 'chat', '--tenant', 'blue'], created)).toBe(0);
      const key = /fl-[\w-]+/.exec(created.stderr.text)?.[0] ?? '';
      expect(key).toHaveLength(46);
      expect(created.stdout.text).not.toContain(key);

      const models = await startMockModels();
      const routes = write('routes.yaml', routeYaml(models.origin));
      const keys = write('keys.yaml', created.stdout.text);
      const { io, url, ended } = await serving(['-f', folder, '--watch']);
      expect((await ask(url, 'chat')).status).toBe(401);
      const answer = await ask(url, 'chat', { key });
      expect([answer.status, answer.status === 200 ? '' : await answer.clone().text()]).toEqual([200, '']);
      await answer.text();

      const seen = io.stderr.text.length;
      rmSync(keys);
      await io.stderr.until(/Reloaded/, seen);
      expect((await ask(url, 'chat')).status).toBe(401);
      expect((await ask(url, 'chat', { key })).status).toBe(401);
      io.stop();
      await ended;
      await models.close();
      expect(io.logLines()).toContainEqual(expect.objectContaining({ tenant: 'blue', keyId: 'default/alice', status: 200 }));
      expect(io.everything()).not.toContain(key);
      expect(readFileSync(routes, 'utf8')).not.toContain(key);
    },
    PATIENCE_MS,
  );

  it.each([
    ['a route', 'apiVersion: fairlead.dev/v1alpha1\nkind: LLMRoute\nmetadata: {name: fresh}\nspec: {nonsense: 1}\n'],
    ['an LLMGateway', 'apiVersion: fairlead.dev/v1alpha1\nkind: LLMGateway\nmetadata: {name: fresh}\nspec: {nonsense: 1}\n'],
  ])('takes no key any more that is deleted in the edit that adds %s with a slip', async (_, slip) => {
    const created = newIo();
    expect(await main(['key', 'create', '--name', 'alice'], created)).toBe(0);
    const key = /fl-[\w-]+/.exec(created.stderr.text)?.[0] ?? '';
    const models = await startMockModels();
    const routes = routeYaml(models.origin);
    const file = write('routes.yaml', `${routes}---\n${created.stdout.text}`);
    const { io, url, ended } = await serving(['-f', file, '--watch', '--log', 'none']);
    const answer = await ask(url, 'chat', { key });
    expect([answer.status, await answer.text()]).toEqual([200, expect.anything()]);

    const seen = io.stderr.text.length;
    write('routes.yaml', `${routes}---\n${slip}`);
    await io.stderr.until(/Reloaded: 1 route/, seen);
    expect(io.stderr.text.slice(seen)).toMatch(/error: spec\.nonsense: unknown field/);
    expect((await ask(url, 'chat', { key })).status).toBe(401);
    io.stop();
    await ended;
    await models.close();
  });

  const asking =
    'apiVersion: fairlead.dev/v1alpha1\nkind: LLMGateway\nmetadata: {name: default, annotations: {fairlead.dev/is-default-gateway: "true"}}\nspec: {}\n';

  it.each([
    ['', [], /Reloaded|Nothing to change/],
    [' that was asked for', ['--gateway', 'default/default'], /Not reloaded: --gateway default\/default is not in the files/],
  ])('keeps asking for keys when an LLMGateway%s goes', async (_, more, said) => {
    write('routes.yaml', routeYaml('http://127.0.0.1:1'));
    const file = write('gateway.yaml', asking);
    const { io, url, ended } = await serving(['-f', folder, '--watch', ...more]);
    expect((await ask(url, 'chat')).status).toBe(401);
    const seen = io.stderr.text.length;
    rmSync(file);
    await io.stderr.until(said, seen);
    expect((await ask(url, 'chat')).status).toBe(401);
    io.stop();
    await ended;
  });

  it.each([
    ['nothing in it', '', 1, /the files are empty/],
    ['no route that could be served', 'apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n', 1, /nothing can be served/],
    [
      'only a route whose Secret is missing',
      routeYaml('http://127.0.0.1:1').replace('name: upstream}\nstring', 'name: other}\nstring'),
      1,
      /Secret default\/upstream is not found[^]*--secret NAMESPACE[^]*no model is left/,
    ],
  ])('ends where a file has %s', async (_, text, code, message) => {
    const ran = await fairlead(['run', '-f', '-', '--port', '0'], { stdin: text });
    expect(ran.code).toBe(code);
    expect(ran.err).toMatch(message);
  });

  const key = `---\napiVersion: v1\nkind: Secret\nmetadata: {name: k, labels: {fairlead.dev/api-key: "true"}}\nstringData: {sha256: "${'a'.repeat(64)}"}\n`;

  it.each([
    ['has a label without quotes', key.replace('"true"', 'true')],
    ['has a slip in its kind', key.replace('Secret', 'Secert')],
    ['has a slip in its data', key.replace('stringData', 'data').replace('"a', '"!')],
    ['is no YAML', key.replace('stringData: {', 'stringData: {{')],
  ])('asks for keys where one %s', async (_, broken) => {
    const file = write('routes.yaml', routeYaml('http://127.0.0.1:1') + broken);
    const { io, url, ended } = await serving(['-f', file, '--log', 'none']);
    expect((await ask(url, 'chat')).status).toBe(401);
    io.stop();
    await ended;
  });

  const gateway = '---\napiVersion: fairlead.dev/v1alpha1\nkind: LLMGateway\nmetadata: {name: default}\nspec: {replicas: 2}\n';

  it.each([
    ['has a field that there is not', gateway.replace('replicas', 'replica')],
    ['has a slip in its kind', gateway.replace('LLMGateway', 'LLMGatway')],
    ['is no YAML', gateway.replace('spec: {', 'spec: {{')],
  ])('puts nothing in the place of an LLMGateway that %s', async (_, broken) => {
    const ran = await fairlead(['run', '-f', '-', '--port', '0'], { stdin: routeYaml('http://127.0.0.1:1') + broken });
    expect(ran.code).toBe(1);
    expect(ran.err).toMatch(/stdin:\d+: error: [^]*an LLMGateway cannot be read/);
  });

  it('names the port that is taken', async () => {
    const other = http.createServer();
    await new Promise<void>((resolve) => {
      other.listen(0, '127.0.0.1', resolve);
    });
    const address = other.address();
    const port = String(typeof address === 'object' ? address?.port : '');
    const ran = await fairlead(['run', '-f', '-', '--port', port, '--admin-port', '0'], {
      stdin: routeYaml('http://127.0.0.1:1'),
    });
    other.close();
    expect([ran.code, ran.err]).toEqual([1, expect.stringContaining(`127.0.0.1:${port}: the port is in use`)]);
  });

  it('takes one of several gateways by name, and says which there are', async () => {
    const gateway = (name: string): string =>
      `---\napiVersion: fairlead.dev/v1alpha1\nkind: LLMGateway\nmetadata: {name: ${name}}\n`;
    const text = gateway('one') + gateway('two');
    const unclear = await fairlead(['run', '-f', '-'], { stdin: text });
    expect([unclear.code, unclear.err]).toEqual([2, expect.stringContaining('--gateway (default/one, default/two)')]);
    const wrong = await fairlead(['run', '-f', '-', '--gateway', 'default/three'], { stdin: text });
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('there are default/one, default/two')]);
  });
});

/** An upstream whose streams stay open until they are released. */
class HeldUpstream {
  readonly #server: Server;
  readonly #held: ServerResponse[] = [];

  constructor() {
    this.#server = http.createServer((request, response) => {
      request.resume();
      request.once('end', () => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.write('data: {"choices":[{"index":0,"delta":{"content":"begun"},"finish_reason":null}]}\n\n');
        this.#held.push(response);
      });
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => {
      this.#server.listen(0, '127.0.0.1', resolve);
    });
    const address = this.#server.address();
    return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  }

  release(): void {
    for (const response of this.#held.splice(0)) {
      response.end('data: {"choices":[{"index":0,"delta":{"content":" and ended"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n');
    }
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

async function begin(url: string): Promise<{ rest(): Promise<string> }> {
  const response = await ask(url, 'chat', { stream: true });
  const reader = (response.body as ReadableStream<Uint8Array<ArrayBuffer>>).pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  while (!text.includes('begun')) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`the stream ended early: ${text}`);
    text += value;
  }
  return {
    async rest() {
      for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
      return text;
    },
  };
}

describe('fairlead run --watch', () => {
  it(
    'serves a good edit at once, tells a bad one and keeps what was good, and loses no open stream',
    async () => {
      const upstream = new HeldUpstream();
      const origin = await upstream.listen();
      const file = write('routes.yaml', routeYaml(origin));
      const io = newIo();
      const timing = { settleMs: 20, lookEveryMs: 100 };
      const options = {
        files: [file],
        secrets: [],
        gateway: null,
        host: '127.0.0.1',
        port: 0,
        adminPort: 0,
        watch: true,
        log: 'none' as const,
        timing,
      };
      const ended = run(io, options);
      const url = await endpoint(io, ended);
      const stream = await begin(url);

      let seen = io.stderr.text.length;
      write('routes.yaml', routeYaml(origin).replace('targets: [', 'target: ['));
      await io.stderr.until(/Kept: LLMRoute default\/chat[^]*Nothing to change/, seen);
      expect(io.stderr.text.slice(seen)).toMatch(/routes\.yaml:\d+: error: spec\.rules\[0\]\.target: unknown field/);
      await begin(url);

      seen = io.stderr.text.length;
      write('routes.yaml', '');
      await io.stderr.until(/Not reloaded: the files are empty/, seen);

      seen = io.stderr.text.length;
      write('routes.yaml', routeYaml(origin, { name: 'renamed' }));
      await io.stderr.until(/Reloaded: 1 route/, seen);
      expect((await ask(url, 'chat', { stream: true })).status).toBe(404);
      expect((await ask(url, 'renamed', { stream: true })).status).toBe(200);

      upstream.release();
      expect(await stream.rest()).toMatch(/and ended[^]*\[DONE\]/);
      io.stop();
      expect(await ended).toBe(0);
      upstream.close();
    },
    PATIENCE_MS,
  );
});

describe('a signal', () => {
  it(
    'lets requests under way end',
    async () => {
      const upstream = new HeldUpstream();
      const file = write('routes.yaml', routeYaml(await upstream.listen()));
      const { io, url, ended } = await serving(['-f', file, '--log', 'none']);
      const stream = await begin(url);
      io.stop('SIGTERM');
      await io.stderr.until(/Waiting for 1 request, 10s at most/);
      upstream.release();
      expect(await stream.rest()).toMatch(/and ended[^]*\[DONE\]/);
      expect(await ended).toBe(0);
      upstream.close();
    },
    PATIENCE_MS,
  );

  it(
    'the second time ends at once',
    async () => {
      const upstream = new HeldUpstream();
      const file = write('routes.yaml', routeYaml(await upstream.listen()));
      const { io, url, ended } = await serving(['-f', file, '--log', 'none']);
      const stream = await begin(url);
      io.stop('SIGINT');
      await io.stderr.until(/Ctrl-C again ends at once/);
      io.stop('SIGINT');
      expect(await ended).toBe(0);
      upstream.release();
      await stream.rest();
      upstream.close();
    },
    PATIENCE_MS,
  );
});
