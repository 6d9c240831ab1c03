// metrics.jsonl: one JSON object a line, written while a run goes on and read by whoever watches it.

import { received } from './describe-value.js';
import { JsonError, parseJson, plainValue } from './json.js';
import {
  boolean,
  field,
  type Infer,
  integer,
  nullable,
  object,
  oneOf,
  type Schema,
  schemaOf,
  text,
} from './schema.js';

const NON_FINITE = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
]);

const MEASURED = "a number, 'NaN', 'Infinity' or '-Infinity'";
const finiteNumber = schemaOf(MEASURED, (value): value is number => Number.isFinite(value));

/** A number that may have gone wrong: JSON has no NaN and no infinities, so these are written as texts. */
const measured: Schema<number> = {
  expected: MEASURED,
  check(value, path, problems) {
    const nonFinite = typeof value === 'string' ? NON_FINITE.get(value) : undefined;
    const number = nonFinite ?? finiteNumber.check(value, path, problems);
    // A record must not change by being written: JSON.stringify makes -0 to 0, so reading does it too.
    return number === 0 ? 0 : number;
  },
};

const count = integer({ min: 0 });
const step = field('Updates done.', count);
const loss = field('Mean negative log-likelihood of a token, in nats.', measured);
const bpc = field(
  'Bits per character: loss / ln 2; null where the tokens are not predicted.',
  nullable(measured),
  null,
);
const accuracy = field(
  'Share of examples that got their class; null for language models.',
  nullable(measured),
  null,
);
const top5 = field(
  'Share of examples whose class is among the five likeliest; null where it is not measured.',
  nullable(measured),
  null,
);
const seconds = field('Seconds of training so far, over all resumes.', measured);

export const trainRecordSchema = object({
  type: field('Kind of record.', oneOf('train')),
  step,
  tokens: field('Tokens trained so far, or pictures.', count),
  loss,
  bpc,
  accuracy,
  learningRate: field('Learning rate of this update.', measured),
  gradNorm: field('Norm of all gradients before clipping; null: not measured.', nullable(measured)),
  tokensPerSecond: field('Speed since the last record.', measured),
  seconds,
  memoryBytes: field('Resident memory of the process, in bytes.', count),
});

export const evaluationRecordSchema = object({
  type: field('Kind of record.', oneOf('evaluation')),
  step,
  split: field('Part of the data.', text()),
  tokens: field('Tokens predicted, or examples classified.', count),
  loss,
  bpc,
  accuracy,
  top5,
  seconds: field('Seconds the evaluation took.', measured),
  best: field('Whether this is the best so far: by accuracy where there is one, else by loss.', boolean()),
});

export const eventRecordSchema = object({
  type: field('Kind of record.', oneOf('event')),
  step,
  event: field('What happened, in one word.', text()),
  message: field(
    'The same for people.',
    schemaOf('a text', (value) => typeof value === 'string'),
  ),
});

export type TrainRecord = Infer<typeof trainRecordSchema>;
export type EvaluationRecord = Infer<typeof evaluationRecordSchema>;
export type EventRecord = Infer<typeof eventRecordSchema>;
export type MetricsRecord = TrainRecord | EvaluationRecord | EventRecord;

/** What a record says of how good the model is: bits per character, the lower the better, or accuracy, the higher. */
export function qualityOf({ bpc, accuracy }: { bpc: number | null; accuracy: number | null }): {
  name: 'bpc' | 'accuracy';
  value: number;
} {
  return accuracy === null
    ? { name: 'bpc', value: bpc ?? Number.NaN }
    : { name: 'accuracy', value: accuracy };
}

/** A line that is not a record; `line` counts from 1 where the whole text is known, else null. */
export class MetricsError extends Error {
  override readonly name = 'MetricsError';

  constructor(
    message: string,
    readonly line: number | null = null,
  ) {
    super(line === null ? message : `line ${line}: ${message}`);
  }
}

/** The record as one line, with its line end. */
export function formatMetricsLine(record: MetricsRecord): string {
  const json = JSON.stringify(record, (key, value: unknown) => {
    // No record has all of them: the others need not stand in every line.
    if (value === null && (key === 'bpc' || key === 'accuracy' || key === 'top5')) return undefined;
    return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
  });
  return `${json}\n`;
}

/** Reads one line, with or without its line end. Throws `MetricsError`. */
export function parseMetricsLine(line: string): MetricsRecord {
  const value = jsonValue(line);
  const problems: string[] = [];
  const record = schemaFor(value).check(value, 'record', problems);
  if (record === undefined) throw new MetricsError(problems.join('; '));
  return record;
}

function jsonValue(line: string): unknown {
  try {
    return plainValue(parseJson(line));
  } catch (error) {
    throw error instanceof JsonError ? new MetricsError(error.message) : error;
  }
}

function schemaFor(value: unknown): Schema<MetricsRecord> {
  const type = typeof value === 'object' && value !== null && 'type' in value ? value.type : undefined;
  if (type === 'train') return trainRecordSchema;
  if (type === 'evaluation') return evaluationRecordSchema;
  if (type === 'event') return eventRecordSchema;
  throw new MetricsError(`record.type: expected train, evaluation or event, received ${received(type)}`);
}

/** The records of a file; `truncated` is the unfinished last line of a run that was killed or is writing, if any. */
export interface MetricsFile {
  records: MetricsRecord[];
  truncated: string | null;
}

/**
 * Reads a whole file. A last line without line end that is not a record is put aside; any other bad line throws
 * `MetricsError` with its number. Whoever appends to a file with a truncated line must cut that line off first.
 */
export function parseMetrics(content: string): MetricsFile {
  const lines = content.split('\n');
  const last = lines.pop() ?? '';
  const records = lines.map((line, index) => numberedRecord(line, index + 1));
  if (last === '') return { records, truncated: null };
  try {
    return { records: [...records, parseMetricsLine(last)], truncated: null };
  } catch (error) {
    if (error instanceof MetricsError) return { records, truncated: last };
    throw error;
  }
}

function numberedRecord(line: string, number: number): MetricsRecord {
  try {
    return parseMetricsLine(line);
  } catch (error) {
    throw error instanceof MetricsError ? new MetricsError(error.message, number) : error;
  }
}
