#!/usr/bin/env -S node --max-semi-space-size=8
// The image's one entry: `gateway` and `operator` are what pods run, everything else is the command line.
await import('../fairlead/main.ts');
