/** Samples of all that runs have measured, as JSON: made once for all who ask while a file stays as it is. */
import { join } from 'node:path';
import { METRICS_NAME } from '../run/metrics-log.js';
import { realFileFacts } from './real-file.js';
import { type MetricsPlace, measuredRecords } from './run-metrics.js';

/** Samples that are kept for those who ask next. */
const MOST_SAMPLES = 4;

export interface TailedRun {
  readonly id: string;
  readonly folder: string;
}

export interface MetricsSample {
  /** A JSON list of records. */
  readonly records: string;
  /** Behind the last line that was read. */
  readonly place: MetricsPlace;
  /** RunMetrics as JSON, once for all who are sent it. */
  answer(): Uint8Array;
}

export class MetricsSamples {
  private readonly samples = new Map<string, Promise<MetricsSample>>();
  /** Those that are being made, by the state of their file. */
  private readonly making = new Map<string, Promise<MetricsSample>>();

  /** @param growth bytes that may have come since a sample was made: its reader asks for those next @throws UnreadableError */
  async of(run: TailedRun, growth = 0): Promise<MetricsSample> {
    const { folder } = run;
    const path = join(folder, METRICS_NAME);
    const facts = await realFileFacts(path);
    const known = await this.samples.get(folder)?.catch(() => undefined);
    if (known !== undefined && facts !== undefined && known.place.identity === facts.identity) {
      const grown = facts.size - known.place.offset;
      if (grown >= 0 && grown <= growth) return known;
    }
    return this.make(run, `${facts?.identity} ${facts?.size}`);
  }

  private make(run: TailedRun, state: string): Promise<MetricsSample> {
    const key = `${run.folder} ${state}`;
    const present = this.making.get(key);
    if (present !== undefined) return present;
    const made = sampleOf(run).finally(() => this.making.delete(key));
    this.making.set(key, made);
    this.keep(run.folder, made);
    return made;
  }

  private keep(folder: string, sample: Promise<MetricsSample>): void {
    this.samples.delete(folder);
    this.samples.set(folder, sample);
    const [oldest] = this.samples.keys();
    if (this.samples.size > MOST_SAMPLES) this.samples.delete(oldest!);
  }
}

async function sampleOf({ id, folder }: TailedRun): Promise<MetricsSample> {
  const { records: list, place } = await measuredRecords(join(folder, METRICS_NAME));
  const records = JSON.stringify(list);
  let answer: Uint8Array | undefined;
  return {
    records,
    place,
    answer() {
      answer ??= Buffer.from(`{"id":${JSON.stringify(id)},"records":${records},"offset":${place.offset}}`);
      return answer;
    },
  };
}
