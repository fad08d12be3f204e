import { CLIENT_KEY } from '../workload.ts';

/** Client keys that test/bench/gateway knows where KEYS is as many. */
export const HOT_KEYS: readonly string[] = Array.from({ length: 20 }, (_, i) => `${CLIENT_KEY}-${i + 1}`);
