import { describe, expect, it } from '@jest/globals';
import { acceptRequestId, newRequestId } from './request-id.ts';

describe('request ids', () => {
  it('are all of one form, and never the same', () => {
    const ids = new Set(Array.from({ length: 5_000 }, () => newRequestId()));
    expect(ids.size).toBe(5_000);
    for (const id of ids) expect(id).toMatch(/^req_[0-9a-f]{24}$/);
  });

  it("are the client's where it is plain", () => {
    expect(acceptRequestId('a-B_c.1')).toBe('a-B_c.1');
    for (const header of [undefined, '', 'a b', 'a\n', 'a'.repeat(129), 'é']) expect(acceptRequestId(header)).toMatch(/^req_/);
  });
});
