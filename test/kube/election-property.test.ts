import { describe, expect, test } from '@jest/globals';
import { ApiClient } from '../../src/kube/api-client.ts';
import { LeaderElection } from '../../src/kube/leader-election.ts';
import type { Transport, TransportRequest, TransportSink } from '../../src/kube/transport.ts';
import { ManualTimers, type Timers } from '../../src/lib/timers.ts';
import { generator } from './generator.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 300);
const SEED = Number(process.env['FUZZ_SEED'] ?? 1);
const STEP_MS = 50;
const TROUBLE_MS = 120_000;
const TAKEOVER_MS = 15_000;

/** One Lease with a version, behind lines that are slow, lose answers after the deed, and hang. */
class LeaseServer {
  readonly #timers: ManualTimers;
  readonly #random: () => number;
  #lease: Record<string, unknown> | null = null;
  #version = 1;
  trouble = true;

  constructor(timers: ManualTimers, random: () => number) {
    this.#timers = timers;
    this.#random = random;
  }

  line(process: Process): Transport {
    return {
      close: () => {},
      send: (request, sink) => {
        let over = false;
        const later = (ms: number, then: () => void): unknown => this.#timers.after(ms, then);
        later(this.#delayMs(), () => {
          if (this.trouble && this.#random() < 0.1) return;
          const { status, body } = this.#act(request);
          if (this.trouble && this.#random() < 0.1) return;
          later(this.#delayMs(), () => process.run(() => over || answer(sink, status, body)));
        });
        return () => {
          over = true;
        };
      },
    };
  }

  #delayMs(): number {
    return this.trouble && this.#random() < 0.2 ? this.#random() * 6000 : this.#random() * 30;
  }

  #act({ method, body }: TransportRequest): { status: number; body: unknown } {
    if (method === 'GET' && this.#lease === null) return { status: 404, body: { kind: 'Status', details: { name: 'lease' } } };
    if (method === 'POST' && this.#lease !== null) return { status: 409, body: { kind: 'Status', reason: 'AlreadyExists' } };
    if (method !== 'GET') {
      const sent = JSON.parse(body ?? '{}') as { metadata: Record<string, unknown> };
      if (method === 'PUT' && sent.metadata['resourceVersion'] !== String(this.#version))
        return { status: 409, body: { kind: 'Status' } };
      this.#version++;
      this.#lease = { ...sent, metadata: { ...sent.metadata, resourceVersion: String(this.#version) } };
    }
    return { status: 200, body: this.#lease };
  }
}

function answer(sink: TransportSink, status: number, body: unknown): void {
  sink.onHead(status, {});
  sink.onData(Buffer.from(JSON.stringify(body)));
  sink.onEnd();
}

/** Can be frozen: time goes on, and what should have happened meanwhile happens on its return. */
class Process implements Timers {
  readonly #clock: ManualTimers;
  #held: (() => void)[] | null = null;

  constructor(clock: ManualTimers) {
    this.#clock = clock;
  }

  get frozen(): boolean {
    return this.#held !== null;
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  wallMs(): number {
    return this.#clock.wallMs();
  }

  after(ms: number, callback: () => void): () => void {
    let over = false;
    const cancel = this.#clock.after(ms, () => this.run(() => over || callback()));
    return () => {
      over = true;
      cancel();
    };
  }

  run(act: () => unknown): void {
    if (this.#held === null) act();
    else this.#held.push(() => void act());
  }

  freeze(): void {
    this.#held ??= [];
  }

  /** In any order: timers and sockets are not served in that of their times. */
  thaw(random: () => number): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const act of held.sort(() => random() - 0.5)) act();
  }
}

async function runElection(seed: number): Promise<string> {
  const random = generator(seed);
  const clock = new ManualTimers();
  const server = new LeaseServer(clock, random);
  const epochs: number[] = [];
  const told = new Map<string, number | null>();
  const candidates = ['a', 'b', 'c'].map((identity) => {
    const process = new Process(clock);
    const client = new ApiClient(server.line(process), { timers: process });
    const election = new LeaderElection({
      client,
      timers: process,
      random,
      namespace: 'n',
      name: 'lease',
      identity,
      onChange: (epoch) => {
        if (epoch !== null) epochs.push(epoch);
        if ((told.get(identity) ?? null) === epoch || (told.get(identity) != null && epoch !== null)) epochs.push(Number.NaN);
        told.set(identity, epoch);
      },
      onError: () => {},
    });
    election.start();
    return { process, election };
  });
  const leaders = (): number => candidates.filter(({ process, election }) => !process.frozen && election.isLeader()).length;
  while (clock.nowMs() < TROUBLE_MS) {
    await clock.run(STEP_MS);
    if (leaders() > 1) return `two leaders at ${clock.nowMs()} ms`;
    const { process } = candidates[Math.floor(random() * candidates.length)] ?? { process: new Process(clock) };
    if (random() < 0.01) process.freeze();
    else if (process.frozen && random() < 0.02) process.thaw(random);
    if (leaders() > 1) return `two leaders right after a thaw at ${clock.nowMs()} ms`;
  }
  server.trouble = false;
  for (const { process } of candidates) process.thaw(random);
  await clock.run(TAKEOVER_MS);
  if (leaders() !== 1) return `${leaders()} leaders 15 s after everything worked again`;
  if (epochs.some((epoch, i) => !(epoch > (epochs[i - 1] ?? 0)))) return `epochs ${epochs.join()}`;
  await Promise.all([...candidates.map(({ election }) => election.release()), clock.run(10_000)]);
  return leaders() === 0 && clock.pending === 0 ? '' : `after release: ${leaders()} leaders, ${clock.pending} timers`;
}

describe('an election under random faults', () => {
  test('has one leader at a time, epochs that only rise, and a leader 15 s after all works again', async () => {
    const failures: string[] = [];
    for (let run = 0; run < RUNS && failures.length < 5; run++) {
      const wrong = await runElection(SEED + run);
      if (wrong !== '') failures.push(`FUZZ_SEED=${SEED + run}: ${wrong}`);
    }
    expect(failures).toEqual([]);
  }, 1_800_000);
});
