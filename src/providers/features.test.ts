/** What the reference says of each feature is what each provider is sent. */
import { describe, expect, it } from '@jest/globals';
import { type ClientOperation, FEATURE_ROWS, fateOf, sampleOf } from './features.ts';
import { providerFor } from './index.ts';
import { UPSTREAMS } from './reference.ts';

const OPERATIONS: readonly ClientOperation[] = ['chat', 'responses', 'messages', 'completions'];

const CASES = FEATURE_ROWS.flatMap((row) =>
  OPERATIONS.flatMap((operation) =>
    UPSTREAMS.flatMap((upstream) => {
      const fate = fateOf(row, operation, upstream);
      return fate === null || fate === 'passes'
        ? []
        : [[`${row.name}, asked in ${operation} of ${upstream.name}: ${fate}`, row, operation, upstream, fate] as const];
    }),
  ),
);

describe('a feature', () => {
  it.each(CASES)('%s', (_, row, operation, { kind, target }, fate) => {
    const body = sampleOf(row, operation);
    const translation = providerFor(kind).exchange(target, operation)?.translation;
    if (body === null || translation == null) throw new Error('the case is none');
    const written = translation.write(body, () => undefined, null).toString();
    if (fate === 'carried') expect(written).toMatch(row.mark);
    else expect(written).not.toMatch(row.mark);
    const { refused, hints } = translation.lacks(body);
    for (const name of [...refused, ...hints]) expect(name).not.toBe('');
  });
});
