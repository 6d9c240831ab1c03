import { describe, expect, it } from 'vitest';
import { formatSummary, summarise } from '../test-summary.mjs';

const good = { numPassedTests: 5, numFailedTests: 0, numPendingTests: 1, numTodoTests: 1, testResults: [] };

describe('summary of a test run', () => {
  it('counts what passed, failed and was skipped', () => {
    expect(summarise(good, 0)).toEqual({ passed: 5, failed: 0, skipped: 2 });
    expect(formatSummary({ passed: 5, failed: 0, skipped: 2 })).toBe('5 passed, 0 failed, 2 skipped');
    expect(formatSummary({ passed: 5, failed: 1, skipped: 0 })).toBe('5 passed, 1 failed');
  });

  it('counts a file that could not be loaded as a failure', () => {
    const testResults = [
      { status: 'failed', assertionResults: [] },
      { status: 'failed', assertionResults: [{}] },
      { status: 'passed', assertionResults: [{}] },
    ];
    expect(summarise({ ...good, numFailedTests: 1, testResults }, 1).failed).toBe(2);
  });

  it('counts a file whose worker died beside failures of other files', () => {
    const testResults = [
      { status: 'passed', assertionResults: [{ status: 'pending' }, { status: 'pending' }] },
      {
        status: 'passed',
        assertionResults: [{ status: 'passed' }, { status: 'skipped' }, { status: 'todo' }],
      },
    ];
    expect(summarise({ ...good, numFailedTests: 1, testResults }, 1).failed).toBe(2);
  });

  it('counts an error outside all tests, a signal and a missing report as a failure', () => {
    expect(summarise(good, 1).failed).toBe(1);
    expect(summarise(good, null).failed).toBe(1);
    expect(summarise(null, 1)).toEqual({ passed: 0, failed: 1, skipped: 0 });
  });

  it('does not count a failure twice', () => {
    expect(summarise({ ...good, numFailedTests: 3 }, 1).failed).toBe(3);
  });

  it('does not take a run without a report for a good one', () => {
    expect(summarise(null, 0).failed).toBe(1);
  });
});
