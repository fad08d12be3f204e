#!/usr/bin/env -S node --max-semi-space-size=8
// The image's one entry: `gateway` and `operator` are what pods run, everything else is the command line.
if (process.argv[2] === 'gateway') {
  process.argv.splice(2, 1);
  await import('../gateway/main.ts');
} else {
  await import('../fairlead/main.ts');
}
