/** LLMBackend on its own: its status. What routes make of it is compiled with each route. */
import type { LLMBackend } from '../api/v1alpha1/llmbackend.ts';
import type { Read } from './memo.ts';
import { compileModel } from './model.ts';
import { conditionOf, type ObjectStatus } from './status.ts';

export function compileBackend({ metadata, spec }: LLMBackend, read: Read): ObjectStatus {
  const { namespace, name, generation } = metadata;
  // Where it may be called from depends on the gateway, so that is said of each route.
  const { issues, warnings } = compileModel(name, spec, 'spec', { read, namespace, gateway: null, isBackend: true });
  return {
    kind: 'LLMBackend',
    namespace,
    name,
    conditions: [conditionOf('Accepted', [], generation), conditionOf('ResolvedRefs', issues, generation)],
    parents: [],
    unresolved: issues,
    warnings,
    notServed: [],
  };
}
