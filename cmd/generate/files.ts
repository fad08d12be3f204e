/**
 * Everything in the repository that is generated from the source: one entry a file. To add one, give its path from the root and
 * a pure function of its content; `npm run generate` writes it, `npm run generate -- --check` and a test hold it.
 */
import { stringify } from 'yaml';

import { customResourceDefinition, KINDS } from '../../src/api/crd.ts';
import { renderApiReference } from '../../src/api/reference.ts';
import { GROUP } from '../../src/api/v1alpha1/common.ts';
import { renderConditionsReference } from '../../src/compile/reference.ts';
import { renderHttpReference } from '../../src/gateway/reference.ts';
import { renderMetricsReference } from '../../src/telemetry/reference.ts';

export interface GeneratedFile {
  /** From the repository's root, with `/`. */
  readonly path: string;
  readonly render: () => string;
}

const YAML_HEAD = '# Generated from src/api by `npm run generate`. Do not edit.\n';

/** YAML 1.1, so that what kubectl would read as a boolean is quoted. */
function toYaml(value: unknown): string {
  return YAML_HEAD + stringify(value, { version: '1.1', lineWidth: 0, aliasDuplicateObjects: false });
}

export const GENERATED: readonly GeneratedFile[] = [
  ...KINDS.map((definition) => ({
    path: `crds/${GROUP}_${definition.plural}.yaml`,
    render: () => toYaml(customResourceDefinition(definition)),
  })),
  { path: 'docs/reference/api.md', render: renderApiReference },
  { path: 'docs/reference/conditions.md', render: renderConditionsReference },
  { path: 'docs/reference/http.md', render: renderHttpReference },
  { path: 'docs/reference/metrics.md', render: renderMetricsReference },
];
