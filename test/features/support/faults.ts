import type { Dialect } from './dialects.ts';
import { chat, DONE, frame } from './dialects.ts';
import type { ReceivedCall, Respond } from './upstream.ts';

/** Whatever a failed upstream says contains this, so that a test can see that nothing of it reaches a client. */
export const LEAK = 'LEAK';

/** One way in which an upstream fails before its first output. */
export interface Fault {
  readonly respond: Respond;
  /** What the failover is called. */
  readonly reason: string;
  /** Default: both. */
  readonly on?: 'whole' | 'stream';
}

const WHOLE = chat.whole(`${LEAK} of a whole answer`);
const wantsStream = (call: ReceivedCall): boolean => call.body.includes('"stream":true');

const error = (code: string, type = 'server_error'): string =>
  JSON.stringify({ error: { message: `${LEAK} ${code}`, type, param: null, code } });
const status = (
  code: number,
  reason: string,
  body = error(`s${code}`),
  headers: Readonly<Record<string, string>> = {},
): Fault => ({
  reason,
  respond: (call) => call.answer(code, body, headers),
});
const rateLimited = (headers: Readonly<Record<string, string>>, text = 'slow down'): Fault => ({
  reason: 'RateLimited',
  respond: (call) =>
    call.answer(
      429,
      JSON.stringify({ error: { message: `${LEAK} ${text}`, type: 'requests', code: 'rate_limit_exceeded' } }),
      headers,
    ),
});
const stream = (reason: string, ...frames: readonly string[]): Fault => ({
  reason,
  on: 'stream',
  respond: (call) => call.stream(frames),
});
const whole = (reason: string, body: string | Buffer, headers: Readonly<Record<string, string>> = {}): Fault => ({
  reason,
  on: 'whole',
  respond: (call) => call.answer(200, body, headers),
});

const [filterAnnotation = '', role = ''] = chat.preamble;
const FILTER_ERROR = {
  error: {
    message: `${LEAK} The response was filtered due to the prompt triggering the content management policy.`,
    type: null,
    param: 'prompt',
    code: 'content_filter',
    status: 400,
    innererror: {
      code: 'ResponsibleAIPolicyViolation',
      content_filter_result: { violence: { filtered: true, severity: 'high' } },
    },
  },
};
const FILTERED_PROMPT = {
  prompt_filter_results: [{ prompt_index: 0, content_filter_results: { hate: { filtered: true, severity: 'high' } } }],
};

/** The kinds of failure that `behaviour.md` promises to hide, for chat; where nothing has to be waited for. */
export const FAULTS: Readonly<Record<string, Fault>> = {
  'cut before its answer': { reason: 'ConnectFailure', respond: (call) => call.cut() },
  'reset before its answer': { reason: 'ConnectFailure', respond: (call) => call.reset() },
  'cut in its head': {
    reason: 'ConnectFailure',
    respond: (call) => {
      call.raw(`HTTP/1.1 200 OK\r\nx-leak: ${LEAK}\r\ncontent-ty`);
      call.cut();
    },
  },
  'cut in its body': {
    reason: 'StreamBroken',
    respond: (call) => {
      call.raw(
        `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${WHOLE.length}\r\n\r\n${WHOLE.slice(0, -5)}`,
      );
      call.cut();
    },
  },
  'cut after its role': {
    reason: 'StreamBroken',
    on: 'stream',
    respond: (call) => {
      call.open();
      call.chunk(filterAnnotation + role);
      call.cut();
    },
  },
  'reset in the middle of a frame': {
    reason: 'StreamBroken',
    on: 'stream',
    respond: async (call) => {
      call.open();
      call.chunk(role + chat.text(LEAK).slice(0, -9));
      await call.drained();
      call.reset();
    },
  },
  'bytes that are not HTTP': { reason: 'ServerError', respond: (call) => call.raw(`\u0000\u0016${LEAK}\r\n\r\n`) },
  "another protocol's greeting": { reason: 'ServerError', respond: (call) => call.raw(`220 ${LEAK} ESMTP\r\n`) },
  'a head that is too large': {
    reason: 'ServerError',
    respond: (call) => call.raw(`HTTP/1.1 200 OK\r\nx-leak: ${LEAK.repeat(20_000)}\r\n\r\n`),
  },
  'a broken chunk size': {
    reason: 'ServerError',
    respond: (call) =>
      call.raw(`HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n${LEAK}`),
  },
  'a content-length that is too long': {
    reason: 'StreamBroken',
    respond: (call) => {
      call.answer(200, WHOLE, { 'content-length': String(WHOLE.length + 7) });
      call.cut();
    },
  },
  'a content-length that is too short': { ...whole('ServerError', WHOLE, { 'content-length': String(WHOLE.length - 7) }) },
  'a switch of protocols': {
    reason: 'ConnectFailure',
    respond: (call) => call.raw(`HTTP/1.1 101 Switching Protocols\r\nupgrade: ${LEAK}\r\nconnection: upgrade\r\n\r\n`),
  },
  'a body in an unknown encoding': {
    reason: 'ServerError',
    respond: (call) => call.answer(200, WHOLE, { 'content-encoding': LEAK }),
  },
  'a body in a damaged encoding': {
    reason: 'ServerError',
    respond: (call) => call.answer(200, WHOLE, { 'content-encoding': 'gzip' }),
  },
  'HTTP 500': status(500, 'ServerError'),
  'HTTP 500 without a body': status(500, 'ServerError', ''),
  'HTTP 500 with a page': status(500, 'ServerError', `<html>${LEAK}</html>`, { 'content-type': 'text/html' }),
  'HTTP 502': status(502, 'ServerError'),
  'HTTP 503': status(503, 'Overloaded'),
  'HTTP 503 with retry-after': status(503, 'Overloaded', error('busy'), { 'retry-after': '3600' }),
  'HTTP 504': status(504, 'Timeout'),
  'HTTP 529': status(529, 'Overloaded'),
  'HTTP 429 without a time': rateLimited({}),
  'HTTP 429 with retry-after in seconds': rateLimited({ 'retry-after': '3600' }),
  'HTTP 429 with retry-after as a date': rateLimited({
    'retry-after': 'Wed, 21 Oct 2099 07:28:00 GMT',
    date: 'Wed, 21 Oct 2099 06:28:00 GMT',
  }),
  'HTTP 429 with retry-after-ms': rateLimited({ 'retry-after-ms': '1500' }),
  'HTTP 429 with x-ratelimit-reset': rateLimited({ 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '6m0s' }),
  'HTTP 429 with the time in its text': rateLimited({}, 'Please try again in 6.5s.'),
  'HTTP 429 for want of money': {
    reason: 'QuotaExhausted',
    respond: (call) => call.answer(429, error('insufficient_quota', 'insufficient_quota')),
  },
  'HTTP 401': status(401, 'Auth', error('invalid_api_key', 'invalid_request_error')),
  'HTTP 403': status(403, 'Auth'),
  'HTTP 404': status(404, 'NotFound', error('model_not_found', 'invalid_request_error')),
  'a redirect': status(302, 'NotFound', '', { location: `http://127.0.0.1:1/${LEAK}` }),
  'an error under 200': status(200, 'ServerError'),
  'an empty 200': status(200, 'ServerError', ''),
  'a 204': { reason: 'ServerError', respond: (call) => call.raw(`HTTP/1.1 204 No Content\r\nx-leak: ${LEAK}\r\n\r\n`) },
  'a page under 200': status(200, 'ServerError', `<html>${LEAK}</html>`, { 'content-type': 'text/html' }),
  'a page that calls itself an event stream': {
    ...status(200, 'StreamBroken', `<html>${LEAK}</html>`, { 'content-type': 'text/event-stream' }),
    on: 'stream',
  },
  'JSON cut short': whole('ServerError', WHOLE.slice(0, -20)),
  'JSON without choices': whole('ServerError', JSON.stringify({ id: LEAK, object: 'chat.completion', choices: [] })),
  'JSON in answer to a stream': { ...whole('ServerError', WHOLE), on: 'stream' },
  'a frame that is not JSON': stream('ServerError', filterAnnotation, role, `data: {"id": "${LEAK}\n\n`),
  'an error frame': stream('ServerError', role, frame(error('overheated'))),
  'an error event with plain text': stream('ServerError', role, `event: error\ndata: ${LEAK}\n\n`),
  'an overload frame': stream(
    'Overloaded',
    role,
    frame({ type: 'error', error: { type: 'overloaded_error', message: LEAK } }, 'error'),
  ),
  'an empty stream': stream('StreamBroken'),
  'a stream of comments': stream('StreamBroken', `: ${LEAK}\n\n`),
  'a stream without a finish reason': stream('StreamBroken', filterAnnotation, role),
  '[DONE] alone': stream('StreamBroken', DONE),
  '[DONE] without a finish reason': stream('StreamBroken', role, DONE),
  'a filter as an error': { reason: 'ContentFilter', respond: (call) => call.answer(400, JSON.stringify(FILTER_ERROR)) },
  'a filter as a finish reason': {
    reason: 'ContentFilter',
    respond: (call) => {
      if (wantsStream(call)) call.stream([filterAnnotation, role, ...chat.filtered]);
      else
        call.answer(
          200,
          JSON.stringify({
            ...object(WHOLE),
            choices: [{ index: 0, message: { role: 'assistant', content: LEAK }, finish_reason: 'content_filter' }],
          }),
        );
    },
  },
  'a filter in the annotations': {
    reason: 'ContentFilter',
    respond: (call) => {
      if (wantsStream(call)) call.stream([frame({ id: LEAK, choices: [], ...FILTERED_PROMPT }), ...chat.ending]);
      else call.answer(200, JSON.stringify({ ...object(WHOLE), ...FILTERED_PROMPT }));
    },
  },
  'a filter as an error under 200': {
    reason: 'ContentFilter',
    respond: (call) => {
      if (wantsStream(call)) call.stream([role, frame(FILTER_ERROR)]);
      else call.answer(200, JSON.stringify(FILTER_ERROR));
    },
  },
};

/** What a healthy upstream does. */
export function serve(dialect: Dialect, ...words: readonly string[]): Respond {
  const frames = [...dialect.preamble, ...words.map((word, index) => dialect.text(word, index)), ...dialect.ending];
  return (call) => {
    if (wantsStream(call)) call.stream(frames);
    else call.answer(200, dialect.whole(words.join('')));
  };
}

function object(json: string): object {
  return JSON.parse(json) as object;
}
