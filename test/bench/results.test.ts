import { describe, it, expect } from '@jest/globals';
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { ABSENT } from '../house/count.ts';
import { CAN_MEASURE, cpuTimes, cpuUsBetween, pssBytes } from './proc.ts';
import { readResults, writeResults, type Figures, type ModeResult, type Results } from './results.ts';
import { sumOfRequests } from './server.ts';
import { renderTable, TABLE_END, TABLE_START, withTable } from './table.ts';
import { judgeTargets } from './targets.ts';

function mode(figures: Record<string, Partial<Figures>>, commit = 'abc1234'): ModeResult {
  const whole = Object.entries(figures).map(([name, known]) => [name, { errors: 0, answered: 1, ...known }]);
  return {
    at: '2026-11-24T10:00:00.000Z',
    commit,
    settings: {},
    figures: Object.fromEntries(whole) as Record<string, Figures>,
    leftOut: {},
  };
}

function results(modes: Results['modes']): Results {
  const machine = { cpu: 'Some CPU', cores: 2, memoryGiB: 8, system: 'Linux 6.18', pinned: true };
  return { machine, node: 'v26.10.0', versions: { nginx: '1.22.1', gateway: 'abc1234' }, modes };
}

const FOUND = results({
  thr: mode({ nginx: { cpuUs: 25, perCoreSecond: 40_000 }, gateway: { cpuUs: 80, perCoreSecond: 12_500 }, envoy: { cpuUs: 60 } }),
  lat: mode({ direct: { p50Us: 100 }, nginx: { addedP50Us: 61.4 }, gateway: { addedP50Us: 100 } }),
  sse: mode({ nginx: { cpuUs: 3.21 } }),
});

describe('the table', () => {
  it('has a row for each peer and a column for each mode that was measured, and says where', () => {
    expect(renderTable(FOUND).split('\n')).toEqual([
      '| | CPU a request, 1 KB | requests/s a core | added p50 | added p99 | CPU a streamed event |',
      '|---|--:|--:|--:|--:|--:|',
      '| **Fairlead** | 80 µs | 12,500 | 100 µs | – | – |',
      '| nginx | 25 µs | 40,000 | 61 µs | – | 3.2 µs |',
      '| Envoy | 60 µs | – | – | – | – |',
      '',
      'Some CPU, 2 cores (one core for the server, the rest for the load), Linux 6.18, Node.js 26.10.0; 2026-11-24, ' +
        'commit abc1234. nginx 1.22.1. `make bench` repeats it.',
    ]);
  });

  it('takes the place of what was between the markers', () => {
    const document = `# Title\n${TABLE_START}\nold\n${TABLE_END}\nend\n`;
    const once = withTable(document, FOUND);
    expect(once).toBe(`# Title\n${TABLE_START}\n${renderTable(FOUND)}\n${TABLE_END}\nend\n`);
    expect(withTable(once, FOUND)).toBe(once);
    expect(() => withTable('# Title\n', FOUND)).toThrow(TABLE_START);
  });

  it('is in the README as results.json has it', () => {
    const root = join(import.meta.dirname, '..', '..');
    const measured = readResults(join(import.meta.dirname, 'results.json'));
    const readme = join(root, 'README.md');
    const text = existsSync(readme) ? readFileSync(readme, 'utf8') : '';
    // Figures without results, or results that nobody shows, are both wrong.
    expect(text.includes(TABLE_START)).toBe(measured !== null);
    if (measured !== null) expect(text).toBe(withTable(text, measured));
  });
});

describe('targets', () => {
  it('judges what was measured', () => {
    expect(judgeTargets(FOUND)).toEqual([
      "MISSED CPU a request, 1 KB: 1.33x envoy's, at most 1.2",
      "holds  requests a core, 1 KB: 0.31x nginx's, at least 0.25",
      "holds  added p50: 1.63x nginx's, at most 2",
    ]);
  });
});

describe('results.json', () => {
  it('keeps modes that were not run, of the same machine only', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'fairlead-results-')), 'results.json');
    writeResults(file, FOUND);
    const again = results({ thr: mode({ gateway: { cpuUs: 70 } }, 'def5678') });
    writeResults(file, again);
    expect(readResults(file)).toEqual({ ...FOUND, modes: { ...FOUND.modes, ...again.modes } });
    const elsewhere = { ...again, machine: { ...again.machine, cores: 4 } };
    writeResults(file, elsewhere);
    expect(readResults(file)).toEqual(elsewhere);
  });
});

describe('what the server counted', () => {
  it('is the sum of what is named so', () => {
    const metrics =
      '# TYPE a_requests_total counter\na_requests_total{route="x y",code="200"} 3\na_requests_total{route="b}"} 4\n' +
      'requests_total 5\na_requests_total_other 7\na_errors_total 9\n';
    expect(sumOfRequests(metrics)).toBe(12);
  });
});

describe('CPU time', () => {
  it('is that of the threads, or by ticks where one of them has ended or none is told', () => {
    const before = { threadsUs: new Map([['1', 100]]), ticksUs: 10_000 };
    expect(
      cpuUsBetween(before, {
        threadsUs: new Map([
          ['1', 350],
          ['2', 50],
        ]),
        ticksUs: 10_000,
      }),
    ).toBe(300);
    expect(cpuUsBetween(before, { threadsUs: new Map([['2', 50]]), ticksUs: 30_000 })).toBe(20_000);
    expect(cpuUsBetween(before, { threadsUs: new Map([['1', 100]]), ticksUs: 40_000 })).toBe(30_000);
    expect(cpuUsBetween(null, before)).toBeNaN();
  });

  if (CAN_MEASURE) {
    it('agrees with what the process knows of itself', () => {
      const before = cpuTimes(process.pid);
      const own = process.cpuUsage();
      let spentUs = 0;
      while (spentUs < 60_000) {
        const { user, system } = process.cpuUsage(own);
        spentUs = user + system;
      }
      const foundUs = cpuUsBetween(before, cpuTimes(process.pid));
      // The kernel brings the fine count up to date at its ticks.
      expect(Math.abs(foundUs - spentUs)).toBeLessThan(30_000);
      expect(pssBytes(process.pid)).toBeGreaterThan(1e6);
    });
  } else {
    it(`${ABSENT}/proc of Linux, so CPU time and memory are not measured`, () => undefined);
  }

  it('is none for a process that does not exist', () => {
    expect(cpuTimes(2 ** 30)).toBeNull();
    expect(pssBytes(2 ** 30)).toBeNull();
  });
});
