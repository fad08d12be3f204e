import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { readFacts } from './openai/facts.ts';
import { isMultipart, type MultipartBody, readMultipart, spliceMultipart } from './multipart.ts';

const TYPE = 'multipart/form-data; boundary=XX';
const MODEL = 'Content-Disposition: form-data; name="model"\r\n\r\nwhisper-1';
const FILE =
  'Content-Disposition: form-data; name="file"; filename="model"\r\nContent-Type: audio/wav\r\n\r\nRI\0FF\r\n--X\r\nname="model"\r\n';

function form(...parts: string[]): Buffer {
  return Buffer.from(`--XX\r\n${parts.join('\r\n--XX\r\n')}\r\n--XX--\r\n`);
}

function read(bytes: Buffer, urlModel: string | null = null, type = TYPE): MultipartBody {
  const found = readMultipart(bytes, 'audio_transcriptions', type, urlModel);
  if (!found.ok) throw new Error(found.error.message);
  return found.value;
}

function refusal(bytes: Buffer, type = TYPE): string {
  const found = readMultipart(bytes, 'audio_transcriptions', type);
  if (found.ok) throw new Error('not refused');
  return `${found.error.code} ${found.error.message}`;
}

describe('readMultipart', () => {
  it('finds the model between files, and splices it', () => {
    const bytes = form(FILE, MODEL, 'Content-Disposition: form-data; name=stream\r\n\r\ntrue', FILE);
    const body = read(bytes);
    expect(body).toMatchObject({ model: 'whisper-1', stream: true });
    expect(spliceMultipart(body, 'gpt-4o-transcribe').toString()).toBe(
      bytes.toString().replace('whisper-1', 'gpt-4o-transcribe'),
    );
    expect(spliceMultipart(body, null)).toBe(bytes);
    expect(readFacts('audio_transcriptions', '/v1/audio/transcriptions', body)).toMatchObject({
      model: 'whisper-1',
      stream: true,
      promptTokens: 0,
    });
  });

  it('reads what fetch writes', async () => {
    const data = new FormData();
    data.append('file', new Blob([Buffer.alloc(100_000, 0x0d)]), 'a.wav');
    data.append('model', 'gpt-4o-transcribe');
    data.append('empty', '');
    const written = new Response(data);
    const type = written.headers.get('content-type') ?? '';
    expect(isMultipart('audio_transcriptions', type)).toBe(true);
    expect(isMultipart('responses', type)).toBe(false);
    expect(read(Buffer.from(await written.arrayBuffer()), null, type).model).toBe('gpt-4o-transcribe');
  });

  it('puts the name of the URL into a form with none or another', () => {
    const renamed = spliceMultipart(read(form(FILE), 'whisper'), 'up');
    expect(read(renamed)).toMatchObject({ model: 'up' });
    expect(renamed.subarray(-form(FILE).length)).toEqual(form(FILE));
    expect(read(spliceMultipart(read(form(MODEL, FILE), 'whisper'), null)).model).toBe('whisper');
  });

  it.each([
    ['no model', form(FILE), /^missing_model/],
    ['an empty model', form(MODEL.replace('whisper-1', '')), /^missing_model/],
    ['two models', form(MODEL, FILE, MODEL), /^duplicate_parameter/],
    ['a second model by escaped name', form(MODEL, MODEL.replace('"model"', '"mo\\del"')), /^duplicate_parameter/],
    ['a model in a file', form(MODEL.replace('"model"', '"model"; filename="x"')), /is a file/],
    ['an encoded model', form(`Content-Transfer-Encoding: base64\r\n${MODEL}`), /transfer encoding/],
    ['a name in extended notation', form(MODEL, MODEL.replace('name="model"', "name*=utf-8''model")), /extended notation/],
    ['two names', form(MODEL.replace('name="model"', 'name="x"; name="model"')), /several names/],
    ['a line that is no header', form(MODEL.replace('name="model"', 'name="model"\r\nx')), /is not a header/],
    ['a part after a bare LF, within a file', form(FILE.replace('FF', 'F\n--XX\r\nF'), MODEL), /other than CRLF/],
    ['a stray quote', form(MODEL, MODEL.replace('name="model"', 'name="x; name="model"')), /not well-formed/],
    ['folded headers', form(MODEL.replace('form-data;', 'form-data;\r\n')), /folded/],
    ['bare line ends', Buffer.from(form(MODEL).toString().replaceAll('\r\n', '\n')), /line end/],
    ['a preamble', Buffer.concat([Buffer.from('x\r\n'), form(MODEL)]), /does not begin/],
    ['an epilogue', Buffer.concat([form(MODEL), form(MODEL)]), /follows its last boundary/],
    ['a cut body', form(MODEL, FILE).subarray(0, -10), /was the body cut/],
    ['a boundary that goes on', Buffer.from(form(MODEL).toString().replace('--XX\r', '--XXY\r')), /not followed by a line end/],
    ['long headers', form(`X: ${'y'.repeat(9000)}\r\n${MODEL}`), /headers do not end/],
    ['too many parts', form(...Array.from({ length: 257 }, () => FILE)), /more than 256 parts/],
    ['a long model', form(MODEL.replace('whisper-1', 'x'.repeat(300))), /^invalid_model/],
    ['nothing', Buffer.alloc(0), /does not begin/],
  ])('refuses %s', (_, bytes, why) => {
    expect(refusal(bytes)).toMatch(why);
  });

  it('refuses a name in the URL that would be more than a name in the form', () => {
    const name = `whisper-1\r\n--XX\r\n${MODEL.replace('whisper-1', 'other')}`;
    const found = readMultipart(form(FILE, MODEL), 'audio_transcriptions', TYPE, name);
    expect(found).toMatchObject({ ok: false, error: { code: 'invalid_model' } });
  });

  it('refuses a batch whose file has a transfer encoding, which some upstreams take off, and no other file', () => {
    const encoded = (purpose: string, line: string): Buffer =>
      form(
        `Content-Disposition: form-data; name="purpose"\r\n\r\n${purpose}`,
        `Content-Disposition: form-data; name="file"; filename="in.jsonl"\r\n${line}\r\n\r\n{}`,
      );
    const readUpload = (bytes: Buffer): boolean | string => {
      const body = readMultipart(bytes, 'files', TYPE);
      return body.ok || body.error.message;
    };
    for (const line of ['Content-Transfer-Encoding: quoted-printable', 'content-transfer-encoding : base64']) {
      expect(readUpload(encoded('batch', line))).toMatch(/the file has a transfer encoding/);
      expect(readUpload(encoded('user_data', line))).toBe(true);
    }
    expect(readUpload(encoded('batch', 'Content-Transfer-Encoding: binary'))).toBe(true);
  });

  it('reads the boundary as RFC 2046 has it', () => {
    expect(read(form(MODEL), null, 'Multipart/Form-Data; charset=utf-8; Boundary="XX"').model).toBe('whisper-1');
    for (const type of [
      'multipart/form-data',
      'multipart/form-data; boundary=',
      `multipart/form-data; boundary=${'x'.repeat(71)}`,
    ]) {
      expect(refusal(form(MODEL), type)).toMatch(/no boundary/);
    }
    for (const other of ['application/json', undefined, 'multipart/mixed; boundary=x'])
      expect(isMultipart('images_edits', other)).toBe(false);
  });

  it('takes any bytes', () => {
    const piece = fc.constantFrom(
      '--XX',
      '--XX--',
      '\r\n',
      '\r\n\r\n',
      '\n',
      'Content-Disposition: form-data; name="model"',
      'name="',
      'm',
      '--',
      '\0',
      ' ',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (parts) => {
        const bytes = Buffer.from(`--XX\r\n${parts.join('')}`);
        const found = readMultipart(bytes, 'images_edits', TYPE);
        return !found.ok || read(spliceMultipart(found.value, 'other')).model === 'other';
      }),
      { numRuns: 20_000 },
    );
  });
});
