/** What compile says of each object; the operator adds times and what only running pods know, the CLI prints it as it is. */
import { formatIssue, type Issue } from '../lib/issue.ts';

/** Every reason of the API's conditions, in one place: compile gives those of the first three, the operator the others. */
export const REASONS = {
  Accepted: [
    'Accepted',
    'Pending',
    'InvalidSpec',
    'NotServed',
    'NoMatchingParent',
    'NotAllowedByParent',
    'ModelNameConflict',
    'ParseFailed',
    'CompileFailed',
  ],
  ResolvedRefs: [
    'ResolvedRefs',
    'SecretNotFound',
    'SecretKeyMissing',
    'SecretForbidden',
    'BackendNotFound',
    'TargetNotFound',
    'TargetFull',
    'RefNotPermitted',
    'ArtifactInvalid',
    'InvalidValue',
    'NotServed',
  ],
  FullyServed: ['NotServed'],
  Programmed: ['Programmed', 'Pending', 'PartiallyProgrammed', 'RejectedByDataPlane', 'NoGatewayPods'],
  Ready: ['Ready', 'Degraded', 'NoHealthyBackend', 'NotAccepted', 'NotProgrammed'],
  Rendered: ['Rendered', 'Paused', 'InvalidSpec', 'ScalerUnavailable', 'ApplyFailed'],
  LimitsShared: ['RedisUnavailable'],
  SnapshotComplete: ['NoRoom'],
} as const;

export type ConditionType = keyof typeof REASONS;

/** As Kubernetes' metav1.Condition, without `lastTransitionTime`: whoever writes it knows when it flipped. */
export interface Condition {
  readonly type: ConditionType;
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration?: number;
}

export interface ParentStatus {
  readonly parentRef: { readonly name: string; readonly namespace: string };
  readonly controllerName: string;
  readonly conditions: readonly Condition[];
}

/** A field that this build does not serve, and what happens instead. */
export interface NotServed {
  readonly path: string;
  /** The value where it is what is not served (`Utility`), else null: the field itself. */
  readonly value: string | null;
  readonly instead: string;
  /**
   * LeavesModelOut: as a missing Secret does (ResolvedRefs). Differs: served without it, as `instead` says (FullyServed).
   */
  readonly effect: 'LeavesModelOut' | 'Differs';
}

export interface ObjectStatus {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly conditions: readonly Condition[];
  /** Of an LLMRoute: one a gateway it names, in the route's order. */
  readonly parents: readonly ParentStatus[];
  /** What ResolvedRefs says, one by one and whole: the condition has one reason for all, and room for a page. */
  readonly unresolved: readonly Issue[];
  /** What does not keep it from serving but is hardly meant. */
  readonly warnings: readonly Issue[];
  readonly notServed: readonly NotServed[];
}

export const CONTROLLER_NAME = 'fairlead.dev/operator';

/** Kubernetes' bound of a condition's message is 32,768 characters; nobody reads more than this. */
const MAX_MESSAGE_CHARS = 4096;

export function condition(
  type: ConditionType,
  status: 'True' | 'False',
  reason: string,
  message: string,
  generation: number | undefined,
): Condition {
  const cut = message.length > MAX_MESSAGE_CHARS ? `${message.slice(0, MAX_MESSAGE_CHARS - 1)}…` : message;
  return { type, status, reason, message: cut, ...(generation === undefined ? {} : { observedGeneration: generation }) };
}

/** True without issues; False with the reason of the first and the text of all. */
export function conditionOf(
  type: 'Accepted' | 'ResolvedRefs',
  issues: readonly Issue[],
  generation: number | undefined,
): Condition {
  const [first] = issues;
  if (first === undefined) return condition(type, 'True', type, '', generation);
  return condition(type, 'False', first.reason, issues.map(formatIssue).join('; '), generation);
}

/** The condition that is there only when something is served otherwise than it is written, else nothing. */
export function fullyServed(found: readonly NotServed[], generation: number | undefined): readonly Condition[] {
  const differs = found.filter(({ effect }) => effect === 'Differs');
  if (differs.length === 0) return [];
  return [condition('FullyServed', 'False', 'NotServed', differs.map(formatNotServed).join('; '), generation)];
}

function formatNotServed({ path, value, instead }: NotServed): string {
  return `${path}${value === null ? '' : ` ${JSON.stringify(value)}`} is not served by this build: ${instead}`;
}

/**
 * The status of an object that parse refused, so that no compile has seen it. `path`s are the API server's; what an earlier, valid
 * version of the object compiled to is the caller's to keep.
 */
export function rejectedStatus(
  object: { readonly kind: string; readonly namespace: string; readonly name: string; readonly generation?: number },
  issues: readonly Issue[],
): ObjectStatus {
  const message = issues.length === 0 ? 'the object cannot be read' : issues.map(formatIssue).join('; ');
  return {
    kind: object.kind,
    namespace: object.namespace,
    name: object.name,
    conditions: [condition('Accepted', 'False', 'InvalidSpec', message, object.generation)],
    parents: [],
    unresolved: [],
    warnings: [],
    notServed: [],
  };
}
