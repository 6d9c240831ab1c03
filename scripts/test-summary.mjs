/** Counts of a test run, taken from vitest's JSON report and not from its text. */

/** @typedef {{ passed: number, failed: number, skipped: number }} Summary */

/**
 * @typedef {object} VitestReport
 * @property {boolean} [success]
 * @property {number} [numPassedTests]
 * @property {number} [numFailedTests]
 * @property {number} [numPendingTests]
 * @property {number} [numTodoTests]
 * @property {{ status?: string, assertionResults?: unknown[] }[]} [testResults] one per file
 */

/**
 * A file that cannot be loaded, a worker that died and a run without a report have no failed test of their own; each
 * counts as one failure, so that the numbers never look better than the run was.
 *
 * @param {VitestReport | null} report null where vitest wrote none
 * @param {number | null} exitCode of vitest, null if a signal ended it
 * @returns {Summary}
 */
export function summarise(report, exitCode) {
  const files = report?.testResults ?? [];
  const brokenFiles = files.filter(
    (file) => file.status === 'failed' && (file.assertionResults ?? []).length === 0,
  );
  const failed = (report?.numFailedTests ?? 0) + brokenFiles.length;
  return {
    passed: report?.numPassedTests ?? 0,
    failed: failed === 0 && exitCode !== 0 ? 1 : failed,
    skipped: (report?.numPendingTests ?? 0) + (report?.numTodoTests ?? 0),
  };
}

/** @param {Summary} summary */
export function formatSummary({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}
