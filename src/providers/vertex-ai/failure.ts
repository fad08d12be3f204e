/** Claude on Vertex AI: Anthropic's errors, in Google's envelope where it is Google who refuses. */
import { ANTHROPIC_RULES } from '../anthropic/failure.ts';
import { GEMINI_RULES } from '../gemini/failure.ts';
import type { ErrorRule } from '../shared/classify.ts';

/** Google's rows go by names that Anthropic does not use; those by status alone come last in both. */
export const VERTEX_ANTHROPIC_RULES: readonly ErrorRule[] = [
  ...GEMINI_RULES.filter(({ status }) => status === undefined),
  ...ANTHROPIC_RULES,
];
