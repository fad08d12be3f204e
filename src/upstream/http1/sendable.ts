const METHOD = /^[A-Z]+$/;
const PATH = /^[\x21-\x7e\x80-\xff]+$/;
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** A request says these by itself. */
const FRAMING = new Set(['content-length', 'transfer-encoding', 'connection', 'keep-alive', 'upgrade', 'expect', 'host', 'te']);

/** Throws for a request line that cannot be sent. */
export function checkStart(method: string, path: string): void {
  if (!METHOD.test(method) || !PATH.test(path))
    throw new Error(`the request line ${JSON.stringify(`${method} ${path}`.slice(0, 256))} cannot be sent`);
}

/** Throws for a header that cannot be sent, whatever its value. */
export function checkName(name: string): void {
  if (!NAME.test(name) || FRAMING.has(name)) throw new Error(`the header ${JSON.stringify(name)} cannot be sent`);
}

/** Of a header, without its value, which may be a secret. */
export function unsendableValue(name: string): Error {
  return new Error(`the header ${JSON.stringify(name)} has a value that cannot be sent`);
}
