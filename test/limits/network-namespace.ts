/** A network of its own for one process, one hop away, which a firewall can cut off without a word. Linux, as root. */
import { spawnSync } from 'node:child_process';

/** null: it can be had here; else why not. */
export function namespaceAbsent(): string | null {
  if (process.getuid?.() !== 0) return 'a network namespace needs root';
  for (const [program, flag, from] of [
    ['ip', '-V', 'iproute2'],
    ['iptables', '-V', 'iptables'],
  ] as const) {
    if (spawnSync(program, [flag]).status !== 0) return `${program} is not installed (Debian: apt-get install ${from})`;
  }
  const name = `fairlead-try-${process.pid}`;
  const tried = spawnSync('ip', ['netns', 'add', name], { encoding: 'utf8' });
  if (tried.status !== 0) return `there are no network namespaces here: ${tried.stderr.trim()}`;
  spawnSync('ip', ['netns', 'del', name]);
  return null;
}

export class NetworkNamespace {
  /** Of what runs inside. */
  readonly host: string;
  readonly #name: string;
  readonly #link: string;

  private constructor() {
    const part = process.pid % 60_000;
    const network = `10.213.${part >> 8}`;
    // Four addresses: the network's, ours, theirs, broadcast.
    const first = (part & 0x3f) * 4;
    this.host = `${network}.${first + 2}`;
    this.#name = `fairlead-${process.pid}`;
    this.#link = `fl${process.pid}`;
    run('ip', 'netns', 'add', this.#name);
    run('ip', 'link', 'add', this.#link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', this.#name);
    run('ip', 'addr', 'add', `${network}.${first + 1}/30`, 'dev', this.#link);
    run('ip', 'link', 'set', this.#link, 'up');
    run(...this.inside('ip', 'addr', 'add', `${this.host}/30`, 'dev', 'eth0'));
    run(...this.inside('ip', 'link', 'set', 'eth0', 'up'));
    run(...this.inside('ip', 'link', 'set', 'lo', 'up'));
  }

  static create(): NetworkNamespace {
    return new NetworkNamespace();
  }

  /** A command line that runs another one inside. */
  inside(...argv: readonly string[]): [string, ...string[]] {
    return ['ip', 'netns', 'exec', this.#name, ...argv];
  }

  /** Packets are dropped in both directions: nobody is told. */
  cutOff(): void {
    this.#rule('-A');
  }

  heal(): void {
    this.#rule('-D');
  }

  #rule(change: '-A' | '-D'): void {
    for (const [chain, device] of [
      ['INPUT', '-i'],
      ['OUTPUT', '-o'],
    ] as const) {
      run(...this.inside('iptables', change, chain, device, 'eth0', '-j', 'DROP'));
    }
  }

  /** What runs inside must have ended. */
  close(): void {
    run('ip', 'link', 'del', this.#link);
    run('ip', 'netns', 'del', this.#name);
  }
}

function run(program: string, ...argv: readonly string[]): void {
  const { status, stderr } = spawnSync(program, argv, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${argv.join(' ')}: ${stderr.trim()}`);
}
