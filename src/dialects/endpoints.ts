import type { Operation } from '../lib/operation.ts';

/** What a request line asks for. `path` is the client's, without query. */
export type Endpoint =
  | {
      readonly kind: 'operation';
      readonly operation: Operation;
      readonly path: string;
      /** The model that the URL names, decoded: Azure's deployment, or the query of an upload; null: the body names it. */
      readonly urlModel: string | null;
      /** The query's `api-version`, decoded. Informative: each target has its own. */
      readonly apiVersion: string | null;
    }
  | StoredObject
  | { readonly kind: 'models'; readonly path: string }
  | { readonly kind: 'model'; readonly path: string; readonly id: string }
  /** What the caller has used of its limits: the gateway's own. */
  | { readonly kind: 'usage'; readonly path: string }
  /** `suggestion`: the path that was probably meant. */
  | { readonly kind: 'not_found'; readonly path: string; readonly suggestion: string | null }
  /** `allow`: the value of the answer's `Allow` header. */
  | { readonly kind: 'method_not_allowed'; readonly path: string; readonly allow: string }
  /** A path of the API that this gateway does not serve; `feature` is what to call it. */
  | { readonly kind: 'not_implemented'; readonly path: string; readonly feature: string };

/** What an upstream keeps, by the operation that made it. */
export type Collection = 'responses' | 'files' | 'batches';

/** A response, a file or a batch that an upstream keeps, or what belongs to it. */
export interface StoredObject {
  readonly kind: 'stored';
  readonly collection: Collection;
  readonly path: string;
  readonly method: 'GET' | 'DELETE' | 'POST';
  readonly id: string;
  /** What follows the id, with its slash: `/cancel`, `/content`; '' for the object itself. */
  readonly below: string;
  /** As the client wrote it, without `?` and without `api-version`, which each target has for itself. */
  readonly query: string;
}

const OPERATION_PATHS: readonly (readonly [string, Operation])[] = [
  ['/chat/completions', 'chat'],
  ['/completions', 'completions'],
  ['/embeddings', 'embeddings'],
  ['/responses', 'responses'],
  ['/messages', 'messages'],
  ['/messages/count_tokens', 'count_tokens'],
  ['/images/generations', 'images_generations'],
  ['/images/edits', 'images_edits'],
  ['/images/variations', 'images_variations'],
  ['/audio/speech', 'audio_speech'],
  ['/audio/transcriptions', 'audio_transcriptions'],
  ['/audio/translations', 'audio_translations'],
  ['/moderations', 'moderations'],
  ['/files', 'files'],
  ['/batches', 'batches'],
];

/** What Azure serves below a deployment. Longest first: `/chat/completions` also ends in `/completions`. */
const DEPLOYMENT_OPERATIONS = OPERATION_PATHS.filter(
  ([, operation]) => !['responses', 'messages', 'count_tokens', 'moderations', 'files', 'batches'].includes(operation),
).toSorted(([a], [b]) => b.length - a.length);

/** First segments below a base path that belong to the API and are answered with a named 501. */
const UNSERVED: ReadonlySet<string> = new Set([
  'assistants',
  'containers',
  'conversations',
  'deployments',
  'evals',
  'fine_tuning',
  'realtime',
  'rerank',
  'threads',
  'uploads',
  'vector_stores',
  'videos',
]);

/** What lies below these paths lives at one upstream, and is not pinned to it. */
const STORED: readonly (readonly [string, string])[] = [
  ['/responses/', 'this part of the Responses API'],
  ['/files/', 'this part of the Files API'],
  ['/batches/', 'this part of the Batches API'],
  ['/chat/completions/', 'stored chat completions'],
  ['/messages/batches', 'message batches'],
];

/** OpenAI's base path, Azure's v1, Azure's older form with `api-version`. */
const BASES: readonly string[] = ['/v1', '/openai/v1', '/openai'];
const DEPLOYMENTS = '/openai/deployments/';

const POSTS: ReadonlyMap<string, Endpoint> = new Map(
  BASES.flatMap((base) =>
    OPERATION_PATHS.map(([suffix, operation]): readonly [string, Endpoint] => [
      base + suffix,
      { kind: 'operation', operation, path: base + suffix, urlModel: null, apiVersion: null },
    ]),
  ),
);

const GETS: ReadonlyMap<string, Endpoint> = new Map(
  BASES.flatMap((base): (readonly [string, Endpoint])[] => [
    [`${base}/models`, { kind: 'models', path: `${base}/models` }],
    [`${base}/usage`, { kind: 'usage', path: `${base}/usage` }],
  ]),
);

/**
 * Total over what a client can write into a request line: `url` as node:http gives it (origin form, or absolute form as RFC
 * 9112 section 3.2.2 demands of servers). An ordinary URL costs one look-up.
 */
export function matchEndpoint(method: string, url: string): Endpoint {
  const known = method === 'POST' ? POSTS.get(url) : method === 'GET' ? GETS.get(url) : undefined;
  return known ?? matchSlowly(method, url);
}

function matchSlowly(method: string, url: string): Endpoint {
  const target = url.startsWith('/') ? url : originForm(url);
  const mark = target.search(/[?#]/);
  const path = mark === -1 ? target : target.slice(0, mark);
  const query = mark === -1 ? '' : target.slice(mark + 1);
  const apiVersion = queryValue(query, 'api-version');

  const operation = POSTS.get(path) ?? matchDeployment(path);
  if (operation?.kind === 'operation') {
    if (method === 'GET' && (operation.operation === 'files' || operation.operation === 'batches')) return listOf(operation);
    if (method !== 'POST') return { kind: 'method_not_allowed', path, allow: 'POST' };
    const urlModel = operation.operation === 'files' ? queryValue(query, 'model') : operation.urlModel;
    return apiVersion === null && urlModel === operation.urlModel ? operation : { ...operation, apiVersion, urlModel };
  }
  const stored = matchStored(method, path, query);
  if (stored !== null) return stored;
  const resource = GETS.get(path) ?? matchModel(path);
  if (resource !== null) {
    return method === 'GET' ? resource : { kind: 'method_not_allowed', path, allow: 'GET' };
  }
  return notServed(path);
}

/** `http://host/path` → `/path`; what is neither form stays as it is and matches nothing. */
function originForm(url: string): string {
  const rest = /^https?:\/\/[^/?#]*(.*)$/is.exec(url)?.[1];
  return rest ?? url;
}

/** `/openai/deployments/{model}/chat/completions`; the model may contain slashes, encoded or not. */
function matchDeployment(path: string): Endpoint | null {
  if (!path.startsWith(DEPLOYMENTS)) return null;
  for (const [suffix, operation] of DEPLOYMENT_OPERATIONS) {
    if (!path.endsWith(suffix)) continue;
    const urlModel = decode(path.slice(DEPLOYMENTS.length, -suffix.length));
    return urlModel === null ? null : { kind: 'operation', operation, path, urlModel, apiVersion: null };
  }
  return null;
}

/** An account's list shows what all tenants have there, and pages of it cannot be taken apart. */
function listOf({ path, operation }: { readonly path: string; readonly operation: Operation }): Endpoint {
  return { kind: 'not_implemented', path, feature: `lists of ${operation}; ask for each by its id` };
}

type Methods = Readonly<Record<string, readonly StoredObject['method'][]>>;

/** By what follows the id: the methods that there are. */
const STORED_OBJECTS: Readonly<Record<Collection, Methods>> = {
  responses: { '': ['GET', 'DELETE'], '/cancel': ['POST'], '/input_items': ['GET'] },
  files: { '': ['GET', 'DELETE'], '/content': ['GET'] },
  batches: { '': ['GET'], '/cancel': ['POST'] },
};

/** Where an id would stand: they count or shorten an input, and name no model either. */
const NO_IDS: ReadonlySet<string> = new Set(['input_tokens', 'compact']);

function matchStored(method: string, path: string, query: string): Endpoint | null {
  const found = /^(\/(?:openai\/)?(?:v1\/)?)(responses|files|batches)\/([\w-]{1,256})(\/\w+)?$/.exec(path);
  const [, base = '', name, id = '', below = ''] = found ?? [];
  if ((name !== 'responses' && name !== 'files' && name !== 'batches') || NO_IDS.has(id)) return null;
  const known: Methods = STORED_OBJECTS[name];
  const methods = Object.hasOwn(known, below) ? known[below] : undefined;
  if (methods === undefined || !BASES.includes(base.slice(0, -1))) return null;
  const wanted = methods.find((each) => each === method);
  if (wanted === undefined) return { kind: 'method_not_allowed', path, allow: methods.join(', ') };
  const kept = query
    .replace(/#.*$/s, '')
    .split('&')
    .filter((pair) => pair !== '' && !pair.startsWith('api-version='));
  return { kind: 'stored', collection: name, path, method: wanted, id, below, query: kept.join('&') };
}

function matchModel(path: string): Endpoint | null {
  for (const base of BASES) {
    const prefix = `${base}/models/`;
    if (!path.startsWith(prefix)) continue;
    const id = decode(path.slice(prefix.length));
    return id === null ? null : { kind: 'model', path, id };
  }
  return null;
}

function notServed(path: string): Endpoint {
  const base = BASES.find((candidate) => path.startsWith(`${candidate}/`));
  // Below a deployment nothing is known that was not matched before.
  if (base !== undefined && !path.startsWith(DEPLOYMENTS)) {
    const rest = path.slice(base.length);
    const stored = STORED.find(([prefix]) => rest.startsWith(prefix));
    if (stored !== undefined) return { kind: 'not_implemented', path, feature: stored[1] };
    const segment = rest.split('/', 2)[1] ?? '';
    if (UNSERVED.has(segment)) return { kind: 'not_implemented', path, feature: segment };
  }
  return { kind: 'not_found', path, suggestion: suggest(path) };
}

/** For the usual slips in a base URL: no `/v1`, twice `/v1`, a doubled or trailing slash. */
function suggest(path: string): string | null {
  const tidy = path
    .replaceAll(/\/{2,}/g, '/')
    .replace(/\/$/, '')
    .replace(/^(\/v1)+/, '');
  const meant = `/v1${tidy}`;
  return POSTS.has(meant) || GETS.has(meant) ? meant : null;
}

function queryValue(query: string, name: string): string | null {
  for (const pair of query.split('&')) {
    if (pair.startsWith(`${name}=`)) return decode(pair.slice(name.length + 1));
  }
  return null;
}

/** Percent-decoded; null where it is empty or not valid. */
function decode(text: string): string | null {
  if (text === '') return null;
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
