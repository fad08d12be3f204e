import { describe, expect, it } from '@jest/globals';

import { parseObject, type ApiObject } from '../../api/parse.ts';
import { compile, createCompileMemo, type Compilation } from '../../compile/compile.ts';
import { snapshotOf } from '../../compile/snapshot.ts';
import type { RouteTable } from '../../routetable/types.ts';
import { QuotaProgress } from './quota-progress.ts';
import { quotaProgrammed } from './quota-status.ts';

const GATEWAY = 'platform/default';
const QUOTA = 'platform/fair';

function parsed(kind: string, name: string, spec: unknown): ApiObject {
  const annotations = kind === 'LLMGateway' ? { 'fairlead.dev/is-default-gateway': 'true' } : {};
  const metadata = { name, namespace: 'platform', generation: 1, annotations };
  const result = parseObject({ apiVersion: 'fairlead.dev/v1alpha1', kind, metadata, spec });
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return result.value;
}

const gateway = parsed('LLMGateway', 'default', {});

function route(name: string, modelName = name): ApiObject {
  const models = [{ name: 'm', provider: { type: 'OpenAI' }, auth: { type: 'None' } }];
  return parsed('LLMRoute', name, { modelNames: [modelName], models, rules: [{ name: 'default', targets: [{ model: 'm' }] }] });
}

function quota(limit: number, targets: readonly unknown[] = [{ kind: 'LLMGateway', name: 'default' }]): ApiObject {
  return parsed('LLMQuota', 'fair', { targetRefs: targets, limits: [{ name: 'all', unit: 'Requests', limit, window: '1m' }] });
}

/** Publishes what is compiled, as the operator does; the sequence grows with each table that differs. */
class Publisher {
  readonly #there = new Set<string>();
  readonly progress = new QuotaProgress((id) => this.#there.has(id));
  readonly #memo = createCompileMemo();
  #table: RouteTable | undefined = undefined;
  #sequence = 0;

  publish(...objects: readonly ApiObject[]): Compilation {
    this.#there.clear();
    for (const { kind, metadata } of objects) if (kind === 'LLMQuota') this.#there.add(`platform/${metadata.name}`);
    const compiled = compile(snapshotOf(objects), { resolveService: 'Cluster', loopbackAllowed: false }, this.#memo);
    const table = compiled.tables.get(GATEWAY);
    if (table === undefined) throw new Error('there is no table');
    if (table !== this.#table) this.progress.published(GATEWAY, this.#table, table, ++this.#sequence);
    this.#table = table;
    return compiled;
  }

  get sequences(): readonly number[] {
    return this.progress.placesOf(QUOTA).map(({ sequence }) => sequence);
  }
}

describe('QuotaProgress', () => {
  const one = route('one');
  const fair = quota(1);

  it('moves with what the quota says, and with the routes that it is over, not with other edits of routes', () => {
    const publisher = new Publisher();
    publisher.publish(gateway, one, fair);
    expect(publisher.sequences).toEqual([1]);
    publisher.publish(gateway, route('one', 'renamed'), fair);
    expect(publisher.sequences).toEqual([1]);
    const edited = quota(2);
    publisher.publish(gateway, route('one', 'renamed'), edited);
    expect(publisher.sequences).toEqual([3]);
    publisher.publish(gateway, route('one', 'renamed'), route('two'), edited);
    expect(publisher.sequences).toEqual([4]);
    publisher.publish(gateway, route('two'), edited);
    expect(publisher.sequences).toEqual([4]);
  });

  it('waits for pods that have to let go of it, and forgets a quota that is gone', () => {
    const publisher = new Publisher();
    publisher.publish(gateway, one, fair);
    publisher.publish(gateway, one, quota(1, [{ kind: 'LLMRoute', name: 'other' }]));
    expect(publisher.sequences).toEqual([2]);
    expect([...publisher.progress.at(GATEWAY, 'open')]).toEqual([QUOTA]);
    publisher.progress.settled(GATEWAY, QUOTA);
    expect([[...publisher.progress.at(GATEWAY, 'open')], [...publisher.progress.at(GATEWAY, 'all')]]).toEqual([[], [QUOTA]]);
    publisher.progress.forgetQuota(QUOTA);
    expect(publisher.sequences).toEqual([]);
  });

  it('does not remember a quota again when its limits go, after it', () => {
    const publisher = new Publisher();
    publisher.publish(gateway, one, fair);
    publisher.progress.forgetQuota(QUOTA);
    publisher.publish(gateway, one);
    expect(publisher.sequences).toEqual([]);
    expect([...publisher.progress.at(GATEWAY, 'open')]).toEqual([]);
    publisher.publish(gateway, one, quota(3));
    expect(publisher.sequences).toEqual([3]);
  });
});

describe('Programmed of a quota', () => {
  const ALL = { readyPods: 3, programmedPods: 3, rejected: [] };
  const SOME = { readyPods: 3, programmedPods: 2, rejected: [] };
  const REFUSED = { readyPods: 3, programmedPods: 2, rejected: [{ pod: 'pod-1', reason: 'team-a/chat: it throws' }] };
  const told = (of: ApiObject, progress: readonly (typeof REFUSED | typeof ALL)[], unserved: readonly string[] = []): string => {
    const compiled = new Publisher().publish(gateway, of).statusOf(`LLMQuota/${QUOTA}`);
    if (compiled === undefined) throw new Error('the quota has no status');
    const { status, reason, message, observedGeneration } = quotaProgrammed({ compiled, unserved, progress, generation: 7 });
    expect(observedGeneration).toBe(7);
    return `${status} ${reason}: ${message}`;
  };

  it('is true when every ready pod of every gateway holds it, or no route is there that it could limit', () => {
    expect(told(quota(1), [ALL, ALL])).toBe('True Programmed: every ready gateway pod holds this');
    expect(told(quota(1), [])).toBe('True Programmed: no route is served that it would limit');
  });

  it('says what it waits for', () => {
    expect(told(quota(1), [ALL, SOME])).toBe('False PartiallyProgrammed: 2 of 3 ready gateway pods hold this');
    expect(told(quota(1), [REFUSED])).toBe('False RejectedByDataPlane: pod pod-1 refuses it: team-a/chat: it throws');
    expect(told(quota(1), [{ ...ALL, readyPods: 0, programmedPods: 0 }])).toBe('False NoGatewayPods: no gateway pod is ready');
    expect(told(quota(1), [ALL], [GATEWAY])).toBe(
      `False Pending: LLMGateway ${GATEWAY} cannot be served as it is meant; its status says why`,
    );
    expect(told(quota(1, [{ kind: 'LLMRoute', name: 'gone' }]), [])).toBe(
      'False Pending: it limits nothing: ResolvedRefs says why',
    );
  });

  it('is false where a limit is not one, whatever else of it holds', () => {
    const calendar = { period: 'Day', timeZone: 'Nowhere' };
    const wrong = parsed('LLMQuota', 'fair', {
      targetRefs: [{ kind: 'LLMGateway', name: 'default' }],
      limits: [{ name: 'all', unit: 'Requests', limit: 1, calendar }],
    });
    expect(told(wrong, [ALL])).toBe('False Pending: it is not accepted: InvalidSpec');
  });
});
