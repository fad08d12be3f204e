import { describe, expect, it } from '@jest/globals';
import { readFacts } from './openai/facts.ts';
import type { ParsedBody } from './parsed-body.ts';
import { type BodyErrorCode, readRequestBody } from './request-body.ts';
import { type BodyEdit, bodyEdit, spliceBody, splicePieces } from './splice-body.ts';

const NO_EDIT = { model: null, includeUsage: false, defaults: [], override: [] };

function parsed(text: string | Buffer, urlModel: string | null = null): ParsedBody {
  const read = readRequestBody(Buffer.from(text as string), 'chat', urlModel);
  if (!read.ok) throw new Error(read.error.message);
  return read.value;
}

function refusal(text: string | Buffer): { code: BodyErrorCode; message: string; param: string | null } {
  const read = readRequestBody(Buffer.from(text as string), 'chat');
  if (read.ok) throw new Error('not refused');
  return read.error;
}

function spliced(text: string, edit: Partial<BodyEdit>, urlModel: string | null = null): string {
  const wanted = bodyEdit({ ...NO_EDIT, ...edit });
  const whole = spliceBody(parsed(text, urlModel), wanted).toString();
  const pieces = splicePieces(parsed(text, urlModel), wanted);
  expect(Buffer.concat(pieces).toString()).toBe(whole);
  for (const piece of pieces) expect(piece.length).toBeGreaterThan(0);
  return whole;
}

describe('readRequestBody', () => {
  it('reads model, stream and include_usage', () => {
    expect(parsed('{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":true}}')).toMatchObject({
      model: 'gpt-4o',
      bodyModel: 'gpt-4o',
      stream: true,
      includeUsage: true,
    });
    expect(parsed('{"stream":null,"stream_options":null,"model":"m"}')).toMatchObject({ stream: false, includeUsage: false });
  });

  it.each<[string, string | Buffer, BodyErrorCode, string | null]>([
    ['no bytes', '', 'empty_body', null],
    ['a byte order mark', '\uFEFF{"model":"m"}', 'invalid_json', null],
    ['Latin-1', Buffer.from('{"model":"caf\xe9"}', 'latin1'), 'invalid_utf8', null],
    ['UTF-16', Buffer.from('{"model":"m"}', 'utf16le'), 'invalid_json', null],
    ['cut JSON', '{"model":"m"', 'invalid_json', null],
    ['an array', '[{"model":"m"}]', 'invalid_json', null],
    ['null', 'null', 'invalid_json', null],
    ['no model', '{"messages":[{"model":"m"}]}', 'missing_model', 'model'],
    ['an empty model', '{"model":""}', 'missing_model', 'model'],
    ['a model that is no string', '{"model":["m"]}', 'invalid_type', 'model'],
    ['a long model', `{"model":"${'m'.repeat(257)}"}`, 'invalid_model', 'model'],
    ['a line end in the model', '{"model":"m\\r\\nx: y"}', 'invalid_model', 'model'],
    ['half a surrogate pair', '{"model":"\\ud83d"}', 'invalid_model', 'model'],
    ['two models', '{"model":"a","model":"a"}', 'duplicate_parameter', 'model'],
    ['an escaped second model', '{"model":"a","mo\\u0064el":"b"}', 'duplicate_parameter', 'model'],
    [
      'an escaped first model, upper case',
      '{"\\u006D\\u006F\\u0064\\u0065\\u006C":"a","model":"b"}',
      'duplicate_parameter',
      'model',
    ],
    ['a model that Go would take', '{"model":"a","MODEL":"b"}', 'duplicate_parameter', 'model'],
    [
      'two earlier responses, of which upstreams may take either',
      '{"model":"a","previous_response_id":"resp_of_another","previous_response_id":null}',
      'duplicate_parameter',
      'previous_response_id',
    ],
    [
      'an escaped second earlier response',
      '{"model":"a","previous_response_id":"resp_a","pre\\u0076ious_response_id":"resp_b"}',
      'duplicate_parameter',
      'previous_response_id',
    ],
    [
      'an earlier response that Go would take',
      '{"model":"a","previou\u017f_Response_ID":"b"}',
      'duplicate_parameter',
      'previous_response_id',
    ],
    ['two conversations', '{"model":"a","conversation":"conv_a","conversation":null}', 'duplicate_parameter', 'conversation'],
    ['two streams', '{"model":"a","stream":true,"stream":false}', 'duplicate_parameter', 'stream'],
    ['an escaped second stream', '{"model":"a","stream":true,"\\u0073tream":false}', 'duplicate_parameter', 'stream'],
    [
      'two stream_options',
      '{"model":"a","stream_options":{},"stream\\u005foptions":{}}',
      'duplicate_parameter',
      'stream_options',
    ],
    ['a stream that is no boolean', '{"model":"a","stream":"true"}', 'invalid_type', 'stream'],
    ['deep nesting', `{"model":"a","x":${'['.repeat(512)}${']'.repeat(512)}}`, 'json_too_deep', null],
    [
      'deep nesting that a later member hides',
      `{"model":"a","x":${'['.repeat(512)}${']'.repeat(512)},"x":1}`,
      'json_too_deep',
      null,
    ],
    ['very deep nesting', `{"model":"a","x":${'{"a":'.repeat(1e5)}1${'}'.repeat(1e5)}}`, 'json_too_deep', null],
  ])('refuses %s', (_, text, code, param) => {
    expect(refusal(text)).toMatchObject({ code, param });
  });

  it('says it as OpenAI says it, and never quotes the body', () => {
    expect(refusal('{"messages":[]}').message).toBe('you must provide a model parameter');
    expect(refusal('{"model":"m","messages":"my secret plan" x}').message).toBe('The body is not valid JSON (at character 41).');
  });

  it('takes nesting at the bound, and a body that only mentions what it looks for', () => {
    expect(parsed(`{"model":"a","x":${'['.repeat(511)}${']'.repeat(511)}}`).model).toBe('a');
    for (const content of [
      'model',
      '\\"model\\"',
      'x\\"model',
      '{\\"model\\": 1, \\"model\\": 2}',
      'mo\\u0064el',
      '\\\\',
      '\\\\\\"model',
      '\\u00e9',
    ]) {
      const text = `{"a":"${content}","nested":{"model":"no","stream":1,"stream":2},"model" :\n"yes", "z":"${content}"}`;
      expect(spliced(text, { model: 'other' })).toBe(text.replace('"yes"', '"other"'));
    }
  });

  it('leaves __proto__ a key like any other', () => {
    const body = parsed('{"__proto__":{"model":"no","stream":true},"model":"m"}');
    expect(body).toMatchObject({ model: 'm', stream: false });
    expect(refusal('{"__proto__":{"model":"no"}}').code).toBe('missing_model');
    expect(({} as Record<string, unknown>)['model']).toBeUndefined();
  });

  it('takes the model from the URL where that names it', () => {
    expect(parsed('{}', 'deployed')).toMatchObject({ model: 'deployed', bodyModel: null, modelStart: -1 });
    expect(parsed('{"model":"other"}', 'deployed')).toMatchObject({ model: 'deployed', bodyModel: 'other' });
  });
});

describe('spliceBody', () => {
  it('gives the same Buffer where nothing changes', () => {
    const body = parsed('{"model":"m","stream":true,"stream_options":{"include_usage":true},"temperature":1}');
    for (const edit of [NO_EDIT, { ...NO_EDIT, model: 'm', includeUsage: true, defaults: [['temperature', 0] as const] }]) {
      expect(spliceBody(body, bodyEdit(edit))).toBe(body.bytes);
      expect(splicePieces(body, bodyEdit(edit))[0]).toBe(body.bytes);
    }
  });

  it('replaces the model, wherever and however it is written', () => {
    expect(spliced('{"model":"a"}', { model: 'b"é' })).toBe('{"model":"b\\"é"}');
    expect(spliced(' {"n":1 , "mo\\u0064el" : "\\u0061" , "é":"model"}', { model: 'long name' })).toBe(
      ' {"n":1 , "mo\\u0064el" : "long name" , "é":"model"}',
    );
  });

  it('puts the name of the URL into a body with none or another', () => {
    expect(spliced('{}', {}, 'deployed')).toBe('{"model":"deployed"}');
    expect(spliced('{"n":1}', { model: 'up' }, 'deployed')).toBe('{"model":"up","n":1}');
    expect(spliced('{"model":"other"}', {}, 'deployed')).toBe('{"model":"deployed"}');
  });

  it.each([
    ['', '"stream_options":{"include_usage":true},'],
    [',"stream_options":null', ',"stream_options":{"include_usage":true}'],
    [',"stream_options":{ }', ',"stream_options":{"include_usage":true }'],
    [',"stream_options":{"x":[1]}', ',"stream_options":{"include_usage":true,"x":[1]}'],
    [',"stream_options":{"include_usage" : false}', ',"stream_options":{"include_usage" : true}'],
    [
      ',"stream_options":{"include_usage":true,"include_usage":null}',
      ',"stream_options":{"include_usage":true,"include_usage":true}',
    ],
    [',"stream_options":7', ',"stream_options":7'],
  ])('asks for usage: %j', (given, asked) => {
    const [before, after] = asked.startsWith(',') ? ['', asked] : [asked, given];
    const text = `{"model":"m","stream":true${given}}`;
    expect(spliced(text, { includeUsage: true })).toBe(`{${before}"model":"m","stream":true${after}}`);
    const whole = text.replace('true', 'false');
    expect(spliced(whole, { includeUsage: true })).toBe(whole);
  });

  it('asks for usage before other members that a body does not have', () => {
    expect(spliced(' \n{"stream":true}', { includeUsage: true, defaults: [['n', 1]] }, 'deployed')).toBe(
      ' \n{"stream_options":{"include_usage":true},"model":"deployed","n":1,"stream":true}',
    );
  });

  it('sets overrides always, every one of a repeated key, and defaults where absent', () => {
    const edit: Partial<BodyEdit> = {
      defaults: [
        ['a', 1],
        ['b', { x: [null] }],
        ['c', 3],
      ],
      override: [
        ['c', 'o'],
        ['d', false],
      ],
    };
    expect(spliced('{"d":1,"model":"m","a":null,"\\u0064":[2]}', edit)).toBe(
      '{"b":{"x":[null]},"c":"o","d":false,"model":"m","a":null,"\\u0064":false}',
    );
  });

  it('does not let parameters touch what routing stands on', () => {
    const edit: Partial<BodyEdit> = {
      override: [
        ['model', 'x'],
        ['stream', true],
        ['stream_options', null],
      ],
    };
    expect(spliced('{"model":"m"}', edit)).toBe('{"model":"m"}');
  });
});

describe('a name written with an escape', () => {
  /** What V8 would take for the name of a member that comes after the same ones: as long as the name, from where it begins. */
  const poison = (text: string): void => {
    for (const [name] of text.matchAll(/"[^"\\]*\\u[^"]*"(?=:)/g)) {
      const says = JSON.parse(name) as string;
      readRequestBody(Buffer.from(text.replace(name, JSON.stringify(name.slice(1, says.length + 1)))), 'chat');
    }
  };
  const long = JSON.stringify('A text that is left out. '.repeat(400));

  it.each([
    ['small', '"Hi"'],
    ['large', long],
  ])('is what limits go by, whatever another client sent before: a %s body', (_, content) => {
    const text = `{"model":"m","messages":[{"role":"user","content":${content}}],"max\\u005ftokens":100000}`;
    poison(text);
    const body = parsed(text);
    expect(readFacts('chat', '/v1/chat/completions', body).maxOutputTokens).toBe(100_000);
    expect(Object.keys(body.json)).toEqual(['model', 'messages', 'max_tokens']);
  });

  it.each([
    ['another spelling of a name that is guarded', '{"model":"m","Max\\u005ftokens":1}', 'max_tokens'],
    ['the model twice', '{"model":"m","\\u006dodel":"n"}', 'model'],
    [
      'an earlier answer twice',
      '{"model":"m","previous\\u005fresponse_id":"a","previous_response_id":"b"}',
      'previous_response_id',
    ],
  ])('is seen in %s', (_, text, param) => {
    poison(text);
    expect(refusal(text)).toMatchObject({ code: 'duplicate_parameter', param });
  });

  it('is the model, and asks for a stream and for usage', () => {
    const text = '{"n":1,"\\u006dodel":"m","str\\u0065am":true,"stream_options":{"a":1,"include\\u005fusage":true}}';
    poison(text);
    expect(parsed(text)).toMatchObject({ model: 'm', stream: true, includeUsage: true });
  });
});
