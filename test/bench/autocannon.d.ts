// autocannon brings no types: what load.ts uses of it.
declare module 'autocannon' {
  interface Options {
    readonly url: string;
    readonly method: 'POST';
    readonly headers: Readonly<Record<string, string>>;
    readonly body: string;
    readonly connections: number;
    /** Requests in all; each connection ends with its share. */
    readonly amount?: number;
    /** In seconds, where there is no `amount`. */
    readonly duration?: number;
    /** Milliseconds between looks at whether the run is over. */
    readonly sampleInt: number;
    /** In seconds. */
    readonly timeout: number;
  }

  interface Run {
    on(event: 'response', listener: (client: unknown, status: number, bytes: number, durationMs: number) => void): void;
    on(event: 'reqError', listener: (error: Error) => void): void;
  }

  export default function autocannon(options: Options, done: (error: Error | null) => void): Run;
}
