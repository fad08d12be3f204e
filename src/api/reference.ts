/** The field reference for people, from the same schemas as the CRDs. Pure; `cmd/generate` writes it to `docs/reference/api.md`. */
import { KINDS, objectSchema } from './crd.ts';
import type { StructuralSchema } from './structural.ts';
import { API_VERSION, GROUP } from './v1alpha1/common.ts';

export function renderApiReference(): string {
  const toc = KINDS.map(({ kind, shortName }) => `- [${kind}](#${kind.toLowerCase()}) (\`${shortName}\`)`);
  const sections = KINDS.map((definition) => {
    const { properties = {} } = objectSchema(definition);
    const rows = (['spec', 'status'] as const).flatMap((name) => {
      const schema = properties[name];
      return schema === undefined
        ? []
        : [
            `### ${definition.kind}: ${name}`,
            '',
            '| field | type | default | what it is |',
            '|---|---|---|---|',
            ...tableRows(name, schema, false),
            '',
            ...ruleList(name, schema),
          ];
    });
    return [`## ${definition.kind}`, '', definition.description, '', ...rows].join('\n');
  });
  return [
    '# API reference',
    '',
    `Every field of \`${API_VERSION}\`, generated from the schemas in \`src/api\` by \`npm run generate\`. \`kubectl explain llmroute.spec\` says the same.`,
    `A field in **bold** is required within its object. \`[]\` stands for an entry of a list, \`{}\` for a value of a map. Kinds of the group \`${GROUP}\`:`,
    '',
    ...toc,
    '',
    ...sections,
  ].join('\n');
}

function tableRows(path: string, schema: StructuralSchema, required: boolean): string[] {
  const shown = path.replace(/^(spec|status)\./, '');
  const cells = [
    required ? `**\`${shown}\`**` : `\`${shown}\``,
    typeText(schema),
    schema.default === undefined ? '' : `\`${JSON.stringify(schema.default)}\``,
    [schema.description ?? '', ...constraints(schema)].filter((text) => text !== '').join(' '),
  ];
  const own = path === 'spec' || path === 'status' ? [] : [`| ${cells.map(escapeCell).join(' | ')} |`];
  return [...own, ...nested(path, schema)];
}

function nested(path: string, schema: StructuralSchema): string[] {
  if (schema.properties !== undefined) {
    return Object.entries(schema.properties).flatMap(([name, property]) =>
      tableRows(`${path}.${name}`, property, schema.required?.includes(name) ?? false),
    );
  }
  if (schema.items?.properties !== undefined) return nested(`${path}[]`, schema.items);
  if (schema.additionalProperties?.properties !== undefined) return nested(`${path}{}`, schema.additionalProperties);
  return [];
}

function typeText(schema: StructuralSchema): string {
  if (schema['x-kubernetes-int-or-string'] === true) return 'integer or string';
  if (schema['x-kubernetes-preserve-unknown-fields'] === true) return 'any object';
  if (schema.items !== undefined) return `list of ${typeText(schema.items)}`;
  if (schema.additionalProperties !== undefined) return `map of ${typeText(schema.additionalProperties)}`;
  if (schema.enum !== undefined) return schema.enum.map((word) => `\`${word}\``).join(', ');
  return schema.type ?? '';
}

/** Bounds that a reader would not guess; the description gives the meaning. */
function constraints(schema: StructuralSchema): string[] {
  const found: string[] = [];
  const { minimum, maximum, minItems, maxItems, maxLength, maxProperties } = schema;
  if (minimum !== undefined && maximum !== undefined) found.push(`From ${minimum} to ${maximum}.`);
  else if (minimum !== undefined) found.push(`At least ${minimum}.`);
  if (minItems !== undefined && maxItems !== undefined) found.push(`${minItems} to ${maxItems} entries.`);
  else if (maxItems !== undefined) found.push(`At most ${maxItems} entries.`);
  if (maxProperties !== undefined) found.push(`At most ${maxProperties} entries.`);
  if (maxLength !== undefined && schema.enum === undefined) found.push(`At most ${maxLength} characters.`);
  const keys = schema['x-kubernetes-list-map-keys'];
  if (keys !== undefined) found.push(`Entries are told apart by \`${keys.join('`, `')}\`.`);
  return found;
}

function ruleList(path: string, schema: StructuralSchema): string[] {
  const rules = collectRules(path, schema);
  return rules.length === 0
    ? []
    : ['Rules over several fields:', '', ...rules.map(({ at, message }) => `- \`${at}\`: ${message}`), ''];
}

function collectRules(path: string, schema: StructuralSchema): { readonly at: string; readonly message: string }[] {
  return [
    ...(schema['x-kubernetes-validations'] ?? []).map(({ message }) => ({ at: path, message })),
    ...Object.entries(schema.properties ?? {}).flatMap(([name, property]) => collectRules(`${path}.${name}`, property)),
    ...(schema.items === undefined ? [] : collectRules(`${path}[]`, schema.items)),
    ...(schema.additionalProperties === undefined ? [] : collectRules(`${path}{}`, schema.additionalProperties)),
  ].filter(({ message }) => !SELF_EVIDENT.has(message));
}

/** True of every duration: said once by what a duration is. */
const SELF_EVIDENT: ReadonlySet<string> = new Set(['a duration must be longer than zero']);

function escapeCell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
