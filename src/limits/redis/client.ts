import type { ConnectionOptions } from 'node:tls';
import { Cluster, type ClusterOptions, Redis, type RedisOptions } from 'ioredis';
import type { RedisSettings } from '../../routetable/types.ts';
import { MasterConnector, NodeConnector, type NodePlace } from './connectors.ts';

export type RedisClient = Redis | Cluster;

const CONNECT_TIMEOUT_MS = 300;
const RECONNECT_MS = 100;
/** The heartbeat speaks more often. */
const SILENT_SOCKET_MS = 5_000;
/** After a failover of which no command has told. Each look is a connection of its own. */
const SLOTS_REFRESH_MS = 2_000;

/**
 * The client with nothing left at its default: nothing waits for a connection, nothing is sent twice behind our back, a
 * connection that cannot be had is tried again at once. Deadlines of commands are the connection's own.
 */
export function connectRedis(settings: RedisSettings): RedisClient {
  const { address } = settings;
  const common = commonOptions(settings);
  const [node] = address.nodes;
  if (node === undefined) throw new Error('Redis settings without an address');
  switch (settings.mode) {
    case 'Standalone':
      return new Redis({ ...common, Connector: NodeConnector, host: node.host, port: node.port });
    case 'Sentinel':
      return new Redis({
        ...common,
        sentinels: address.nodes.map(({ host, port }) => ({ host, port })),
        Connector: MasterConnector,
        name: settings.masterName ?? '',
        // With a user, the URL names one of Redis itself; sentinels rarely have users.
        ...(address.password === null || address.username !== null ? {} : { sentinelPassword: address.password.reveal() }),
        ...(!address.tls ? {} : { sentinelTLS: trustOf(settings.trust), enableTLSForSentinelMode: true }),
        sentinelRetryStrategy: () => RECONNECT_MS,
        sentinelReconnectStrategy: () => RECONNECT_MS,
        sentinelCommandTimeout: CONNECT_TIMEOUT_MS,
        failoverDetector: true,
      });
    case 'Cluster':
      return new Cluster(
        address.nodes.map(({ host, port }) => ({ host, port })),
        clusterOptions({ ...common, Connector: NodeConnector }),
      );
  }
}

/** To listen to a channel. All nodes of a Cluster tell what one is told: one is enough, the next one where one is lost. */
export function connectListener(settings: RedisSettings): RedisClient {
  if (settings.mode !== 'Cluster') return connectRedis(settings);
  const { nodes } = settings.address;
  let turn = 0;
  class NextNode extends NodeConnector {
    protected override place(): NodePlace {
      return nodes[turn++ % nodes.length] ?? super.place();
    }
  }
  return new Redis({ ...commonOptions(settings), Connector: NextNode });
}

function commonOptions({ address, trust }: RedisSettings) {
  return {
    connectTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SILENT_SOCKET_MS,
    keepAlive: 5_000,
    noDelay: true,
    retryStrategy: () => RECONNECT_MS,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    // Its own has nobody who hears that it failed, and that would end the process: who listens subscribes at each `ready`.
    autoResubscribe: false,
    enableReadyCheck: false,
    enableAutoPipelining: false,
    disableClientInfo: true,
    protocol: 2 as const,
    // What was the master is a replica now: who is it?
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
    ...(address.username === null ? {} : { username: address.username }),
    ...(address.password === null ? {} : { password: address.password.reveal() }),
    ...(address.tls ? { tls: trustOf(trust) } : {}),
    db: address.db,
  } satisfies RedisOptions;
}

function trustOf(trust: RedisSettings['trust']): ConnectionOptions {
  return {
    ...(trust?.caPem == null ? {} : { ca: trust.caPem }),
    ...(trust?.serverName == null ? {} : { servername: trust.serverName }),
  };
}

function clusterOptions(redisOptions: ReturnType<typeof commonOptions> & Pick<RedisOptions, 'Connector'>) {
  return {
    redisOptions,
    clusterRetryStrategy: () => RECONNECT_MS,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    // Certificates are issued for names, not for what they resolve to.
    dnsLookup: (name, found) => found(null, name),
    maxRedirections: 4,
    retryDelayOnFailover: RECONNECT_MS,
    retryDelayOnClusterDown: RECONNECT_MS,
    retryDelayOnTryAgain: RECONNECT_MS,
    slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
    slotsRefreshInterval: SLOTS_REFRESH_MS,
  } satisfies ClusterOptions;
}
