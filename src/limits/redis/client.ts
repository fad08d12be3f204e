import { Cluster, Redis, type RedisOptions } from 'ioredis';
import type { RedisSettings } from '../../routetable/types.ts';

export type RedisClient = Redis | Cluster;

const CONNECT_TIMEOUT_MS = 300;
const RECONNECT_MS = 100;
/** The heartbeat speaks more often. */
const SILENT_SOCKET_MS = 5_000;

/**
 * The client with nothing left at its default: nothing waits for a connection, nothing is sent twice behind our back, a
 * connection that cannot be had is tried again at once. Deadlines of commands are the connection's own.
 */
export function connectRedis(settings: RedisSettings): RedisClient {
  const { address } = settings;
  const common = {
    connectTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SILENT_SOCKET_MS,
    keepAlive: 5_000,
    noDelay: true,
    retryStrategy: () => RECONNECT_MS,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: true,
    enableReadyCheck: false,
    enableAutoPipelining: false,
    disableClientInfo: true,
    protocol: 2 as const,
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
    ...(address.username === null ? {} : { username: address.username }),
    ...(address.password === null ? {} : { password: address.password.reveal() }),
    db: address.db,
  } satisfies RedisOptions;
  const [node] = address.nodes;
  if (node === undefined) throw new Error('Redis settings without an address');
  const tls = address.tls ? { tls: {} } : {};
  switch (settings.mode) {
    case 'Standalone':
      return new Redis({ ...common, ...tls, host: node.host, port: node.port });
    case 'Sentinel': {
      return new Redis({
        ...common,
        ...tls,
        sentinels: address.nodes.map(({ host, port }) => ({ host, port })),
        name: settings.masterName ?? '',
        sentinelRetryStrategy: () => RECONNECT_MS,
        sentinelReconnectStrategy: () => RECONNECT_MS,
        sentinelCommandTimeout: CONNECT_TIMEOUT_MS,
        failoverDetector: true,
        enableTLSForSentinelMode: address.tls,
      });
    }
    case 'Cluster':
      return new Cluster(
        address.nodes.map(({ host, port }) => ({ host, port })),
        {
          redisOptions: { ...common, ...tls },
          clusterRetryStrategy: () => RECONNECT_MS,
          enableOfflineQueue: false,
          enableReadyCheck: false,
          maxRedirections: 4,
          retryDelayOnFailover: RECONNECT_MS,
          retryDelayOnClusterDown: RECONNECT_MS,
          retryDelayOnTryAgain: RECONNECT_MS,
          slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
          slotsRefreshInterval: 2_000,
        },
      );
  }
}
