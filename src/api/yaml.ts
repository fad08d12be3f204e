/**
 * YAML or JSON files → plain values, as kubectl reads them: several documents, lists flattened, scalars by YAML 1.1 in Go's way
 * (`yaml-scalar.ts`), anchors and merge keys. Stricter in one thing: a key that is given twice is refused.
 */
import {
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  parseAllDocuments,
  Scalar,
  type Document,
  type Node,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml';

import { issue, type Issue } from '../lib/issue.ts';
import { resolvePlain, resolveTagged, type ScalarValue } from './yaml-scalar.ts';

export interface YamlDocument {
  readonly value: unknown;
  readonly file: string;
  /** First line of the object, counted from 1. */
  readonly line: number;
}

export interface YamlDocuments {
  readonly documents: readonly YamlDocument[];
  /** `path` is empty; the message begins with `file:line: `. */
  readonly issues: readonly Issue[];
}

/** Nodes that aliases may add to one document. Beyond it a few lines could stand for gigabytes. */
const MAX_ALIAS_NODES = 100_000;
const MAX_DEPTH = 200;

/** Never throws. A document with an error yields its issues and no value; the others are read all the same. */
export function parseYamlDocuments(text: string, file: string): YamlDocuments {
  const lines = new LineCounter();
  const at = (offset: number): number => Math.max(1, lines.linePos(offset).line);
  const failed = (line: number, message: string): Issue => issue('', 'Invalid', `${file}:${line}: ${message}`);
  let parsed: readonly Document.Parsed[];
  try {
    const found = parseAllDocuments(withoutInnerMarks(text), {
      schema: 'failsafe',
      lineCounter: lines,
      uniqueKeys: false,
      merge: false,
      resolveKnownTags: false,
      prettyErrors: false,
      logLevel: 'silent',
    });
    parsed = Array.isArray(found) ? found : [];
  } catch (thrown) {
    // The parser recurses: nesting beyond the stack is the one thing it throws on.
    return {
      documents: [],
      issues: [failed(1, `cannot be read: ${thrown instanceof RangeError ? 'it is nested too deeply' : String(thrown)}`)],
    };
  }
  const documents: YamlDocument[] = [];
  const issues: Issue[] = [];
  for (const document of parsed) {
    const [syntaxError] = document.errors;
    if (syntaxError !== undefined) {
      issues.push(
        failed(
          at(syntaxError.pos[0]),
          syntaxError.code === 'RESOURCE_EXHAUSTION' ? 'is nested too deeply' : withoutQuote(syntaxError.message),
        ),
      );
      continue;
    }
    const { contents } = document;
    if (contents === null || isEmpty(contents)) continue;
    try {
      const reader = new Reader(at);
      const value = reader.read(contents);
      if (value === null) continue;
      collect(value, contents, (entry, node) => documents.push({ value: entry, file, line: at(startOf(node)) }));
    } catch (thrown) {
      if (!(thrown instanceof Refused)) throw thrown;
      issues.push(failed(at(thrown.offset), thrown.message));
    }
  }
  return { documents, issues };
}

/** Files of some editors begin with a byte order mark, and `cat` leaves it where the next one begins. Lines stay what they are. */
function withoutInnerMarks(text: string): string {
  return text.replaceAll(/^(---[ \t]*\r?\n)\uFEFF/gm, '$1');
}

/** The parser quotes what it stumbles over at the end of its message: in a Secret that may be a password which begins with | or !. */
function withoutQuote(message: string): string {
  return message.replace(/: .*$/s, '');
}

/** Ends the reading of one document; caught above and nowhere else. */
class Refused extends Error {
  readonly offset: number;
  constructor(offset: number, message: string) {
    super(message);
    this.offset = offset;
  }
}

class Reader {
  readonly #lineAt: (offset: number) => number;
  readonly #anchors = new Map<string, { readonly value: unknown; readonly nodes: number }>();
  readonly #open = new Set<string>();
  #nodes = 0;
  #aliasNodes = 0;

  constructor(lineAt: (offset: number) => number) {
    this.#lineAt = lineAt;
  }

  read(node: unknown, depth = 0): unknown {
    if (depth > MAX_DEPTH) throw new Refused(startOf(node), `is nested too deeply, beyond ${MAX_DEPTH} levels`);
    this.#nodes++;
    if (isAlias(node)) return this.#alias(node.source, startOf(node));
    if (!isScalar(node) && !isMap(node) && !isSeq(node)) return null;
    const { anchor } = node;
    const before = this.#nodes - 1;
    if (anchor !== undefined) {
      this.#open.add(anchor);
      this.#anchors.delete(anchor);
    }
    const value = isScalar(node)
      ? this.#scalar(node)
      : isSeq(node)
        ? node.items.map((item) => this.read(item, depth + 1))
        : this.#map(node, depth);
    if (anchor !== undefined) {
      this.#open.delete(anchor);
      this.#anchors.set(anchor, { value, nodes: this.#nodes - before });
    }
    return value;
  }

  #alias(name: string, offset: number): unknown {
    const anchored = this.#anchors.get(name);
    if (anchored === undefined) {
      throw new Refused(
        offset,
        this.#open.has(name)
          ? `anchor &${name} contains itself`
          : 'an alias has no anchor before it; a text that begins with * needs quotes',
      );
    }
    this.#nodes += anchored.nodes;
    this.#aliasNodes += anchored.nodes;
    if (this.#aliasNodes > MAX_ALIAS_NODES) throw new Refused(offset, `aliases expand to more than ${MAX_ALIAS_NODES} values`);
    return anchored.value;
  }

  #scalar(node: Scalar): ScalarValue {
    // With the failsafe schema every scalar is text, or null where there is none.
    const source = typeof node.value === 'string' ? node.value : '';
    let value: ScalarValue;
    if (node.tag !== undefined) {
      const tagged = resolveTagged(node.tag, source);
      if (!tagged.ok) throw new Refused(startOf(node), tagged.error);
      value = tagged.value;
    } else {
      value = isPlain(node) ? resolvePlain(source) : source;
    }
    if (typeof value === 'number' && !Number.isFinite(value))
      throw new Refused(startOf(node), `${source} is not a number that JSON can hold`);
    return value;
  }

  #map(node: YAMLMap, depth: number): Readonly<Record<string, unknown>> {
    const members = new Map<string, unknown>();
    const given = new Set<string>();
    for (const pair of node.items) {
      if (!isPair(pair)) continue;
      if (isScalar(pair.key) && isPlain(pair.key) && pair.key.tag === undefined && pair.key.value === '<<') {
        for (const [key, member] of this.#merged(pair.value, depth)) members.set(key, member);
        continue;
      }
      const key = this.#key(pair.key, depth);
      if (given.has(key))
        throw new Refused(
          startOf(pair.key),
          `key ${JSON.stringify(key)} is given twice in the map that begins on line ${this.#lineAt(startOf(node))}`,
        );
      given.add(key);
      members.set(key, this.read(pair.value, depth + 1));
    }
    return Object.fromEntries(members);
  }

  /** `<<: *base` or `<<: [*first, *second]`, of which the first wins. As in goyaml.v2, a merge replaces what stands before it. */
  #merged(node: unknown, depth: number): readonly (readonly [string, unknown])[] {
    const value = this.read(node, depth + 1);
    return (Array.isArray(value) ? value.toReversed() : [value]).flatMap((source: unknown) => {
      if (typeof source !== 'object' || source === null || Array.isArray(source))
        throw new Refused(startOf(node), 'a merge key (<<) takes a map or a list of maps');
      return Object.entries(source);
    });
  }

  #key(node: unknown, depth: number): string {
    const key = this.read(node, depth + 1);
    if (typeof key === 'string') return key;
    if (typeof key === 'number' || typeof key === 'boolean') return String(key);
    throw new Refused(startOf(node), 'a key must be text, a number or a boolean');
  }
}

function isPlain(node: Scalar): boolean {
  return node.type === undefined || node.type === Scalar.PLAIN;
}

function isEmpty(node: Node): boolean {
  return isScalar(node) && isPlain(node) && node.tag === undefined && (node.value === '' || node.value === null);
}

function startOf(node: unknown): number {
  return isScalar(node) || isMap(node) || isSeq(node) || isAlias(node) ? (node.range?.[0] ?? 0) : 0;
}

/** Objects of the document; those of a `List`, and of a list of one kind such as `LLMRouteList`, one by one. */
function collect(value: unknown, node: unknown, found: (value: unknown, node: unknown) => void): void {
  const items = listItems(value);
  if (items === undefined) {
    found(value, node);
    return;
  }
  const nodes = itemNodes(node);
  items.forEach((item, index) => collect(item, nodes?.items[index] ?? node, found));
}

function listItems(value: unknown): readonly unknown[] | undefined {
  if (typeof value !== 'object' || value === null || !('kind' in value) || !('items' in value)) return undefined;
  return typeof value.kind === 'string' && value.kind.endsWith('List') && Array.isArray(value.items) ? value.items : undefined;
}

function itemNodes(node: unknown): YAMLSeq | undefined {
  if (!isMap(node)) return undefined;
  const items: unknown = node.get('items', true);
  return isSeq(items) ? items : undefined;
}
