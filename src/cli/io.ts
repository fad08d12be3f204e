import type { Clock } from '../lib/clock.ts';

/** Where a command writes: a terminal, a pipe, or a test's buffer. */
export interface Output {
  write(text: string): void;
  readonly isTTY: boolean;
  /** Width of the terminal, where it is one. */
  readonly columns: number | undefined;
}

export type StopSignal = 'SIGINT' | 'SIGTERM';

/** Everything a command touches of its process, so that a test can run one beside itself. */
export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: AsyncIterable<Buffer | string>;
  /** Data: what a program may read. */
  readonly stdout: Output;
  /** Everything that is said to a person. */
  readonly stderr: Output;
  /** File descriptors of the log's lines that belong to stdout and to stderr. */
  readonly logTo: { readonly stdout: number; readonly stderr: number };
  readonly clock: Clock;
  random(): number;
  randomBytes(count: number): Uint8Array;
  /** Calls back at each signal until the returned function is called. */
  onStop(handler: (signal: StopSignal) => void): () => void;
}

export const ExitCode = { Ok: 0, Failed: 1, Usage: 2 } as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** The command line is not one: exit code 2. The message says what would be right. */
export class UsageError extends Error {}

/** The command could not do its work: exit code 1. */
export class CommandFailed extends Error {}

/** Of anything thrown, what a person needs: never a stack. */
export function messageOf(error: unknown): string {
  return textOf(error, 'message') ?? String(error);
}

/** Node's code of a system error, e.g. `ENOENT`; null: it has none. */
export function codeOf(error: unknown): string | null {
  return textOf(error, 'code');
}

/** Why a file cannot be read. */
export function unreadableBecause(error: unknown): string {
  const code = codeOf(error);
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'EISDIR') return 'it is a directory';
  if (code === 'EACCES') return 'permission denied';
  return messageOf(error);
}

function textOf(error: unknown, name: 'message' | 'code'): string | null {
  const value: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, name) : undefined;
  return typeof value === 'string' ? value : null;
}
