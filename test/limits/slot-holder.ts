/**
 * A pod that takes the slots of a limit, as soon as it can have them all, says so, and never lets go: for who kills it. Where they become
 * another pod's because it was stopped for too long, it says how many.
 */
import { eventually, TestPod } from './pods.ts';
import type { Limit } from '../../src/routetable/types.ts';

const [port, json] = process.argv.slice(2);
const limit = JSON.parse(json ?? '') as Limit;
const pod = await TestPod.start(Number(port));
let held = 0;
let lost = 0;
await eventually(async () => {
  for (const slot of await pod.burst([limit], limit.limit - held)) {
    held += 1;
    slot.onRevoked(() => process.send?.({ lost: ++lost }));
  }
  return held === limit.limit;
});
process.send?.({ held });
