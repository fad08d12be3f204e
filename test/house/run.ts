/**
 * `make test`: every check of the house, then the tests, the built program's demo, and the tests on a cluster; each runs whatever
 * became of the others. The last line counts them all: one for each check, one for each test that jest reports.
 * With names as arguments only those checks run.
 */
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CHECKS, ROOT } from './checks.ts';
import { absentTests, countTests, formatCount, type Count, type JestReport } from './count.ts';

const PASSED: Count = { passed: 1, failed: 0, skipped: 0 };
const FAILED: Count = { passed: 0, failed: 1, skipped: 0 };
/** Nothing here takes a tenth of this; a run that hangs must end in words. */
const LIMIT_MS = 45 * 60_000;
/** Five programs, ten minutes each on a machine that has nothing else to do. */
const BUILD_LIMIT_MS = 4 * LIMIT_MS;
const REPORT = join(ROOT, '.cache', 'jest.json');
/** They need the machine to themselves, and the built program. */
const CLUSTER_TESTS = 'test/cluster/';
/** Minutes of killing, freezing and waiting: `make test-cluster` runs them with the others. */
const CLUSTER_SOAK = 'test/cluster/faults';

/**
 * Runs a program without a terminal; what it prints is shown only where it fails. `aloud`: what it says on stderr is shown as it
 * comes, since it may take minutes.
 */
function judge(
  name: string,
  holds: string,
  program: string,
  argv: readonly string[],
  { aloud = false, limitMs = LIMIT_MS } = {},
): Count {
  const startedMs = performance.now();
  const run = spawnSync(program, argv, {
    cwd: ROOT,
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', aloud ? 'inherit' : 'pipe'],
    timeout: limitMs,
  });
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  const clean = run.status === 0;
  console.log(`${clean ? 'ok    ' : 'FAILED'} ${name.padEnd(11)}${seconds.padStart(5)} s  ${holds}`);
  if (!clean) console.log(`${run.stdout}${aloud ? '' : run.stderr}${ending(run)}`.trimEnd().replaceAll(/^/gm, '       '));
  return clean ? PASSED : FAILED;
}

function ending(run: SpawnSyncReturns<string>): string {
  return run.error === undefined ? `exit code ${run.status ?? run.signal}` : run.error.message;
}

function runTests(name: string, selection: readonly string[]): Count {
  mkdirSync(join(ROOT, '.cache'), { recursive: true });
  rmSync(REPORT, { force: true });
  const jest = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js'];
  const flags = ['-c', '.jestrc.js', '--rootDir', '.', '--json', `--outputFile=${REPORT}`, ...selection];
  // Its report for people goes to stderr, as it comes; the one on stdout is in the file, too.
  const run = spawnSync(process.execPath, [...jest, ...flags], {
    cwd: ROOT,
    stdio: ['ignore', 'ignore', 'inherit'],
    timeout: LIMIT_MS,
  });
  if (!existsSync(REPORT)) {
    console.log(`FAILED ${name}: jest ended without a report`);
    return FAILED;
  }
  const report = JSON.parse(readFileSync(REPORT, 'utf8')) as JestReport;
  for (const title of absentTests(report)) console.log(`not run here: ${title}`);
  const count = countTests(report, run.status);
  const idle = report.numPendingTests + report.numTodoTests;
  console.log(
    `${count.failed === 0 ? 'ok    ' : 'FAILED'} ${name}${idle > 0 ? `: ${idle} skipped, which only an absent tool allows; see CONTRIBUTING.md` : ''}`,
  );
  return count;
}

const names = process.argv.slice(2);
const unknown = names.filter((name) => !CHECKS.some((check) => check.name === name));
if (unknown.length > 0) throw new Error(`no check ${unknown.join(', ')}: take ${CHECKS.map((check) => check.name).join(', ')}`);

const counts = CHECKS.filter((check) => names.length === 0 || names.includes(check.name)).map((check) =>
  judge(check.name, check.holds, process.execPath, check.argv),
);
if (names.length === 0) {
  const builder = join(import.meta.dirname, '..', 'controlplane', 'build.ts');
  const built = 'what the tests take of Kubernetes is built, once for this machine';
  counts.push(judge('kubernetes', built, process.execPath, [builder], { aloud: true, limitMs: BUILD_LIMIT_MS }));
  counts.push(runTests('tests', ['--maxWorkers=100%', `--testPathIgnorePatterns=${CLUSTER_TESTS}`]));
  counts.push(judge('demo', 'the built program answers with no key and no network', 'make', ['--no-print-directory', 'demo']));
  // In this order: jest takes what follows the patterns to ignore for another of them.
  counts.push(runTests('tests on a cluster', ['--runInBand', CLUSTER_TESTS, `--testPathIgnorePatterns=${CLUSTER_SOAK}`]));
}
console.log(formatCount(counts));
process.exitCode = counts.every((count) => count.failed === 0) ? 0 : 1;
