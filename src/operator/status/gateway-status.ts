/** The conditions of an LLMGateway: compile's, the pods', and what became of the objects that it is rendered to. */
import { condition, type Condition, type ObjectStatus } from '../../compile/status.ts';
import { formatIssue, type Issue } from '../../lib/issue.ts';

/** What the last attempt to bring a gateway's objects to the cluster came to. */
export interface Rendered {
  /** Of the LLMGateway that was attempted. */
  readonly generation: number | undefined;
  /** Paused or Invalid: its objects are left as they are. */
  readonly held: 'Paused' | 'Invalid' | null;
  readonly issues: readonly Issue[];
  /** Of the API server; free of secrets. */
  readonly failures: readonly string[];
}

export interface GatewayConditions {
  readonly compiled: ObjectStatus;
  readonly programmed: Condition;
  /** null: not attempted yet by this process. */
  readonly rendered: Rendered | null;
  /** As it stands, from an attempt of whoever led before. */
  readonly renderedBefore: Condition | null;
  /** `namespace/name` of routes and client keys that the snapshot has no room for. */
  readonly leftOut: readonly string[];
  /** Why pods do not share limits over `spec.redis`, as most of them say; null: they do. */
  readonly limitsProblem: string | null;
  /** What pods do meanwhile; null: there is no `spec.redis`. */
  readonly onUnavailable: string | null;
  readonly generation: number | undefined;
}

const NAMED_AT_MOST = 10;

export function conditionsOfGateway(input: GatewayConditions): readonly Condition[] {
  const { compiled, programmed, rendered, renderedBefore, leftOut, limitsProblem, onUnavailable, generation } = input;
  const own = (type: Condition['type']): readonly Condition[] => compiled.conditions.filter((found) => found.type === type);
  const named = leftOut.slice(0, NAMED_AT_MOST).join(', ');
  const more = leftOut.length > NAMED_AT_MOST ? ` and ${leftOut.length - NAMED_AT_MOST} more` : '';
  return [
    ...own('Accepted'),
    ...own('ResolvedRefs'),
    ...(rendered !== null ? [renderedCondition(rendered)] : renderedBefore === null ? [] : [renderedBefore]),
    programmed,
    ...own('FullyServed'),
    ...(limitsProblem === null || onUnavailable === null
      ? []
      : [
          condition(
            'LimitsShared',
            'False',
            'RedisUnavailable',
            `Redis is away, and each pod decides by spec.redis.onUnavailable, ${onUnavailable}: ${limitsProblem}`,
            generation,
          ),
        ]),
    ...(leftOut.length === 0
      ? []
      : [
          condition(
            'SnapshotComplete',
            'False',
            'NoRoom',
            `a pod that starts while no operator is up does without ${named}${more}: its snapshot has no room for more`,
            generation,
          ),
        ]),
  ];
}

function renderedCondition({ held, issues, failures, generation }: Rendered): Condition {
  const make = (status: 'True' | 'False', reason: string, message: string): Condition =>
    condition('Rendered', status, reason, message, generation);
  const said = issues.map(formatIssue).join('; ');
  if (held === 'Invalid') return make('False', 'InvalidSpec', said);
  if (held === 'Paused')
    return make('False', 'Paused', 'spec.paused: its objects are left as they are, and its pods are still given their tables');
  if (failures.length > 0) return make('False', 'ApplyFailed', failures.join('; '));
  if (said !== '') return make('False', issues[0]?.reason ?? 'InvalidSpec', said);
  return make('True', 'Rendered', '');
}
