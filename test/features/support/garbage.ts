import zlib from 'node:zlib';
import { type Dialect, DIALECTS, DONE, frame, streamOf } from './dialects.ts';
import type { ReceivedCall, Respond } from './upstream.ts';

/** Answers that no server should give, and some that are almost right. `random`: [0, 1). */
export function garbage(random: () => number): Respond {
  const under = (limit: number): number => Math.floor(random() * limit);
  const chance = (probability: number): boolean => random() < probability;
  const oneOf = <T>(...choices: readonly T[]): T => choices[under(choices.length)] as T;

  const noise = (length: number): Buffer => Buffer.from(Array.from({ length }, () => under(256)));
  const status = (): number =>
    oneOf(200, 200, 200, 200, 201, 204, 206, 299, 301, 304, 400, 401, 403, 404, 408, 413, 418, 429, 500, 503, 529, 599, 600, 999);
  const word = (): string =>
    oneOf('', 'a', 'é', '🚀', '"', '\\', '\n', 'null', '[DONE]', 'data: ', '0', '{}', 'error', 'x'.repeat(under(5_000)));

  /** Bytes dropped, doubled, flipped, put in. */
  const mutate = (bytes: Buffer): Buffer => {
    let mutated: Buffer = bytes;
    for (let times = under(4); times > 0; times--) {
      const at = under(mutated.length + 1);
      const to = Math.min(mutated.length, at + under(40));
      const [head, middle, tail] = [mutated.subarray(0, at), mutated.subarray(at, to), mutated.subarray(to)];
      mutated = Buffer.concat(
        oneOf(
          [head, tail],
          [head, middle, middle, tail],
          [head, noise(middle.length), tail],
          [head, noise(3), middle, tail],
          [head],
        ),
      );
    }
    return mutated;
  };

  const json = (depth = 0): unknown => {
    if (depth > 3) return word();
    return oneOf<() => unknown>(
      () => null,
      () => random() * 1e6,
      () => chance(0.5),
      word,
      () => Array.from({ length: under(3) }, () => json(depth + 1)),
      () => Object.fromEntries(Array.from({ length: under(4) }, () => [member(), json(depth + 1)])),
    )();
  };
  const member = (): string =>
    oneOf(
      'choices',
      'error',
      'message',
      'delta',
      'content',
      'finish_reason',
      'index',
      'usage',
      'code',
      'type',
      'status',
      'response',
      'output',
      'data',
      'role',
      '__proto__',
      word(),
    );
  const error = (): string =>
    JSON.stringify({
      error: {
        message: word(),
        type: oneOf('server_error', 'invalid_request_error', word()),
        code: oneOf<unknown>('content_filter', 'context_length_exceeded', 'rate_limit_exceeded', null, 7),
      },
    });

  const frames = (dialect: Dialect): string[] => {
    const all = streamOf(dialect, ...Array.from({ length: under(5) }, word));
    const strange = (): string =>
      oneOf(
        frame(json()),
        frame(JSON.stringify(json()), oneOf('', 'error', 'ping', 'response.completed')),
        frame(error()),
        frame(error(), 'error'),
        ...dialect.filtered,
        DONE,
        ': comment\n\n',
        'data\n\n',
        ': \r',
        `data: ${word()}`,
        'retry: 1\n\n',
      );
    for (let times = under(4); times > 0; times--) {
      const at = under(all.length + 1);
      oneOf<() => void>(
        () => all.splice(at, 1),
        () => all.splice(at, 0, strange()),
        () => all.splice(at, 1, strange()),
        () => all.splice(at),
      )();
    }
    return all;
  };

  const body = (call: ReceivedCall): Buffer => {
    const dialect = oneOf(...Object.values(DIALECTS));
    const stream = call.body.includes('"stream":true') ? chance(0.9) : chance(0.1);
    const plain = oneOf<() => Buffer>(
      () => Buffer.from(stream ? frames(dialect).join('') : dialect.whole(word())),
      () => mutate(Buffer.from(stream ? frames(dialect).join('') : dialect.whole(word()))),
      () => Buffer.from(JSON.stringify(json())),
      () => Buffer.from(error()),
      () => noise(under(300)),
      () => Buffer.alloc(0),
    )();
    return plain;
  };

  const headers = (length: number, chunked: boolean, encoding: string, sound: boolean): string => {
    const wrongLength = (): string | number =>
      oneOf<string | number>('', '-1', 'x', length + 5, Math.max(0, length - 5), '1, 2', '99999999999999999999');
    const lines = [
      `content-type: ${oneOf('application/json', 'text/event-stream', 'text/event-stream; charset=utf-8', 'TEXT/EVENT-STREAM', 'text/html', 'é🚀', '', word().replaceAll(/[\r\n]/g, ''))}`,
      chunked ? 'transfer-encoding: chunked' : `content-length: ${sound || chance(0.8) ? length : wrongLength()}`,
    ];
    if (encoding !== '') lines.push(`content-encoding: ${encoding}`);
    if (chance(0.1))
      lines.push(`retry-after: ${oneOf('1', '-1', 'soon', '99999999999', 'Wed, 21 Oct 2099 07:28:00 GMT', '0.5', 'NaN')}`);
    if (!sound && chance(0.2))
      lines.push(
        oneOf(
          'connection: close',
          'connection: upgrade',
          'keep-alive: timeout=0',
          'keep-alive: timeout=x',
          'content-length: 3',
          'transfer-encoding: gzip',
          `x: ${'y'.repeat(under(20_000))}`,
          'no colon',
          ': no name',
          'bad name: x',
          'openai-version: ü',
        ),
      );
    if (chance(0.5)) lines.reverse();
    return `${lines.join('\r\n')}\r\n\r\n`;
  };

  const chunks = (bytes: Buffer, sound: boolean): Buffer => {
    const lineEnd = sound || chance(0.9) ? '\r\n' : '\n';
    const parts: Buffer[] = [];
    for (let at = 0; at < bytes.length;) {
      const to = Math.min(bytes.length, at + 1 + under(200));
      parts.push(
        Buffer.from(`${(to - at).toString(16)}${chance(0.02) ? ';x=y' : ''}\r\n`),
        bytes.subarray(at, to),
        Buffer.from(lineEnd),
      );
      at = to;
    }
    parts.push(Buffer.from(sound || chance(0.8) ? '0\r\n\r\n' : oneOf('', '0\r\n', 'g\r\n', '0\r\nx: y\r\n\r\n')));
    return Buffer.concat(parts);
  };

  const compress = (bytes: Buffer, encoding: string): Buffer => {
    switch (encoding) {
      case 'gzip':
        return zlib.gzipSync(bytes);
      case 'deflate':
        return zlib.deflateSync(bytes);
      case 'br':
        return zlib.brotliCompressSync(bytes, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 0 } });
      case 'zstd':
        return zlib.zstdCompressSync(bytes);
      default:
        return bytes;
    }
  };

  return (call) => {
    const asked = Object.values(DIALECTS).find(({ path }) => call.path.endsWith(path));
    if (asked !== undefined && call.body.includes('"stream":true') && chance(0.05)) {
      // A good beginning, so that what breaks then is a stream with output.
      const good = streamOf(asked, 'good', 'so far');
      call.open();
      for (const part of good.slice(0, -asked.ending.length)) call.chunk(part);
      if (chance(0.5)) call.chunk(oneOf<string | Buffer>(frame(json()), noise(under(300))));
      return chance(0.5) ? call.end() : call.cut();
    }
    // Half of the answers are whole as HTTP, so that their connections are used again; what is wrong is in them.
    const sound = chance(0.5);
    if (!sound && chance(0.1)) return chance(0.5) ? call.cut() : call.reset();
    if (!sound && chance(0.1)) {
      call.raw(noise(1 + under(100)));
      return call.cut();
    }
    const encoding = chance(0.1) ? oneOf('gzip', 'deflate', 'br', 'zstd', 'GZIP', 'identity', 'constructor', 'x') : '';
    let bytes: Buffer = compress(body(call), encoding);
    if (encoding !== '' && chance(0.3)) bytes = mutate(bytes);
    const chunked = chance(0.5);
    const version = sound || chance(0.8) ? '1.1' : '1.0';
    const code = sound ? oneOf(200, 200, 200, 201, 400, 403, 404, 429, 500, 503) : status();
    const head = `HTTP/${version} ${code} ${oneOf('OK', '', 'é')}\r\n${headers(bytes.length, chunked, encoding, sound)}`;
    const preface = !sound && chance(0.05) ? 'HTTP/1.1 100 Continue\r\n\r\n' : '';
    let answer: Buffer = Buffer.concat([Buffer.from(preface + head), chunked ? chunks(bytes, sound) : bytes]);
    if (!sound && chance(0.1)) answer = mutate(answer);
    // In two pieces, parted anywhere, also in the middle of a character.
    const at = under(answer.length + 1);
    call.raw(answer.subarray(0, at));
    setImmediate(() => {
      call.raw(answer.subarray(at));
      // A connection that stays open after something that may be incomplete would only be a stall.
      if (!sound)
        oneOf(
          () => call.cut(),
          () => call.reset(),
        )();
    });
  };
}
