/**
 * Everything in the repository that is generated from the source: one entry a file. To add one, give its path from the root and
 * a function of its content; `npm run generate` writes it, `npm run generate -- --check` and a test hold it.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { stringify } from 'yaml';

import { customResourceDefinition, KINDS } from '../../src/api/crd.ts';
import { renderApiReference } from '../../src/api/reference.ts';
import { GROUP } from '../../src/api/v1alpha1/common.ts';
import { renderConditionsReference } from '../../src/compile/reference.ts';
import { renderHttpReference } from '../../src/gateway/reference.ts';
import { renderRights } from '../../src/operator/rights-reference.ts';
import { renderTranslationReference } from '../../src/providers/reference.ts';
import { renderMetricsReference } from '../../src/telemetry/reference.ts';
import { renderChartReadme, renderValuesSchema } from './chart.ts';
import { renderPriceList } from './price-list.ts';

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

const CHART = 'charts/fairlead';

/** Written by hand: the one source of the chart's README and schema. */
function chartValues(): string {
  return readFileSync(join(import.meta.dirname, '../..', CHART, 'values.yaml'), 'utf8');
}

const CRDS = KINDS.map((definition) => ({
  file: `${GROUP}_${definition.plural}.yaml`,
  definition: customResourceDefinition(definition),
}));

/** Helm never removes what is in a chart's `crds/`; the annotation says so to whoever renders them as templates. */
function keptByHelm(definition: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const metadata = definition['metadata'] as Readonly<Record<string, unknown>>;
  return { ...definition, metadata: { ...metadata, annotations: { 'helm.sh/resource-policy': 'keep' } } };
}

export const GENERATED: readonly GeneratedFile[] = [
  ...CRDS.map(({ file, definition }) => ({ path: `crds/${file}`, render: () => toYaml(definition) })),
  {
    path: 'crds/kustomization.yaml',
    render: () =>
      toYaml({ apiVersion: 'kustomize.config.k8s.io/v1beta1', kind: 'Kustomization', resources: CRDS.map(({ file }) => file) }),
  },
  ...CRDS.map(({ file, definition }) => ({ path: `${CHART}/crds/${file}`, render: () => toYaml(keptByHelm(definition)) })),
  { path: `${CHART}/values.schema.json`, render: () => renderValuesSchema(chartValues()) },
  { path: `${CHART}/README.md`, render: () => renderChartReadme(chartValues(), renderRights()) },
  { path: 'docs/reference/api.md', render: renderApiReference },
  { path: 'docs/reference/conditions.md', render: renderConditionsReference },
  { path: 'docs/reference/http.md', render: renderHttpReference },
  { path: 'docs/reference/metrics.md', render: renderMetricsReference },
  { path: 'docs/reference/translation.md', render: renderTranslationReference },
  { path: 'src/prices/price-list.generated.json', render: renderPriceList },
];
