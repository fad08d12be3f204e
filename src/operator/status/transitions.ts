/** Which events a written status is worth: transitions only. Messages are those of conditions, which hold no secret. */
import { sharedEnds } from '../../lib/shared-ends.ts';
import type { Route, RouteTable } from '../../routetable/types.ts';
import { observedBackends, observedCondition } from './observed.ts';

export interface Transition {
  readonly type: 'Normal' | 'Warning';
  readonly reason: EventReason;
  readonly note: string;
}

/** Every reason of an event. */
const EVENT_REASONS = {
  Programmed: 'Every ready gateway pod serves the object, after some did not.',
  ConfigRejected: 'The object is not accepted, or a gateway pod refuses it.',
  SecretNotFound: 'A Secret that it names is not there.',
  BackendEjected: 'Gateway pods send no requests to a model any more.',
  BackendRecovered: 'They do again.',
  BudgetExhausted: 'A limit in USD is used up, to its last twentieth, by somebody whom it counts; once a window.',
  CredentialRotated: 'A model is called with another credential than before.',
} as const;
export type EventReason = keyof typeof EVENT_REASONS;

export function transitions(before: unknown, after: unknown): readonly Transition[] {
  const found: Transition[] = [];
  const was = (type: string) => observedCondition(before, type);
  const is = (type: string) => observedCondition(after, type);
  const accepted = is('Accepted');
  if (accepted?.status === 'False' && accepted.reason !== 'Pending' && differs(was('Accepted'), accepted))
    found.push({ type: 'Warning', reason: 'ConfigRejected', note: `${accepted.reason}: ${accepted.message}` });
  const programmed = is('Programmed');
  if (programmed?.status === 'True' && was('Programmed')?.status !== 'True')
    found.push({ type: 'Normal', reason: 'Programmed', note: programmed.message });
  if (programmed?.reason === 'RejectedByDataPlane' && differs(was('Programmed'), programmed))
    found.push({ type: 'Warning', reason: 'ConfigRejected', note: programmed.message });
  const resolved = is('ResolvedRefs');
  if (resolved?.reason === 'SecretNotFound' && was('ResolvedRefs')?.reason !== 'SecretNotFound')
    found.push({ type: 'Warning', reason: 'SecretNotFound', note: resolved.message });
  const outBefore = observedBackends(before);
  const outAfter = observedBackends(after);
  for (const [name, { reason }] of outAfter)
    if (!outBefore.has(name)) found.push({ type: 'Warning', reason: 'BackendEjected', note: `${name}: ${reason}` });
  for (const [name, { reason }] of outBefore)
    if (!outAfter.has(name)) found.push({ type: 'Normal', reason: 'BackendRecovered', note: `${name}: ${reason} is over` });
  return found;
}

function differs(
  before: { readonly status: string; readonly reason: string } | undefined,
  after: { readonly status: string; readonly reason: string },
): boolean {
  return before?.status !== after.status || before.reason !== after.reason;
}

/** Routes that a table has otherwise than the one before; both are sorted by id. Equal objects are skipped by identity. */
export function changedRoutes(
  before: RouteTable | undefined,
  after: RouteTable,
): readonly { readonly id: string; readonly before: Route | null; readonly after: Route | null }[] {
  const found: { readonly id: string; readonly before: Route | null; readonly after: Route | null }[] = [];
  if (before === after) return found;
  const allOld = before?.routes ?? [];
  const { head, tail } = sharedEnds(allOld, after.routes);
  const old = allOld.slice(head, allOld.length - tail);
  let at = 0;
  for (const route of after.routes.slice(head, after.routes.length - tail)) {
    let known = old[at];
    while (known !== undefined && known.id < route.id) {
      found.push({ id: known.id, before: known, after: null });
      known = old[++at];
    }
    if (known?.id === route.id) {
      if (known !== route) found.push({ id: route.id, before: known, after: route });
      at++;
    } else found.push({ id: route.id, before: null, after: route });
  }
  for (const known of old.slice(at)) found.push({ id: known.id, before: known, after: null });
  return found;
}

/** Models that go on as they were, with another credential. */
export function rotated(before: Route, after: Route): readonly string[] {
  return after.targets.flatMap(({ name, upstreamId, credentialId, credential }) => {
    const known = before.targets.find((target) => target.name === name && target.upstreamId === upstreamId);
    const differs = known?.credential != null && credential !== null && known.credentialId !== credentialId;
    return differs ? [name] : [];
  });
}
