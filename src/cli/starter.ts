/** What `fairlead init` writes. A test holds it to what `validate` accepts. */
export const STARTER = `# One endpoint for the models you use: OpenAI, and a model of your own when OpenAI cannot answer.
#
#   fairlead validate -f llmroute.yaml
#   fairlead run -f llmroute.yaml --watch --secret openai/api-key=OPENAI_API_KEY
#   kubectl apply -f llmroute.yaml          # in a cluster with Fairlead; "kubectl explain llmroute.spec" has every field
#
# The key stays out of this file. In a cluster it is a Secret:
#   printf %s "$OPENAI_API_KEY" | kubectl create secret generic openai --from-file=api-key=/dev/stdin
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata:
  name: chat
spec:
  # What clients send as "model": exact, or with one trailing *.
  modelNames: [chat, "gpt-4o*"]

  # The pool: every model that rules may choose from.
  models:
  - name: openai
    provider:
      type: OpenAI                        # also AzureOpenAI, OpenAICompatible (vLLM, Ollama, Groq, …)
      openAI: {model: gpt-4o-mini}        # without it the client's own name goes through
    auth:
      type: APIKey
      apiKey: {secretKeyRef: {name: openai, key: api-key}}
    pricing: {input: "0.15", output: "0.60"}        # US dollars per million tokens
  - name: local
    provider:
      type: OpenAICompatible
      openAICompatible: {model: llama3.2, baseURL: "http://127.0.0.1:11434/v1"}   # Ollama; in a cluster: serviceRef {name, port}
    auth: {type: None}
    pricing: {input: "0", output: "0"}

  # The first rule that matches wins; the last one has no matches.
  rules:
  - name: private
    matches:
    - headers: [{name: x-data, value: private}]
    targets:
    - {model: local}
  - name: default
    targets:
    - {model: openai, priority: 0}        # the lower priority number goes first
    - {model: local, priority: 1}         # answers when openai is down, slow or rate limited
    failover:
      timeouts: {firstToken: 20s}
      contentFilter: {mode: Return}       # Failover, with targets: [local], sends refused prompts there: your decision

  # Every limit that applies must have room.
  rateLimits:
  - {name: requests-per-key, per: [APIKey], unit: Requests, limit: 600, window: 1m}
  - {name: tokens-per-tenant, per: [Tenant], unit: Tokens, limit: 200000, window: 1m}
`;
