/** Every object that a test of this project, its documentation or one of its commands gives to a user or takes from one. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { fullBackend, fullGateway, fullQuota, fullRoute, withValue } from '../../src/api/testdata/fixtures.ts';
import { MALFORMED, VIOLATIONS } from '../../src/api/testdata/violations.ts';
import { parseYamlDocuments } from '../../src/api/yaml.ts';
import { demoRoutes } from '../../src/cli/demo-routes.ts';
import { STARTER } from '../../src/cli/starter.ts';

const ROOT = join(import.meta.dirname, '..', '..');

export interface Fixture {
  readonly name: string;
  readonly object: { readonly [member: string]: unknown };
}

/** A text of YAML that is read here as kubectl reads it. */
export interface YamlFixture {
  readonly name: string;
  readonly text: string;
}

export function yamlFixtures(): YamlFixture[] {
  const files = globSync(['src/**/testdata/*.in.yaml', 'manifests/**/*.yaml'], { cwd: ROOT }).sort();
  return [
    ...files.map((name) => ({ name, text: readFileSync(join(ROOT, name), 'utf8') })),
    ...[...readFileSync(join(ROOT, 'README.md'), 'utf8').matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text = ''], index) => ({
      name: `README.md, block ${index + 1}`,
      text,
    })),
    { name: 'fairlead demo', text: demoRoutes('http://127.0.0.1:1') },
    { name: 'fairlead init', text: STARTER },
  ];
}

/** Objects of a text of YAML; settings of a golden test are none. */
export function objectsIn({ name, text }: YamlFixture): Fixture[] {
  return parseYamlDocuments(text, name).documents.flatMap(({ value, line }) =>
    isObject(value) && 'kind' in value ? [{ name: `${name}:${line}`, object: value }] : [],
  );
}

export function fixtures(): Fixture[] {
  return [
    { name: 'a route with every part', object: fullRoute() },
    { name: 'a gateway with every part', object: fullGateway() },
    { name: 'a backend with every part', object: fullBackend() },
    { name: 'a quota with every part', object: fullQuota() },
    ...[...VIOLATIONS, ...MALFORMED].map(([draft, path, value, expected]) => ({
      name: `${path} = ${JSON.stringify(value)}: ${expected}`,
      object: withValue(draft, path, value),
    })),
    ...yamlFixtures().flatMap(objectsIn),
  ];
}

function isObject(value: unknown): value is { readonly [member: string]: unknown } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
