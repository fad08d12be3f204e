#!/usr/bin/env -S node --max-semi-space-size=8
// The image's one entry: `gateway` and `operator` are what pods run, everything else is the command line.
switch (process.argv[2]) {
  case 'gateway':
    process.argv.splice(2, 1);
    await import('../gateway/main.ts');
    break;
  case 'operator':
    process.argv.splice(2, 1);
    await import('../operator/main.ts');
    break;
  default:
    await import('../fairlead/main.ts');
}
