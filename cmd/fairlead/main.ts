#!/usr/bin/env -S node --max-semi-space-size=8
// The flag keeps the memory of an open stream low: a larger young generation grows with the load and is not given back.
import '../../src/lib/fast-strings.ts';
import { randomBytes } from 'node:crypto';
import { main } from '../../src/cli/main.ts';
import type { Output } from '../../src/cli/io.ts';
import { optimizeEarly } from '../../src/lib/optimize-early.ts';
import { systemClock } from '../../src/lib/clock.ts';

/** A reader that has gone (`| head`) is no fault: there is nobody left to write for. */
function outputTo(stream: NodeJS.WriteStream): Output {
  stream.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  return {
    write: (text) => {
      stream.write(text);
    },
    isTTY: stream.isTTY,
    columns: stream.columns,
  };
}

optimizeEarly();
const code = await main(process.argv.slice(2), {
  env: process.env,
  stdin: process.stdin,
  stdout: outputTo(process.stdout),
  stderr: outputTo(process.stderr),
  logTo: { stdout: 1, stderr: 2 },
  clock: systemClock,
  random: Math.random,
  randomBytes,
  onStop(handler) {
    process.on('SIGINT', handler);
    process.on('SIGTERM', handler);
    return () => {
      process.off('SIGINT', handler);
      process.off('SIGTERM', handler);
    };
  },
});
// What a command leaves behind (a second signal cuts a drain short) must not keep the process.
process.exit(code);
