/** What stands for a route while our own code fails on what it is now: its last version that could be compiled, in the world of now. */
import type { LLMRoute } from '../api/v1alpha1/llmroute.ts';
import { recall, type Memory, type Read } from './memo.ts';
import type { CompiledRoute, FinishedRoute } from './route.ts';
import type { World } from './world.ts';

export interface SoundVersion {
  /** As it was last compiled without a fault. */
  readonly compiled: CompiledRoute;
  /** What that rests on. */
  readonly looks: Memory<CompiledRoute>['looks'];
  /** The same version for the world of now; null: our code fails on that, too. */
  readonly tried: Memory<CompiledRoute | null>;
  /** Something that it rests on is not there any more, a grant or a Secret: it must not be used on. */
  readonly isRevoked: boolean;
  readonly entries: FinishedRoute['entries'];
}

/** The version that has just been compiled, and finished. */
export function soundVersion(
  memory: Memory<CompiledRoute | null>,
  compiled: CompiledRoute,
  entries: FinishedRoute['entries'],
): SoundVersion {
  return { compiled, looks: memory.looks, tried: memory, isRevoked: false, entries };
}

/**
 * `failed`: what became of the route as it is now; `compile` must not throw. What was taken away since is not used on; what was only
 * edited, and fails this version as well, stays what it was.
 */
export function soundIn(
  world: World,
  sound: SoundVersion,
  failed: { readonly route: LLMRoute; readonly memory: Memory<CompiledRoute | null> },
  compile: (route: LLMRoute, read: Read) => CompiledRoute | null,
): SoundVersion {
  const { route } = sound.compiled;
  const tried = route === failed.route ? failed.memory : recall(sound.tried, world, (read) => compile(route, read));
  const compiled = tried.value ?? sound.compiled;
  const looks = tried.value === null ? sound.looks : tried.looks;
  const isRevoked = looks.some(({ look, seen }) => isThere(seen) && !isThere(look(world)));
  if (compiled === sound.compiled && isRevoked === sound.isRevoked) return tried === sound.tried ? sound : { ...sound, tried };
  return { ...sound, compiled, looks, tried, isRevoked };
}

function isThere(seen: unknown): boolean {
  return seen !== undefined && seen !== null && seen !== false;
}
