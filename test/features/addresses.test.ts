import dns from 'node:dns';
import { describe, expect, it, jest } from '@jest/globals';
import { onCleanUp } from './support/clean-up.ts';
import { request } from './support/client.ts';
import { chat } from './support/dialects.ts';
import { startGateway } from './support/gateway.ts';
import { documents, gatewayYaml } from './support/secrets.ts';
import { FakeUpstream } from './support/upstream.ts';
import { routeYaml } from './support/yaml.ts';

/** Where a gateway in a cluster may not connect to, whatever a route's URL says: judged on the address, at the moment of connecting. */

interface Outcome {
  readonly status: number;
  readonly message: string;
}

/** `allow`: of spec.upstreams. The table is compiled as on a laptop, so that the guard alone is asked. */
async function call(url: string, allow: readonly string[] = [], loopbackAllowed = false): Promise<Outcome> {
  const gateway = await startGateway(
    documents(gatewayYaml(`clientAuth: {type: None}, upstreams: {allow: ${JSON.stringify(allow)}}`), routeYaml({ a: url })),
    { loopbackAllowed },
  );
  const { status, text } = await request(gateway.port, { body: { ...chat.body } });
  const message = status === 200 ? '' : (JSON.parse(text) as { error: { message: string } }).error.message;
  return { status, message };
}

/** The name models.example leads where the test says, as a DNS server under somebody's control would have it. */
function resolving(...addresses: readonly string[]): void {
  const found = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  const real: Lookup = dns.lookup;
  const lookup: Lookup = (host, options, done) => {
    if (host === 'models.example') done(null, found);
    else real(host, options, done);
  };
  const spy = jest.spyOn(dns, 'lookup').mockImplementation(lookup as typeof dns.lookup);
  onCleanUp(() => spy.mockRestore());
}

type Lookup = (host: string, options: object, done: (error: Error | null, found: unknown) => void) => void;

const hello = async (): Promise<FakeUpstream> => FakeUpstream.start((received) => received.answer(200, chat.whole('Hello')));

describe('in a cluster', () => {
  it.each([
    ['127.0.0.1', 'loopback'],
    ['2130706433', 'loopback'],
    ['0x7f.1', 'loopback'],
    ['[::1]', 'loopback'],
    ['[::ffff:127.0.0.1]', 'loopback'],
  ])('http://%s is not called', async (host, what) => {
    const upstream = await hello();
    const { status, message } = await call(`http://${host}:${upstream.port}/v1`);
    expect(status).toBe(502);
    expect(message).toMatch(new RegExp(`is a ${what} address; add it to the LLMGateway's spec\\.upstreams\\.allow`));
    expect(upstream.accepted).toBe(0);
  });

  it('localhost is not called by its name either', async () => {
    const upstream = await hello();
    const { status, message } = await call(`http://localhost:${upstream.port}/v1`);
    expect(status).toBe(502);
    expect(message).toMatch(/localhost \((127\.0\.0\.1|::1)\) is a loopback address/);
    expect(upstream.accepted).toBe(0);
  });

  it.each([
    '10.1.2.3',
    '172.16.0.1',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    '127.0.0.1',
    '224.0.0.1',
    'fd00::1',
    'fe80::1',
    '::1',
    '::ffff:10.1.2.3',
    '64:ff9b::a01:203',
    '2002:a01:203::1',
  ])('a name that leads to %s is not called', async (address) => {
    resolving(address);
    const { status, message } = await call('http://models.example:9/v1');
    expect(status).toBe(502);
    expect(message).toContain(`models.example (${address}) is `);
  });

  it('of several addresses behind a name only the public ones are tried', async () => {
    resolving('10.1.2.3', '::1', '169.254.169.254');
    expect((await call('http://models.example:9/v1')).message).toContain('models.example (10.1.2.3) is not a public address');
  });

  it('what the gateway allows is called: by range, by name, by suffix', async () => {
    const upstream = await hello();
    const { port } = upstream;
    expect((await call(`http://127.0.0.1:${port}/v1`, ['127.0.0.0/8'])).status).toBe(200);
    expect((await call(`http://127.0.0.1:${port}/v1`, ['127.0.0.2', '10.0.0.0/8'])).status).toBe(502);
    resolving('127.0.0.1');
    expect((await call(`http://models.example:${port}/v1`)).status).toBe(502);
    expect((await call(`http://models.example:${port}/v1`, ['models.example'])).status).toBe(200);
    expect((await call(`http://models.example:${port}/v1`, ['*.example'])).status).toBe(200);
    expect((await call(`http://models.example:${port}/v1`, ['example', '*.other.example'])).status).toBe(502);
    expect((await call(`http://models.example:${port}/v1`, ['127.0.0.1'])).status).toBe(200);
  });

  it('what it allowed once and does not any more is not called on a connection that was kept', async () => {
    const upstream = await hello();
    const yaml = (allow: string): string =>
      documents(gatewayYaml(`clientAuth: {type: None}, upstreams: {allow: [${allow}]}`), routeYaml({ a: upstream.url }));
    const gateway = await startGateway(yaml('"127.0.0.0/8"'), { loopbackAllowed: false });
    expect((await request(gateway.port, { body: { ...chat.body } })).status).toBe(200);
    gateway.apply(yaml(''));
    expect((await request(gateway.port, { body: { ...chat.body } })).status).toBe(502);
    expect(upstream.calls).toHaveLength(1);
  });
});

describe('on a laptop', () => {
  it('its own ports are called, private networks are not', async () => {
    const upstream = await hello();
    expect((await call(`http://localhost:${upstream.port}/v1`, [], true)).status).toBe(200);
    resolving('192.168.1.1');
    expect((await call('http://models.example:9/v1', [], true)).message).toContain('is not a public address');
  });
});
