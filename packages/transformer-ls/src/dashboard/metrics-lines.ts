/** Lines of metrics.jsonl before they are read as records: most are records of training that nobody asks for. */
import { MetricsError, type MetricsRecord, parseMetricsLine } from '@transformer-ls/formats';

/** How every program of ours begins a record of training. Others are read to tell. */
const TRAINING = Buffer.from('{"type":"train"');

export function isTrainingLine(line: Buffer): boolean {
  return (
    line.length > TRAINING.length && line.compare(TRAINING, 0, TRAINING.length, 0, TRAINING.length) === 0
  );
}

/** The record of a line, or why it is none. */
export function recordOf(line: string): MetricsRecord | MetricsError {
  try {
    return parseMetricsLine(line);
  } catch (error) {
    if (error instanceof MetricsError) return error;
    throw error;
  }
}

/** The records of lines; lines that are none are left out. */
export function recordsOf(lines: readonly string[]): MetricsRecord[] {
  return lines.flatMap((line) => {
    const record = recordOf(line);
    return record instanceof MetricsError ? [] : [record];
  });
}
