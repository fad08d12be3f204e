/**
 * What a guardrail did. Blocked is a filter; masked is an answer in which names were replaced, and no failure. Without a trace,
 * which is the default, neither can be told. https://docs.aws.amazon.com/bedrock/latest/userguide/guardrails-use-converse-api.html
 */
import type { Failure } from '../../lib/failure.ts';
import { isObject, objectsOf, stringOf, type JsonObject } from '../../lib/json.ts';
import { failureOf, type ErrorOrigin } from '../shared/classify.ts';
import { NO_FACTS } from '../shared/error-facts.ts';
import type { Intervention } from '../shared/raw-messages.ts';

const MAX_CATEGORIES = 16;
const MAX_CATEGORY_CHARS = 64;

/** Where findings are in an assessment, and what they are called. Words that matched are the user's own and not repeated. */
const POLICIES: readonly (readonly [policy: string, list: string, prefix: string, name: string])[] = [
  ['topicPolicy', 'topics', 'topic', 'name'],
  ['contentPolicy', 'filters', 'content', 'type'],
  ['wordPolicy', 'customWords', 'word', ''],
  ['wordPolicy', 'managedWordLists', 'word', 'type'],
  ['sensitiveInformationPolicy', 'piiEntities', 'pii', 'type'],
  ['sensitiveInformationPolicy', 'regexes', 'regex', 'name'],
  ['contextualGroundingPolicy', 'filters', 'grounding', 'type'],
];

interface Findings {
  readonly blocked: string[];
  readonly masked: string[];
}

/** `trace`: of the answer; undefined where it has none. */
export function interventionOf(trace: unknown, origin: ErrorOrigin): Intervention {
  const guardrail = isObject(trace) ? trace['guardrail'] : undefined;
  const input = findingsOf(isObject(guardrail) ? guardrail['inputAssessment'] : undefined);
  const output = findingsOf(isObject(guardrail) ? guardrail['outputAssessments'] : undefined);
  const [phase, categories] =
    input.blocked.length > 0 ? (['prompt', input.blocked] as const) : (['completion', output.blocked] as const);
  if (categories.length > 0) return { kind: 'failed', failure: filtered(phase, categories, origin) };
  if (output.masked.length > 0) return { kind: 'masked', masked: { phase: 'completion', categories: output.masked } };
  if (input.masked.length > 0) return { kind: 'masked', masked: { phase: 'prompt', categories: input.masked } };
  return { kind: 'failed', failure: filtered('unknown', [], origin) };
}

/**
 * InvokeModel tells it in two members beside the model's own, in a stream in those of the last event; null: nothing intervened.
 * https://docs.aws.amazon.com/bedrock/latest/userguide/guardrails-use-invoke.html
 */
export function invokeInterventionOf(answer: JsonObject, origin: ErrorOrigin): Intervention | null {
  if (answer['amazon-bedrock-guardrailAction'] !== 'INTERVENED') return null;
  const trace = answer['amazon-bedrock-trace'];
  const guardrail = isObject(trace) && isObject(trace['guardrail']) ? trace['guardrail'] : {};
  const { input: inputAssessment, outputs } = guardrail;
  const outputAssessments = Object.fromEntries(objectsOf(outputs).flatMap((each) => Object.entries(each)));
  return interventionOf({ guardrail: { inputAssessment, outputAssessments } }, origin);
}

function filtered(phase: 'prompt' | 'completion' | 'unknown', categories: readonly string[], origin: ErrorOrigin): Failure {
  const facts = {
    ...NO_FACTS,
    code: 'guardrail_intervened',
    message: 'a guardrail intervened',
    categories,
    filteredPhase: phase,
  };
  return failureOf('completion_filtered', facts, origin);
}

/** Assessments by guardrail: of the input one each, of the output a list each. */
function findingsOf(assessments: unknown): Findings {
  const findings: Findings = { blocked: [], masked: [] };
  if (!isObject(assessments)) return findings;
  for (const each of Object.values(assessments)) {
    for (const assessment of Array.isArray(each) ? objectsOf(each) : isObject(each) ? [each] : [])
      addFindings(assessment, findings);
  }
  return findings;
}

function addFindings(assessment: JsonObject, { blocked, masked }: Findings): void {
  for (const [policy, list, prefix, name] of POLICIES) {
    const found = assessment[policy];
    if (!isObject(found)) continue;
    for (const item of objectsOf(found[list])) {
      const category = (name === '' ? `${prefix}:custom` : `${prefix}:${stringOf(item[name])}`).slice(0, MAX_CATEGORY_CHARS);
      const into = item['action'] === 'BLOCKED' ? blocked : item['action'] === 'ANONYMIZED' ? masked : null;
      if (into !== null && into.length < MAX_CATEGORIES && !into.includes(category)) into.push(category);
    }
  }
}
