/** LLMGateway → the Kubernetes objects of its fleet. Pure and deterministic: the same input gives the same bytes. */
import { API_VERSION } from '../api/v1alpha1/common.ts';
import type { LLMGateway } from '../api/v1alpha1/llmgateway.ts';
import { parseDurationMs } from '../lib/duration.ts';
import { issue, type Issue } from '../lib/issue.ts';
import { versionIssue } from './image.ts';
import { nameIssue, workloadName } from './names.ts';
import { replicas, scaler, SCALERS } from './scaling.ts';
import type { ObjectRef, RenderContext, RenderedGateway } from './types.ts';
import {
  deployment,
  disruptionBudget,
  networkPolicy,
  POD_MONITOR,
  podMonitor,
  service,
  serviceAccount,
  type ObjectInput,
} from './workload.ts';

export function renderGateway(gateway: LLMGateway, context: RenderContext): RenderedGateway {
  const { metadata, spec } = gateway;
  const drain = parseDurationMs(spec.drain.timeout);
  const found: readonly (Issue | undefined)[] = [
    nameIssue(metadata.name),
    versionIssue(spec.version, context.version),
    drain.ok ? undefined : issue('spec.drain.timeout', 'InvalidSpec', drain.error),
  ];
  const invalid = found.filter((one) => one !== undefined);
  if (spec.paused) return held('Paused', invalid);
  if (!drain.ok || invalid.length > 0) return held('Invalid', invalid);

  const input: ObjectInput = {
    gateway: { namespace: metadata.namespace, name: metadata.name },
    spec,
    drainMs: drain.value,
    context,
    // It blocks no deletion (no `blockOwnerDeletion`), which would need a right to the owner's finalizers.
    owner:
      metadata.uid === undefined
        ? null
        : { apiVersion: API_VERSION, kind: 'LLMGateway', name: metadata.name, uid: metadata.uid, controller: true },
  };
  const scaling = scaler(input);
  // In the order in which they need each other.
  const objects = [
    serviceAccount(input),
    networkPolicy(input),
    service(input),
    deployment(input),
    disruptionBudget(input),
    ...(scaling.object === null ? [] : [scaling.object]),
    ...(context.crds.podMonitor ? [podMonitor(input, context)] : []),
  ];
  const optional = [
    SCALERS.hpa,
    ...(context.crds.scaledObject ? [SCALERS.scaledObject] : []),
    ...(context.crds.podMonitor ? [POD_MONITOR] : []),
  ];
  return {
    held: null,
    unwanted: optional
      .filter(({ kind }) => objects.every((object) => object.kind !== kind))
      .map((type): ObjectRef => ({
        ...type,
        namespace: metadata.namespace,
        name: workloadName(metadata.name),
      })),
    objects,
    replicas: replicas(input),
    issues: scaling.issues,
  };
}

function held(why: 'Paused' | 'Invalid', issues: readonly Issue[]): RenderedGateway {
  return { held: why, unwanted: [], objects: [], replicas: null, issues };
}
