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
  return `
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat, namespace: default}
spec:
  modelNames: [chat]
  models:
${entries.join('\n')}
  rules:
  - name: default
    targets: [${targets.join(', ')}]
${rule}
${spec}
`;
}
