/** What a real API server says to an object, and where our parser says something else. */
import { KINDS, objectSchema } from '../../src/api/crd.ts';
import { parseObject } from '../../src/api/parse.ts';
import type { Issue } from '../../src/lib/issue.ts';
import type { ControlPlane } from '../controlplane/control-plane.ts';

/** One complaint of the API server. */
export interface Cause {
  /** As the API server writes a path; '' where it names none. */
  readonly field: string;
  readonly message: string;
}

export type Verdict =
  | { readonly accepted: true; readonly object: { readonly [member: string]: unknown } }
  | { readonly accepted: false; readonly causes: readonly Cause[]; readonly text: string };

export interface Opinions {
  readonly server: Verdict;
  readonly ours: ReturnType<typeof parseObject>;
}

interface Manifest {
  readonly apiVersion?: unknown;
  readonly kind?: unknown;
  readonly metadata?: unknown;
}

const PLURALS: ReadonlyMap<string, string> = new Map([
  ...KINDS.map(({ kind, plural }) => [`fairlead.dev/v1alpha1 ${kind}`, plural] as const),
  ['gateway.networking.k8s.io/v1beta1 ReferenceGrant', 'referencegrants'],
  ['gateway.networking.k8s.io/v1 ReferenceGrant', 'referencegrants'],
  ['v1 Secret', 'secrets'],
  ['v1 ConfigMap', 'configmaps'],
  ['v1 Namespace', 'namespaces'],
]);

/** The collection that an object is sent to; undefined where the API server has no such kind, so that kubectl sends nothing. */
export function collection({ apiVersion, kind, metadata }: Manifest): string | undefined {
  const plural = typeof apiVersion === 'string' && typeof kind === 'string' ? PLURALS.get(`${apiVersion} ${kind}`) : undefined;
  if (plural === undefined || typeof apiVersion !== 'string') return undefined;
  const group = apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`;
  if (kind === 'Namespace') return `${group}/${plural}`;
  const { namespace = 'default' } = (metadata ?? {}) as { readonly namespace?: string };
  return `${group}/namespaces/${namespace}/${plural}`;
}

/** Both opinions of one object. The server's is a rehearsal: everything but the storing. */
export async function opinions(plane: ControlPlane, object: Manifest): Promise<Opinions | undefined> {
  const path = collection(object);
  if (path === undefined) return undefined;
  const { status, text } = await plane.request('POST', `${path}?dryRun=All&fieldValidation=Strict`, object);
  if (![201, 400, 422].includes(status)) throw new Error(`${status}: ${text}`);
  return { server: verdictOf(status === 201, text), ours: parseObject(object) };
}

function verdictOf(accepted: boolean, text: string): Verdict {
  const answer = JSON.parse(text) as {
    readonly message?: string;
    readonly details?: { readonly causes?: readonly { readonly field?: string; readonly message?: string }[] };
  };
  if (accepted) return { accepted, object: { ...answer } };
  const { message = '', details } = answer;
  const unknown = [...message.matchAll(/(unknown field) "((?:[^"\\]|\\.)*)"/g)];
  return {
    accepted,
    text: message,
    causes: [
      ...unknown.map(([, said = '', field = '']) => ({ field, message: said })),
      ...(details?.causes ?? []).map((cause) => ({
        field: (cause.field ?? '').replace('<nil>', ''),
        message: cause.message ?? '',
      })),
    ],
  };
}

/** The messages of the rules that the CRDs carry. */
const RULES: readonly string[] = KINDS.flatMap((kind) => messages(objectSchema(kind)));

function messages(node: unknown): string[] {
  if (typeof node !== 'object' || node === null) return [];
  const { 'x-kubernetes-validations': own = [] } = node as {
    readonly 'x-kubernetes-validations'?: readonly { readonly message: string }[];
  };
  return [...own.map(({ message }) => message), ...Object.values(node).flatMap(messages)];
}

/** The rule that speaks here: its message is what ours begins with and theirs ends with. */
function ruleOf(message: string): string | undefined {
  return RULES.find((rule) => message === rule || message.startsWith(`${rule} (`) || message.endsWith(`: ${rule}`));
}

/** After complaints of one kind the API server does not go on to look for the others. */
const STOPPED_AT_UNKNOWN_FIELDS = /strict decoding error/;
const STOPPED_BEFORE_RULES = /some validation rules were not checked/;
/** It evaluates a duration's rules even where the pattern has refused the text, and complains of that, too. */
const NO_DURATION = /type conversion error from 'string' to 'google.protobuf.Duration'/;

/** Where the two differ about an object of a kind of ours, complaint by complaint and in words; empty where they agree. */
export function differences({ server, ours }: Opinions): string[] {
  const verdicts = verdictDifferences({ server, ours });
  if (verdicts.length > 0 || server.accepted || ours.ok) return verdicts;
  const issues = ours.error;
  const agree = (issue: Issue, cause: Cause): boolean =>
    isAtOrBelow(issue.path, cause.field) && ruleOf(issue.message) === ruleOf(cause.message);
  const unheard = server.causes
    .filter(({ field, message }) => field !== '' && !NO_DURATION.test(message))
    .filter((cause) => !issues.some((issue) => agree(issue, cause)));
  const unsaid = issues
    .filter((issue) => !server.causes.some((cause) => agree(issue, cause)))
    .filter(() => !STOPPED_AT_UNKNOWN_FIELDS.test(server.text))
    .filter(({ message }) => !(STOPPED_BEFORE_RULES.test(server.text) && ruleOf(message) !== undefined));
  return [
    ...unheard.map(({ field, message }) => `only the API server says of ${field}: ${message}`),
    ...unsaid.map(({ path, message }) => `only we say of ${path}: ${message}`),
  ];
}

/** Differences of yes and no, and of what an object is with its defaults; and complaints about places of which we say nothing. */
export function verdictDifferences({ server, ours }: Opinions): string[] {
  if (server.accepted && !ours.ok) return ours.error.map(({ path, message }) => `only we refuse ${path}: ${message}`);
  if (!server.accepted && ours.ok) return [`only the API server refuses it: ${server.text}`];
  if (server.accepted && ours.ok) {
    const theirs = inOrder(server.object['spec']);
    const own = inOrder('spec' in ours.value ? ours.value.spec : undefined);
    return theirs === own ? [] : [`with defaults it is ${theirs} for the API server, and for us ${own}`];
  }
  if (server.accepted || ours.ok) return [];
  const issues = ours.error;
  return server.causes
    .filter(
      ({ field }) => field !== '' && !issues.some(({ path }) => isAtOrBelow(path, above(field)) || isAtOrBelow(field, path)),
    )
    .map(({ field, message }) => `only the API server says of ${field}: ${message}`);
}

/** Ours may be more exact. */
function isAtOrBelow(path: string, field: string): boolean {
  return path === field || path.startsWith(`${field}.`) || path.startsWith(`${field}[`);
}

function above(field: string): string {
  return field.replace(/(\.[^.[\]]+|\[[^\]]*\])$/, '');
}

/** JSON with the members of objects in one order. */
function inOrder(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}
