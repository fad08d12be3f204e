/** LLMGateway → the Kubernetes objects of its fleet. Pure and deterministic: the same input gives the same bytes. */
import type { LLMGateway } from '../api/v1alpha1/llmgateway.ts';
import type { RenderContext, RenderedGateway } from './types.ts';

export function renderGateway(gateway: LLMGateway, context: RenderContext): RenderedGateway {
  void gateway;
  void context;
  return { held: null, objects: [], replicas: null, unwanted: [], issues: [] };
}
