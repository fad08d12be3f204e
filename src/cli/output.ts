import { stringify } from 'yaml';
import type { Io } from './io.ts';

export const DATA_FORMATS = ['json', 'yaml'] as const;
export type DataFormat = (typeof DATA_FORMATS)[number];

/** A command's result for programs, on stdout. */
export function printData(io: Io, format: DataFormat, value: unknown): void {
  io.stdout.write(
    format === 'json' ? `${JSON.stringify(value, null, 2)}\n` : stringify(value, { lineWidth: 0, aliasDuplicateObjects: false }),
  );
}
