/** Ids of files that a request names: they lead to one upstream, and to one tenant. */
import { isObject } from '../../lib/json.ts';
import type { ParsedBody } from '../parsed-body.ts';

/** What describes arguments or the request itself, and what a model has said of files: nothing of it makes anybody read one. */
const NO_FILES: ReadonlySet<string> = new Set(['metadata', 'parameters', 'schema', 'annotations', 'results', 'outputs']);

/** Each once, in no order. Of a request that names none nothing is parsed. */
export function fileIdsOf(body: ParsedBody): readonly string[] {
  if (!body.namesFiles) return NO_IDS;
  const found = new Set<string>();
  collect(body.json, found);
  return [...found];
}

const NO_IDS: readonly string[] = [];

const NOTHING: ReadonlySet<string> = new Set();

/** The nesting of what was read is bounded. */
function collect(value: unknown, found: Set<string>, skipped = NO_FILES): void {
  if (Array.isArray(value)) {
    for (const each of value) if (typeof each === 'object') collect(each, found);
    return;
  }
  if (!isObject(value)) return;
  for (const [name, inner] of Object.entries(value)) {
    if (name === 'file_id') add(inner, found);
    else if (name === 'file_ids' && Array.isArray(inner)) for (const id of inner) add(id, found);
    // A prompt's variables, of which each may be a file, are called as whoever wrote the prompt likes.
    else if (typeof inner === 'object' && !skipped.has(name)) collect(inner, found, name === 'variables' ? NOTHING : NO_FILES);
  }
}

function add(id: unknown, found: Set<string>): void {
  if (typeof id === 'string') found.add(id);
}
