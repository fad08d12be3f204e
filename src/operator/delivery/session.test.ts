import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';

import { describe, expect, it } from '@jest/globals';

import { ManualClock } from '../../lib/clock.ts';
import { tableChanges } from '../../routetable/entries.ts';
import { Replica } from '../../routetable/replica.ts';
import { readStreamLine } from '../../routetable/stream-messages.ts';
import { manyRoutes, routeEntry, tableOf } from '../../routetable/testdata/tables.ts';
import type { TokenReview } from './delivery.ts';
import { RequestRefused } from './exchange.ts';
import { Identities } from './identity.ts';
import { Publication } from './publication.ts';
import { Session } from './session.ts';

const HELLO = { version: 1, epoch: 1, heartbeatMs: 2_000, readyPods: null };
const POD = { namespace: 'n', name: 'p', uid: 'u', gateway: 'n/g' };

/** The server's end of a connection whose other end reads when it is told to. */
class SlowResponse extends EventEmitter {
  text = '';
  reading = false;

  writeHead(): this {
    return this;
  }

  write(text: string): boolean {
    this.text += text;
    return this.reading;
  }
}

function sessionOn(publication: Publication): { session: Session; response: SlowResponse } {
  const response = new SlowResponse();
  return { session: new Session(POD, response as unknown as ServerResponse, publication, 0), response };
}

function replicaOf(text: string): Replica {
  const replica = new Replica();
  for (const line of text.trimEnd().split('\n')) {
    const read = readStreamLine(JSON.parse(line));
    if (!read.ok || read.value === null) throw new Error(line);
    if (read.value.type === 'hello') replica.begin(read.value.epoch, read.value.gateway);
    else if (read.value.type === 'entry') replica.entry(read.value);
    else if (read.value.type === 'gone') replica.gone(read.value.kind, read.value.key);
    else if (read.value.type === 'commit') replica.commit(read.value.sequence, read.value.digest);
  }
  return replica;
}

describe('the stream to a pod that does not read', () => {
  it('holds a piece of it, not the table, and gets the latest of each entry once it reads', () => {
    let table = tableOf(manyRoutes(2_000));
    const publication = new Publication(table);
    const { session, response } = sessionOn(publication);
    session.begin(HELLO, tableChanges(null, table));
    const held = response.text.length;
    expect(held).toBeLessThan(100_000);
    const edited = manyRoutes(2_000)[1_999]?.id ?? '';
    for (let step = 1; step <= 500; step++) {
      table = tableOf([...manyRoutes(20), routeEntry(edited, step)]);
      session.publish(publication.update(table));
      session.heartbeat(3);
    }
    expect(response.text.length).toBe(held);
    response.reading = true;
    response.emit('drain');
    expect(replicaOf(response.text).table?.digest).toBe(table.digest);
    expect(response.text.split(`"key":"${edited}"`).length - 1).toBe(1);
    expect(response.text.endsWith(publication.commitLine())).toBe(true);
  });

  it('says nothing where nothing has changed but that it is there', () => {
    const table = tableOf(manyRoutes(3));
    const publication = new Publication(table);
    const { session, response } = sessionOn(publication);
    response.reading = true;
    session.begin(HELLO, []);
    const before = response.text;
    expect(before.split('\n').map((line) => line.slice(0, 16))).toEqual(['{"type":"hello",', '{"type":"commit"', '']);
    session.publish(publication.update(tableOf(manyRoutes(3))));
    session.heartbeat(3);
    expect(response.text.slice(before.length)).toBe('{"type":"heartbeat","readyPods":3}\n');
  });
});

describe('a token', () => {
  const clock = new ManualClock();
  let asked = 0;
  const identities = (answer: () => Promise<TokenReview>): Identities =>
    new Identities(async () => {
      asked++;
      return answer();
    }, clock);

  it('is reviewed once a minute, a refused one every five seconds', async () => {
    asked = 0;
    const good = identities(async () => ({ ok: true, pod: POD }));
    await Promise.all([good.of('t', 'a'), good.of('t', 'a'), good.of('other', 'a')]);
    expect(asked).toBe(2);
    clock.advance(59_999);
    await good.of('t', 'a');
    expect(asked).toBe(2);
    clock.advance(1);
    await good.of('t', 'a');
    expect(asked).toBe(3);

    asked = 0;
    const bad = identities(async () => ({ ok: false, reason: 'expired' }));
    expect(await bad.of('t', 'a')).toEqual({ ok: false, reason: 'expired' });
    clock.advance(5_000);
    await bad.of('t', 'a');
    expect(asked).toBe(2);
  });

  it('that could not be reviewed is reviewed again at once', async () => {
    asked = 0;
    const failing = identities(async () => Promise.reject(new Error('down')));
    await expect(failing.of('t', 'a')).rejects.toThrow('down');
    await expect(failing.of('t', 'a')).rejects.toThrow('down');
    expect(asked).toBe(2);
  });

  it('that is made up costs a review only so often, and keeps no pod out', async () => {
    asked = 0;
    const reviewed = new Identities(async (token) => {
      asked++;
      return token.startsWith('pod') ? { ok: true, pod: POD } : { ok: false, reason: 'made up' };
    }, clock);
    // A pod that shares the address with whoever makes them up, and one that does not.
    await reviewed.of('pod-beside', 'a');
    await reviewed.of('pod', 'b');
    let turnedAway = 0;
    for (let count = 0; count < 10_000; count++)
      await reviewed.of(`made up ${count}`, 'a').catch((error: unknown) => {
        if (error instanceof RequestRefused && error.status === 429) turnedAway++;
      });
    expect(asked).toBeLessThan(300);
    expect(turnedAway).toBe(10_002 - asked);
    asked = 0;
    expect(await reviewed.of('pod', 'b')).toMatchObject({ ok: true });
    expect(asked).toBe(0);
    clock.advance(60_000);
    for (let count = 0; count < 100; count++) await reviewed.of(`more ${count}`, 'a').catch(() => {});
    expect(await reviewed.of('pod-beside', 'a')).toMatchObject({ ok: true });
    expect(await reviewed.of('pod-new', 'b')).toMatchObject({ ok: true });
    expect(asked).toBeLessThan(70);
    clock.advance(1_000);
    expect(await reviewed.of('pod-of-later', 'a')).toMatchObject({ ok: true });
  });
});
