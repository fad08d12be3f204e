import type { LLMGateway } from '../api/v1alpha1/llmgateway.ts';
import type { Read } from './memo.ts';

/** For whom a model is compiled. */
export interface ModelContext {
  readonly read: Read;
  /** Where its Secrets and ConfigMaps are. */
  readonly namespace: string;
  /** It is an LLMBackend, or one that a route refers to. */
  readonly isBackend?: boolean;
  /** Whose `upstreams.allow` holds; null: not asked. */
  readonly gateway: LLMGateway | null;
}
