/**
 * The providers that the README's route names, on addresses that look public and are this cluster's alone: the gateways find them
 * by their real names, through the cluster's DNS, and trust a certificate that only this test's image trusts.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import https from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';

import { makeAuthority } from '../features/support/certificates.ts';
import { chatCompletion, chatEvents, eventsOf } from '../features/support/openai-answers.ts';
import type { Cluster } from './cluster.ts';

export const AZURE = 'team-a.openai.azure.com';
export const OPENAI = 'api.openai.com';
const HOSTS = [AZURE, OPENAI];

export interface Providers {
  readonly caPem: string;
  /** Status of the next answers of a host; 200 at first. */
  answerWith(host: string, status: number): void;
  /** The only credential that a host takes; any at first. */
  demand(host: string, key: string | undefined): void;
  /** Time between two events of a stream; 0 at first. */
  pace(intervalMs: number): void;
  calls(host: string): number;
  close(): Promise<void>;
}

export async function startProviders(cluster: Cluster): Promise<Providers> {
  const { number, folder } = cluster.place;
  const address = `20.50.${number}.1`;
  // On the side of the link that is not the node's: gone with it.
  const added = spawnSync('ip', ['addr', 'replace', `${address}/32`, 'dev', `fl${number}-host`], { encoding: 'utf8' });
  if (added.status !== 0) throw new Error(`${address} could not be added: ${added.stderr}`);
  writeFileSync(join(folder, 'hosts'), HOSTS.map((host) => `${address} ${host}\n`).join(''));
  const authority = makeAuthority('providers of a test');
  const { certificatePem, privateKeyPem } = authority.issue(HOSTS);
  const statuses = new Map<string, number>();
  const keys = new Map<string, string>();
  const calls = new Map<string, number>();
  let intervalMs = 0;

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const host = (request.headers.host ?? '').replace(/:443$/, '');
    calls.set(host, (calls.get(host) ?? 0) + 1);
    const body = JSON.parse(await textOf(request)) as { readonly stream?: boolean };
    const wanted = keys.get(host);
    const given = request.headers['api-key'] ?? request.headers.authorization?.replace('Bearer ', '');
    const status = wanted !== undefined && given !== wanted ? 401 : (statuses.get(host) ?? 200);
    if (status !== 200) {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ error: { message: `this host answers ${status}`, type: 'test', code: null } }));
      return;
    }
    if (body.stream !== true) {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(chatCompletion(`from ${host}`)));
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const event of eventsOf(chatEvents(Array.from({ length: STREAM_PIECES }, () => 'word ')))) {
      response.write(event);
      if (intervalMs > 0) await new Promise((resolve) => setTimeout(resolve, intervalMs));
    }
    response.end();
  };
  const server = https.createServer({ cert: certificatePem, key: privateKeyPem }, (request, response) => {
    answer(request, response).catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(443, address, resolve));
  return {
    caPem: authority.certificatePem,
    answerWith: (host, status) => void statuses.set(host, status),
    demand: (host, key) => void (key === undefined ? keys.delete(host) : keys.set(host, key)),
    pace: (ms) => (intervalMs = ms),
    calls: (host) => calls.get(host) ?? 0,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Pieces of text in a stream. */
export const STREAM_PIECES = 40;

async function textOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString('utf8');
}
