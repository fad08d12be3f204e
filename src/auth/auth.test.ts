import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import type { ClientKey } from '../routetable/types.ts';
import { ANONYMOUS, authenticate, compileKeys, modelAllowed, sha256Hex, type AuthFailure, type Caller } from './client-keys.ts';
import { createKey, keySecretYaml } from './new-key.ts';

const NOW = Date.UTC(2026, 5, 1);
const at = (wallMs: number): { readonly wallMs: () => number } => ({ wallMs: () => wallMs });

function clientKey(key: string, given: Partial<ClientKey> = {}): ClientKey {
  return {
    digest: '',
    sha256: sha256Hex(key),
    id: 'team-a/alice',
    namespace: 'team-a',
    tenant: 'team-a',
    platform: false,
    models: null,
    expiresAtMs: null,
    ...given,
  };
}

function reason(outcome: Caller | AuthFailure): string {
  return outcome.ok ? outcome.keyId : outcome.reason;
}

describe('authenticate', () => {
  const keys = compileKeys([
    clientKey('fl-alice'),
    clientKey('fl-soon', { id: 'team-a/soon', expiresAtMs: NOW + 1 }),
    clientKey('fl-late', { id: 'team-a/late', expiresAtMs: NOW }),
  ]);

  it.each([
    ['Bearer fl-alice', undefined, 'team-a/alice'],
    ['bearer  fl-alice ', undefined, 'team-a/alice'],
    [undefined, 'fl-alice', 'team-a/alice'],
    [undefined, ' fl-alice', 'team-a/alice'],
    ['Basic dXNlcjpwYXNz', 'fl-alice', 'team-a/alice'],
    ['Bearer fl-alice', 'something else', 'team-a/alice'],
    ['Bearer fl-soon', undefined, 'team-a/soon'],
    ['Bearer fl-late', undefined, 'expired'],
    ['Bearer fl-ALICE', undefined, 'unknown'],
    ['Bearer fl-bob', 'fl-alice', 'unknown'],
    ['Bearer', undefined, 'malformed'],
    ['Bearer   ', undefined, 'malformed'],
    ['Bearerfl-alice', undefined, 'malformed'],
    ['Basic dXNlcjpwYXNz', undefined, 'malformed'],
    ['', undefined, 'malformed'],
    [undefined, '', 'malformed'],
    [`Bearer ${'x'.repeat(512)}`, undefined, 'unknown'],
    [`Bearer ${'x'.repeat(513)}`, undefined, 'malformed'],
    [undefined, undefined, 'missing'],
  ])('authorization %p, api-key %p: %s', (authorization, apiKey, expected) => {
    expect(reason(authenticate(keys, authorization, apiKey, at(NOW)))).toBe(expected);
  });

  it('gives each failure a message of its own, without the key', () => {
    const failures = ['Bearer fl-late', 'Bearer fl-bob', 'Bearer', undefined].map((header) =>
      authenticate(keys, header, undefined, at(NOW)),
    );
    const messages = failures.map((failure) => (failure.ok ? '' : failure.message));
    expect(new Set(messages).size).toBe(4);
    expect(messages.join(' ')).not.toMatch(/fl-/);
  });

  it('remembers of a key neither that it was known to an earlier table nor that it had not expired', () => {
    const before = compileKeys([clientKey('fl-moved', { id: 'team-a/old' }), clientKey('fl-gone', { expiresAtMs: NOW + 10 })]);
    const after = compileKeys([clientKey('fl-moved', { id: 'team-b/new' })]);
    for (const _turn of [1, 2]) {
      expect(reason(authenticate(before, 'Bearer fl-moved', undefined, at(NOW)))).toBe('team-a/old');
      expect(reason(authenticate(before, 'Bearer fl-gone', undefined, at(NOW)))).toBe('team-a/alice');
      expect(reason(authenticate(before, 'Bearer fl-gone', undefined, at(NOW + 10)))).toBe('expired');
      expect(reason(authenticate(before, 'Bearer fl-other', undefined, at(NOW)))).toBe('unknown');
      expect(reason(authenticate(after, 'Bearer fl-moved', undefined, at(NOW)))).toBe('team-b/new');
      expect(reason(authenticate(after, 'Bearer fl-gone', undefined, at(NOW)))).toBe('unknown');
    }
  });

  it('lets the platform key win where two Secrets hold one hash', () => {
    const stolen = clientKey('fl-x', { id: 'evil/copy', namespace: 'evil', tenant: 'evil' });
    const real = clientKey('fl-x', { id: 'fairlead-system/x', namespace: 'fairlead-system', tenant: 'acme', platform: true });
    for (const order of [
      [stolen, real],
      [real, stolen],
    ]) {
      expect(authenticate(compileKeys(order), 'Bearer fl-x', undefined, at(NOW))).toMatchObject({
        tenant: 'acme',
        platform: true,
      });
    }
  });
});

it('modelAllowed heeds exact names and prefixes', () => {
  const models = [
    { value: 'chat', wildcard: false },
    { value: 'gpt-4o', wildcard: true },
  ];
  const caller: Caller = { ...ANONYMOUS, models };
  expect(['chat', 'chat2', 'gpt-4o', 'gpt-4o-mini', 'gpt-4'].map((model) => modelAllowed(caller, model))).toEqual([
    true,
    false,
    true,
    true,
    false,
  ]);
  expect(modelAllowed(ANONYMOUS, 'anything')).toBe(true);
});

describe('a new key', () => {
  it('authenticates by what its Secret stores, and its Secret does not hold it', () => {
    const { key, sha256 } = createKey(new Uint8Array(32).fill(7));
    expect(key).toMatch(/^fl-[A-Za-z0-9_-]{43}$/);
    const yaml = keySecretYaml({
      name: 'alice',
      namespace: 'team-a',
      sha256,
      tenant: 'on',
      models: ['chat', 'gpt-4o*'],
      expires: '2027-01-01T00:00:00Z',
    });
    expect(yaml).not.toContain(key);
    const secret = parse(yaml, { version: '1.1' });
    expect(secret).toEqual({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'alice', namespace: 'team-a', labels: { 'fairlead.dev/api-key': 'true' } },
      type: 'Opaque',
      stringData: { sha256, tenant: 'on', models: 'chat,gpt-4o*', expires: '2027-01-01T00:00:00Z' },
    });
    const keys = compileKeys([{ ...clientKey(''), sha256: secret.stringData.sha256 }]);
    expect(reason(authenticate(keys, `Bearer ${key}`, undefined, at(NOW)))).toBe('team-a/alice');
  });

  it('refuses too little randomness', () => {
    expect(() => createKey(new Uint8Array(8))).toThrow('at least 24 random bytes, not 8');
  });
});
