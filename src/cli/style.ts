import type { Io, Output } from './io.ts';

type Paint = (text: string) => string;

/** Colours for one output; without colours each is the text itself. */
export interface Style {
  readonly bold: Paint;
  readonly dim: Paint;
  readonly red: Paint;
  readonly green: Paint;
  readonly yellow: Paint;
  readonly cyan: Paint;
}

/** ECMA-48 SGR: attribute on, attribute off. */
const CODES: Readonly<Record<keyof Style, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
};

/** https://no-color.org: every value but the empty one turns colours off, whatever the terminal can do. */
export function styleFor(output: Output, env: Io['env']): Style {
  const coloured = output.isTTY && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
  const paint = ([on, off]: readonly [number, number]): Paint =>
    coloured ? (text) => `\u001b[${on}m${text}\u001b[${off}m` : (text) => text;
  return {
    bold: paint(CODES.bold),
    dim: paint(CODES.dim),
    red: paint(CODES.red),
    green: paint(CODES.green),
    yellow: paint(CODES.yellow),
    cyan: paint(CODES.cyan),
  };
}

/** Pads before painting: the codes have no width. */
export function column(text: string, width: number): string {
  return text.length >= width ? text : text + ' '.repeat(width - text.length);
}

/** `1 model`, `2 models`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** `3.2 ms`, `41 ms`, `1.25 s`. */
export function milliseconds(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

/** Text of others made fit for a terminal: no escape or control character of theirs reaches it. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}--[\t\n]]/gv, '\ufffd');
}
