/**
 * `make test`: every check of the house, then the tests, then the built program's demo; each runs whatever became of the
 * others. The last line counts them all: one for each check, one for each test that jest reports.
 * With names as arguments only those checks run.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CHECKS, ROOT, type Check } from './checks.ts';

interface Count {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** The part of jest's JSON report that is counted. */
interface JestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly numRuntimeErrorTestSuites: number;
  readonly testResults: readonly { readonly assertionResults: readonly { readonly title: string }[] }[];
}

const PASSED: Count = { passed: 1, failed: 0, skipped: 0 };
const FAILED: Count = { passed: 0, failed: 1, skipped: 0 };
/** Nothing here takes a tenth of this; a run that hangs must end in words. */
const LIMIT_MS = 45 * 60_000;
/** A test whose title begins so stands for tests that cannot run on this machine and says what is absent. */
const ABSENT = 'absent: ';
const REPORT = join(ROOT, '.cache', 'jest.json');

function judge(check: Check): Count {
  const startedMs = performance.now();
  const run = spawnSync(process.execPath, check.argv, { cwd: ROOT, encoding: 'utf8', timeout: LIMIT_MS });
  const clean = run.status === 0;
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  console.log(`${clean ? 'ok    ' : 'FAILED'} ${check.name.padEnd(11)}${seconds.padStart(5)} s  ${check.holds}`);
  if (!clean) console.log(`${run.stdout}${run.stderr}${run.error?.message ?? ''}`.trimEnd().replaceAll(/^/gm, '       '));
  return clean ? PASSED : FAILED;
}

function runTests(): Count {
  mkdirSync(join(ROOT, '.cache'), { recursive: true });
  rmSync(REPORT, { force: true });
  const jest = [join(ROOT, 'node_modules', 'jest', 'bin', 'jest.js'), '-c', '.jestrc.js', '--rootDir', '.'];
  const run = spawnSync(process.execPath, [...nodeFlags(), ...jest, '--maxWorkers=100%', '--json', `--outputFile=${REPORT}`], {
    cwd: ROOT,
    stdio: ['ignore', 'ignore', 'inherit'],
    timeout: LIMIT_MS,
  });
  if (!existsSync(REPORT)) return FAILED;
  const report = JSON.parse(readFileSync(REPORT, 'utf8')) as JestReport;
  const absent = report.testResults
    .flatMap((file) => file.assertionResults)
    .map((test) => test.title)
    .filter((title) => title.startsWith(ABSENT));
  for (const title of absent) console.log(`not run here: ${title.slice(ABSENT.length)}`);
  const idle = report.numPendingTests + report.numTodoTests;
  if (idle > 0)
    console.log(`FAILED tests: ${idle} skipped; a test runs, or is titled "${ABSENT}…" where this machine lacks what it needs`);
  const broken = report.numFailedTests + report.numRuntimeErrorTestSuites + idle;
  return {
    passed: report.numPassedTests - absent.length,
    failed: run.status === 0 ? broken : Math.max(broken, 1),
    skipped: absent.length,
  };
}

function nodeFlags(): string[] {
  return ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];
}

function runDemo(): Count {
  const run = spawnSync('make', ['--no-print-directory', 'demo'], {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: LIMIT_MS,
  });
  const clean = run.status === 0;
  console.log(`${clean ? 'ok    ' : 'FAILED'} demo         the built program answers with no key and no network`);
  if (!clean) console.log(`${run.stdout}${run.stderr}`.trimEnd().replaceAll(/^/gm, '       '));
  return clean ? PASSED : FAILED;
}

const names = process.argv.slice(2);
const unknown = names.filter((name) => !CHECKS.some((check) => check.name === name));
if (unknown.length > 0)
  throw new Error(`no check ${unknown.join(', ')}: there are ${CHECKS.map((check) => check.name).join(', ')}`);

const counts = CHECKS.filter((check) => names.length === 0 || names.includes(check.name)).map(judge);
if (names.length === 0) counts.push(runTests(), runDemo());
const sum = (part: keyof Count): number => counts.reduce((total, count) => total + count[part], 0);
const skipped = sum('skipped');
console.log(`${sum('passed')} passed, ${sum('failed')} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exitCode = sum('failed') === 0 ? 0 : 1;
