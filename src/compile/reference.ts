import { REASONS } from './status.ts';

const MEANINGS: Readonly<Record<keyof typeof REASONS, string>> = {
  Accepted: 'The object is valid and a gateway takes it.',
  ResolvedRefs: 'Everything it names is there. A model whose Secret or backend is missing is left out; the rest serves.',
  FullyServed: 'Present only when False: a field that this build does not serve, by its path, and what happens instead.',
  Programmed: 'Every ready gateway pod serves what the object compiles to now. Set by the operator.',
  Ready: 'Each rule has a target that can serve. Set by the operator.',
  Rendered: 'The Deployment of an LLMGateway, and all beside it, is as its spec says. Set by the operator.',
  SnapshotComplete:
    'Present only when False: routes and client keys that a gateway pod does without when it starts while no operator is up. Set by the operator.',
};

const ALL = 'LLMRoute, LLMGateway, LLMBackend';

const KINDS_OF: Readonly<Record<keyof typeof REASONS, string>> = {
  Accepted: ALL,
  ResolvedRefs: ALL,
  FullyServed: ALL,
  Programmed: 'LLMRoute, LLMGateway',
  Ready: 'LLMRoute, LLMBackend',
  Rendered: 'LLMGateway',
  SnapshotComplete: 'LLMGateway',
};

/** docs/reference/conditions.md */
export function renderConditionsReference(): string {
  const rows = Object.entries(REASONS).map(
    ([type, reasons]) =>
      `| \`${type}\` | ${KINDS_OF[type as keyof typeof REASONS]} | ${MEANINGS[type as keyof typeof REASONS]} | ${reasons.map((reason) => `\`${reason}\``).join(', ')} |`,
  );
  return `<!-- Generated from src/compile by \`npm run generate\`. Do not edit. -->
# Status conditions

\`kubectl get\`, \`kubectl wait\`, \`fairlead run\` and \`fairlead validate\` show these.

| condition | of | meaning | reasons |
|---|---|---|---|
${rows.join('\n')}
`;
}
