import type { Result } from '../lib/result.ts';

/**
 * Why a call to the API server has no value. A value and not an exception: each of these is expected in operation.
 *
 * - `not_found` the object; `absent` its kind: the CRD is not installed (or not yet served)
 * - `conflict` the object is no longer what the call was bound to; `already_exists` on create
 * - `unauthorized` (401), `forbidden` (403); `invalid` (400, 422): the object, `causes` says which fields
 * - `gone` the resourceVersion or the list's continuation is too old, or from the future
 * - `throttled` (429); `unavailable` the server or the way to it: 5xx, refused, reset; `timeout` no answer in time. All three pass
 * - `malformed` an answer that is none of Kubernetes
 * - `guarded` the call's guard said no, nothing was sent; `stopped` the caller ended it
 */
export type KubeFailureKind =
  | 'not_found'
  | 'absent'
  | 'conflict'
  | 'already_exists'
  | 'unauthorized'
  | 'forbidden'
  | 'invalid'
  | 'gone'
  | 'throttled'
  | 'unavailable'
  | 'timeout'
  | 'malformed'
  | 'guarded'
  | 'stopped';

export interface FailureCause {
  readonly field: string;
  readonly reason: string;
  readonly message: string;
}

export interface KubeFailure {
  readonly kind: KubeFailureKind;
  /** For people: verb, object and what the server said. Carries no credential and no body of ours. */
  readonly message: string;
  /** HTTP status, where there was an answer. */
  readonly status?: number;
  /** How long the server asks to wait. */
  readonly retryAfterMs?: number;
  readonly causes?: readonly FailureCause[];
}

export type KubeResult<T> = Result<T, KubeFailure>;

/** Whether the same call may succeed later without anybody changing anything. */
export function isTransient(failure: KubeFailure): boolean {
  return (
    failure.kind === 'throttled' || failure.kind === 'unavailable' || failure.kind === 'timeout' || failure.kind === 'malformed'
  );
}
