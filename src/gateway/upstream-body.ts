/** What of a client's body goes to a target, and what the target has no place for. */
import type { ParsedBody } from '../dialects/request-body.ts';
import { splicePieces } from '../dialects/splice-body.ts';
import type { Failure } from '../lib/failure.ts';
import type { Operation } from '../lib/operation.ts';
import type { Translation } from '../providers/provider.ts';
import type { Unsupported } from '../selection/types.ts';
import type { LoadedExchange, LoadedTarget } from './loaded-table.ts';

/** The client's bytes with the target's edits; where the target has other names for some members, with those. */
export function passedBody(body: ParsedBody, target: LoadedTarget, exchange: LoadedExchange): Buffer | readonly Buffer[] {
  const adapted = exchange.adapt(body.json);
  if (adapted === null) return splicePieces(body, target.edit);
  const { model, defaults, override } = target.edit;
  adapted['model'] = model ?? body.model;
  for (const [name, value] of defaults) if (!Object.hasOwn(adapted, name)) adapted[name] = value;
  for (const [name, value] of override) adapted[name] = value;
  return Buffer.from(JSON.stringify(adapted));
}

/** Before the choice: what keeps the target from serving all of the request; null: nothing. */
export function unsupportedBy(target: LoadedTarget, operation: Operation, body: ParsedBody): Unsupported | null {
  const translation = target.exchange(operation)?.translation ?? null;
  if (translation === null) return null;
  const { invalid, refused } = translation.lacks(body);
  const [wrong] = invalid;
  if (wrong !== undefined) return { param: wrong.param, detail: wrong.message, droppable: false };
  const [param] = refused;
  if (param === undefined) return null;
  const names = refused.map((name) => JSON.stringify(name)).join(', ');
  return { param, detail: `${target.target.provider} cannot take ${names}`, droppable: target.target.unsupported === 'Drop' };
}

export interface LeftOut {
  /** The target was not chosen by its abilities, and does not have them. */
  readonly refusal: Failure | null;
  /** Members that are left out, by the client's names. */
  readonly dropped: readonly string[];
}

/** At the call: a target that a filter's or an overflow's rule names was not asked before. */
export function leftOut({ target }: LoadedTarget, translation: Translation, body: ParsedBody): LeftOut {
  const { invalid, refused, hints } = translation.lacks(body);
  const [wrong] = invalid;
  const reject = target.unsupported === 'Reject' ? refused[0] : undefined;
  if (wrong === undefined && reject === undefined) return { refusal: null, dropped: [...refused, ...hints] };
  const message = wrong?.message ?? `${target.name} cannot take ${JSON.stringify(reject)}`;
  return { refusal: { kind: 'invalid_request', message }, dropped: [] };
}
