/** What stands for a gateway while it cannot be served as it is meant: its last version that could, with the client keys of now. */
import type { LLMGateway } from '../api/v1alpha1/llmgateway.ts';
import type { ClientKey, GatewaySettings } from '../routetable/types.ts';
import { clientKeys, type KeyMemo } from './keys.ts';
import type { World } from './world.ts';

export interface SoundGateway {
  readonly gateway: LLMGateway;
  readonly settings: GatewaySettings;
}

/** Another of the same name, made after the first was deleted, has nothing of it. */
export function isOfSame(sound: SoundGateway, gateway: LLMGateway): boolean {
  return sound.gateway.metadata.uid === gateway.metadata.uid;
}

/**
 * As this version selects them: a key that was revoked since is not among them. `served`: what was served last; it stays where the version
 * of now selects others, since only those are read.
 */
export function keysOfSound(
  { gateway, settings }: SoundGateway,
  now: LLMGateway,
  served: readonly ClientKey[] | null,
  world: World,
  memo: KeyMemo,
): readonly ClientKey[] | null {
  if (settings.clientAuth === 'None') return [];
  const selectorOf = ({ spec }: LLMGateway): string => JSON.stringify(spec.clientAuth.apiKeySelector);
  return selectorOf(gateway) === selectorOf(now) ? clientKeys(gateway, world.secrets.values(), memo).keys : served;
}
