/**
 * A candidate in a process of its own, for tests that kill or freeze it. Says `lead EPOCH`, `end`, `wrote EPOCH` and
 * `sees HOLDER` on stdout.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { LeaderElection } from '../../src/kube/leader-election.ts';
import { systemTimers } from '../../src/lib/timers.ts';
import { clientFor, CONFIG_MAPS, configMap } from './support.ts';

const [kubeconfig = '', identity = '', lease = ''] = process.argv.slice(2);
const client = clientFor(kubeconfig);
const election = new LeaderElection({
  client,
  timers: systemTimers,
  random: Math.random,
  namespace: 'default',
  name: lease,
  identity,
  onChange: (epoch) => say(epoch === null ? 'end' : `lead ${epoch}`),
  onError: (error) => say(`error ${error instanceof Error ? error.message : String(error)}`),
});
const guarded = client.guardedBy(() => election.isLeader());
let ending = false;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

process.once('SIGTERM', () => {
  ending = true;
  void election.release().then(() => {
    client.close();
    say('released');
  });
});
election.start();
/** Writes all the time, as a leader may: with a deadline longer than any freeze, so that only the guard stops a stale one. */
let [wrote, sees] = ['', ''];
while (!ending) {
  const { epoch, holder } = election;
  if (holder !== null && holder !== sees) say(`sees ${holder}`);
  sees = holder ?? '';
  const data = { by: identity, epoch: String(epoch) };
  if (epoch > 0) {
    const result = await guarded.apply(CONFIG_MAPS, configMap(`${lease}-output`, data), {
      fieldManager: 'leader',
      force: true,
      timeoutMs: 60_000,
    });
    const now = result.ok ? `wrote ${epoch}` : `refused ${result.error.kind}`;
    if (now !== wrote) say(now);
    wrote = now;
  }
  await sleep(20);
}
