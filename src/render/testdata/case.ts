/** One golden case: an LLMGateway through the real parse, and beside it what differs from the usual context. */
import { Document, visit } from 'yaml';

import { parseObject } from '../../api/parse.ts';
import type { LLMGateway } from '../../api/v1alpha1/llmgateway.ts';
import { parseYamlDocuments } from '../../api/yaml.ts';
import { formatIssue } from '../../lib/issue.ts';
import type { RenderContext, RenderedGateway } from '../types.ts';

export interface Case {
  readonly gateway: LLMGateway;
  readonly context: RenderContext;
}

export const CONTEXT: RenderContext = {
  image: 'registry.example.com/fairlead:0.2.0',
  imagePullPolicy: 'IfNotPresent',
  version: '0.2.0',
  stream: { url: 'https://fairlead-stream.fairlead-system.svc:9443', audience: 'fairlead-operator' },
  caBundle: { configMap: 'fairlead-ca', key: 'ca.crt' },
  crds: { podMonitor: false, scaledObject: false },
  podMonitorLabels: {},
  prometheusUrl: null,
};

/** A document with the one key `context` changes the context; the other is the LLMGateway as a user would apply it. */
export function parseCase(file: string, text: string): Case {
  const { documents, issues } = parseYamlDocuments(text, file);
  if (issues.length > 0) throw new Error(issues.map(({ message }) => message).join('\n'));
  let context = CONTEXT;
  let gateway: LLMGateway | undefined;
  for (const { value } of documents) {
    const changed = (value as { readonly context?: Partial<RenderContext> }).context;
    if (changed !== undefined) {
      context = { ...CONTEXT, ...changed };
      continue;
    }
    const parsed = parseObject(value);
    if (!parsed.ok) throw new Error(`${file}: ${parsed.error.map(formatIssue).join('; ')}`);
    if (parsed.value.kind !== 'LLMGateway') throw new Error(`${file}: ${parsed.value.kind} is not rendered`);
    gateway = parsed.value;
  }
  if (gateway === undefined) throw new Error(`${file} has no LLMGateway`);
  return { gateway, context };
}

/** First what the operator is told, then one document an object. */
export function printCase({ held, unwanted, objects, replicas, issues }: RenderedGateway): string {
  const summary = {
    held,
    issues: issues.map((found) => `${found.reason}: ${formatIssue(found)}`),
    unwanted: unwanted.map(({ apiVersion, kind, namespace, name }) => `${apiVersion} ${kind} ${namespace}/${name}`),
    replicas,
  };
  return [summary, ...objects].map(toYaml).join('---\n');
}

/** Small things stand on one line. */
const MAX_FLOW_CHARS = 110;

function toYaml(value: unknown): string {
  const document = new Document(value, { aliasDuplicateObjects: false });
  visit(document, {
    Collection(_, node) {
      node.flow = JSON.stringify(node).length <= MAX_FLOW_CHARS;
    },
  });
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

/** The same with every map written the other way round. */
export function reversed<T>(value: T): T {
  if (Array.isArray(value)) return value.map(reversed) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, member]) => [key, reversed(member as unknown)]),
  ) as T;
}
