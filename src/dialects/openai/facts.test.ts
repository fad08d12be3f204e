import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Operation } from '../../lib/operation.ts';
import type { RequestFacts } from '../facts.ts';
import { readRequestBody } from '../request-body.ts';
import { readFacts } from './facts.ts';

function facts(operation: Operation, body: object): RequestFacts {
  const read = readRequestBody(Buffer.from(JSON.stringify({ model: 'm', ...body })), operation);
  if (!read.ok) throw new Error(read.error.message);
  return readFacts(operation, '/v1/x', read.value);
}

const TEXT = 'word '.repeat(80); // 80 words: 78 tokens by the weights
const TOOL = { type: 'function', function: { name: 'f', description: TEXT, parameters: { type: 'object' } } };
const IMAGE = { type: 'image_url', image_url: { url: `data:image/png;base64,${'A'.repeat(100_000)}` } };

describe('readFacts', () => {
  it('knows nothing of the request before, even where that was not read to its end', () => {
    const chat = { messages: [{ role: 'user', content: '12 Words,\n  中文 и другие é' }] };
    const first = facts('chat', chat);
    const broken = Object.defineProperty({}, 'name', {
      get() {
        throw new Error('not read');
      },
    });
    const read = readRequestBody(Buffer.from('{"model":"m","messages":[]}'), 'chat');
    if (!read.ok) throw new Error(read.error.message);
    Object.assign(read.value.outline, { messages: [{ content: TEXT }, broken] });
    expect(() => readFacts('chat', '/v1/x', read.value)).toThrow('not read');
    expect(facts('chat', chat)).toEqual(first);
    expect(facts('chat', chat)).toEqual(first);
  });

  it('reads an ordinary chat', () => {
    expect(facts('chat', { messages: [{ role: 'user', content: TEXT }], stream: true, max_tokens: 10 })).toEqual({
      operation: 'chat',
      path: '/v1/x',
      model: 'm',
      stream: true,
      tools: false,
      jsonSchema: false,
      images: false,
      promptTokens: 82,
      promptSize: { words: expect.closeTo(78.4), signs: 0, blanks: 0, cjk: 0, other: 0, fixed: 4 },
      // Every byte, and what may be put around a message and the whole.
      maxPromptTokens: 485 + 2 * 16,
      maxOutputTokens: 10,
      longest: null,
      includeUsage: false,
    });
  });

  it('counts text wherever the model reads it, by its script, and an image as an image', () => {
    const tokens = (message: object): number => facts('chat', { messages: [message] }).promptTokens - 4;
    expect(
      tokens({
        content: [
          { type: 'text', text: TEXT },
          { type: 'text', text: TEXT },
        ],
      }) / 2,
    ).toBeCloseTo(78, -1);
    expect(tokens({ content: '中'.repeat(100) })).toBe(78);
    expect(tokens({ tool_calls: [{ function: { name: 'f', arguments: TEXT } }] })).toBe(79);
    expect(tokens({ content: [IMAGE] })).toBe(765);
    expect(tokens({ content: [{ type: 'input_audio', input_audio: { data: 'A'.repeat(20_000) } }] })).toBe(10);
    expect(facts('chat', { messages: [], tools: [TOOL] }).promptTokens).toBeGreaterThanOrEqual(80);
    expect(
      facts('responses', {
        input: [
          { role: 'user', content: [{ type: 'input_text', text: TEXT }] },
          { type: 'function_call_output', output: TEXT },
        ],
        instructions: TEXT,
      }).promptTokens / 243,
    ).toBeCloseTo(1, 1);
    expect(facts('responses', { input: TEXT }).promptTokens).toBe(78);
    expect(facts('embeddings', { input: [TEXT, TEXT] }).promptTokens / 157).toBeCloseTo(1, 1);
    expect(facts('embeddings', { input: [[1, 2, 3], [4]] }).promptTokens).toBe(4);
    expect(facts('completions', { prompt: [1, 2, 3] }).promptTokens).toBe(3);
  });

  it.each<[Operation, string, object]>([
    ['messages', 'a document of text', { type: 'document', source: { type: 'text', media_type: 'text/plain', data: TEXT } }],
    [
      'messages',
      'a document of parts',
      { type: 'document', source: { type: 'content', content: [{ type: 'text', text: TEXT }] } },
    ],
    [
      'messages',
      'a result of a search',
      { type: 'search_result', source: 'u', title: '', content: [{ type: 'text', text: TEXT }] },
    ],
    ['chat', 'a file of text', { type: 'file', file: { file_data: `data:text/plain;base64,${btoa(TEXT)}` } }],
  ])('counts in %s %s as text', (operation, _, part) => {
    const { promptTokens } = facts(operation, { messages: [{ role: 'user', content: [part] }] });
    expect(promptTokens).toBeGreaterThan(70);
    expect(promptTokens).toBeLessThan(130);
  });

  it.each<[string, object]>([
    ['shell_call', { action: { commands: [TEXT] } }],
    ['shell_call_output', { output: [{ stdout: TEXT, stderr: '', outcome: { type: 'exit', exit_code: 0 } }] }],
    ['local_shell_call', { action: { type: 'exec', command: ['sh', '-c', TEXT] } }],
    ['apply_patch_call', { operation: { type: 'update_file', path: 'a', diff: TEXT } }],
    ['code_interpreter_call', { code: TEXT, container_id: 'c' }],
    ['mcp_list_tools', { server_label: 's', tools: [{ name: 'a', description: TEXT, input_schema: {} }] }],
  ])('counts what an item %s brings back', (type, item) => {
    expect(facts('responses', { input: [{ type, ...item }] }).promptTokens).toBeGreaterThan(78);
  });

  it('counts what an assistant called, refused and thought, wherever it is said', () => {
    for (const message of [{ function_call: { name: 'f', arguments: TEXT } }, { refusal: TEXT }, { reasoning: TEXT }])
      expect(facts('chat', { messages: [{ role: 'assistant', content: null, ...message }] }).promptTokens).toBeGreaterThan(78);
  });

  it('bounds what a prompt can have of tokens, but for what is not in the body', () => {
    const bound = (body: object): number | null => facts('chat', body).maxPromptTokens;
    const image = bound({ messages: [{ content: [IMAGE] }] });
    // Its base64 is no text; it may count as the largest there is.
    expect(image).toBeGreaterThan(50_000);
    expect(image).toBeLessThan(51_000);
    expect(bound({ messages: [{ content: TEXT }], tools: [TOOL] })).toBeGreaterThan(1_424);
    expect(bound({ messages: [{ content: [{ type: 'file', file: { file_id: 'f' } }] }] })).toBeNull();
    expect(bound({ messages: [], tools: [{ type: 'web_search' }] })).toBeNull();
    expect(facts('responses', { input: 'x', previous_response_id: 'r' }).maxPromptTokens).toBeNull();
    expect(facts('responses', { input: 'x', previous_response_id: null }).maxPromptTokens).not.toBeNull();
  });

  it('asks how an image counts, with its size and detail', () => {
    const asked: unknown[] = [];
    const counter = {
      scales: { words: 1, signs: 1, blanks: 1, cjk: 1, other: 1 },
      imageTokens: (image: unknown) => asked.push(image) * 7,
    };
    const png = Buffer.concat([
      Buffer.from('89504e470d0a1a0a0000000d49484452' + '00000400' + '00000200', 'hex'),
      Buffer.alloc(64),
    ]);
    const content = [
      { type: 'image_url', image_url: { url: `data:image/png;base64,${png.toString('base64')}`, detail: 'low' } },
      { type: 'image', source: { type: 'base64', media_type: 'image/png', data: png.toString('base64') } },
      { type: 'image_url', image_url: { url: 'https://example.com/a.png' } },
    ];
    const read = readRequestBody(Buffer.from(JSON.stringify({ model: 'm', messages: [{ content }] })), 'chat');
    if (!read.ok) throw new Error(read.error.message);
    expect(readFacts('chat', '/v1/x', read.value, counter).promptTokens).toBe(4 + 7 + 14 + 21);
    expect(asked).toEqual([
      { width: 1024, height: 512, low: true },
      { width: 1024, height: 512, low: false },
      { width: null, height: null, low: false },
    ]);
  });

  it('reads long texts by samples, and comes to the same', () => {
    const long = Array.from({ length: 2_000 }, (_, i) => `line ${i}: the quick brown fox, jumps over it; 你好`).join('\n');
    const short = facts('chat', { messages: [{ content: long.slice(0, 4_000) }] }).promptTokens;
    const whole = facts('chat', { messages: [{ content: long }] }).promptTokens;
    expect(whole / short / (long.length / 4_000)).toBeGreaterThan(0.93);
    expect(whole / short / (long.length / 4_000)).toBeLessThan(1.07);
  });

  it('sees tools, schemas and images', () => {
    expect(facts('chat', { tools: [TOOL] }).tools).toBe(true);
    expect(facts('chat', { tools: [], functions: [{}] }).tools).toBe(true);
    expect(facts('chat', { tools: [] }).tools).toBe(false);
    expect(facts('responses', { tools: [{ type: 'web_search' }] }).tools).toBe(true);
    expect(facts('chat', { response_format: { type: 'json_schema', json_schema: {} } }).jsonSchema).toBe(true);
    expect(facts('chat', { response_format: { type: 'json_object' } }).jsonSchema).toBe(false);
    expect(facts('responses', { text: { format: { type: 'json_schema' } } }).jsonSchema).toBe(true);
    expect(facts('chat', { messages: [{ content: [IMAGE] }] }).images).toBe(true);
    expect(facts('responses', { input: [{ role: 'user', content: [{ type: 'input_image', file_id: 'f' }] }] }).images).toBe(true);
    expect(
      facts('responses', { input: [{ type: 'computer_call_output', output: { type: 'computer_screenshot' } }] }).images,
    ).toBe(true);
  });

  it('multiplies the output limit by the choices', () => {
    expect(facts('chat', { max_tokens: 5, max_completion_tokens: 7, n: 3 }).maxOutputTokens).toBe(21);
    expect(facts('responses', { max_output_tokens: 9, n: 3 }).maxOutputTokens).toBe(9);
    expect(facts('completions', { max_tokens: 4, n: 2, best_of: 5, prompt: ['a', 'b'] }).maxOutputTokens).toBe(40);
    expect(facts('embeddings', { input: 'x' }).maxOutputTokens).toBe(0);
    expect(facts('chat', {}).maxOutputTokens).toBeNull();
    expect(facts('chat', { max_tokens: 1e308, n: 1e15 }).maxOutputTokens).toBe(Number.MAX_SAFE_INTEGER);
    for (const bad of [-1, '7', null, [1], {}]) expect(facts('chat', { max_tokens: bad, n: bad }).maxOutputTokens).toBeNull();
  });

  it('tells what one context must hold where there are several', () => {
    const input = Array.from({ length: 200 }, () => TEXT);
    const batch = facts('embeddings', { input: [...input, TEXT + TEXT] });
    expect(batch.promptTokens).toBeGreaterThan(14_000);
    expect((batch.longest?.promptTokens ?? 0) / 157).toBeCloseTo(1, 1);
    expect(facts('embeddings', { input: [[1, 2, 3], [4]] }).longest).toEqual({ promptTokens: 3, maxOutputTokens: 0 });
    expect(facts('embeddings', { input: ['', ''] }).longest).toEqual({ promptTokens: 0, maxOutputTokens: 0 });
    expect(facts('embeddings', { input: [TEXT] }).longest).toBeNull();
    expect(facts('completions', { prompt: [[1, 2], [3]], max_tokens: 4, n: 2 })).toMatchObject({
      maxOutputTokens: 16,
      longest: { promptTokens: 2, maxOutputTokens: 4 },
    });
    expect(facts('chat', { messages: [], max_tokens: 5, n: 3 }).longest).toEqual({ promptTokens: 0, maxOutputTokens: 5 });
    expect(facts('chat', { messages: [], n: 3 }).longest).toEqual({ promptTokens: 0, maxOutputTokens: null });
  });

  it('reads no more than model and stream of what passes through', () => {
    expect(facts('images_generations', { prompt: TEXT, stream: true, max_tokens: 5 })).toMatchObject({
      stream: true,
      promptTokens: 0,
      maxOutputTokens: null,
    });
  });

  it('takes bodies of any shape', () => {
    const names = [
      'messages',
      'content',
      'type',
      'text',
      'image_url',
      'tool_calls',
      'function',
      'input',
      'output',
      'prompt',
      'tools',
      'format',
      'response_format',
      'n',
      'max_tokens',
      'file',
      '__proto__',
    ];
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 6 },
        fc.constantFrom<unknown>(null, true, 1e308, -1, 0.5, '', 'text', 'image_url', 'input_image', 'json_schema'),
        fc.array(tie('tree'), { maxLength: 4 }),
        fc.dictionary(fc.constantFrom(...names), tie('tree'), { maxKeys: 5 }),
      ),
    }));
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom(...names), tree),
        fc.constantFrom<Operation>('chat', 'responses', 'completions', 'embeddings', 'moderations'),
        (body, operation) => {
          const { promptTokens, maxOutputTokens } = facts(operation, body);
          return (
            Number.isSafeInteger(promptTokens) &&
            promptTokens >= 0 &&
            (maxOutputTokens === null || Number.isSafeInteger(maxOutputTokens))
          );
        },
      ),
      { numRuns: 5000 },
    );
  });
});
