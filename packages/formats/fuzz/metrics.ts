import assert from 'node:assert/strict';
import { formatMetricsLine, MetricsError, parseMetrics } from '../src/index.js';

/** Any text as metrics.jsonl: either refused with a `MetricsError` of one line, or written and read again the same. */
export function fuzzMetrics(data: Uint8Array): void {
  try {
    const { records } = parseMetrics(new TextDecoder().decode(data));
    const again = parseMetrics(records.map(formatMetricsLine).join(''));
    assert.deepEqual(again, { records, truncated: null });
  } catch (error) {
    if (!(error instanceof MetricsError)) throw error;
    assert.match(error.message, /^line \d+: .+$/);
  }
}
