/** What is to be said of the objects in the files: one list of findings, from parse and from compile, each at its line. */
import type { ObjectStatus } from '../compile/status.ts';
import { formatUnserved } from '../compile/unserved.ts';
import type { Issue } from '../lib/issue.ts';
import type { ReadObject, ReadProblem, Source } from './read-objects.ts';

/** error: not served. warning: served in part, or hardly meant so. note: this build serves it in another way. */
export type Severity = 'error' | 'warning' | 'note';

export interface Finding {
  readonly severity: Severity;
  /** null: it is of no file (a Secret from the environment). */
  readonly file: string | null;
  readonly line: number | null;
  /** `Kind namespace/name`; null: nothing of the object can be read. */
  readonly object: string | null;
  /** As the API server writes it; empty for the object as a whole. */
  readonly path: string;
  /** The condition's reason, UpperCamel. */
  readonly reason: string;
  readonly message: string;
}

export function problemFinding({ fatal, file, line, object, path, reason, message }: ReadProblem): Finding {
  return { severity: fatal ? 'error' : 'note', file, line, object, path, reason, message };
}

/** In the object's own order: conditions that do not hold, warnings, what this build does not serve. */
export function statusFindings(status: ObjectStatus, read: ReadObject | undefined): readonly Finding[] {
  const object = `${status.kind} ${status.namespace}/${status.name}`;
  const at = (severity: Severity, path: string, reason: string, message: string): Finding => ({
    severity,
    ...place(read?.source, path),
    object,
    path,
    reason,
    message,
  });
  const findings: Finding[] = [];
  for (const { type, status: holds, reason, message } of status.conditions) {
    if (holds === 'True' || type === 'FullyServed' || type === 'ResolvedRefs') continue;
    for (const part of splitMessage(message)) findings.push(at('error', part.path, reason, part.message));
  }
  for (const found of status.unresolved) findings.push(at(severityOf(found), found.path, found.reason, found.message));
  for (const warning of status.warnings) findings.push(at('warning', warning.path, warning.reason, warning.message));
  for (const entry of status.notServed) {
    if (findings.some(({ path }) => path === entry.path)) continue;
    findings.push(at('note', entry.path, 'NotServed', formatUnserved(entry)));
  }
  return findings;
}

/** Reasons that say that the object itself is wrong, and not that something it refers to is elsewhere. */
const WRONG_IN_ITSELF: ReadonlySet<string> = new Set(['InvalidSpec', 'InvalidValue', 'ArtifactInvalid']);

function severityOf({ reason, absent }: Issue): Severity {
  return WRONG_IN_ITSELF.has(reason) && absent !== true ? 'error' : 'warning';
}

function place(source: Source | undefined, path: string): { readonly file: string | null; readonly line: number | null } {
  if (source === undefined || source.line === 0) return { file: null, line: null };
  return { file: source.file, line: source.lineOf(source.line, path) };
}

/** A condition's message is its issues, each `path: text`, joined with `; `. */
export function splitMessage(message: string): readonly { readonly path: string; readonly message: string }[] {
  const starts = [...message.matchAll(/(?:^|; )(spec(?:[.[][^\s:;]*)?): /g)];
  const [first] = starts;
  if (first === undefined) return [{ path: '', message }];
  const parts = starts.map((start, index) => ({
    path: start[1] ?? '',
    message: message.slice(start.index + start[0].length, starts[index + 1]?.index),
  }));
  return first.index === 0 ? parts : [{ path: '', message: message.slice(0, first.index) }, ...parts];
}

/** `routes.yaml:14: error: spec.models[1].auth: …`, as compilers and editors have it. */
export function formatFinding({ severity, file, line, object, path, message }: Finding): string {
  const where = file === null ? '' : `${file}:${line ?? 1}: `;
  const named = path !== '' && file !== null ? path : [object, path].filter((part) => part !== null && part !== '').join(' ');
  return `${where}${severity}: ${named === '' ? '' : `${named}: `}${message}`;
}
