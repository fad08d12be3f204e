/** What an object that cannot be read may have been before the edit: a slip hides it, and what is deleted beside it is deleted. */
import type { ApiObject } from '../api/parse.ts';
import { nearest } from '../api/nearest.ts';
import { member } from '../lib/json.ts';

type MayBe = (earlier: ApiObject) => boolean;

/** Of a value that is no object of ours, for what is wrong with it. */
export function couldBe(value: unknown, issues: readonly { readonly path: string }[]): MayBe {
  const kind = member(value, 'kind');
  const name = member(member(value, 'metadata'), 'name');
  const namespace = member(member(value, 'metadata'), 'namespace') ?? 'default';
  if (typeof kind !== 'string' || typeof name !== 'string' || typeof namespace !== 'string')
    return isNamedIn(JSON.stringify(value) ?? '');
  const wrong = new Set(issues.map(({ path }) => path));
  // Where its kind, name and namespace are as they should be, it is what they say, and was not there before.
  if (!wrong.has('kind') && !wrong.has('metadata.name') && !wrong.has('metadata.namespace')) return () => false;
  const isAs = (said: string, was: string, path: string): boolean =>
    said === was || (wrong.has(path) && nearest(said, [was]) !== undefined);
  return ({ kind: wasKind, metadata }) =>
    isAs(kind, wasKind, 'kind') &&
    isAs(name, metadata.name, 'metadata.name') &&
    (metadata.namespace === '' || namespace === metadata.namespace || wrong.has('metadata.namespace'));
}

/** Of a text that cannot be read: an object may be in it whose name stands there, if its kind does, too, or no kind. */
export function isNamedIn(text: string): MayBe {
  const kinds = [...new Set([...text.matchAll(/\bkind["']?\s*:\s*["']?(\w+)/g)].map(([, kind = '']) => kind))];
  const words = new Set(text.toLowerCase().match(/[a-z0-9](?:[-.a-z0-9]*[a-z0-9])?/g));
  return ({ kind, metadata }) =>
    words.has(metadata.name) && (kinds.length === 0 || kinds.some((said) => nearest(said, [kind]) !== undefined));
}

/** The documents of a file that none was read of. */
export function unreadPart(text: string, read: readonly { readonly line: number }[]): string {
  const lines = new Set(read.map(({ line }) => line));
  const parts: { text: string; isRead: boolean }[] = [{ text: '', isRead: false }];
  text.split('\n').forEach((line, index) => {
    if (/^(?:---|\.\.\.)(?:\s|$)/.test(line)) parts.push({ text: '', isRead: false });
    const part = parts.at(-1);
    if (part === undefined) return;
    part.text += `${line}\n`;
    part.isRead ||= lines.has(index + 1);
  });
  return parts.map((part) => (part.isRead ? '' : part.text)).join('');
}
