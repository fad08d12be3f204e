import { formatUsd } from '../lib/money.ts';
import type { RequestLine } from '../telemetry/log.ts';
import { column, milliseconds, printable, type Style } from './style.ts';

/** One request in one line for a person at a terminal. `time` is a wall clock's, e.g. `12:03:11`. */
export function requestText(line: RequestLine, time: string, style: Style): string {
  const paint = line.status >= 500 ? style.red : line.status >= 400 ? style.yellow : style.green;
  const asked = printable(line.model === null || line.model === '' ? (line.operation ?? 'request') : line.model);
  const went = line.target === null ? asked : `${asked} → ${line.target}`;
  const parts = [style.dim(time), paint(String(line.status)), column(went, 28)];
  if (line.reason !== null) parts.push(line.reason);
  if (line.errorCode !== null) parts.push(paint(line.errorCode));
  parts.push(milliseconds(line.durationMs));
  if (line.stream && line.firstTokenMs !== null) parts.push(`first token ${milliseconds(line.firstTokenMs)}`);
  if (line.usage !== null) parts.push(`${line.usage.inputTokens}+${line.usage.outputTokens} tokens`);
  if (line.costMicroUsd !== null) parts.push(`$${formatUsd(line.costMicroUsd * 1_000)}`);
  return parts.join('  ');
}

/** `12:03:11` of the local day. */
export function timeOfDay(wallMs: number): string {
  return new Date(wallMs).toTimeString().slice(0, 8);
}
