import { describe, expect, it } from '@jest/globals';
import { keyRow } from './cluster-keys.ts';

const NOW = Date.UTC(2027, 0, 1);
const SHA256 = 'a'.repeat(64);

function stateOf(values: Readonly<Record<string, string>>): string {
  const data = Object.fromEntries(Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString('base64')]));
  return keyRow({ apiVersion: 'v1', kind: 'Secret', metadata: { namespace: 'team', name: 'key' }, data }, NOW).state;
}

describe('the state of a client key', () => {
  it.each([
    ['Valid', { sha256: SHA256 }],
    ['Valid', { sha256: `${SHA256}\n${'B'.repeat(64)}\n`, models: 'chat,gpt-4o*', expires: '2027-01-01T00:00:01Z' }],
    ['Expired', { sha256: SHA256, expires: '2027-01-01T01:00:00+01:00' }],
    ['Malformed', {}],
    ['Malformed', { sha256: 'fl-the-key-itself' }],
    ['Malformed', { sha256: SHA256, expires: '2028-01-01' }],
    ['Malformed', { sha256: SHA256, expires: '2028-02-31T00:00:00Z' }],
    ['Malformed', { sha256: SHA256, expires: '' }],
    ['Malformed', { sha256: SHA256, models: 'chat, gpt 4' }],
    ['Malformed', { sha256: SHA256, models: '' }],
  ])('is %s as the gateways hold it: %j', (state, values) => {
    expect(stateOf(values)).toBe(state);
  });
});
