import { describe, expect, it } from '@jest/globals';
import { redactErrorBody, redactMessage } from './redact.ts';

describe('redactMessage', () => {
  it.each([
    ['Incorrect API key provided: sk-proj-abcdefghijk123456.', 'Incorrect API key provided: [redacted].'],
    ['Incorrect API key provided: test-con****-key. You', 'Incorrect API key provided: [redacted]. You'],
    ['key gsk_abcdefghij0123456789 is bad', 'key [redacted] is bad'],
    ['model `m` in organization `org_01jqz98j8aeb` service', 'model `m` in organization [redacted] service'],
    ['in organization org-AbCdEfGh on tokens per min', 'in organization [redacted] on tokens per min'],
    ['for project proj_abcd1234', 'for project [redacted]'],
    ['"user_id": user_35tI40u3gKTMEMGS061', '"user_id": [redacted]'],
    ['Your team 16f2151a-40f4-4a80-8ad0-cae00c27e8dd has', 'Your team [redacted] has'],
    ['Team: Acme-1, API key ID: abc-def, Model: grok', 'Team: [redacted], API key ID: [redacted], Model: grok'],
    ['over scope /subscriptions/8eaf8250/resourceGroups/rg/providers/x/accounts/y or', 'over scope /subscriptions/[redacted] or'],
    ['https://team-a.openai.azure.com/openai', 'https://[redacted].openai.azure.com/openai'],
    ['The principal `abc` lacks', 'The principal [redacted] lacks'],
    ['client live.com#jane.doe@example.co.uk has', 'client live.com#[redacted] has'],
    ['Bearer abcdef.ghijkl-123 is expired', 'Bearer [redacted] is expired'],
    ['token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln expired', 'token [redacted] expired'],
  ])('%s', (message, expected) => {
    expect(redactMessage(message, '')).toBe(expected);
  });

  it.each([
    "Unsupported parameter: 'max_tokens' is not supported with this model.",
    "Invalid 'messages[0].role': user_message is not a role; see https://platform.openai.com/docs/guides/error-codes",
    'The model `gpt-4.1-nano-wrong` does not exist or you do not have access to it.',
    'Rate limit reached for risk-free task-list on tokens per min (TPM): Limit 30000, Used 5034, Requested 1443.',
  ])('leaves %s', (message) => {
    expect(redactMessage(message, '')).toBe(message);
  });

  it('takes out the credential that was sent, whatever its form', () => {
    expect(redactMessage('you sent hunter2-hunter2, no', 'hunter2-hunter2')).toBe('you sent [redacted], no');
    expect(redactMessage('key is bad', 'key')).toBe('key is bad');
  });

  it('cuts after it has redacted, so that no half of a key is left', () => {
    const cut = redactMessage(`${'y '.repeat(250)}sk-abcdefghijklmnopqrstuvwxyz0123456789 z`, '');
    expect(cut).toHaveLength(512);
    expect(cut).toContain('[redacted]');
    expect(redactMessage('x'.repeat(100_000), '')).toHaveLength(512);
  });
});

describe('redactErrorBody', () => {
  it('takes out of an error what tells of the account, and leaves the rest of it', () => {
    const error = { message: 'No access for org-Abc123 with test-secret-1', type: 'invalid_request_error', param: 'org-param' };
    const told = redactErrorBody(Buffer.from(JSON.stringify({ error })), 'test-secret-1').toString();
    expect(JSON.parse(told)).toEqual({ error: { ...error, message: 'No access for [redacted] with [redacted]' } });
    expect(JSON.parse(redactErrorBody(Buffer.from('{"errors":[{"detail":"org-Abc123"}]}'), '').toString())).toEqual({
      errors: [{ detail: '[redacted]' }],
    });
  });

  it('is the same bytes where there is nothing to take out, and text where it is no JSON', () => {
    const plain = Buffer.from('{ "error" : {"message": "max_tokens is too large"} }');
    expect(redactErrorBody(plain, 'test-secret-1')).toBe(plain);
    expect(redactErrorBody(Buffer.from('nope: test-secret-1'), 'test-secret-1').toString()).toBe('nope: [redacted]');
  });

  it('has the credential that was sent nowhere, in no other member and no error of whatever length', () => {
    const told = (error: object): string => redactErrorBody(Buffer.from(JSON.stringify(error)), 'test-secret-1').toString();
    expect(told({ detail: [{ msg: 'é', input: 'test-secret-1' }] })).toBe('{"detail":[{"msg":"é","input":"[redacted]"}]}');
    const long = 'é'.repeat(50_000);
    expect(told({ message: `${long} test-secret-1` })).toBe(`{"message":"${long} [redacted]"}`);
  });
});
