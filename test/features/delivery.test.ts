/** What the operator publishes is what every pod serves, and the operator knows which pod serves what. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { issueServing, planAuthority } from '../../src/operator/delivery/authority.ts';
import type { ProgressChange } from '../../src/operator/delivery/delivery.ts';
import { keyEntry, manyRoutes, routeEntry, settingsEntry, tableOf } from '../../src/routetable/testdata/tables.ts';
import type { Route } from '../../src/routetable/types.ts';
import { send } from './support/client.ts';
import { GATEWAY_ID, podOf, readyz, served, Site, tables, until } from './support/delivery.ts';
import { chat } from './support/dialects.ts';
import { seededRandom } from './support/gateway.ts';
import { FakeUpstream } from './support/upstream.ts';

async function setUp(): Promise<{ site: Site; operator: Awaited<ReturnType<Site['operator']>> }> {
  const site = await Site.create();
  const operator = await site.operator();
  operator.server.lead(1);
  return { site, operator };
}

describe('a pod', () => {
  it('answers by the route that was published, and by its edit from then on', async () => {
    const { site, operator } = await setUp();
    const upstream = await FakeUpstream.start((call) => call.answer(200, chat.whole('hello')));
    operator.server.publish(tables(tableOf([routeEntry('a/chat', 1, upstream.url)])));
    const pod = await site.pod('one');
    await until('the pod is ready', async () => (await readyz(pod)).status === 200);
    expect((await readyz(pod)).text).toMatch(/^ready: configuration 1\.1 of the operator, \d+ s old\n$/);
    expect(await send(pod.pod.port, { body: chat.body }).answer).toMatchObject({ status: 200 });
    expect(upstream.calls[0]?.json()).toMatchObject({ model: '1' });

    operator.server.publish(tables(tableOf([routeEntry('a/chat', 2, upstream.url)])));
    await until('the edit is acknowledged', () => operator.server.progress(GATEWAY_ID, 'a/chat').programmedPods === 1);
    expect(await send(pod.pod.port, { body: chat.body }).answer).toMatchObject({ status: 200 });
    expect(upstream.calls[1]?.json()).toMatchObject({ model: '2' });
  });

  it('fails no request while its routes are edited a hundred times', async () => {
    const { site, operator } = await setUp();
    const upstream = await FakeUpstream.start((call) => call.answer(200, chat.whole('hello')));
    const others = manyRoutes(50);
    const edited = (edit: number): Route => routeEntry('a/chat', edit, upstream.url);
    operator.server.publish(tables(tableOf([edited(0), ...others])));
    const pods = [await site.pod('one'), await site.pod('two')];
    for (const pod of pods) await until('the pod is ready', async () => (await readyz(pod)).status === 200);
    let over = false;
    const statuses: number[] = [];
    const clients = pods.map(async ({ pod }) => {
      while (!over) statuses.push((await send(pod.port, { body: chat.body }).answer).status);
    });
    for (let edit = 1; edit <= 100; edit++) {
      operator.server.publish(tables(tableOf([edited(edit), ...others.slice(edit % 2)])));
      await until('a client was answered', () => statuses.length > edit);
    }
    await until('all have the last', () => operator.server.progress(GATEWAY_ID, 'a/chat').programmedPods === pods.length);
    over = true;
    await Promise.all(clients);
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
    for (const pod of pods) expect(served(pod)['a/chat']).toBe('100');
  });

  it('is not ready before it has a table, and says why', async () => {
    const { site, operator } = await setUp();
    const pod = await site.pod('one');
    await until('it was told why', () => operator.refused.length > 0);
    await until('it says why', async () => (await readyz(pod)).text.includes('there is no table for the gateway'));
    expect((await readyz(pod)).status).toBe(503);
  });

  it('has many routes, keys and settings taken over, changed and taken away', async () => {
    const { site, operator } = await setUp();
    const routes = manyRoutes(1_000);
    operator.server.publish(tables(tableOf(routes, [keyEntry(1), keyEntry(2)], settingsEntry({ clientAuth: 'APIKey' }))));
    const pod = await site.pod('one');
    await until('all are served', () => Object.keys(served(pod)).length === 1_000);
    const table = tableOf([...routes.slice(10), routeEntry('new/route')], [keyEntry(2, 'team-b'), keyEntry(3)]);
    operator.server.publish(tables(table));
    await until('the change is served', () => pod.pod.gateway.table?.table.digest === table.digest);
    expect(pod.pod.gateway.table?.table.clientKeys.map(({ tenant }) => tenant)).toEqual(['team-b', 'team-a']);
    expect(pod.pod.gateway.table?.table.settings.clientAuth).toBe('None');
  });

  it('gets the table of its own gateway only', async () => {
    const { site, operator } = await setUp();
    const other = { ...tableOf([routeEntry('b/two')]), gateway: { namespace: 'other', name: 'gateway' } };
    operator.server.publish(new Map([...tables(tableOf([routeEntry('a/one')])), ...tables(other)]));
    const one = await site.pod('one');
    const two = await site.pod('two', { gateway: 'other/gateway' });
    await until('both serve', () => Object.keys(served(one)).length + Object.keys(served(two)).length === 2);
    expect([served(one), served(two)]).toEqual([{ 'a/one': '0' }, { 'b/two': '0' }]);
  });

  it('goes on with a gateway that was deleted and made again, and is known to serve its table only once it does', async () => {
    const { site, operator } = await setUp();
    for (const edit of [1, 2, 3]) operator.server.publish(tables(tableOf([routeEntry('a/chat', edit)])));
    const pod = await site.pod('one');
    await until('it serves', () => operator.server.progress(GATEWAY_ID, 'a/chat').programmedPods === 1);
    operator.server.forget(GATEWAY_ID);
    operator.server.publish(tables(tableOf([routeEntry('a/chat', 4)])));
    expect(operator.server.progress(GATEWAY_ID, 'a/chat')).toMatchObject({ readyPods: 1, programmedPods: 0 });
    await until('it serves the new one', () => served(pod)['a/chat'] === '4');
    await until('that is known', () => operator.server.progress(GATEWAY_ID, 'a/chat').programmedPods === 1);
  });

  it('that cannot prove who it is gets nothing; a rotated token is read anew', async () => {
    const { site, operator } = await setUp();
    operator.server.publish(tables(tableOf([routeEntry('a/one')])));
    const pod = await site.pod('one', { token: 'forged' });
    await until('it is refused', () => operator.refused.length > 1);
    expect(operator.refused[0]).toBe('the token is refused: the token is not known');
    expect(served(pod)).toEqual({});
    expect(operator.reviews.count).toBe(1);
    const identity = { namespace: 'fairlead-system', name: 'one', uid: 'uid-one', gateway: GATEWAY_ID };
    site.tokens.set('genuine', { ok: true, pod: identity });
    await writeFile(pod.tokenFile, 'genuine\n');
    await until('it serves', () => Object.keys(served(pod)).length === 1);
  });

  it('shows neither its token nor a credential in its log, its metrics, its readiness or its configuration', async () => {
    const { site, operator } = await setUp();
    operator.server.publish(
      tables(tableOf([routeEntry('a/one'), { ...routeEntry('a/bad'), rules: 'sk-canary' } as unknown as Route])),
    );
    const pod = await site.pod('one');
    await until('it serves', () => Object.keys(served(pod)).length === 1);
    const shown = await Promise.all(
      ['readyz', 'metrics', 'config'].map(async (path) => (await fetch(`http://127.0.0.1:${pod.adminPort}/${path}`)).text()),
    );
    for (const text of [...shown, ...pod.lines, ...operator.refused]) expect(text).not.toMatch(/sk-canary|token-one/);
    expect(shown[1]).toContain('fairlead_operator_connected 1');
    expect(shown[1]).toMatch(/fairlead_config_age_seconds 0\.\d+/);
  });
});

describe('what the operator knows', () => {
  it('is which ready pods serve a route as it is now; told once for each change of that', async () => {
    const { site, operator } = await setUp();
    const { server } = operator;
    server.publish(tables(tableOf([routeEntry('a/one', 1), routeEntry('a/two', 1)])));
    await site.pod('one');
    await site.pod('two');
    await until('both are ready', () => server.progress(GATEWAY_ID, 'a/one').programmedPods === 2);
    const told: ProgressChange[] = [];
    server.onProgress((change) => told.push(change));
    server.publish(tables(tableOf([routeEntry('a/one', 2), routeEntry('a/two', 1)])));
    // At this moment no pod can have answered.
    expect(server.progress(GATEWAY_ID, 'a/one')).toEqual({ readyPods: 2, programmedPods: 0, rejected: [] });
    expect(server.progress(GATEWAY_ID, 'a/two').programmedPods).toBe(2);
    await until('both have it', () => server.progress(GATEWAY_ID, 'a/one').programmedPods === 2);
    expect(told).toEqual([
      { gateway: GATEWAY_ID, routes: ['a/one'] },
      { gateway: GATEWAY_ID, routes: ['a/one'] },
    ]);
    server.publish(tables(tableOf([routeEntry('a/two', 1)])));
    expect(server.progress(GATEWAY_ID, 'a/one').programmedPods).toBe(0);
    await until('it is gone everywhere', () => server.progress(GATEWAY_ID, 'a/one').programmedPods === 2);
  });

  it('is which pod refuses what, and why; the rest is served', async () => {
    const { site, operator } = await setUp();
    const { server } = operator;
    const good = routeEntry('a/one', 1);
    server.publish(tables(tableOf([good])));
    const pod = await site.pod('one');
    await until('it serves', () => server.progress(GATEWAY_ID, 'a/one').programmedPods === 1);
    const [rule] = good.rules;
    const strange = { ...routeEntry('a/one', 2), rules: [{ ...rule, strategy: 'Utility' }] } as unknown as Route;
    server.publish(tables(tableOf([strange, routeEntry('a/two', 2)])));
    await until('the other is served', () => server.progress(GATEWAY_ID, 'a/two').programmedPods === 1);
    expect(served(pod)).toEqual({ 'a/one': '1', 'a/two': '2' });
    expect(server.progress(GATEWAY_ID, 'a/one')).toEqual({
      readyPods: 1,
      programmedPods: 0,
      rejected: [{ pod: 'one', reason: 'rules[0].strategy: "Utility" is not known here, only Weighted, RoundRobin, LeastBusy' }],
    });
    server.publish(tables(tableOf([routeEntry('a/one', 3)])));
    await until('it is taken again', () => server.progress(GATEWAY_ID, 'a/one').programmedPods === 1);
    expect(podOf(operator, 'one')?.nacks).toEqual([]);
  });

  it('is what a pod fails to load: that route alone keeps its last version or is absent, and the rest is served', async () => {
    const { site, operator } = await setUp();
    const { server } = operator;
    const random = seededRandom(5);
    /** Loading a route draws a random number for each of its rules. */
    let planted = false;
    const pod = await site.pod('one', {
      random: () => {
        if (planted && new Error('where').stack?.includes('loadRoute') === true) throw new Error('planted: sk-canary');
        return random();
      },
    });
    const one = routeEntry('a/one', 1);
    const other = routeEntry('b/other', 1);
    const three = routeEntry('c/three', 3);
    server.publish(tables(tableOf([one, other])));
    await until('both are served', () => server.progress(GATEWAY_ID, 'b/other').programmedPods === 1);
    planted = true;
    server.publish(tables(tableOf([routeEntry('a/one', 2), other, three])));
    const refused = (id: string): readonly { readonly pod: string }[] => server.progress(GATEWAY_ID, id).rejected;
    await until('both are refused', () => refused('a/one').length === 1 && refused('c/three').length === 1);
    expect(served(pod)).toEqual({ 'a/one': '1', 'b/other': '1' });
    expect(podOf(operator, 'one')?.digest).toBe(tableOf([one, other]).digest);
    expect(podOf(operator, 'one')?.nacks.map(({ id, kept }) => [id, kept])).toEqual([
      ['a/one', true],
      ['c/three', false],
    ]);
    expect(server.progress(GATEWAY_ID, 'b/other').programmedPods).toBe(1);
    expect(JSON.stringify(podOf(operator, 'one'))).not.toContain('sk-canary');
    planted = false;
    server.publish(tables(tableOf([routeEntry('a/one', 4), other, routeEntry('c/three', 4)])));
    const programmed = (id: string): boolean => server.progress(GATEWAY_ID, id).programmedPods === 1;
    await until('they are taken again', () => programmed('a/one') && programmed('c/three'));
    expect(served(pod)).toEqual({ 'a/one': '4', 'b/other': '1', 'c/three': '4' });
    expect(podOf(operator, 'one')?.nacks).toEqual([]);
  });

  it('is that a pod which ends is not waited for', async () => {
    const { site, operator } = await setUp();
    operator.server.publish(tables(tableOf([routeEntry('a/one')])));
    const one = await site.pod('one');
    await site.pod('two');
    await until('both are ready', () => operator.server.progress(GATEWAY_ID, 'a/one').readyPods === 2);
    await one.stop();
    expect(operator.server.pods(GATEWAY_ID).map(({ name }) => name)).toEqual(['two']);
  });

  it('is which upstreams a pod keeps away from', async () => {
    const { site, operator } = await setUp();
    const upstream = await FakeUpstream.start((call) => call.answer(429, '{}', { 'retry-after': '60' }));
    operator.server.publish(tables(tableOf([routeEntry('a/chat', 1, upstream.url)])));
    const pod = await site.pod('one');
    await until('it is ready', () => podOf(operator, 'one')?.ready === true);
    await send(pod.pod.port, { body: chat.body }).answer;
    await until('it is told', () => podOf(operator, 'one')?.upstreams.length === 1);
    expect(podOf(operator, 'one')?.upstreams).toMatchObject([
      { upstreamId: `${upstream.url}#1`, state: 'CoolingDown', reason: 'RateLimited' },
    ]);
    await until('its load is told', () => podOf(operator, 'one')?.load.requestsTotal === 1);
  });
});

describe('leaders', () => {
  it('come and go, and whatever they change is served; nothing goes backwards', async () => {
    const site = await Site.create();
    const random = seededRandom(7);
    let operator = await site.operator();
    const { port } = operator;
    let epoch = 1;
    operator.server.lead(epoch);
    let table = tableOf(manyRoutes(50));
    operator.server.publish(tables(table));
    const pods = [await site.pod('one'), await site.pod('two')];
    for (let step = 0; step < 40; step++) {
      const routes = table.routes
        .map((route) => (random() < 0.1 ? routeEntry(route.id, step) : route))
        .filter(() => random() > 0.02);
      table = tableOf([...routes, routeEntry(`new/${step}`, step)]);
      const chance = random();
      if (chance < 0.2) {
        operator.server.resign();
        operator.server.lead(++epoch);
      } else if (chance < 0.4) {
        await operator.close();
        operator = await site.operator(port);
        operator.server.lead(++epoch);
      }
      operator.server.publish(tables(table));
      if (random() < 0.3)
        await until('all serve it', () => pods.every((pod) => pod.pod.gateway.table?.table.digest === table.digest));
    }
    await until('all serve the last one', () => pods.every((pod) => pod.pod.gateway.table?.table.digest === table.digest));
    const first = table.routes[0]?.id ?? '';
    await until('the last leader knows', () => operator.server.progress(GATEWAY_ID, first).programmedPods === 2);
    expect(pods.map((pod) => pod.pod.delivery.order.epoch)).toEqual([epoch, epoch]);
  });

  it('of the past are refused, and learn of it', async () => {
    const site = await Site.create();
    const first = await site.operator();
    first.server.lead(3);
    first.server.publish(tables(tableOf([routeEntry('a/one', 1)])));
    const pod = await site.pod('one');
    await until('it serves', () => served(pod)['a/one'] === '1');
    await first.close();
    const second = await site.operator(first.port);
    const newer: number[] = [];
    second.server.onNewerEpoch((epoch) => newer.push(epoch));
    second.server.lead(2);
    second.server.publish(tables(tableOf([routeEntry('a/one', 0)])));
    await until('it is told', () => newer.length > 0);
    expect(newer[0]).toBe(3);
    expect(served(pod)).toEqual({ 'a/one': '1' });
    // It holds the Lease all the same (the cluster was restored): it leads on, above what was seen.
    second.server.lead(4);
    await until('it serves what the leader means', () => served(pod)['a/one'] === '0');
  });

  it('that are gone take nothing with them; the age of what is served is told', async () => {
    const { site, operator } = await setUp();
    operator.server.publish(tables(tableOf([routeEntry('a/one')])));
    const pod = await site.pod('one');
    await until('it is ready', async () => (await readyz(pod)).status === 200);
    await operator.close();
    await until('it notices', async () => (await readyz(pod)).text.includes('ECONNREFUSED'));
    expect(await readyz(pod)).toMatchObject({
      status: 200,
      text: expect.stringMatching(/^ready: configuration 1\.1, \d+ s old: /),
    });
    expect(served(pod)).toEqual({ 'a/one': '0' });
  });
});

describe('a cold start without a leader', () => {
  const noLeader = { timing: { noLeaderAfterMs: 0 } };

  it('serves the snapshot and says how old it is, until a leader is there', async () => {
    const { site, operator } = await setUp();
    const { port } = operator;
    await operator.close();
    const writtenMs = Date.now() - 90_000;
    await site.snapshot(tableOf([routeEntry('a/one', 1), routeEntry('a/two', 1)]), { epoch: 1, sequence: 5 }, writtenMs);
    const pod = await site.pod('one', noLeader);
    await until('it is ready', async () => (await readyz(pod)).status === 200);
    const { text } = await readyz(pod);
    const [, age] = /^ready: configuration from the snapshot, (\d+) s old: .*ECONNREFUSED/.exec(text) ?? [];
    expect(Number(age)).toBeGreaterThanOrEqual(90);
    expect(Number(age)).toBeLessThanOrEqual((Date.now() - writtenMs) / 1_000);
    expect(served(pod)).toEqual({ 'a/one': '1', 'a/two': '1' });

    const next = await site.operator(port);
    next.server.publish(tables(tableOf([routeEntry('a/one', 2)])));
    next.server.lead(2);
    await until('it serves what the leader means', () => served(pod)['a/two'] === undefined && served(pod)['a/one'] === '2');
  });

  it('waits a moment for a leader that does not give a table, and then goes by the snapshot all the same', async () => {
    const site = await Site.create();
    const operator = await site.operator();
    await site.snapshot(tableOf([routeEntry('a/one', 1)]), { epoch: 1, sequence: 5 });
    operator.server.lead(2);
    const pod = await site.pod('one', { token: 'x', timing: { noLeaderAfterMs: 1e9, snapshotAfterMs: 1_000 } });
    expect((await readyz(pod)).status).toBe(503);
    await until('it is ready', async () => (await readyz(pod)).status === 200);
  });

  it('goes on with newer parts that the kubelet brings', async () => {
    const site = await Site.create();
    await (await site.operator()).close();
    await site.snapshot(tableOf([routeEntry('a/one', 1)]), { epoch: 1, sequence: 5 });
    const pod = await site.pod('one', { timing: { noLeaderAfterMs: 0, rereadSnapshotMs: 10 } });
    await until('it serves', () => served(pod)['a/one'] === '1');
    await site.snapshot(tableOf([routeEntry('a/one', 2), routeEntry('b/two', 2)]), { epoch: 1, sequence: 6 });
    await until('it serves the newer', () => served(pod)['a/one'] === '2' && served(pod)['b/two'] === '2');
    await site.snapshot(tableOf([routeEntry('a/one', 0)]), { epoch: 1, sequence: 4 });
    await site.snapshot(tableOf([routeEntry('a/one', 7)]), { epoch: 1, sequence: 7 });
    await until('it serves the newest', () => served(pod)['a/one'] === '7');
  });

  it('with a damaged part serves the others, and says so', async () => {
    const site = await Site.create();
    await (await site.operator()).close();
    await site.snapshot(tableOf(manyRoutes(100)), { epoch: 1, sequence: 5 });
    await writeFile(join(site.directory, 'snapshot', 'part-3.jsonl.gz'), 'sk-canary');
    const pod = await site.pod('one', noLeader);
    await until('it serves', () => Object.keys(served(pod)).length > 50);
    expect(Object.keys(served(pod)).length).toBeLessThan(100);
    expect(pod.lines.join('')).toContain('part-3.jsonl.gz: it is not gzip, or damaged');
  });
});

describe("the operator's certificate", () => {
  it('of an authority that the pod does not know is refused; one that was published first is taken', async () => {
    const site = await Site.create();
    const next = planAuthority(null, null, Date.now());
    const operator = await site.operator(undefined, next.state);
    operator.server.lead(1);
    operator.server.publish(tables(tableOf([routeEntry('a/one')])));
    const pod = await site.pod('one');
    await until('it refuses', async () => /certificate/.test((await readyz(pod)).text));
    expect(operator.reviews.count).toBe(0);
    await site.trust(planAuthority(null, null, Date.now()).bundlePem + next.bundlePem);
    await until('it serves', () => Object.keys(served(pod)).length === 1);
  });

  it('can be renewed while streams are open', async () => {
    const { site, operator } = await setUp();
    operator.server.publish(tables(tableOf([routeEntry('a/one', 1)])));
    const one = await site.pod('one');
    await until('it serves', () => served(one)['a/one'] === '1');
    operator.server.useCertificate(issueServing(site.authority.current, ['localhost'], Date.now()));
    operator.server.publish(tables(tableOf([routeEntry('a/one', 2)])));
    const two = await site.pod('two');
    await until('both serve', () => served(one)['a/one'] === '2' && served(two)['a/one'] === '2');
  });
});
