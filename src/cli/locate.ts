/** From an issue's path back to the line in the file where it stands. */
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments, type Document } from 'yaml';

/** `objectLine`: the object's first line, as parse gives it; `path` as the API server writes it. Both and the result count from 1. */
export type LineOf = (objectLine: number, path: string) => number;

/** Reads the file again, and only when asked: almost always nothing is wrong. */
export function lineFinder(text: string): LineOf {
  let found: Located | null = null;
  return (objectLine, path) => {
    found ??= locate(text);
    const root = found.objects.get(objectLine);
    return root === undefined ? objectLine : descend(root, path, found);
  };
}

interface Located {
  /** Objects by their first line. */
  readonly objects: ReadonlyMap<number, ObjectNode>;
  readonly lines: LineCounter;
}

interface ObjectNode {
  readonly node: unknown;
  readonly document: Document;
}

function locate(text: string): Located {
  const lines = new LineCounter();
  const objects = new Map<number, ObjectNode>();
  const documents = parseAllDocuments(text, { lineCounter: lines, uniqueKeys: false, logLevel: 'silent' });
  for (const document of Array.isArray(documents) ? documents : []) {
    for (const node of objectNodes(document.contents)) {
      const line = lineAt(node, lines);
      if (line !== null) objects.set(line, { node, document });
    }
  }
  return { objects, lines };
}

/** The document itself, or the entries of a list of objects. */
function objectNodes(contents: unknown): readonly unknown[] {
  if (!isMap(contents)) return [contents];
  const items: unknown = contents.get('items', true);
  return isSeq(items) ? [contents, ...items.items.flatMap(objectNodes)] : [contents];
}

/** Line of the deepest part of the path that is there: what is missing is reported where it would stand. */
function descend({ node, document }: ObjectNode, path: string, { lines }: Located): number {
  let at: unknown = node;
  let line = lineAt(node, lines) ?? 1;
  for (const segment of segments(path)) {
    const parent = isAlias(at) ? at.resolve(document) : at;
    if (isMap(parent)) {
      const pair = parent.items.find(({ key }) => isScalar(key) && String(key.value) === segment);
      if (pair === undefined) break;
      line = lineAt(pair.key, lines) ?? line;
      at = pair.value;
    } else if (isSeq(parent)) {
      at = parent.items[Number(segment)];
      if (at === undefined) break;
      line = lineAt(at, lines) ?? line;
    } else {
      break;
    }
  }
  return line;
}

/** `spec.rules[0].targets`, `metadata.labels[example.com/team]` → its steps. */
function segments(path: string): readonly string[] {
  return [...path.matchAll(/([^.[\]]+)|\[([^\]]*)\]/g)].map(([, name, bracketed]) => name ?? bracketed ?? '');
}

function lineAt(node: unknown, lines: LineCounter): number | null {
  if (!isMap(node) && !isSeq(node) && !isScalar(node) && !isAlias(node)) return null;
  const start = node.range?.[0];
  return start === undefined ? null : Math.max(1, lines.linePos(start).line);
}
