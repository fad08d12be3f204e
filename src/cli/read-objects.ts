/** Files, directories and stdin → typed objects, each with where it stands, and everything that is wrong with the others. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type ApiObject, parseObject } from '../api/parse.ts';
import { parseYamlDocuments } from '../api/yaml.ts';
import { API_KEY_LABEL } from '../auth/new-key.ts';
import { member } from '../lib/json.ts';
import { CommandFailed, type Io, unreadableBecause } from './io.ts';
import { type LineOf, lineFinder } from './locate.ts';
import { couldBe, isNamedIn, unreadPart } from './slips.ts';

export interface Source {
  /** As the user named it; `stdin` for `-`. */
  readonly file: string;
  /** First line of the object. */
  readonly line: number;
  readonly lineOf: LineOf;
}

export interface ReadObject {
  readonly object: ApiObject;
  readonly source: Source;
}

/** Something that a file says and that cannot be used. */
export interface ReadProblem {
  readonly file: string;
  readonly line: number;
  /** `Kind namespace/name`, as far as it can be read; null: nothing of the object can. */
  readonly object: string | null;
  /** False: an object of a kind that is not ours, which is passed over. */
  readonly fatal: boolean;
  readonly path: string;
  readonly reason: string;
  readonly message: string;
  readonly hides: Hidden;
  /** Whether this object of an earlier reading, which has no such label, may be what is broken now. */
  readonly mayBe: (earlier: ApiObject) => boolean;
}

/** Whether what cannot be read is, or may have in it, something that decides who may call. */
interface Hidden {
  readonly gateway: boolean;
  readonly clientKey: boolean;
}

const HIDES_NOTHING: Hidden = { gateway: false, clientKey: false };

export interface ReadResult {
  readonly objects: readonly ReadObject[];
  readonly problems: readonly ReadProblem[];
}

/** A file's text; `name` is for messages. */
interface Text {
  readonly name: string;
  readonly text: string;
}

/** `Kind namespace/name`: how messages call an object, and what tells objects apart. */
export function objectLabel({ kind, metadata }: ApiObject): string {
  return metadata.namespace === '' ? `${kind} ${metadata.name}` : `${kind} ${metadata.namespace}/${metadata.name}`;
}

/** Throws CommandFailed where a file cannot be read at all; what is wrong inside one is a problem in the result. */
export async function readObjects(paths: readonly string[], io: Io): Promise<ReadResult> {
  const texts: Text[] = [];
  for (const file of await expand(paths)) texts.push(await readText(file, io));
  return objectsOf(texts);
}

const EXTENSIONS = ['.yaml', '.yml', '.json'];

/** Directories become the files in them, one level deep, sorted, as kubectl takes them: without the directories in them. */
export async function expand(paths: readonly string[]): Promise<readonly string[]> {
  const files: string[] = [];
  for (const path of paths) {
    if (path === '-') {
      files.push(path);
      continue;
    }
    const found = await stat(path).catch((error: unknown) => {
      throw new CommandFailed(`cannot read ${path}: ${unreadableBecause(error)}`);
    });
    if (!found.isDirectory()) {
      files.push(path);
      continue;
    }
    const names = await readdir(path).catch((error: unknown) => {
      throw new CommandFailed(`cannot read ${path}: ${unreadableBecause(error)}`);
    });
    const inside: string[] = [];
    for (const name of names.filter((name) => EXTENSIONS.some((extension) => name.endsWith(extension))).sort()) {
      const file = join(path, name);
      // What cannot be looked at is told when it is read.
      if ((await stat(file).catch(() => null))?.isDirectory() !== true) inside.push(file);
    }
    if (inside.length === 0) throw new CommandFailed(`${path} has no ${EXTENSIONS.join(', ')} files in it`);
    files.push(...inside);
  }
  return [...new Set(files)];
}

async function readText(file: string, io: Io): Promise<Text> {
  if (file === '-') {
    const chunks: Buffer[] = [];
    for await (const chunk of io.stdin) chunks.push(Buffer.from(chunk));
    return { name: 'stdin', text: decoded(Buffer.concat(chunks)) };
  }
  try {
    return { name: file, text: decoded(await readFile(file)) };
  } catch (error) {
    throw new CommandFailed(`cannot read ${file}: ${unreadableBecause(error)}`, { cause: error });
  }
}

/** UTF-8, or what the byte order mark says: PowerShell's `>` writes UTF-16, which kubectl reads. */
function decoded(bytes: Buffer): string {
  const mark = bytes.subarray(0, 2).toString('hex');
  if (mark === 'fffe') return new TextDecoder('utf-16le').decode(bytes);
  if (mark === 'feff') return new TextDecoder('utf-16be').decode(bytes);
  return bytes.toString('utf8');
}

export function objectsOf(texts: readonly Text[]): ReadResult {
  const objects = new Map<string, ReadObject>();
  const problems: ReadProblem[] = [];
  for (const { name, text } of texts) {
    const { documents, issues } = parseYamlDocuments(text, name);
    const lineOf = lineFinder(text);
    const broken = issues.length === 0 ? '' : unreadPart(text, documents);
    for (const found of issues) problems.push(syntaxProblem(name, text, broken, found.message));
    for (const { value, line } of documents) {
      const source: Source = { file: name, line, lineOf };
      const parsed = parseObject(value);
      if (!parsed.ok) {
        const object = labelOf(value);
        const fatal = !isForeign(value, parsed.error);
        const hides = { gateway: mayBeGateway(value), clientKey: isLabelledKey(value) };
        const mayBe = couldBe(value, parsed.error);
        for (const { path, reason, message: text } of parsed.error) {
          const message = fatal ? text : `${text}; it is passed over`;
          problems.push({ file: name, line: lineOf(line, path), object, fatal, path, reason, message, hides, mayBe });
        }
        continue;
      }
      const label = objectLabel(parsed.value);
      const earlier = objects.get(label);
      if (earlier === undefined) {
        objects.set(label, { object: parsed.value, source });
      } else {
        const where = `${earlier.source.file}:${earlier.source.line}`;
        problems.push({
          file: name,
          line,
          object: label,
          fatal: true,
          path: 'metadata.name',
          reason: 'Duplicate',
          message: `${label} is already in ${where}, which is used`,
          hides: HIDES_NOTHING,
          mayBe: () => false,
        });
      }
    }
  }
  return { objects: [...objects.values()], problems };
}

/** The reader begins its messages with `file:line: `. What is in its document nobody can tell: the whole file is looked at for `hides`. */
function syntaxProblem(file: string, text: string, broken: string, said: string): ReadProblem {
  const rest = said.startsWith(`${file}:`) ? said.slice(file.length + 1) : said;
  const [, line, message = said] = /^(\d+): (.*)$/s.exec(rest) ?? [];
  const hides = { gateway: /\bLLMGateway\b/.test(text), clientKey: text.includes(API_KEY_LABEL) };
  const mayBe = isNamedIn(broken);
  return { file, line: Number(line ?? 1), object: null, fatal: true, path: '', reason: 'Invalid', message, hides, mayBe };
}

/** One of ours whose kind has a slip in it may be a gateway as well. */
function mayBeGateway(value: unknown): boolean {
  const kind = member(value, 'kind');
  if (kind === 'LLMGateway') return true;
  const apiVersion = member(value, 'apiVersion');
  const isOurs = typeof apiVersion === 'string' && apiVersion.startsWith('fairlead.dev/');
  return isOurs && kind !== 'LLMRoute' && kind !== 'LLMBackend' && kind !== 'LLMQuota';
}

/** Without its quotes `true` is a boolean, which no label may be, and the usual reason why a key cannot be read. */
function isLabelledKey(value: unknown): boolean {
  const label = member(member(member(value, 'metadata'), 'labels'), API_KEY_LABEL);
  return label === 'true' || label === true;
}

/** An object of somebody else's, such as a Deployment in the same directory. */
function isForeign(value: unknown, issues: readonly { readonly path: string }[]): boolean {
  const apiVersion = member(value, 'apiVersion');
  return (
    issues.some(({ path }) => path === 'kind') &&
    typeof apiVersion === 'string' &&
    !apiVersion.startsWith('fairlead.dev/') &&
    typeof member(value, 'kind') === 'string'
  );
}

function labelOf(value: unknown): string | null {
  const kind = member(value, 'kind');
  const metadata = member(value, 'metadata');
  const name = member(metadata, 'name');
  const namespace = member(metadata, 'namespace') ?? 'default';
  if (kind === 'Namespace') return typeof name === 'string' ? `${kind} ${name}` : null;
  return typeof kind === 'string' && typeof name === 'string' && typeof namespace === 'string'
    ? `${kind} ${namespace}/${name}`
    : null;
}
