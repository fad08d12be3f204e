/** Whether every ready pod holds an LLMQuota as it is now. Pure. */
import { condition, type Condition, type ObjectStatus } from '../../compile/status.ts';
import type { Progress } from './evidence.ts';
import { find, notServed, programmed } from './route-status.ts';

export interface QuotaInput {
  readonly compiled: ObjectStatus;
  /** Targets, `namespace/name` of LLMGateways, that have no table: what their pods serve stays as it is. */
  readonly unserved: readonly string[];
  /** At each gateway where it limits, or has limited, a route. */
  readonly progress: readonly Progress[];
  readonly generation: number | undefined;
}

export function quotaProgrammed({ compiled, unserved, progress, generation }: QuotaInput): Condition {
  const accepted = find(compiled.conditions, 'Accepted');
  if (accepted?.status !== 'True') return notServed(accepted, generation);
  const pending = (message: string): Condition => condition('Programmed', 'False', 'Pending', message, generation);
  const [gateway] = unserved;
  if (gateway !== undefined) return pending(`LLMGateway ${gateway} cannot be served as it is meant; its status says why`);
  // The AND over gateways: the first that is not True, else the first.
  const shown = progress.map((each) => programmed(each, generation, 'holds'));
  const [first] = shown;
  if (first !== undefined) return shown.find(({ status }) => status !== 'True') ?? first;
  return find(compiled.conditions, 'ResolvedRefs')?.status === 'True'
    ? condition('Programmed', 'True', 'Programmed', 'no route is served that it would limit', generation)
    : pending('it limits nothing: ResolvedRefs says why');
}
