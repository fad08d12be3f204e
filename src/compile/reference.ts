import { REASONS } from './status.ts';

const MEANINGS: Readonly<Record<keyof typeof REASONS, string>> = {
  Accepted: 'The object is valid and a gateway takes it.',
  ResolvedRefs: 'Everything it names is there. A model whose Secret or backend is missing is left out; the rest serves.',
  FullyServed: 'Present only when False: a field that this build does not serve, by its path, and what happens instead.',
  Programmed: 'Every ready gateway pod serves what the object compiles to now. Set by the operator.',
  Ready: 'Each rule has a target that can serve. Set by the operator.',
};

/** docs/reference/conditions.md */
export function renderConditionsReference(): string {
  const rows = Object.entries(REASONS).map(
    ([type, reasons]) =>
      `| \`${type}\` | ${MEANINGS[type as keyof typeof REASONS]} | ${reasons.map((reason) => `\`${reason}\``).join(', ')} |`,
  );
  return `<!-- Generated from src/compile by \`npm run generate\`. Do not edit. -->
# Status conditions

\`kubectl get\`, \`kubectl wait\`, \`fairlead run\` and \`fairlead validate\` show these.

| condition | meaning | reasons |
|---|---|---|
${rows.join('\n')}
`;
}
