/** A route. `models` and `rules`: YAML of those members, indented by two; `modelNames`: in flow style without brackets. */
export function chatRouteYaml(models: string, rules: string, { namespace = 'default', modelNames = 'chat' } = {}): string {
  return `
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat, namespace: ${namespace}}
spec:
  modelNames: [${modelNames}]
  models:
${models}
  rules:
${rules}
`;
}

/** An upstream of a route: its URL, or members of its entry in `spec.models` (YAML, in flow style without braces). */
export type Model = string | { readonly url: string; readonly more: string };

/**
 * A route for the model name `chat` whose models are tried in the order given. `rule` is YAML for its one rule, indented by four;
 * `spec` for the route's spec, by two.
 */
export function routeYaml(models: Readonly<Record<string, Model>>, rule = '', spec = ''): string {
  const entries = Object.entries(models).map(([name, model]) => {
    const url = typeof model === 'string' ? model : model.url;
    const more = typeof model === 'string' ? '' : `, ${model.more}`;
    return `  - {name: ${name}, provider: {type: OpenAICompatible, openAICompatible: {model: ${name}-upstream, baseURL: "${url}"}}, auth: {type: None}${more}}`;
  });
  const targets = Object.keys(models).map((name, priority) => `{model: ${name}, priority: ${priority}}`);
  const rules = `  - name: default
    targets: [${targets.join(', ')}]
${rule}
${spec}`;
  return chatRouteYaml(entries.join('\n'), rules);
}

/**
 * The default gateway of the namespace `platform`, whose limits, health and answers are in Redis at a port of this machine, or at several
 * (those of sentinels, of a Cluster's nodes). `spec` and `redis`: more members, YAML in flow style without braces.
 */
export function redisGatewayYaml(port: number | readonly { readonly port: number }[], { spec = '', redis = '' } = {}): string {
  const ports = typeof port === 'number' ? [{ port }] : port;
  const url = ports.map((each) => `redis://127.0.0.1:${each.port}`).join(',');
  const members = [`redis: {${['addressRef: {name: redis}', redis].filter((text) => text !== '').join(', ')}}`, spec];
  return `
apiVersion: fairlead.dev/v1alpha1
kind: LLMGateway
metadata: {name: default, namespace: platform, annotations: {fairlead.dev/is-default-gateway: "true"}}
spec: {${members.filter((text) => text !== '').join(', ')}}
---
apiVersion: v1
kind: Secret
metadata: {name: redis, namespace: platform}
stringData: {url: "${url}"}
`;
}
