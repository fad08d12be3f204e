/** The chart's values.yaml as a list: path, default and the comment above each. Its README and its schema are made from that. */
import { isMap, isScalar, parseDocument, type Node, type Pair, type YAMLMap } from 'yaml';

export interface ChartValue {
  /** `operator.resources`. */
  readonly path: string;
  readonly default: unknown;
  /** The comment, as one paragraph. */
  readonly text: string;
  /** A map that is described by its members, each an entry of its own. */
  readonly children: readonly ChartValue[];
}

export function readChartValues(yaml: string): readonly ChartValue[] {
  const document = parseDocument(yaml);
  if (document.errors.length > 0 || !isMap(document.contents)) throw new Error(`values.yaml: ${document.errors.join('; ')}`);
  return membersOf(document.contents, '');
}

function membersOf(map: YAMLMap, prefix: string): readonly ChartValue[] {
  return map.items.map((pair, index) => {
    const key = keyOf(pair);
    const path = `${prefix}${key.name}`;
    const value = pair.value as Node | null;
    // The comment above the first member stands with the map.
    const comment = key.comment ?? (index === 0 && prefix !== '' ? (map.commentBefore ?? '') : '');
    const text = paragraph(comment);
    const nested = isMap(value) && value.items.length > 0 && text === '';
    return {
      path,
      default: value === null ? null : (value.toJS(parseDocument('')) as unknown),
      text,
      children: nested ? membersOf(value, `${path}.`) : [],
    };
  });
}

function keyOf({ key }: Pair): { readonly name: string; readonly comment: string | undefined } {
  if (!isScalar(key) || typeof key.value !== 'string') throw new Error('values.yaml: a key is not a string');
  return { name: key.value, comment: key.commentBefore ?? undefined };
}

function paragraph(comment: string): string {
  return comment
    .split('\n')
    .map((line) => line.trim())
    .join(' ')
    .trim();
}
