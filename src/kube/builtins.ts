import { randomBytes } from 'node:crypto';
import type { KubeEvent, TokenIdentity } from './client.ts';
import { isRecord } from './json.ts';
import type { KubeObject, Resource } from './objects.ts';

export const EVENTS: Resource = { group: 'events.k8s.io', version: 'v1', plural: 'events', kind: 'Event', namespaced: true };
export const LEASES: Resource = {
  group: 'coordination.k8s.io',
  version: 'v1',
  plural: 'leases',
  kind: 'Lease',
  namespaced: true,
};
export const TOKEN_REVIEWS: Resource = {
  group: 'authentication.k8s.io',
  version: 'v1',
  plural: 'tokenreviews',
  kind: 'TokenReview',
  namespaced: false,
};

const MAX_NOTE_BYTES = 1024;
const MAX_REASON = 128;
/** The API server refuses a name longer than this. */
const MAX_NAME = 253;

/** Events about what is cluster-wide lie in `default`, as kubectl looks for them there. */
export function eventObject(
  event: KubeEvent,
  reporter: { readonly controller: string; readonly instance: string },
  wallMs: number,
): KubeObject {
  const { metadata, apiVersion, kind } = event.regarding;
  const namespace = metadata.namespace ?? 'default';
  return {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { namespace, name: `${metadata.name.slice(0, MAX_NAME - 20)}.${randomBytes(8).toString('hex')}` },
    eventTime: microTime(wallMs),
    type: event.type,
    reason: event.reason.slice(0, MAX_REASON),
    action: event.action.slice(0, MAX_REASON),
    note: cutBytes(event.note, MAX_NOTE_BYTES),
    reportingController: reporter.controller,
    reportingInstance: reporter.instance.slice(0, MAX_REASON),
    regarding: {
      apiVersion,
      kind,
      namespace: metadata.namespace,
      name: metadata.name,
      uid: metadata.uid,
      resourceVersion: metadata.resourceVersion,
    },
  };
}

export function tokenReviewObject(token: string, audience: string): unknown {
  return { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token, audiences: [audience] } };
}

/** Null: not this audience's, or nobody's. A server that knows no audiences answers with none: its yes counts for nothing here. */
export function readTokenReview(body: unknown, audience: string): TokenIdentity | null {
  const status = isRecord(body) && isRecord(body['status']) ? body['status'] : {};
  const user = isRecord(status['user']) ? status['user'] : {};
  const audiences = strings(status['audiences']);
  const { username, uid } = user;
  if (status['authenticated'] !== true || !audiences.includes(audience) || typeof username !== 'string') return null;
  return {
    username,
    uid: typeof uid === 'string' ? uid : '',
    groups: strings(user['groups']),
    audiences,
    extra: Object.fromEntries(
      Object.entries(isRecord(user['extra']) ? user['extra'] : {}).map(([name, value]) => [name, strings(value)]),
    ),
  };
}

/** `metav1.MicroTime`: RFC 3339 with six digits, as Leases and events carry it. */
export function microTime(wallMs: number): string {
  return new Date(wallMs).toISOString().replace('Z', '000Z');
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((entry) => typeof entry === 'string') : [];
}

/** At most so many bytes of UTF-8, cut between characters. */
function cutBytes(text: string, bytes: number): string {
  const encoded = Buffer.from(text, 'utf8');
  if (encoded.length <= bytes) return text;
  return encoded
    .subarray(0, bytes)
    .toString('utf8')
    .replace(/\uFFFD+$/, '');
}
