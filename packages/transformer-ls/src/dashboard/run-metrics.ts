/** All that a run has measured, in an answer of bounded size. */
import type { MetricsRecord } from '@transformer-ls/formats';
import { LineFollower } from './line-follower.js';
import { isTrainingLine, recordsOf } from './metrics-lines.js';
import { openRealFile, realFileFacts } from './real-file.js';
import { Thinned } from './thinned.js';

/** More points than that no picture shows. */
const MOST_TRAINING = 4096;
/** No run has so many evaluations and events; a file that was made to burst the page may. */
const MOST_OTHERS = 20_000;
/** Bytes of lines of either kind. Real records take some hundred each; those of a file that was made to burst the page may take as much as a line may. */
const MOST_KEPT_BYTES = 8 * 1024 * 1024;

/** A place in a metrics file, and which file it is. */
export interface MetricsPlace {
  readonly offset: number;
  readonly identity: string;
}

export interface MeasuredRecords {
  readonly records: readonly MetricsRecord[];
  /** Behind the last line that was read. */
  readonly place: MetricsPlace;
}

interface NumberedLine {
  readonly number: number;
  readonly text: string;
}

const lengthOf = ({ text }: NumberedLine) => text.length;

/**
 * The evaluations and events of a metrics.jsonl, and an even sample of its records of training, in their order.
 * The file is read a piece at a time, however large it is.
 *
 * @throws UnreadableError
 */
export async function measuredRecords(path: string): Promise<MeasuredRecords> {
  if ((await realFileFacts(path)) === undefined) return { records: [], place: { offset: 0, identity: '' } };
  const training = new Thinned<NumberedLine>(MOST_TRAINING, MOST_KEPT_BYTES, lengthOf);
  const others = new Thinned<NumberedLine>(MOST_OTHERS, MOST_KEPT_BYTES, lengthOf);
  const follower = LineFollower.fromStart();
  const { handle, size, identity } = await openRealFile(path);
  try {
    let number = 0;
    for await (const lines of follower.read(handle, size))
      for (const line of lines) {
        number += 1;
        if (line === undefined) continue;
        (isTrainingLine(line) ? training : others).add({ number, text: line.toString() });
      }
  } finally {
    await handle.close();
  }
  const kept = [...training.items, ...others.items].sort((a, b) => a.number - b.number);
  return { records: recordsOf(kept.map(({ text }) => text)), place: { offset: follower.offset, identity } };
}
