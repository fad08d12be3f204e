import { ANSWER_FILTER_WORD, PROMPT_FILTER_WORD } from './mock-models.ts';

/** Requests that the limited route admits a minute. */
export const DEMO_LIMIT = 3;

/** The demo's file: what a user would write, but for models that live in this process. `origin`: where they are. */
export function demoRoutes(origin: string): string {
  return `# The routes of "fairlead demo". The models are built in, so no key is needed; the rest is as it would be with real ones.

# A weighted choice between two models.
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat}
spec:
  modelNames: [chat]
  models:
  - name: fast
    provider: {type: OpenAICompatible, openAICompatible: {model: fast, baseURL: "${origin}/v1"}}
    auth: {type: None}
    pricing: {input: "0.10", output: "0.40"}
  - name: strong
    provider: {type: OpenAICompatible, openAICompatible: {model: strong, baseURL: "${origin}/v1"}}
    auth: {type: None}
    pricing: {input: "2.50", output: "10"}
  rules:
  - name: default
    targets:
    - {model: fast, weight: 80}
    - {model: strong, weight: 20}
---
# A model that fails, and one that answers when it does: lower priority numbers go first.
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: steady}
spec:
  modelNames: [steady]
  models:
  - name: flaky
    provider: {type: OpenAICompatible, openAICompatible: {model: flaky, baseURL: "${origin}/v1"}}
    auth: {type: None}
  - name: strong
    provider: {type: OpenAICompatible, openAICompatible: {model: strong, baseURL: "${origin}/v1"}}
    auth: {type: None}
    pricing: {input: "2.50", output: "10"}
  rules:
  - name: default
    targets:
    - {model: flaky, priority: 0}
    - {model: strong, priority: 1}
---
# A content filter that refuses. Where a refused prompt may go is the user's decision: the list in contentFilter.targets.
# (Its trigger words here: "${PROMPT_FILTER_WORD}" for the prompt, "${ANSWER_FILTER_WORD}" for the answer.)
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: guarded}
spec:
  modelNames: [guarded]
  models:
  - name: filtered
    provider: {type: AzureOpenAI, azureOpenAI: {endpoint: "${origin}", deployment: filtered, apiVersion: "2024-10-21"}}
    auth: {type: None}
  - name: strong
    provider: {type: OpenAICompatible, openAICompatible: {model: strong, baseURL: "${origin}/v1"}}
    auth: {type: None}
    pricing: {input: "2.50", output: "10"}
  rules:
  - name: default
    targets: [{model: filtered}]
    failover:
      contentFilter: {mode: Failover, targets: [strong]}
---
# A limit, for each client key.
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: limited}
spec:
  modelNames: [limited]
  models:
  - name: fast
    provider: {type: OpenAICompatible, openAICompatible: {model: fast, baseURL: "${origin}/v1"}}
    auth: {type: None}
    pricing: {input: "0.10", output: "0.40"}
  rules:
  - name: default
    targets: [{model: fast}]
  rateLimits:
  - {name: per-key, per: [APIKey], unit: Requests, limit: ${DEMO_LIMIT}, window: 1m}
---
# A model that keeps its clients waiting, and the longest that they should.
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: snappy}
spec:
  modelNames: [snappy]
  models:
  - name: slow
    provider: {type: OpenAICompatible, openAICompatible: {model: slow, baseURL: "${origin}/v1"}}
    auth: {type: None}
  - name: fast
    provider: {type: OpenAICompatible, openAICompatible: {model: fast, baseURL: "${origin}/v1"}}
    auth: {type: None}
    pricing: {input: "0.10", output: "0.40"}
  rules:
  - name: default
    targets:
    - {model: slow, priority: 0}
    - {model: fast, priority: 1}
    failover:
      timeouts: {firstToken: 250ms}
`;
}
