import type { SecretValue } from '../lib/secret.ts';

/** What proves who we are, right now. A client certificate counts when a connection is made, a token with every request. */
export interface Credentials {
  readonly token?: SecretValue;
  readonly certificatePem?: string;
  readonly keyPem?: SecretValue;
}

export interface CredentialSource {
  /** What is held and believed to be good; null where it must be fetched first. */
  current(): Credentials | null;
  /** Fetches anew. Rejects with an error for people where that is impossible. */
  refresh(): Promise<Credentials>;
  /** The server refused these: the next `current` is null, unless it is another one already. */
  refused(credentials: Credentials): void;
}

/** One API server and the way to it. */
export interface KubeAccess {
  /** `https://host:port`, or with a path prefix behind which the API lies. */
  readonly server: string;
  /** PEM; the system's own authorities where it is not given. */
  readonly caPem?: string;
  /** Checked instead of the host's name, and asked for by SNI. */
  readonly serverName?: string;
  readonly insecureSkipVerify: boolean;
  readonly credentials: CredentialSource;
  /** Of the context or of the pod; `default` where neither says. */
  readonly namespace: string;
}
