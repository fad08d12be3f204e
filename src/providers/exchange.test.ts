import { describe, expect, it } from '@jest/globals';
import { inspect } from 'node:util';
import type { Operation } from '../lib/operation.ts';
import { SecretValue } from '../lib/secret.ts';
import type { Target } from '../routetable/types.ts';
import { providerFor } from './index.ts';
import { target, TEST_KEY } from './testing.ts';

function exchangeOf(changes: Partial<Target>, operation: Operation = 'chat') {
  const made = target(changes);
  return providerFor(made.provider).exchange(made, operation);
}

describe('exchange', () => {
  it.each([
    [{ baseUrl: 'https://api.openai.com/v1' }, 'chat', 'https://api.openai.com', '/v1/chat/completions'],
    [{ baseUrl: 'https://api.openai.com/v1' }, 'moderations', 'https://api.openai.com', '/v1/moderations'],
    [
      { provider: 'OpenAICompatible', baseUrl: 'http://vllm.ml.svc:8000/v1' },
      'responses',
      'http://vllm.ml.svc:8000',
      '/v1/responses',
    ],
    [
      { provider: 'OpenAICompatible', baseUrl: 'https://api.groq.com/openai/v1/' },
      'audio_transcriptions',
      'https://api.groq.com',
      '/openai/v1/audio/transcriptions',
    ],
    [{ provider: 'OpenAICompatible', baseUrl: 'http://localhost:9000' }, 'embeddings', 'http://localhost:9000', '/embeddings'],
  ] as const)('%j %s: %s%s', (changes, operation, origin, path) => {
    const made = exchangeOf(changes, operation);
    expect(made?.origin).toBe(origin);
    expect(made?.path('gpt-4o', false)).toBe(path);
  });

  const azure = { provider: 'AzureOpenAI', baseUrl: 'https://team-a.openai.azure.com', apiVersion: '2024-10-21' } as const;

  it.each([
    [{ ...azure, model: 'gpt-4o' }, 'chat', '/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21'],
    [{ ...azure, model: 'gpt-4o' }, 'completions', '/openai/deployments/gpt-4o/completions?api-version=2024-10-21'],
    [{ ...azure, model: 'gpt-4o' }, 'embeddings', '/openai/deployments/gpt-4o/embeddings?api-version=2024-10-21'],
    [
      { ...azure, model: 'dall e/3?' },
      'images_generations',
      '/openai/deployments/dall%20e%2F3%3F/images/generations?api-version=2024-10-21',
    ],
    [{ ...azure, model: 'tts' }, 'audio_speech', '/openai/deployments/tts/audio/speech?api-version=2024-10-21'],
    [{ ...azure, model: 'gpt-4o' }, 'responses', '/openai/responses?api-version=2024-10-21'],
    [{ ...azure, apiVersion: null, model: 'gpt-4o' }, 'chat', '/openai/v1/chat/completions'],
    [{ ...azure, apiVersion: 'preview', model: 'gpt-4o' }, 'responses', '/openai/v1/responses?api-version=preview'],
    [{ ...azure, model: null }, 'chat', '/openai/deployments/client-model/chat/completions?api-version=2024-10-21'],
    [{ ...azure, apiVersion: '2024&x=1', model: 'a' }, 'chat', '/openai/deployments/a/chat/completions?api-version=2024%26x%3D1'],
  ] as const)('Azure %j %s: %s', (changes, operation, path) => {
    expect(exchangeOf(changes, operation)?.path('client-model', false)).toBe(path);
  });

  it.each(['..', '.', '', '../../x', 'a\ud800b', 'a?b#c', 'a\r\nb'])(
    'keeps a client’s name %j inside its path segment',
    (name) => {
      const path = exchangeOf({ ...azure, model: null })?.path(name, false) ?? '';
      expect(path).toMatch(/^\/openai\/deployments\/(?!\.{0,2}\/)[\w.%-]+\/chat\/completions\?api-version=2024-10-21$/);
    },
  );

  it('is null where a provider has no such operation', () => {
    expect(exchangeOf(azure, 'moderations')).toBeNull();
    expect(exchangeOf(azure, 'images_variations')).toBeNull();
  });

  it('sends the credential in its header, asks for no compression, and adds the target’s own headers', () => {
    expect(exchangeOf({ headers: [['x-team', 'a']] })?.headers).toEqual([
      'accept-encoding',
      'identity',
      'authorization',
      `Bearer ${TEST_KEY}`,
      'x-team',
      'a',
    ]);
    expect(exchangeOf({ ...azure, credential: { header: 'api-key', value: new SecretValue('k') } })?.headers).toEqual([
      'accept-encoding',
      'identity',
      'api-key',
      'k',
    ]);
    expect(exchangeOf({ credential: null })?.headers).toEqual(['accept-encoding', 'identity']);
    const twice = exchangeOf({
      headers: [
        ['accept-encoding', 'br'],
        ['authorization', 'other'],
      ],
    });
    expect(twice?.headers).toEqual(['accept-encoding', 'identity', 'authorization', `Bearer ${TEST_KEY}`]);
  });

  it('shows the credential nowhere else', () => {
    const made = exchangeOf({});
    expect(inspect({ ...made, headers: [] }, { depth: 5 })).not.toContain(TEST_KEY);
  });
});
