import { readFileSync } from 'node:fs';

/** What runs inside Redis; the files say what goes in and what comes out. */
export const LEASE_SCRIPT = readFileSync(new URL('./lease.lua', import.meta.url), 'utf8');
export const PODS_SCRIPT = readFileSync(new URL('./pods.lua', import.meta.url), 'utf8');
