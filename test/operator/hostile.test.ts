/** What somebody may apply who wishes the others ill: it is refused by name, or served as it is written, and nobody else notices. */
import { describe, expect, it } from '@jest/globals';

import { compile, createCompileMemo } from '../../src/compile/compile.ts';
import { snapshotOf, type Snapshot } from '../../src/compile/snapshot.ts';
import { parseObject, type ApiObject } from '../../src/api/parse.ts';
import { canonicalJson } from '../../src/routetable/digest.ts';
import { decode, encode } from '../../src/routetable/codec.ts';
import { ObjectBook } from '../../src/operator/gather/book.ts';
import { namedBy } from '../../src/operator/gather/references.ts';
import type { LLMBackend } from '../../src/api/v1alpha1/llmbackend.ts';
import type { LLMGateway } from '../../src/api/v1alpha1/llmgateway.ts';
import type { LLMQuota } from '../../src/api/v1alpha1/llmquota.ts';
import type { LLMRoute } from '../../src/api/v1alpha1/llmroute.ts';
import type { KubeObject } from '../../src/kube/objects.ts';
import { describeWithControlPlane } from '../controlplane/describe.ts';
import { install } from './support/operator.ts';
import { deepRoute, hostileObject } from './support/hostile.ts';

const OPTIONS = { resolveService: 'Cluster', loopbackAllowed: false } as const;
const HOSTILE = 10_000;
const GROUP = 'fairlead.dev/v1alpha1';

function parsed(value: unknown): ApiObject {
  const result = parseObject(value);
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return result.value;
}

function victim(): readonly ApiObject[] {
  const route = (name: string, model: unknown): unknown => ({
    apiVersion: GROUP,
    kind: 'LLMRoute',
    metadata: { name, namespace: 'victim', uid: name, generation: 1, creationTimestamp: '2026-06-01T00:00:00Z' },
    spec: { modelNames: [name, `${name}-*`], models: [model], rules: [{ name: 'default', targets: [{ model: 'main' }] }] },
  });
  const auth = { type: 'APIKey', apiKey: { secretKeyRef: { name: 'victim' } } };
  return [
    parsed({
      apiVersion: GROUP,
      kind: 'LLMGateway',
      metadata: {
        name: 'default',
        namespace: 'fairlead-system',
        annotations: { 'fairlead.dev/is-default-gateway': 'true' },
        generation: 1,
      },
    }),
    parsed({
      apiVersion: GROUP,
      kind: 'LLMBackend',
      metadata: { name: 'shared', namespace: 'victim', generation: 1 },
      spec: { provider: { type: 'OpenAI' }, auth },
    }),
    parsed({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'victim', namespace: 'victim' },
      stringData: { 'api-key': 'sk-victim' },
    }),
    parsed(route('victim', { name: 'main', provider: { type: 'OpenAI' }, auth })),
    parsed(route('shared', { name: 'main', backendRef: { name: 'shared' } })),
  ];
}

describe('ten thousand hostile objects', () => {
  const books = {
    LLMRoute: new ObjectBook<LLMRoute>('LLMRoute', { metadata: 'OwnAnnotations', keepLastGood: true }),
    LLMGateway: new ObjectBook<LLMGateway>('LLMGateway', { metadata: 'OwnAnnotations', keepLastGood: true }),
    LLMBackend: new ObjectBook<LLMBackend>('LLMBackend', { metadata: 'OwnAnnotations', keepLastGood: true }),
    LLMQuota: new ObjectBook<LLMQuota>('LLMQuota', { metadata: 'OwnAnnotations', keepLastGood: true }),
  };
  const objects: KubeObject[] = [];
  for (let seed = 0; seed < HOSTILE; seed++) {
    const object = hostileObject(seed, `hostile-${seed % 7}`);
    objects.push(object);
    books[object.kind as keyof typeof books].put(object);
  }
  const own = snapshotOf(victim());
  const snapshot: Snapshot = {
    ...own,
    routes: [...books.LLMRoute.list(), ...own.routes],
    backends: [...books.LLMBackend.list(), ...own.backends],
    quotas: books.LLMQuota.list(),
    // As the operator does it: gateways of other namespaces are not run.
  };
  const alone = compile(own, OPTIONS);
  const memo = createCompileMemo();
  compile(own, OPTIONS, memo);
  const beside = compile(snapshot, OPTIONS, memo);

  it('leave the entries of all others byte-identical', () => {
    const entries = (compiled: typeof alone): readonly string[] =>
      [...compiled.tables.values()]
        .flatMap(({ routes }) => routes.filter(({ namespace }) => namespace === 'victim'))
        .map((route) => canonicalJson(route, (value) => value.reveal()));
    expect(entries(alone)).toHaveLength(2);
    expect(entries(beside)).toEqual(entries(alone));
    const statuses = (compiled: typeof alone): unknown[] => [...compiled.statuses].filter(([key]) => key.includes('/victim/'));
    expect(statuses(beside)).toEqual(statuses(alone));
  });

  it('have each its condition and reason, observed at its own generation', () => {
    for (const { kind, metadata } of objects) {
      // One of another namespace is not run: gather gives it no part in the compile.
      if (kind === 'LLMGateway') continue;
      const id = `${metadata.namespace ?? ''}/${metadata.name}`;
      expect(books[kind as keyof typeof books].get(id)?.refused).toBeNull();
      const status = beside.statuses.get(`${kind}/${id}`);
      const types = status?.conditions.map(({ type }) => type).slice(0, 2);
      if (types?.join() !== 'Accepted,ResolvedRefs') throw new Error(`${id} has the conditions ${types?.join() ?? 'none'}`);
      for (const { reason, message, observedGeneration, status: holds } of status?.conditions ?? []) {
        const good =
          observedGeneration === metadata.generation &&
          /^[A-Z][A-Za-z]+$/.test(reason) &&
          message.length <= 4096 &&
          (holds === 'True' || message !== '');
        if (!good) throw new Error(`${id}: ${reason} ${String(observedGeneration)}: ${message}`);
      }
    }
  });

  it('reach no Secret, no backend and no address that is not theirs', () => {
    const text = [...beside.tables.values()].flatMap(({ routes }) => routes.filter(({ namespace }) => namespace !== 'victim'));
    for (const { targets } of text) {
      for (const { credential, baseUrl, trusted } of targets) {
        expect(credential).toBeNull();
        if (!trusted) expect(baseUrl).not.toMatch(/169\.254|127\.|localhost|\[::1\]|\[fe80/i);
        else expect(baseUrl).toMatch(/^https?:\/\/[a-z0-9-]+\.hostile-\d\.svc:\d+(\/|$)/);
      }
    }
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    for (const route of books.LLMRoute.list()) expect(namedBy(route).every(({ name }) => name !== '')).toBe(true);
  });

  it('cannot be nested so deep that anybody runs out of stack', () => {
    const book = new ObjectBook<LLMRoute>('LLMRoute', { metadata: 'OwnAnnotations', keepLastGood: true });
    book.put(deepRoute());
    const found = compile({ ...own, routes: [...book.list(), ...own.routes] }, OPTIONS);
    expect(found.faults).toEqual([]);
    expect(found.statusOf('LLMRoute/hostile-0/deep')?.conditions).toContainEqual(
      expect.objectContaining({ type: 'ResolvedRefs', status: 'False', message: expect.stringContaining('64 levels deep') }),
    );
    for (const table of found.tables.values())
      expect(decode(JSON.parse(encode(table)))).toMatchObject({ ok: true, value: { refused: [] } });
  });

  it('make a table that every pod takes whole', () => {
    for (const table of beside.tables.values())
      expect(decode(JSON.parse(encode(table)))).toMatchObject({ ok: true, value: { refused: [] } });
  });
});

describeWithControlPlane('the API server', (plane) => {
  it('accepts what the hostile objects are: it is not the schema that holds them off', async () => {
    await install(plane());
    const accepted: string[] = [];
    for (let namespace = 0; namespace < 7; namespace++) await plane().kubectl(['create', 'namespace', `hostile-${namespace}`]);
    for (let seed = 0; seed < 200; seed++) {
      const { apiVersion, kind, metadata, ...rest } = hostileObject(seed, `hostile-${seed % 7}`);
      const object = { apiVersion, kind, metadata: { name: metadata.name, namespace: metadata.namespace }, ...rest };
      const path = `/apis/fairlead.dev/v1alpha1/namespaces/${metadata.namespace ?? ''}/${kind.toLowerCase()}s?fieldValidation=Strict`;
      const answer = await plane().request('POST', path, object);
      const ours = parseObject(object);
      if ((answer.status === 201) !== ours.ok)
        throw new Error(`${seed}: the server says ${answer.status}, we say ${JSON.stringify(ours)}: ${answer.text}`);
      if (answer.status === 201) accepted.push(metadata.name);
    }
    expect(accepted).toHaveLength(200);
    const { apiVersion, kind, metadata, ...rest } = deepRoute();
    const deep = { apiVersion, kind, metadata: { name: metadata.name, namespace: metadata.namespace }, ...rest };
    const path = `/apis/fairlead.dev/v1alpha1/namespaces/hostile-0/llmroutes?fieldValidation=Strict`;
    expect((await plane().request('POST', path, deep)).status).toBe(201);
  });
});
