/**
 * `make test-limits`: random schedules over eight pods and one Redis, every fifth over whole gateways. `SCHEDULES`: how many; `FIRST`: from
 * which on. Almost all of a schedule is waiting, so three fleets run side by side.
 */
import { Fleet } from './fleet.ts';
import { redisAbsent } from './redis-process.ts';
import { type PodKind, type Schedule, scheduleOf } from './schedule.ts';

const schedules = Number(process.env['SCHEDULES'] ?? '100');
const first = Number(process.env['FIRST'] ?? '1');
const GATEWAYS_EVERY = 5;
const FLEETS: readonly PodKind[] = ['limiter', 'limiter', 'gateway'];

if (redisAbsent !== null) {
  console.error(redisAbsent);
  process.exit(1);
}

const kindOf = (number: number): PodKind => (number % GATEWAYS_EVERY === 0 ? 'gateway' : 'limiter');
const numbers = Array.from({ length: schedules }, (_, i) => first + i);
const waiting: Readonly<Record<PodKind, number[]>> = {
  limiter: numbers.filter((number) => kindOf(number) === 'limiter'),
  gateway: numbers.filter((number) => kindOf(number) === 'gateway'),
};
const sum = { passed: 0, failed: 0, admitted: 0, refused: 0, unavailable: 0, lossy: 0, fullest: 0 };

async function run(fleet: Fleet, schedule: Schedule, kind: PodKind): Promise<void> {
  const outcome = await fleet.run(schedule);
  sum.admitted += outcome.admitted;
  sum.refused += outcome.refused;
  sum.unavailable += outcome.unavailable;
  if (outcome.lost) {
    sum.lossy += 1;
    sum.fullest = Math.max(sum.fullest, outcome.fullest);
  }
  if (outcome.excesses.length === 0) {
    sum.passed += 1;
    return;
  }
  sum.failed += 1;
  for (const { limit, admitted, allowed } of outcome.excesses) {
    const span = limit.windowMs === null ? '' : ` in ${limit.windowMs} ms`;
    console.log(`schedule ${schedule.number} (${kind}): ${limit.name}: ${admitted} admitted${span}, ${allowed} allowed`);
  }
  console.log(`  faults: ${JSON.stringify(schedule.faults)}`);
}

await Promise.all(
  FLEETS.map(async (kind, index) => {
    if (waiting[kind].length === 0) return;
    const fleet = await Fleet.start(kind, first + index);
    try {
      for (let number = waiting[kind].shift(); number !== undefined; number = waiting[kind].shift()) {
        await run(fleet, scheduleOf(number, kind), kind);
      }
    } finally {
      await fleet.close();
    }
  }),
);
console.log(`${sum.admitted} requests admitted, ${sum.refused} refused, ${sum.unavailable} not decided while Redis was away`);
console.log(
  `${sum.lossy} schedules in which Redis forgot or its clock was set: the fullest span had ${sum.fullest.toFixed(2)} of its limit`,
);
console.log(`${sum.passed} passed, ${sum.failed} failed`);
process.exit(sum.failed === 0 && sum.admitted > 0 ? 0 : 1);
