/** `make test-limits`: random schedules over eight pods and one real Redis. `SCHEDULES`: how many; `FIRST`: from which on. */
import { Fleet } from './fleet.ts';
import { redisAbsent } from './redis-process.ts';
import { scheduleOf } from './schedule.ts';

const schedules = Number(process.env['SCHEDULES'] ?? '100');
const first = Number(process.env['FIRST'] ?? '1');

if (redisAbsent !== null) {
  console.error(redisAbsent);
  process.exit(1);
}
const fleet = await Fleet.start(first);
const sum = { passed: 0, failed: 0, admitted: 0, refused: 0, unavailable: 0 };
try {
  for (let number = first; number < first + schedules; number++) {
    const schedule = scheduleOf(number);
    const outcome = await fleet.run(schedule);
    sum.admitted += outcome.admitted;
    sum.refused += outcome.refused;
    sum.unavailable += outcome.unavailable;
    if (outcome.excesses.length === 0) {
      sum.passed += 1;
      continue;
    }
    sum.failed += 1;
    for (const { limit, admitted } of outcome.excesses) {
      console.log(`schedule ${number}: ${admitted} ${limit.unit} admitted, ${limit.limit} allowed (${limit.windowMs ?? '-'} ms)`);
    }
    console.log(`  faults: ${JSON.stringify(schedule.faults)}`);
  }
} finally {
  await fleet.close();
}
console.log(`${sum.admitted} requests admitted, ${sum.refused} refused, ${sum.unavailable} not decided while Redis was away`);
console.log(`${sum.passed} passed, ${sum.failed} failed`);
process.exit(sum.failed === 0 && sum.admitted > 0 ? 0 : 1);
