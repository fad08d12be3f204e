/** One golden case: `NAME.in.yaml` through the real parse and compile. */
import { parseObject, type ApiObject } from '../../api/parse.ts';
import { parseYamlDocuments } from '../../api/yaml.ts';
import { snapshotOf, type CompileOptions, type ServiceEndpoints, type ServiceFacts, type Snapshot } from '../snapshot.ts';
import { rejectedStatus, type ObjectStatus } from '../status.ts';

export interface Case {
  readonly snapshot: Snapshot;
  readonly options: CompileOptions;
  /** Of objects that parse refused. */
  readonly rejected: readonly ObjectStatus[];
  /** Print the tables with every default. */
  readonly full: boolean;
}

/**
 * A document with the one key `case` sets what is not an object: `{case: {options: {…}, forbiddenSecrets: […], services: […], endpoints: […], print: full}}`.
 * All others are what a user would apply.
 */
interface CaseDocument {
  readonly options?: Partial<Omit<CompileOptions, 'standInGateway'>>;
  readonly standInGateway?: unknown;
  readonly forbiddenSecrets?: readonly string[];
  readonly services?: readonly ServiceFacts[];
  readonly endpoints?: readonly ServiceEndpoints[];
  readonly print?: 'full';
}

/** `text` is the content of `file`. */
export function parseCase(file: string, text: string): Case {
  const { documents, issues } = parseYamlDocuments(text, file);
  if (issues.length > 0) throw new Error(issues.map(({ message }) => message).join('\n'));
  const objects: ApiObject[] = [];
  const rejected: ObjectStatus[] = [];
  let settings: CaseDocument = {};
  for (const { value } of documents) {
    const document = value as { readonly case?: CaseDocument; readonly kind?: unknown; readonly metadata?: { readonly name?: string; readonly namespace?: string } };
    if (document.case !== undefined) {
      settings = document.case;
      continue;
    }
    const parsed = parseObject(value);
    if (parsed.ok) objects.push(parsed.value);
    else rejected.push(rejectedStatus({ kind: String(document.kind), namespace: document.metadata?.namespace ?? 'default', name: String(document.metadata?.name) }, parsed.error));
  }
  const standIn = settings.standInGateway === undefined ? null : parseObject(settings.standInGateway);
  if (standIn !== null && (!standIn.ok || standIn.value.kind !== 'LLMGateway')) throw new Error(`${file}: standInGateway must be an LLMGateway`);
  return {
    snapshot: {
      ...snapshotOf(objects),
      ...(settings.forbiddenSecrets === undefined ? {} : { forbiddenSecrets: settings.forbiddenSecrets }),
      ...(settings.services === undefined ? {} : { services: settings.services }),
      ...(settings.endpoints === undefined ? {} : { endpoints: settings.endpoints }),
    },
    options: {
      resolveService: 'Cluster',
      loopbackAllowed: false,
      ...settings.options,
      ...(standIn?.ok === true && standIn.value.kind === 'LLMGateway' ? { standInGateway: standIn.value } : {}),
    },
    rejected,
    full: settings.print === 'full',
  };
}
