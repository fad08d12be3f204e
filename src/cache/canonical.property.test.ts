import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseJsonOrThrow } from '../lib/json-parse.ts';
import { readRequestBody } from '../dialects/request-body.ts';
import { cacheKey, type CacheableRequest, type RouteCache } from './cache-key.ts';
import { canonicalBody } from './canonical.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 300);

function canonical(text: string): string | null {
  const read = readRequestBody(Buffer.from(text), 'chat');
  if (!read.ok) throw new Error(`${read.error.message}: ${text}`);
  return canonicalBody(read.value);
}

/** The same value in other bytes: keys in another order, white space anywhere, letters as escapes, numbers written otherwise. */
function rewritten(value: unknown, random: () => number): string {
  const space = (): string => [' ', '', '\n', '\t', ''][Math.floor(random() * 5)] ?? '';
  const text = (string: string): string =>
    `"${[
      ...JSON.stringify(string)
        .slice(1, -1)
        .matchAll(/\\u[0-9a-f]{4}|\\.|[^]/g),
    ]
      .map(([unit]) => (unit.length === 1 && random() < 0.2 ? `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}` : unit))
      .join('')}"`;
  if (typeof value === 'string') return text(value);
  if (typeof value === 'number' && Number.isSafeInteger(value) && Math.abs(value) < 1e9 && random() < 0.3) return `${value}.0`;
  if (Array.isArray(value)) return `[${space()}${value.map((item) => rewritten(item, random)).join(`${space()},${space()}`)}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value)
      .map(([name, member]) => ({ at: random(), text: `${text(name)}${space()}:${space()}${rewritten(member, random)}` }))
      .sort((a, b) => a.at - b.at);
    return `{${space()}${members.map((member) => member.text).join(`${space()},${space()}`)}${space()}}`;
  }
  return JSON.stringify(value);
}

function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** A name that is ours in another case is refused before anybody asks for its canonical form. */
function isMisspelt(made: Readonly<Record<string, unknown>>): boolean {
  const read = readRequestBody(Buffer.from(JSON.stringify({ ...made, model: 'm' })), 'chat');
  return !read.ok && read.error.code === 'duplicate_parameter';
}

/** As it comes back from JSON: without -0, which is the same number there. */
const members = fc
  .dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 }))
  .map((made) => parseJsonOrThrow(JSON.stringify(made)) as Record<string, unknown>)
  .filter((made) => !Object.keys(made).some((name) => ['model', 'stream', 'stream_options'].includes(name.toLowerCase())))
  .filter((made) => !isMisspelt(made));

describe('the canonical body', () => {
  it('is the same for equal values, however they are written', () => {
    fc.assert(
      fc.property(members, fc.integer(), (made, seed) => {
        const plain = canonical(JSON.stringify({ model: 'm', ...made }));
        expect(plain).not.toBeNull();
        expect(canonical(rewritten({ ...made, model: 'm' }, seeded(seed)))).toBe(plain);
      }),
      { numRuns: RUNS },
    );
  });

  it('is another one for every other value', () => {
    fc.assert(
      fc.property(members, members, (one, other) => {
        const same = canonical(JSON.stringify({ model: 'm', ...one })) === canonical(JSON.stringify({ model: 'm', ...other }));
        let equal = true;
        try {
          expect(one).toStrictEqual(other);
        } catch {
          equal = false;
        }
        expect(same).toBe(equal);
      }),
      { numRuns: RUNS },
    );
  });

  it.each([
    ['a name twice in one object', '{"model":"m","messages":[{"role":"user","content":"a","content":"b"}]}'],
    ['a name twice, once escaped', '{"model":"m","x":{"a":1,"\\u0061":2}}'],
    ['an integer that a double does not hold', '{"model":"m","seed":9007199254740993}'],
    ['a number that is infinite as a double', '{"model":"m","seed":1e999}'],
    ['one that is nothing as a double', '{"model":"m","seed":1e-400}'],
  ])('is not there for %s', (_, text) => {
    expect(canonical(text)).toBeNull();
  });

  it.each(['0.30000000000000004', '1e5', '-0', '0.1', '123456789012345', '1.7976931348623157e+308'])(
    'is there for %s',
    (text) => {
      expect(canonical(`{"model":"m","x":${text}}`)).not.toBeNull();
    },
  );

  it('takes colons and digits in texts for what they are', () => {
    expect(canonical('{"model":"m","x":"a: 9007199254740993 \\": 1e999","y":[1,":",2]}')).not.toBeNull();
  });
});

describe('cache keys', () => {
  const cache: RouteCache = { ttlMs: 1000, scope: 'Tenant', fingerprint: 'f' };
  const read = readRequestBody(Buffer.from('{"model":"m","messages":[]}'), 'chat');
  if (!read.ok) throw new Error('unreadable');
  const { operation, model, bytes, json } = read.value;
  const asked = { operation, model, bytes, json };
  const base: CacheableRequest = { routeId: 'a/b', tenant: 't', keyId: 'a/k', rule: 'r', body: asked, switches: [] };

  it('of 100,000 identical prompts over tenants, keys, routes and models are all different', () => {
    const keys = new Set<string | null>();
    let made = 0;
    for (let tenant = 0; tenant < 1_000; tenant++) {
      for (let route = 0; route < 10; route++) {
        for (let model = 0; model < 10; model++) {
          const body = { ...asked, model: `m${model}` };
          keys.add(cacheKey(cache, { ...base, tenant: `t${tenant}`, routeId: `ns/r${route}`, body }));
          made++;
        }
      }
    }
    expect(made).toBe(100_000);
    expect(keys.has(null)).toBe(false);
    expect(keys.size).toBe(100_000);
  });

  it('depend on who asks exactly as far as the scope says', () => {
    const of = (scope: RouteCache['scope'], who: Partial<CacheableRequest>): string | null =>
      cacheKey({ ...cache, scope }, { ...base, ...who });
    expect(of('Tenant', { keyId: 'a/other' })).toBe(of('Tenant', {}));
    expect(of('Tenant', { tenant: 'other' })).not.toBe(of('Tenant', {}));
    expect(of('APIKey', { keyId: 'a/other' })).not.toBe(of('APIKey', {}));
    expect(of('Route', { keyId: 'a/other', tenant: 'other' })).toBe(of('Route', {}));
    expect(new Set([of('Route', {}), of('Tenant', {}), of('APIKey', {})]).size).toBe(3);
  });

  it('cannot be made equal by moving text from one part to the next', () => {
    const one = cacheKey(cache, { ...base, tenant: 'a","b', rule: 'c' });
    const other = cacheKey(cache, { ...base, tenant: 'a', rule: 'b","c' });
    expect(one).not.toBe(other);
  });

  it('tell apart rules, targets, operations and switches', () => {
    const keys = [
      cacheKey(cache, base),
      cacheKey(cache, { ...base, rule: 'gold' }),
      cacheKey({ ...cache, fingerprint: 'g' }, base),
      cacheKey(cache, { ...base, body: { ...asked, operation: 'messages' } }),
      cacheKey(cache, { ...base, switches: ['beta'] }),
      cacheKey(cache, { ...base, switches: [undefined, 'beta'] }),
    ];
    expect(new Set(keys).size).toBe(keys.length);
  });
});
