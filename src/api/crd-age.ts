/**
 * Whether the CRDs that a cluster has are older than this build: Helm never upgrades them, and a field that an old one lacks is
 * refused by the API server or, without strict validation, dropped in silence.
 */
import { member } from '../lib/json.ts';
import { objectSchema, type KindDefinition } from './crd.ts';
import type { StructuralSchema } from './structural.ts';
import { VERSION } from './v1alpha1/common.ts';

/**
 * What the installed CustomResourceDefinition, as the API server gives it, lacks of the schema of this build: paths of fields
 * (`spec.rules[].failover.hedge`) and values (`spec.redis.mode: Cluster`). Empty: it is as new or newer.
 */
export function lacksOf(definition: KindDefinition, installed: unknown): readonly string[] {
  const versions = member(member(installed, 'spec'), 'versions');
  const version = Array.isArray(versions)
    ? (versions as readonly unknown[]).find((entry) => member(entry, 'name') === VERSION)
    : undefined;
  const schema = member(member(version, 'schema'), 'openAPIV3Schema');
  return schema === undefined ? [`version ${VERSION}`] : missing(objectSchema(definition), schema, '');
}

/** Without these there is no installation; where only others are absent, it is one of an older release. */
const ALWAYS_INSTALLED = ['LLMRoute', 'LLMGateway'] as const;

/** `absent`: the kinds of ours that a cluster does not know. */
export function isOlderInstallation(absent: ReadonlySet<string>): boolean {
  return absent.size > 0 && ALWAYS_INSTALLED.every((kind) => !absent.has(kind));
}

function missing(own: StructuralSchema, theirs: unknown, path: string): readonly string[] {
  const known = member(theirs, 'enum');
  const values = Array.isArray(known) ? (own.enum ?? []).filter((value) => !known.includes(value)) : [];
  return [
    ...values.map((value) => `${path}: ${value}`),
    ...Object.entries(own.properties ?? {}).flatMap(([name, schema]) => {
      const below = path === '' ? name : `${path}.${name}`;
      const found = member(member(theirs, 'properties'), name);
      return found === undefined ? [below] : missing(schema, found, below);
    }),
    ...(own.items === undefined ? [] : missing(own.items, member(theirs, 'items'), `${path}[]`)),
    ...(own.additionalProperties === undefined
      ? []
      : missing(own.additionalProperties, member(theirs, 'additionalProperties'), `${path}{}`)),
  ];
}
