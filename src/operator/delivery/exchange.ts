/** The small change of HTTP that the table server deals in. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { parseJsonOrThrow } from '../../lib/json-parse.ts';

/** Digests of 5,000 routes and as many keys are 1.5 MB. */
const MAX_BODY_BYTES = 16 * 1024 * 1024;

/** The pod's fault, or a state of ours that it shall know of; the message goes to it. */
export class RequestRefused extends Error {
  readonly status: number;

  constructor(status: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

/** null: there is none. */
export function bearerToken({ headers }: IncomingMessage): string | null {
  return /^Bearer ([A-Za-z0-9._~+/-]+=*)$/i.exec(headers.authorization ?? '')?.[1] ?? null;
}

export async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new RequestRefused(413, `the body is larger than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  try {
    return parseJsonOrThrow(Buffer.concat(chunks).toString());
  } catch {
    throw new RequestRefused(400, 'the body is not JSON');
  }
}

/** A refusal, in words. The connection ends with it where its request was not read to the end. */
export function answer(response: ServerResponse, status: number, message: string): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const close = response.req.complete ? {} : { connection: 'close' };
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', ...close }).end(`${message}\n`);
}
