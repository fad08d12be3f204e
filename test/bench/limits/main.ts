/**
 * `make bench-limits`: what limits over Redis cost while it is well (`cost`), what clients see of it while it is not (`faults`), and how fast
 * pods agree on an upstream's health (`health`). ARGS names some of them, or some of the faults; by default all.
 */
import { redisAbsent } from '../../limits/redis-process.ts';
import { cost } from './cost.ts';
import { FAULT_NAMES, faults } from './faults.ts';
import { health } from './health.ts';
import { startRig } from './rig.ts';

const PARTS = ['cost', 'faults', 'health', ...FAULT_NAMES];
const wanted = process.argv.slice(2);
const unknown = wanted.find((part) => !PARTS.includes(part));
if (unknown !== undefined) {
  console.error(`bench-limits has no part ${unknown}: there are ${PARTS.join(', ')}`);
  process.exit(2);
}
if (redisAbsent !== null) {
  console.error(redisAbsent);
  process.exit(1);
}
const runs = (part: string): boolean => wanted.length === 0 || wanted.includes(part);
const rig = await startRig();
try {
  if (runs('cost')) await cost(rig);
  const named = FAULT_NAMES.filter((name) => wanted.includes(name));
  if (runs('faults') || named.length > 0) await faults(rig, named);
  if (runs('health')) await health(7);
} finally {
  await rig.close();
}
