/**
 * JSON.parse with V8's mistake mended: where a member's name is written with an escape, JSON.parse may give its object a wrong name,
 * the first bytes of the name as it lies in the text, as many as the right one has characters. It does where any object of the process
 * once had, after the same members, a member with that wrong name:
 *
 *     JSON.parse('{"a":1,"\\\\u0061":2}');
 *     JSON.parse('{"a":1,"\\u0061bcdef":2}') // { a: 1, '\\u0061': 2 }, should be { a: 1, abcdef: 2 }
 *
 * So one client could hide a name from the gateway that an upstream reads, or have others' read wrong.
 * https://github.com/nodejs/node/issues/63785
 *
 * All of it may go (parsers call JSON.parse, and its rule is taken out of .oxlintrc.json) once these two lines give the right names in
 * every Node that package.json allows.
 */

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;

const LITERALS: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ['true', true],
  ['false', false],
  ['null', null],
]);

/** What is looked at in the text before its value is, which takes longer where it has many objects, and less where it has long texts. */
const MAX_QUOTES = 4;

/** JSON.parse with the mistake: for who looks at all names in the text anyway, and calls `parseJsonOrThrow` where one has an escape. */
export function parseJsonUnmended(text: string): unknown {
  return JSON.parse(text);
}

/** As JSON.parse, whose SyntaxError it throws, for text of any depth; in no more than a few times its time, and as a rule in its own. */
export function parseJsonOrThrow(text: string): unknown {
  const value: unknown = JSON.parse(text);
  const escape = text.indexOf('\\');
  if (escape === -1 || typeof value !== 'object' || value === null) return value;
  // A wrong name has the backslash of its first escape in it.
  return mayEscapeNames(text, escape) && hasBackslashInName(value) ? parseExactly(text) : value;
}

/** False: no name in this JSON has an escape. `first`: where the first backslash is. */
function mayEscapeNames(text: string, first: number): boolean {
  let quotes = 0;
  for (let escape = first; escape !== -1;) {
    // The first escape of its string, so the quote before it is the one that opens it.
    const at = spaceStart(text, text.lastIndexOf('"', escape));
    const before = text.charCodeAt(at - 1);
    // Elements of an array have a comma before them as well.
    if (before === COMMA || before === OPEN_OBJECT) return true;
    let end = escape + 2;
    for (let ended = false; !ended;) {
      if (++quotes > MAX_QUOTES) return true;
      const quote = text.indexOf('"', end);
      ended = isUnescaped(text, quote, end);
      end = quote + 1;
    }
    escape = text.indexOf('\\', end);
  }
  return false;
}

/** Without recursion: it may be of any depth. */
function hasBackslashInName(value: object): boolean {
  const left: object[] = [value];
  for (let of = left.pop(); of !== undefined; of = left.pop()) {
    if (Array.isArray(of)) {
      for (let i = 0; i < of.length; i++) {
        const item: unknown = of[i];
        if (typeof item === 'object' && item !== null) left.push(item);
      }
    } else {
      // No others are enumerable than its own.
      for (const name in of) {
        if (name.includes('\\')) return true;
        const item = (of as Record<string, unknown>)[name];
        if (typeof item === 'object' && item !== null) left.push(item);
      }
    }
  }
  return false;
}

/** Of text that JSON.parse takes. */
function parseExactly(text: string): unknown {
  const open: (unknown[] | Record<string, unknown>)[] = [];
  /** For each that is open: the name of the member that is being read. */
  const names: string[] = [];
  let at = 0;

  const readName = (): void => {
    const start = spaceEnd(text, at);
    const end = stringEnd(text, start);
    const name = text.slice(start + 1, end - 1);
    names[names.length - 1] = name.includes('\\') ? (JSON.parse(text.slice(start, end)) as string) : name;
    at = spaceEnd(text, end) + 1;
  };

  for (;;) {
    at = spaceEnd(text, at);
    const first = text.charCodeAt(at);
    let value: unknown;
    if (first === OPEN_OBJECT || first === OPEN_ARRAY) {
      const opened = first === OPEN_OBJECT ? {} : [];
      at = spaceEnd(text, at + 1);
      if (!isClosing(text.charCodeAt(at))) {
        open.push(opened);
        names.push('');
        if (first === OPEN_OBJECT) readName();
        continue;
      }
      at++;
      value = opened;
    } else {
      const end = first === QUOTE ? stringEnd(text, at) : scalarEnd(text, at);
      const scalar = text.slice(at, end);
      // A string is parsed even where it has no escape: a slice of the text would keep all of it in memory.
      value = first === QUOTE ? JSON.parse(scalar) : LITERALS.has(scalar) ? LITERALS.get(scalar) : Number(scalar);
      at = end;
    }

    for (;;) {
      const within = open.at(-1);
      if (within === undefined) return value;
      if (Array.isArray(within)) within.push(value);
      else setMember(within, names.at(-1) ?? '', value);
      at = spaceEnd(text, at);
      if (!isClosing(text.charCodeAt(at++))) {
        if (!Array.isArray(within)) readName();
        break;
      }
      value = within;
      open.pop();
      names.pop();
    }
  }
}

/** The last of a name wins, in the place of the first. */
function setMember(object: Record<string, unknown>, name: string, value: unknown): void {
  if (name === '__proto__') Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true });
  else object[name] = value;
}

function isClosing(unit: number): boolean {
  return unit === CLOSE_OBJECT || unit === CLOSE_ARRAY;
}

function isSpace(unit: number): boolean {
  return unit === 0x20 || unit === 0x0a || unit === 0x0d || unit === 0x09;
}

function spaceEnd(text: string, at: number): number {
  let end = at;
  while (isSpace(text.charCodeAt(end))) end++;
  return end;
}

/** Where the space that ends at `end` begins. */
function spaceStart(text: string, end: number): number {
  let start = end;
  while (isSpace(text.charCodeAt(start - 1))) start--;
  return start;
}

/** Where the string ends whose opening quote is at `open`. */
function stringEnd(text: string, open: number): number {
  for (let from = open + 1; ;) {
    const quote = text.indexOf('"', from);
    if (isUnescaped(text, quote, from)) return quote + 1;
    from = quote + 1;
  }
}

/** An odd run of backslashes escapes it. What is before `from` is another's. */
function isUnescaped(text: string, quote: number, from: number): boolean {
  let run = quote;
  while (run > from && text.charCodeAt(run - 1) === BACKSLASH) run--;
  return (quote - run) % 2 === 0;
}

/** Where the number or literal ends that begins at `at`. */
function scalarEnd(text: string, at: number): number {
  let end = at + 1;
  for (; end < text.length; end++) {
    const unit = text.charCodeAt(end);
    if (unit === COMMA || isClosing(unit) || isSpace(unit)) break;
  }
  return end;
}
