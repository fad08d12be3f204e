/** Reads one stream of a leader into the pod's replica, until it ends, however it does. */
import type { IncomingMessage } from 'node:http';
import { parseJsonOrThrow } from '../../lib/json-parse.ts';
import type { Replica } from '../../routetable/replica.ts';
import { HEARTBEAT_MS, readStreamLine, type StreamLine } from '../../routetable/stream-messages.ts';
import { LineSplitter } from './lines.ts';

/** The largest object that an API server keeps is 1.5 MiB; its entry has its Secrets and defaults too. */
const MAX_LINE_BYTES = 32 * 1024 * 1024;
/** Heartbeats that may be missed before the connection counts as half-open. */
const MISSED_HEARTBEATS = 3;

export interface StreamEvents {
  /** The leader has begun; its epoch is the newest. */
  onHello(epoch: number): void;
  /** So many pods of this gateway are ready, this one included. */
  onReadyPods(count: number): void;
  /** The replica's table may be another one. */
  onCommit(): void;
  /** The table that is served is the leader's, as of now. */
  onCurrent(): void;
}

export type StreamEnd = { readonly planned: boolean; readonly why: string };

/** Resolves when it is over; the connection is gone then. */
export async function readStream(response: IncomingMessage, replica: Replica, events: StreamEvents): Promise<StreamEnd> {
  return new Promise((resolve) => {
    let heartbeatMs = HEARTBEAT_MS;
    let began = false;
    /** Entries have come since the last commit. */
    let between = false;
    let ended = false;
    let silence: NodeJS.Timeout | undefined;

    const end = (why: string, planned = false): void => {
      if (ended) return;
      ended = true;
      clearTimeout(silence);
      response.destroy();
      resolve({ planned, why });
    };
    const listen = (): void => {
      clearTimeout(silence);
      silence = setTimeout(
        () => end(`no sign of life for ${MISSED_HEARTBEATS * heartbeatMs} ms`),
        MISSED_HEARTBEATS * heartbeatMs,
      );
    };
    const take = (line: StreamLine): void => {
      if (!began && line.type !== 'hello') {
        end(`the stream begins with ${line.type} instead of hello`);
        return;
      }
      switch (line.type) {
        case 'hello': {
          const accepted = replica.begin(line.epoch, line.gateway);
          if (!accepted.ok) {
            end(`the stream is refused: ${accepted.error}`);
            return;
          }
          began = true;
          heartbeatMs = line.heartbeatMs;
          events.onHello(line.epoch);
          if (line.readyPods !== null) events.onReadyPods(line.readyPods);
          return;
        }
        case 'entry':
          between = true;
          replica.entry(line);
          return;
        case 'gone':
          between = true;
          replica.gone(line.kind, line.key);
          return;
        case 'commit': {
          const accepted = replica.commit(line.sequence, line.digest);
          if (!accepted.ok) {
            end(`the stream is refused: ${accepted.error}`);
            return;
          }
          between = false;
          events.onCommit();
          events.onCurrent();
          return;
        }
        case 'heartbeat':
          if (line.readyPods !== null) events.onReadyPods(line.readyPods);
          if (!between) events.onCurrent();
          return;
        case 'bye':
          end('the operator ended the stream', true);
          return;
      }
    };
    const lines = new LineSplitter(MAX_LINE_BYTES, (text) => {
      if (ended) return;
      const read = parseLine(text);
      if (!read.ok) end(`a line is not of the stream: ${read.error}`);
      else if (read.value !== null) take(read.value);
    });
    response.on('data', (chunk: Buffer) => {
      if (ended) return;
      try {
        lines.push(chunk);
      } catch (error) {
        end(String(error));
      }
      // After the lines: one of them may be the one that says how long silence is.
      if (!ended) listen();
    });
    response.on('end', () => end('the operator ended the connection'));
    response.on('error', (error) => end(`the connection broke: ${error.message}`));
    response.on('close', () => end('the connection broke'));
    listen();
  });
}

function parseLine(text: string): ReturnType<typeof readStreamLine> {
  let value: unknown;
  try {
    value = parseJsonOrThrow(text);
  } catch {
    // The parser's own message repeats what it read.
    return { ok: false, error: 'it is not JSON' };
  }
  return readStreamLine(value);
}
