/** Serves every gateway pod its table over one long HTTPS answer, and hears from it what became of it. */
import https from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../../lib/clock.ts';
import { changesFrom, tableChanges } from '../../routetable/entries.ts';
import {
  commonVersion,
  EPOCH_HEADER,
  HEARTBEAT_MS,
  readReport,
  readStreamRequest,
  REPORT_PATH,
  SPOKEN_VERSIONS,
  STREAM_PATH,
  type StreamRequest,
} from '../../routetable/stream-messages.ts';
import type { RouteTable } from '../../routetable/types.ts';
import { answer, bearerToken, readJson, RequestRefused } from './exchange.ts';
import type {
  EntryProgress,
  PodIdentity,
  PodState,
  ProgressChange,
  ServingCertificate,
  TableServer,
  TokenReview,
} from './delivery.ts';
import { Fleet, FORGET_AFTER_MS } from './fleet.ts';
import { Identities } from './identity.ts';
import { Publication } from './publication.ts';
import { Session } from './session.ts';

export interface TableServerOptions {
  readonly clock: Clock;
  /** [0, 1), for the spread of what would otherwise happen to all pods at once. */
  random(): number;
  reviewToken(token: string): Promise<TokenReview>;
  /** What is wrong and is not the pod's fault; `what` is free of credentials. */
  onFault(error: unknown, what: string): void;
  /** Refused connections and the like, for the log. */
  onRefused?(why: string, from: string): void;
  readonly heartbeatMs?: number;
}

/** A pod reports every 5 s; one that has not for this long is gone, whatever its connection looks like. */
const SILENT_AFTER_MS = 20_000;
/** Then a pod proves again who it is; its token is rotated at least once in this time. */
const STREAM_MAX_AGE_MS = 3_600_000;
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
const SEQUENCE_OF_NOTHING = 0;

export class HttpsTableServer implements TableServer {
  readonly #options: TableServerOptions;
  readonly #server: https.Server;
  readonly #identities: Identities;
  readonly #publications = new Map<string, Publication>();
  /** The last sequence under which anything was published that is forgotten now. */
  #forgottenSequence = SEQUENCE_OF_NOTHING;
  readonly #fleet: Fleet;
  /** By the pod's uid. */
  readonly #sessions = new Map<string, Session>();
  readonly #podListeners = new Set<(pod: PodState) => void>();
  readonly #progressListeners = new Set<(change: ProgressChange) => void>();
  readonly #epochListeners = new Set<(epoch: number) => void>();
  readonly #heartbeatMs: number;
  readonly #beat: NodeJS.Timeout;
  /** null: this process does not lead. */
  #epoch: number | null = null;
  #leadsSinceMs = 0;

  constructor(options: TableServerOptions) {
    this.#options = options;
    this.#identities = new Identities((token) => options.reviewToken(token), options.clock);
    this.#fleet = new Fleet(this.#publications, {
      onPod: (pod) => this.#podListeners.forEach((listener) => listener(pod)),
      onProgress: (change) => this.#progressListeners.forEach((listener) => listener(change)),
    });
    this.#server = https.createServer(
      { headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS, noDelay: true, minVersion: 'TLSv1.3' },
      (request, response) => void this.#handle(request, response),
    );
    this.#heartbeatMs = options.heartbeatMs ?? HEARTBEAT_MS;
    this.#beat = setInterval(() => this.#everyBeat(), this.#heartbeatMs);
    this.#beat.unref();
  }

  async listen(port: number, host?: string): Promise<number> {
    const server = this.#server;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        const address = server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  }

  useCertificate({ certificatePem, privateKeyPem }: ServingCertificate): void {
    this.#server.setSecureContext({ cert: certificatePem, key: privateKeyPem.reveal(), minVersion: 'TLSv1.3' });
  }

  lead(epoch: number): void {
    if (this.#epoch !== null && epoch <= this.#epoch) {
      throw new Error(`the epoch of a leader only grows: it is ${this.#epoch}, not ${epoch}`);
    }
    if (this.#epoch !== null) this.#endSessions();
    this.#epoch = epoch;
    this.#leadsSinceMs = this.#options.clock.nowMs();
  }

  resign(): void {
    this.#epoch = null;
    this.#endSessions();
    this.#fleet.clear();
  }

  publish(tables: ReadonlyMap<string, RouteTable>): void {
    for (const [gateway, table] of tables) {
      const publication = this.#publications.get(gateway);
      if (publication === undefined) {
        // Pods of a gateway that was deleted and made again may live on, and take nothing that is older than what they have.
        this.#publications.set(gateway, new Publication(table, this.#forgottenSequence + 1));
        continue;
      }
      const changes = publication.update(table);
      if (changes.length === 0) continue;
      for (const session of this.#sessions.values()) if (session.pod.gateway === gateway) session.publish(changes);
    }
  }

  forget(gateway: string): void {
    this.#forgottenSequence = Math.max(this.#forgottenSequence, this.sequence(gateway));
    this.#publications.delete(gateway);
    for (const session of this.#sessions.values()) if (session.pod.gateway === gateway) session.cut();
  }

  sequence(gateway: string): number {
    return this.#publications.get(gateway)?.sequence ?? SEQUENCE_OF_NOTHING;
  }

  configSequence(gateway: string): number {
    return this.#publications.get(gateway)?.configSequence ?? SEQUENCE_OF_NOTHING;
  }

  pods(gateway: string): readonly PodState[] {
    return this.#fleet.pods(gateway);
  }

  progress(gateway: string, routeId: string): EntryProgress {
    return this.#fleet.progress(gateway, routeId);
  }

  onProgress(listener: (change: ProgressChange) => void): () => void {
    return subscribe(this.#progressListeners, listener);
  }

  onPod(listener: (pod: PodState) => void): () => void {
    return subscribe(this.#podListeners, listener);
  }

  onNewerEpoch(listener: (epoch: number) => void): () => void {
    return subscribe(this.#epochListeners, listener);
  }

  async close(): Promise<void> {
    clearInterval(this.#beat);
    this.#epoch = null;
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const path = request.url ?? '';
      if (request.method !== 'POST' || (path !== STREAM_PATH && path !== REPORT_PATH)) {
        throw new RequestRefused(404, `only POST ${STREAM_PATH} and POST ${REPORT_PATH} are served here`);
      }
      this.#leading();
      const pod = await this.#identify(request);
      const body = await readJson(request);
      // Whoever was leader when the request came may not be any more.
      const epoch = this.#leading();
      if (path === STREAM_PATH) this.#stream(pod, body, epoch, response);
      else this.#report(pod, body, epoch, response);
    } catch (error) {
      if (error instanceof RequestRefused) {
        this.#options.onRefused?.(error.message, request.socket.remoteAddress ?? '');
        answer(response, error.status, error.message);
      } else if (!request.destroyed || !response.destroyed) {
        this.#options.onFault(error, `a request of ${request.url ?? ''}`);
        answer(response, 500, 'the operator failed to handle this request');
      }
    }
  }

  #leading(): number {
    if (this.#epoch === null) throw new RequestRefused(503, 'this replica of the operator does not lead');
    return this.#epoch;
  }

  async #identify(request: IncomingMessage): Promise<PodIdentity> {
    const token = bearerToken(request);
    if (token === null) throw new RequestRefused(401, 'the projected ServiceAccount token is needed as a bearer token');
    let review: TokenReview;
    try {
      review = await this.#identities.of(token, request.socket.remoteAddress ?? '');
    } catch (error) {
      if (error instanceof RequestRefused) throw error;
      this.#options.onFault(error, 'a TokenReview');
      throw new RequestRefused(503, 'the token cannot be reviewed now', { cause: error });
    }
    if (!review.ok) throw new RequestRefused(403, `the token is refused: ${review.reason}`);
    return review.pod;
  }

  #stream(pod: PodIdentity, body: unknown, epoch: number, response: ServerResponse): void {
    const read = readStreamRequest(body);
    if (!read.ok) throw new RequestRefused(400, `the body is not what opens a stream: ${read.error}`);
    const wanted = read.value;
    this.#checkEpoch(wanted.seenEpoch, epoch);
    const version = commonVersion(SPOKEN_VERSIONS, wanted.speaks);
    if (version === null) {
      throw new RequestRefused(
        400,
        `the pod speaks versions ${wanted.speaks.join(', ')} of the table, this operator ${SPOKEN_VERSIONS.join(', ')}`,
      );
    }
    const publication = this.#publications.get(pod.gateway);
    if (publication === undefined) throw new RequestRefused(503, `there is no table for the gateway ${pod.gateway} yet`);
    this.#open(pod, wanted, version, epoch, publication, response);
  }

  #open(
    pod: PodIdentity,
    wanted: StreamRequest,
    version: number,
    epoch: number,
    publication: Publication,
    response: ServerResponse,
  ): void {
    const { clock } = this.#options;
    const session = new Session(pod, response, publication, clock.nowMs());
    this.#sessions.get(pod.uid)?.cut();
    this.#sessions.set(pod.uid, session);
    const renewal = setTimeout(() => session.farewell(), STREAM_MAX_AGE_MS * (0.5 + this.#options.random() / 2));
    renewal.unref();
    response.on('close', () => {
      clearTimeout(renewal);
      if (this.#sessions.get(pod.uid) !== session) return;
      this.#sessions.delete(pod.uid);
      this.#fleet.disconnected(pod, clock.nowMs());
    });
    this.#fleet.connected(pod, wanted.version, clock.wallMs());
    const { table } = publication;
    const changes = wanted.have === null ? tableChanges(null, table) : changesFrom(wanted.have, table);
    const readyPods = this.#readyPods(pod, clock.nowMs());
    session.begin({ version, epoch, heartbeatMs: this.#heartbeatMs, readyPods }, changes);
  }

  #report(pod: PodIdentity, body: unknown, epoch: number, response: ServerResponse): void {
    const read = readReport(body);
    if (!read.ok) throw new RequestRefused(400, `the body is not a report: ${read.error}`);
    this.#checkEpoch(read.value.seenEpoch, epoch);
    const { clock } = this.#options;
    const session = this.#sessions.get(pod.uid);
    if (session !== undefined) session.aliveMs = clock.nowMs();
    this.#fleet.reported(pod, read.value, epoch, clock.nowMs(), clock.wallMs());
    response.writeHead(204, { [EPOCH_HEADER]: epoch }).end();
  }

  /** A pod that has seen a newer leader is told nothing by this one. */
  #checkEpoch(seen: number, epoch: number): void {
    if (seen <= epoch) return;
    for (const listener of this.#epochListeners) listener(seen);
    throw new RequestRefused(409, `a leader of epoch ${seen} was seen, this one is of ${epoch}`);
  }

  #everyBeat(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const session of this.#sessions.values()) {
      if (nowMs - session.aliveMs > SILENT_AFTER_MS) session.cut();
      else session.heartbeat(this.#readyPods(session.pod, nowMs));
    }
    this.#fleet.sweep(nowMs);
  }

  /** As the pod is told it. null: of those that have not come to this leader yet some may be ready. */
  #readyPods(pod: PodIdentity, nowMs: number): number | null {
    return nowMs - this.#leadsSinceMs < FORGET_AFTER_MS ? null : this.#fleet.readyPods(pod);
  }

  #endSessions(): void {
    for (const session of this.#sessions.values()) session.cut();
    this.#sessions.clear();
  }
}

function subscribe<T>(listeners: Set<T>, listener: T): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
