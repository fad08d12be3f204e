// Promise: tools in a namespace and custom tools of a Responses request work with providers that know only functions, and their calls
// come back as what they are.
import { describe, expect, it } from '@jest/globals';
import { isObject, type JsonObject } from '../../lib/json.ts';
import { ReplyParts } from '../neutral/reply.ts';
import { readRequestBody } from '../request-body.ts';
import { readResponses } from './read-responses.ts';
import { responsesWriter } from './write-responses.ts';

const PARAMETERS = { type: 'object', properties: { id: { type: 'string' } } };
const REQUEST = {
  model: 'm',
  tools: [
    { type: 'function', name: 'agents__close', parameters: PARAMETERS },
    { type: 'namespace', name: 'agents', tools: [{ type: 'function', name: 'close', parameters: PARAMETERS }] },
    {
      type: 'custom',
      name: 'apply_patch',
      description: 'Edits files.',
      format: { type: 'grammar', syntax: 'lark', definition: 'start: "x"' },
    },
    { type: 'web_search' },
  ],
  input: [
    { role: 'user', content: 'Hello' },
    { type: 'function_call', call_id: 'c1', namespace: 'agents', name: 'close', arguments: '{"id":"1"}' },
    { type: 'function_call_output', call_id: 'c1', output: 'closed' },
    { type: 'custom_tool_call', call_id: 'c2', name: 'apply_patch', input: '*** "x"' },
    { type: 'custom_tool_call_output', call_id: 'c2', output: 'done' },
  ],
};
const HEAD = { id: 'r', createdSeconds: 1, model: 'm', includeUsage: true, request: REQUEST };
const END = { finish: 'tool_calls' as const, stopSequence: null, usage: null };
const GIVEN = [
  { type: 'function_call', namespace: 'agents', name: 'close', call_id: 'c3', arguments: '{"id":"2"}' },
  { type: 'custom_tool_call', name: 'apply_patch', call_id: 'c4', input: '*** "y"' },
  { type: 'function_call', name: 'agents__close', call_id: 'c5', arguments: '{}' },
];

function call(sink: Pick<ReplyParts, 'toolCall' | 'toolArguments'>): void {
  sink.toolCall(0, 'c3', 'agents__close_2', null);
  sink.toolArguments(0, '{"id":"2"}');
  sink.toolCall(1, 'c4', 'apply_patch', null);
  sink.toolArguments(1, '{"input":"*** ');
  sink.toolArguments(1, '\\"y\\""}');
  sink.toolCall(2, 'c5', 'agents__close', null);
}

describe('tools that are no plain functions', () => {
  it('are told as functions with names of their own', () => {
    const body = readRequestBody(Buffer.from(JSON.stringify(REQUEST)), 'responses');
    if (!body.ok) throw new Error(body.error.message);
    const { tools, turns, foreign, invalid } = readResponses(body.value);
    expect(tools.map(({ name }) => name)).toEqual(['agents__close', 'apply_patch', 'agents__close_2']);
    expect(tools[1]).toMatchObject({
      description: 'Edits files.\n\nThe input must follow this lark grammar:\nstart: "x"',
      parameters: { required: ['input'] },
    });
    expect(turns.flatMap(({ parts }) => parts).slice(1)).toMatchObject([
      { kind: 'toolCall', name: 'agents__close_2', arguments: '{"id":"1"}' },
      { kind: 'toolResult', name: 'agents__close_2' },
      { kind: 'toolCall', name: 'apply_patch', arguments: '{"input":"*** \\"x\\""}' },
      { kind: 'toolResult', name: 'apply_patch' },
    ]);
    expect(foreign).toEqual(['tools[3]']);
    expect(invalid).toEqual([]);
  });

  it('come back as what they are in a whole answer', () => {
    const parts = new ReplyParts();
    call(parts);
    const answer = JSON.parse(responsesWriter.whole(HEAD, parts, END).toString()) as { output: JsonObject[] };
    expect(answer.output).toMatchObject(GIVEN);
    expect(answer.output[2]).not.toHaveProperty('namespace');
  });

  it('come back as what they are in a stream', () => {
    const stream = responsesWriter.stream(HEAD);
    call(stream);
    const events = (stream.take() + stream.end(END))
      .split('\n')
      .filter((line) => line.startsWith('data: '))
      .map((line) => JSON.parse(line.slice('data: '.length)) as JsonObject);
    const done = events.filter(({ type }) => type === 'response.output_item.done').map(({ item }) => item);
    expect(done).toMatchObject(GIVEN);
    const told = events.filter(({ item_id: id }) => id === 'fc_r_1');
    expect(told.map(({ type }) => type)).toEqual([
      'response.custom_tool_call_input.delta',
      'response.custom_tool_call_input.done',
    ]);
    const response = events.at(-1)?.['response'];
    expect(isObject(response) ? response['output'] : null).toEqual(done);
  });
});
