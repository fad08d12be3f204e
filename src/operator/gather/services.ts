/** The Services that serviceRefs name: of each the few facts that decide whether it may be called. */
import type { ServiceFacts } from '../../compile/snapshot.ts';
import type { KubeObject } from '../../kube/objects.ts';
import { isObject } from '../../lib/json.ts';

export class ServiceBook {
  readonly #services = new Map<string, ServiceFacts>();
  #list: readonly ServiceFacts[] | null = null;

  /** null: it is not there, or nobody names it. */
  set(id: string, object: KubeObject | null): void {
    const facts = object === null ? null : factsOf(object);
    const before = this.#services.get(id) ?? null;
    if (JSON.stringify(facts) === JSON.stringify(before)) return;
    if (facts === null) this.#services.delete(id);
    else this.#services.set(id, facts);
    this.#list = null;
  }

  list(): readonly ServiceFacts[] {
    return (this.#list ??= [...this.#services.values()]);
  }
}

function factsOf({ metadata, ...object }: KubeObject): ServiceFacts {
  const spec = isObject(object['spec']) ? object['spec'] : {};
  const ports = Array.isArray(spec['ports']) ? (spec['ports'] as readonly unknown[]) : [];
  return {
    metadata: { namespace: metadata.namespace ?? '', name: metadata.name },
    type: typeof spec['type'] === 'string' ? spec['type'] : 'ClusterIP',
    ports: ports.flatMap((entry) => (isObject(entry) && typeof entry['port'] === 'number' ? [entry['port']] : [])),
  };
}
