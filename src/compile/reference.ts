import { REASONS } from './status.ts';

const MEANINGS: Readonly<Record<keyof typeof REASONS, string>> = {
  Accepted: 'The object is valid and a gateway takes it.',
  ResolvedRefs:
    'Everything it names is there, and it may name it. A model whose Secret or backend is missing is left out, the rest serves; of a quota, what it may not limit is not limited, the rest is.',
  FullyServed: 'Present only when False: a field that this build does not serve, by its path, and what happens instead.',
  Programmed: 'Every ready gateway pod serves, or holds, what the object compiles to now. Set by the operator.',
  Ready: 'Each rule has a target that can serve. Set by the operator.',
  Rendered: 'The Deployment of an LLMGateway, and all beside it, is as its spec says. Set by the operator.',
  LimitsShared:
    'Present only when False: most of the pods have no answer of the Redis that limits are shared over, why, and what they do meanwhile. Set by the operator.',
  SnapshotComplete:
    'Present only when False: routes and client keys that a gateway pod does without when it starts while no operator is up. Set by the operator.',
};

const ALL = 'LLMRoute, LLMGateway, LLMBackend, LLMQuota';

const KINDS_OF: Readonly<Record<keyof typeof REASONS, string>> = {
  Accepted: ALL,
  ResolvedRefs: ALL,
  FullyServed: 'LLMRoute, LLMGateway',
  Programmed: 'LLMRoute, LLMGateway, LLMQuota',
  Ready: 'LLMRoute, LLMBackend',
  Rendered: 'LLMGateway',
  LimitsShared: 'LLMGateway',
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
