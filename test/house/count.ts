/** What ran, as the last line of `make test` tells it. */
export interface Count {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** The part of jest's JSON report that is counted. */
export interface JestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly numRuntimeErrorTestSuites: number;
  readonly testResults: readonly { readonly assertionResults: readonly { readonly title: string; readonly status: string }[] }[];
}

/** A test whose title begins so stands for tests that cannot run on this machine and says what is absent. */
export const ABSENT = 'absent: ';

/** The titles of those tests, without the mark. */
export function absentTests(report: JestReport): string[] {
  return report.testResults
    .flatMap((file) => file.assertionResults)
    .filter((test) => test.status === 'passed' && test.title.startsWith(ABSENT))
    .map((test) => test.title.slice(ABSENT.length));
}

/**
 * A test that jest was told to skip counts as failed: only what this machine lacks may be left out, and that is told. So
 * does a file that did not load, a run of no test, and a run that jest itself ended with another code than 0.
 */
export function countTests(report: JestReport, exitCode: number | null): Count {
  const skipped = absentTests(report).length;
  const passed = report.numPassedTests - skipped;
  const failed = report.numFailedTests + report.numRuntimeErrorTestSuites + report.numPendingTests + report.numTodoTests;
  return { passed, failed: exitCode === 0 && passed > 0 ? failed : Math.max(failed, 1), skipped };
}

export function formatCount(counts: readonly Count[]): string {
  const sum = (part: keyof Count): number => counts.reduce((total, count) => total + count[part], 0);
  const skipped = sum('skipped');
  return `${sum('passed')} passed, ${sum('failed')} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}
