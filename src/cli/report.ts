/** Findings and states for a person, on stderr. */
import type { ObjectStatus } from '../compile/status.ts';
import type { ModelName, RouteTable } from '../routetable/types.ts';
import type { Configuration } from './configuration.ts';
import { type Finding, formatFinding } from './findings.ts';
import type { Io } from './io.ts';
import { column, counted, printable, type Style, styleFor } from './style.ts';

const SEVERITIES = ['error', 'warning', 'note'] as const;

/** One line a finding. */
export function printFindings(io: Io, findings: readonly Finding[]): void {
  const style = styleFor(io.stderr, io.env);
  const paint = { error: style.red, warning: style.yellow, note: style.cyan };
  for (const finding of findings) {
    const line = printable(formatFinding(finding));
    const mark = `${finding.severity}: `;
    io.stderr.write(`${line.replace(mark, () => paint[finding.severity](mark))}\n`);
  }
}

/** How to give a Secret, where one is missing. For commands that take `--secret`. */
export function printSecretHint(io: Io, findings: readonly Finding[]): void {
  if (!findings.some(({ reason }) => reason === 'SecretNotFound' || reason === 'SecretKeyMissing')) return;
  const style = styleFor(io.stderr, io.env);
  io.stderr.write(
    `${style.dim('A Secret can stand in the files, or come from the environment: --secret NAMESPACE/NAME/KEY=ENVVAR')}\n`,
  );
}

/** `2 errors, 1 warning`; empty where there is nothing. */
export function countFindings(findings: readonly Finding[]): string {
  return SEVERITIES.flatMap((severity) => {
    const count = findings.filter((finding) => finding.severity === severity).length;
    return count === 0 ? [] : [counted(count, severity)];
  }).join(', ');
}

/** One line an object of ours: what it is, its conditions, and what it serves. */
export function printStates(io: Io, { statuses, findings }: Configuration, table: RouteTable | null): void {
  const style = styleFor(io.stderr, io.env);
  const rejected = new Set(findings.flatMap(({ severity, object }) => (severity === 'error' && object !== null ? [object] : [])));
  const states = new Map<string, string>();
  for (const status of statuses.values()) {
    const label = labelOf(status);
    rejected.delete(label);
    states.set(label, `${conditionsText(status, style)}${servedText(status, table)}`);
  }
  for (const label of rejected) states.set(label, style.red('invalid'));
  const width = Math.max(...[...states.keys()].map((label) => label.length), 0) + 2;
  for (const [label, state] of states) io.stderr.write(`${column(label, width)}${state}\n`);
}

export function labelOf({ kind, namespace, name }: ObjectStatus): string {
  return `${kind} ${namespace}/${name}`;
}

function conditionsText({ conditions }: ObjectStatus, style: Style): string {
  return conditions
    .filter(({ type }) => type !== 'FullyServed')
    .map(({ type, status, reason }) => {
      if (status === 'True') return style.green(type);
      return (type === 'Accepted' ? style.red : style.yellow)(`${type}: ${reason}`);
    })
    .join('  ');
}

function servedText({ kind, namespace, name }: ObjectStatus, table: RouteTable | null): string {
  if (kind !== 'LLMRoute') return '';
  const route = table?.routes.find(({ id }) => id === `${namespace}/${name}`);
  return route === undefined
    ? '  not served'
    : `  ${counted(route.targets.length, 'model')}: ${route.targets.map((target) => target.name).join(', ')}`;
}

/** What clients may name, as the routes write it. */
export function servedNames(table: RouteTable): readonly string[] {
  return [...new Set(table.routes.flatMap(({ modelNames }) => modelNames.map(modelNameText)))].sort();
}

function modelNameText({ value, wildcard }: ModelName): string {
  return wildcard ? `${value}*` : value;
}
