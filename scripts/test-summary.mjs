/** Counts of a test run, taken from vitest's JSON report and not from its text. */

/** @typedef {{ passed: number, failed: number, skipped: number }} Summary */

/**
 * @typedef {object} VitestReport
 * @property {boolean} [success]
 * @property {number} [numPassedTests]
 * @property {number} [numFailedTests]
 * @property {number} [numPendingTests]
 * @property {number} [numTodoTests]
 * @property {{ status?: string, assertionResults?: { status?: string }[] }[]} [testResults] one per file
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
  const lost = (report?.testResults ?? []).filter(isLost);
  const failed = (report?.numFailedTests ?? 0) + lost.length;
  return {
    passed: report?.numPassedTests ?? 0,
    failed: failed === 0 && (exitCode !== 0 || report === null) ? 1 : failed,
    skipped: (report?.numPendingTests ?? 0) + (report?.numTodoTests ?? 0),
  };
}

/**
 * A file that could not be loaded has no results; one whose worker died has tests that never left `pending` (a skipped
 * test is `skipped`).
 *
 * @param {NonNullable<VitestReport['testResults']>[number]} file
 */
function isLost({ status, assertionResults = [] }) {
  return (
    (status === 'failed' && assertionResults.length === 0) ||
    assertionResults.some((test) => test.status === 'pending')
  );
}

/** @param {Summary} summary */
export function formatSummary({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}
