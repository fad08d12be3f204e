// Promise: what a messages request says between its turns reaches every provider.
import { describe, expect, it } from '@jest/globals';
import type { JsonObject } from '../../lib/json.ts';
import { readRequestBody } from '../request-body.ts';
import { readAnthropic } from './read-messages.ts';

function read(members: JsonObject): ReturnType<typeof readAnthropic> {
  const body = Buffer.from(JSON.stringify({ model: 'm', max_tokens: 10, ...members }));
  const parsed = readRequestBody(body, 'messages');
  if (!parsed.ok) throw new Error(parsed.error.message);
  return readAnthropic(parsed.value);
}

describe('a messages request', () => {
  it('may have the system speak between the turns, as Claude Code does', () => {
    const { system, turns, invalid } = read({
      system: 'Be brief.',
      messages: [
        { role: 'user', content: 'Hello' },
        { role: 'system', content: [{ type: 'text', text: 'It is Monday.' }] },
        { role: 'assistant', content: 'Hi' },
        { role: 'system', content: 'It is Tuesday.' },
      ],
    });
    expect(system.map(({ text }) => text)).toEqual(['Be brief.', 'It is Monday.', 'It is Tuesday.']);
    expect(turns.map(({ role }) => role)).toEqual(['user', 'assistant']);
    expect(invalid).toEqual([]);
  });

  it('is refused by the place of a role that is none', () => {
    expect(read({ messages: [{ role: 'tool', content: 'x' }] }).invalid).toEqual([
      { param: 'messages.0.role', message: 'messages.0.role: user, assistant or system is needed' },
    ]);
  });
});
