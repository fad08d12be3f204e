import { pino, type Logger } from 'pino';
import type { Clock } from '../lib/clock.ts';
import { LogSink, type LogSinkOptions } from './log-sink.ts';
import { redactSecrets } from './redact.ts';
import { formatRequestLine, type RequestLine } from './request-line.ts';

export type { Logger } from 'pino';
export { requestLabels } from './request-line.ts';
export type { AttemptLine, LeftOutLine, RequestLine } from './request-line.ts';

export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';

export interface LogOptions extends LogSinkOptions {
  readonly level: LogLevel;
  readonly clock: Clock;
}

/** The line a request leaves behind. */
export interface RequestLog {
  request(line: RequestLine): void;
}

/** The process's log: JSON lines, both what happens now and then and one line a request, in one order. */
export interface Log extends RequestLog {
  /** For everything but requests. Secrets that a message or an error quotes are taken out. */
  readonly logger: Logger;
  flush(): Promise<void>;
  flushSync(): void;
  close(): Promise<void>;
}

export function createLog(options: LogOptions): Log {
  const sink = new LogSink(options);
  const time = new IsoTime(options.clock);
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: () => `,"time":"${time.now()}"`,
      formatters: { level: (label) => ({ level: label }) },
      hooks: { streamWrite: redactSecrets },
    },
    sink,
  );
  const infoEnabled = logger.isLevelEnabled('info');
  const warnEnabled = logger.isLevelEnabled('warn');
  return {
    logger,
    request(line) {
      const failed = line.status >= 500;
      if (failed ? warnEnabled : infoEnabled) sink.write(formatRequestLine(line, failed ? 'warn' : 'info', time.now()));
    },
    flush: () => sink.flush(),
    flushSync: () => sink.flushSync(),
    close: () => sink.close(),
  };
}

/** ISO 8601 in UTC with milliseconds; the part down to the second is made once a second. */
class IsoTime {
  readonly #clock: Clock;
  #second = NaN;
  #prefix = '';

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): string {
    const wallMs = Math.floor(this.#clock.wallMs());
    const second = Math.floor(wallMs / 1_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#prefix = new Date(second * 1_000).toISOString().slice(0, 20);
    }
    return `${this.#prefix}${String(wallMs - second * 1_000).padStart(3, '0')}Z`;
  }
}
