import { createVerify, generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { SecretValue } from '../lib/secret.ts';
import type { TokenIdentity } from './exchange.ts';
import type { TokenEnvironment } from './service.ts';
import { TokenSources } from './token-source.ts';

/** A cloud's token service: what it was asked, and what it says. */
interface Asked {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly form: Readonly<Record<string, string>>;
}

const SECRET = 'client~secret~value';
const ENTRA: TokenIdentity = { kind: 'EntraSecret', tenantId: 'contoso', clientId: 'app', secret: new SecretValue(SECRET) };

let asked: Asked[] = [];
let answers: ((nth: number) => { status: number; body: string }) | null = null;
let wallMs = 0;
let port = 0;
let service = createServer();
/** Where the gateway meant to go: what a service is reached by in a test is its path. */
const meant: string[] = [];

beforeEach(async () => {
  asked = [];
  meant.length = 0;
  wallMs = Date.UTC(2026, 10, 24);
  answers = (nth) => ({
    status: 200,
    body: JSON.stringify({ token_type: 'Bearer', expires_in: 3_599, access_token: `token-${nth}` }),
  });
  service = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const form = Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString()));
      asked.push({ url: request.url ?? '', method: request.method ?? '', headers: request.headers, form });
      const answer = answers?.(asked.length) ?? { status: 500, body: '' };
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body);
    });
  });
  await new Promise<void>((listening) => service.listen(0, '127.0.0.1', listening));
  port = (service.address() as AddressInfo).port;
});

afterEach(async () => {
  service.closeAllConnections();
  await new Promise((closed) => service.close(closed));
});

function environment(changes: Partial<TokenEnvironment> = {}): TokenEnvironment {
  return {
    wallMs: () => wallMs,
    random: () => 0.5,
    fetch: async (url, { method, headers, form }) => {
      const { pathname, origin } = new URL(url);
      meant.push(origin);
      const body = form === null ? null : new URLSearchParams(form);
      return fetch(`http://127.0.0.1:${port}${pathname}`, { method, headers, body });
    },
    variables: {},
    readFile: async () => {
      throw new Error('there is no file');
    },
    ...changes,
  };
}

/** At once where it has one. */
function sourceOf(
  identity: TokenIdentity,
  from = environment(),
): { readonly token: () => string | Promise<string>; readonly refused: () => void } {
  const source = new TokenSources(from).tokens(identity);
  return {
    refused: () => source.refused(),
    token() {
      const held = source.get();
      return held instanceof Promise ? held.then(({ value }) => value) : held.value;
    },
  };
}

describe('a token', () => {
  test('of Entra is asked for with the client’s secret, at the tenant’s address', async () => {
    expect(await sourceOf(ENTRA).token()).toBe('token-1');
    expect(meant).toEqual(['https://login.microsoftonline.com']);
    expect(asked).toMatchObject([
      {
        url: '/contoso/oauth2/v2.0/token',
        method: 'POST',
        headers: { 'content-type': expect.stringContaining('application/x-www-form-urlencoded') },
        form: {
          grant_type: 'client_credentials',
          client_id: 'app',
          client_secret: SECRET,
          scope: 'https://cognitiveservices.azure.com/.default',
        },
      },
    ]);
  });

  test('of Entra is asked for with the pods’ own token, read anew each time', async () => {
    const files: string[] = [];
    const source = sourceOf(
      { kind: 'EntraWorkload' },
      environment({
        variables: {
          AZURE_TENANT_ID: 'contoso',
          AZURE_CLIENT_ID: 'pods',
          AZURE_FEDERATED_TOKEN_FILE: '/var/run/secrets/azure/tokens/azure-identity-token',
          AZURE_AUTHORITY_HOST: 'https://login.microsoftonline.com/',
        },
        readFile: async (path) => `${files.push(path)}.pod.token\n`,
      }),
    );
    expect(await source.token()).toBe('token-1');
    wallMs += 3_599_000;
    expect(await source.token()).toBe('token-2');
    expect(files).toHaveLength(2);
    expect(asked.map(({ form }) => form)).toMatchObject([
      {
        client_id: 'pods',
        client_assertion: '1.pod.token',
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      },
      { client_assertion: '2.pod.token' },
    ]);
  });

  test('of Google is asked for with an assertion that the service account signed', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const key: TokenIdentity = {
      kind: 'GcpKey',
      clientEmail: 'a@p.iam.gserviceaccount.com',
      keyId: 'k1',
      privateKey: new SecretValue(pem),
    };
    expect(await sourceOf(key).token()).toBe('token-1');
    expect(meant).toEqual(['https://oauth2.googleapis.com']);
    const { grant_type: grant, assertion = '' } = asked[0]?.form ?? {};
    expect(grant).toBe('urn:ietf:params:oauth:grant-type:jwt-bearer');
    const [head = '', claims = '', signature = ''] = assertion.split('.');
    const read = (part: string): unknown => JSON.parse(Buffer.from(part, 'base64url').toString());
    expect(read(head)).toEqual({ alg: 'RS256', typ: 'JWT', kid: 'k1' });
    const iat = wallMs / 1_000;
    expect(read(claims)).toEqual({
      iss: 'a@p.iam.gserviceaccount.com',
      scope: 'https://www.googleapis.com/auth/cloud-platform',
      aud: 'https://oauth2.googleapis.com/token',
      iat,
      exp: iat + 3_600,
    });
    expect(createVerify('RSA-SHA256').update(`${head}.${claims}`).verify(publicKey, signature, 'base64url')).toBe(true);
  });

  test('of Google is asked of the pod’s metadata server', async () => {
    expect(await sourceOf({ kind: 'GcpMetadata' }).token()).toBe('token-1');
    expect(meant).toEqual(['http://metadata.google.internal']);
    expect(asked).toMatchObject([
      {
        url: '/computeMetadata/v1/instance/service-accounts/default/token',
        method: 'GET',
        headers: { 'metadata-flavor': 'Google' },
      },
    ]);
  });
});

describe('a source', () => {
  test('asks once for all who wait, and keeps what it has', async () => {
    const source = sourceOf(ENTRA);
    expect(await Promise.all([source.token(), source.token(), source.token()])).toEqual(['token-1', 'token-1', 'token-1']);
    expect(source.token()).toBe('token-1');
    expect(asked).toHaveLength(1);
  });

  test('renews before the end while the old one serves', async () => {
    const source = sourceOf(ENTRA);
    await source.token();
    // 20 % are left, and 5 % for chance.
    wallMs += 3_599_000 * 0.74;
    expect(source.token()).toBe('token-1');
    expect(asked).toHaveLength(1);
    wallMs += 3_599_000 * 0.02;
    expect(source.token()).toBe('token-1');
    while (source.token() !== 'token-2') await new Promise((next) => setImmediate(next));
    expect(asked).toHaveLength(2);
  });

  test('keeps the old one through failed renewals, to its end, and asks no more often than it may', async () => {
    const source = sourceOf(ENTRA);
    await source.token();
    answers = () => ({ status: 503, body: 'busy' });
    wallMs += 3_599_000 * 0.9;
    expect(source.token()).toBe('token-1');
    expect(source.token()).toBe('token-1');
    while (asked.length < 2) await new Promise((next) => setImmediate(next));
    expect(source.token()).toBe('token-1');
    expect(asked).toHaveLength(2);
    wallMs += 3_599_000 * 0.1;
    await expect(source.token()).rejects.toThrow('login.microsoftonline.com gave no token: HTTP 503');
  });

  test('that was refused is not asked again by every call, but soon', async () => {
    const source = sourceOf(ENTRA);
    answers = () => ({ status: 401, body: '{"error":"invalid_client"}' });
    for (let calls = 0; calls < 3; calls++) await expect(source.token()).rejects.toThrow('HTTP 401 invalid_client');
    expect(asked).toHaveLength(1);
    wallMs += 1_000;
    await expect(source.token()).rejects.toThrow('HTTP 401 invalid_client');
    expect(asked).toHaveLength(2);
    // A clock that is set back is no reason to wait.
    wallMs -= 3_600_000;
    answers = () => ({ status: 200, body: '{"access_token":"good","expires_in":3599}' });
    expect(await source.token()).toBe('good');
  });

  test('whose token an upstream refuses asks for another one, once for all who are refused, while the old one serves', async () => {
    const source = sourceOf(ENTRA);
    await source.token();
    // It has just been asked: what is refused is told again in vain.
    source.refused();
    expect(source.token()).toBe('token-1');
    wallMs += 5_000;
    for (let refusals = 0; refusals < 3; refusals++) {
      source.refused();
      expect(source.token()).toBe('token-1');
    }
    while (source.token() !== 'token-2') await new Promise((next) => setImmediate(next));
    expect(asked).toHaveLength(2);
    // After a clock was set back, what it says of a token's age means nothing.
    wallMs -= 3_600_000;
    source.refused();
    while (source.token() !== 'token-3') await new Promise((next) => setImmediate(next));
    expect(asked).toHaveLength(3);
  });

  test.each([
    [
      401,
      JSON.stringify({
        error: 'invalid_client',
        error_description: `AADSTS7000215: Invalid client secret '${SECRET}' of contoso`,
        error_codes: [7000215],
      }),
      'login.microsoftonline.com gave no token: HTTP 401 invalid_client AADSTS7000215',
    ],
    [200, '<html>', 'login.microsoftonline.com gave no token: HTTP 200'],
    [200, '{"access_token":"two\\nlines","expires_in":10}', 'login.microsoftonline.com gave no token: HTTP 200'],
  ])('tells why there is none, without what is secret (%s)', async (status, body, message) => {
    answers = () => ({ status, body });
    const said = await Promise.resolve(sourceOf(ENTRA).token()).catch(String);
    expect(said).toBe(`Error: ${message}`);
    expect(said).not.toContain(SECRET);
  });

  test('says what the pods lack for an identity of their own', async () => {
    const token = async (variables: Record<string, string>): Promise<string> =>
      sourceOf({ kind: 'EntraWorkload' }, environment({ variables })).token();
    await expect(token({})).rejects.toThrow('AZURE_FEDERATED_TOKEN_FILE is not set');
    await expect(token({ AZURE_AUTHORITY_HOST: 'https://evil.example' })).rejects.toThrow('none of Microsoft');
    await expect(token({ AZURE_FEDERATED_TOKEN_FILE: '/f' })).rejects.toThrow('/f cannot be read');
    expect(asked).toHaveLength(0);
  });
});
