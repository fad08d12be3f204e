/** Which Secrets, ConfigMaps and Services an object names: what has to be read before it can be compiled. */
import type { LLMBackend } from '../../api/v1alpha1/llmbackend.ts';
import type { LLMGateway } from '../../api/v1alpha1/llmgateway.ts';
import type { LLMQuota } from '../../api/v1alpha1/llmquota.ts';
import type { LLMRoute } from '../../api/v1alpha1/llmroute.ts';
import type { Auth, Provider } from '../../api/v1alpha1/model.ts';

/** All of the naming object's own namespace: no field can name one of another. */
export interface Named {
  readonly kind: 'Secret' | 'ConfigMap' | 'Service';
  readonly name: string;
}

type Settings = Pick<LLMRoute['spec']['models'][number], 'tls'> & {
  readonly provider?: Provider | undefined;
  readonly auth?: Auth | undefined;
};

export function namedBy(object: LLMRoute | LLMGateway | LLMBackend | LLMQuota): readonly Named[] {
  const found: Named[] = [];
  switch (object.kind) {
    case 'LLMRoute':
      for (const model of object.spec.models) addModel(found, model);
      for (const { selection } of object.spec.rules) {
        const scorer = selection.learned?.scorer;
        for (const ref of [scorer?.lexical?.artifactRef, scorer?.embedding?.artifactRef]) add(found, 'ConfigMap', ref?.name);
        add(found, 'Service', scorer?.external?.serviceRef?.name);
      }
      break;
    case 'LLMBackend':
      addModel(found, object.spec);
      break;
    case 'LLMGateway':
      add(found, 'Secret', object.spec.listener.tls?.secretRef.name);
      add(found, 'Secret', object.spec.redis?.addressRef.name);
      addAuthorities(found, object.spec.redis?.tls);
      add(found, 'ConfigMap', object.spec.prices?.configMapRef.name);
      break;
    case 'LLMQuota':
      break;
  }
  return found;
}

function addModel(found: Named[], { provider, auth, tls }: Settings): void {
  add(found, 'Secret', auth?.apiKey?.secretKeyRef.name);
  for (const ref of [auth?.aws?.secretRef, auth?.gcp?.secretRef, auth?.entra?.secretRef]) add(found, 'Secret', ref?.name);
  addAuthorities(found, tls);
  add(found, 'Service', provider?.openAICompatible?.serviceRef?.name);
}

function addAuthorities(found: Named[], tls: Settings['tls']): void {
  add(found, tls?.caRef?.kind ?? 'ConfigMap', tls?.caRef?.name);
}

function add(found: Named[], kind: Named['kind'], name: string | undefined): void {
  if (name !== undefined && !found.some((other) => other.kind === kind && other.name === name)) found.push({ kind, name });
}
