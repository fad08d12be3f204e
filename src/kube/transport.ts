import type { KubeFailure } from './outcome.ts';

export interface TransportRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With its query. */
  readonly path: string;
  readonly contentType?: string;
  /** Default: JSON, the object as it is. */
  readonly accept?: string;
  readonly body?: string;
  /** Asked right before the first byte leaves; no: the request fails as `guarded`. */
  readonly allowed?: () => boolean;
}

/** Told in order: `onHead`, `onData`…, then one of `onEnd` and `onFailure`. A failure may come at any point. */
export interface TransportSink {
  onHead(status: number, headers: Readonly<Record<string, string>>): void;
  onData(chunk: Buffer): void;
  /** The answer is whole. */
  onEnd(): void;
  /** `sent`: the server may have got the request. */
  onFailure(failure: KubeFailure, sent: boolean): void;
}

/** Carries requests to one API server, many at a time; keeps no time but that of its connections. */
export interface Transport {
  /** Nothing is told before it returns, nor after the result was called. */
  send(request: TransportRequest, sink: TransportSink): () => void;
  /** Ends every connection; requests under way fail as `stopped`. */
  close(): void;
}
