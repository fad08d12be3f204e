/**
 * Results as a Markdown table. As a program: `node test/bench/table.ts` prints what results.json says, with files as arguments it
 * writes it into each, between the two markers.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { readResults, type Figures, type ModeName, type Results } from './results.ts';

export const TABLE_START = '<!-- bench:start -->';
export const TABLE_END = '<!-- bench:end -->';

/** In the order of the table's rows. */
const TITLES: Readonly<Record<string, string>> = {
  gateway: '**Fairlead**',
  nginx: 'nginx',
  haproxy: 'HAProxy',
  envoy: 'Envoy',
  tensorzero: 'TensorZero',
  portkey: 'Portkey',
  litellm: 'LiteLLM',
};

interface Column {
  readonly title: string;
  readonly mode: ModeName;
  readonly cell: (figures: Figures) => string | undefined;
}

const COLUMNS: readonly Column[] = [
  { title: 'CPU a request, 1 KB', mode: 'thr', cell: (f) => micros(f.cpuUs) },
  { title: 'requests/s a core', mode: 'thr', cell: (f) => count(f.perCoreSecond) },
  { title: 'CPU a request, 100 KB', mode: 'thr100k', cell: (f) => micros(f.cpuUs) },
  { title: 'added p50', mode: 'lat', cell: (f) => micros(f.addedP50Us) },
  { title: 'added p99', mode: 'lat', cell: (f) => micros(f.addedP99Us) },
  { title: 'added TTFT p50', mode: 'ttft', cell: (f) => micros(f.addedP50Us) },
  { title: 'CPU a streamed event', mode: 'sse', cell: (f) => micros(f.cpuUs) },
  { title: 'open streams a GiB', mode: 'open', cell: (f) => count(f.streamsPerGiB) },
];

function micros(us: number | undefined): string | undefined {
  return us === undefined ? undefined : `${Math.abs(us) < 10 ? us.toFixed(1) : count(us)} µs`;
}

function count(value: number | undefined): string | undefined {
  return value === undefined ? undefined : Math.round(value).toLocaleString('en-US');
}

/** Only what was measured has a column, and a row. */
export function renderTable(results: Results): string {
  const columns = COLUMNS.filter(({ mode }) => results.modes[mode] !== undefined);
  const rows = Object.entries(TITLES).filter(([name]) =>
    columns.some(({ mode }) => figuresOf(results, mode, name) !== undefined),
  );
  const lines = [
    `| | ${columns.map(({ title }) => title).join(' | ')} |`,
    `|---|${columns.map(() => '--:|').join('')}`,
    ...rows.map(([name, title]) => {
      const cells = columns.map(({ mode, cell }) => {
        const figures = figuresOf(results, mode, name);
        return (figures === undefined ? undefined : cell(figures)) ?? '–';
      });
      return `| ${title} | ${cells.join(' | ')} |`;
    }),
  ];
  return `${lines.join('\n')}\n\n${caption(results)}`;
}

function figuresOf(results: Results, mode: ModeName, name: string): Figures | undefined {
  return results.modes[mode]?.figures[name];
}

function caption(results: Results): string {
  const { machine, modes, node, versions } = results;
  const days = [...new Set(Object.values(modes).map((mode) => mode.at.slice(0, 10)))].sort();
  const commits = [...new Set(Object.values(modes).map((mode) => mode.commit))];
  const peers = Object.entries(versions)
    .filter(([name]) => name !== 'gateway')
    .map(([name, version]) => `${TITLES[name] ?? name} ${version}`);
  const core = machine.pinned ? 'one core for the server, the rest for the load' : 'cores shared with the load';
  return (
    `${machine.cpu}, ${machine.cores} cores (${core}), ${machine.system}, Node.js ${node.replace('v', '')}; ` +
    `${days.join(', ')}, commit ${commits.join(', ')}. ${peers.length > 0 ? `${peers.join(', ')}. ` : ''}\`make bench\` repeats it.`
  );
}

/** `document` with the table between its markers. Throws where it has none. */
export function withTable(document: string, results: Results): string {
  const start = document.indexOf(TABLE_START);
  const end = document.indexOf(TABLE_END, start);
  if (start < 0 || end < 0) throw new Error(`no ${TABLE_START} with a ${TABLE_END} after it`);
  return `${document.slice(0, start)}${TABLE_START}\n${renderTable(results)}\n${document.slice(end)}`;
}

if (import.meta.main) {
  const file = join(import.meta.dirname, 'results.json');
  const results = readResults(file);
  if (results === null) throw new Error('there is no results.json yet: make bench');
  const documents = process.argv.slice(2);
  if (documents.length === 0) console.log(renderTable(results));
  for (const document of documents) writeFileSync(document, withTable(readFileSync(document, 'utf8'), results));
}
