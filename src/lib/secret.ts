import { inspect } from 'node:util';

const REDACTED = '[redacted]';

/**
 * A credential in memory. Prints as `[redacted]` in every form that a log, a template string, JSON or `util.inspect` can
 * ask for; the value leaves only through `reveal`, which is called where a request is signed or a table is encoded for a pod.
 */
export class SecretValue {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [inspect.custom](): string {
    return REDACTED;
  }
}
