/** `train --seeds 1,2,3`: one run for each seed, and what they come to together. Given again, the command goes on where it was. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { parseConfig, qualityOf, type TrainingConfig, trainingSchema } from '@transformer-ls/formats';
import { type MeanAndSpread, meanAndSpread } from '../evaluate/statistics.js';
import { replaceFile } from '../run/durable.js';
import { nodeFileSystem } from '../run/file-system.js';
import { writeJson } from '../run/json.js';
import { readRunFigures } from '../run/run-figures.js';
import { CONFIG_NAME, readRunConfig } from '../run/run-folder.js';
import { formatPercent, formatValue } from '../text/numbers.js';
import { completedLike } from '../train/image-settings.js';
import type { TrainingRequest } from '../train/training.js';
import { exitCodes, UsageError } from './errors.js';
import { type TestedRun, testAccuracy, trainAndTest } from './train-and-test.js';
import type { TrainFlags } from './train-flags.js';
import { titleOf, trainingRequest, usualFolder } from './train-request.js';
import { launchedAs } from './train-supervisor.js';

/** One run and its figure. */
interface SeedResult {
  readonly seed: number;
  readonly folder: string;
  readonly value: number;
}

/** `say` gets what flags bring about besides. Returns the exit code: that of the first run that was stopped, else 0. @throws UsageError where flags contradict each other */
export async function trainSeeds(
  name: string | undefined,
  flags: TrainFlags,
  seeds: readonly number[],
  say: (line: string) => void,
): Promise<number> {
  if (flags.seed !== undefined) throw new UsageError('expected --seed or --seeds, received both');
  if (flags.resume !== undefined)
    throw new UsageError('expected --resume or --seeds, received both; the same command goes on by itself');
  if (launchedAs() !== null)
    throw new UsageError('--seeds takes --processes; a launcher starts the processes of one run');
  const home = flags.out ?? usualFolder(`${titleOf(name ?? 'run', flags)}-seeds`);
  const results: SeedResult[] = [];
  const { kind } = requestOf(name, flags, seeds[0]!, home, say).config;
  const tested = kind === 'training' || flags.test === false ? undefined : kind;
  for (const seed of seeds) {
    const request = requestOf(name, flags, seed, home);
    const { folder } = request;
    if (flags.json !== true) console.log(`seed ${seed}: ${folder}`);
    const code = await trainAndTest(await begunOrNew(request), flags, () => 'the same command');
    if (code !== exitCodes.ok) return code;
    results.push({ seed, folder, value: await figureOf(folder, tested) });
  }
  await report(home, results, measureOf(kind, tested !== undefined), flags.json ?? false);
  return exitCodes.ok;
}

type NewRun = Extract<TrainingRequest, { kind: 'new' }>;

function requestOf(
  name: string | undefined,
  flags: TrainFlags,
  seed: number,
  home: string,
  say?: (line: string) => void,
): NewRun {
  const request = trainingRequest(name, { ...flags, seed, out: join(home, `seed-${seed}`) }, say);
  return request as NewRun; // without --resume it is a new one
}

/** A run that an earlier call began is continued, if it is the same run. */
async function begunOrNew(request: NewRun): Promise<TrainingRequest> {
  const { folder, config, data, classesFromData = false } = request;
  if (!existsSync(join(folder, CONFIG_NAME))) return request;
  const begun = parseConfig(trainingSchema, await readRunConfig(folder), join(folder, CONFIG_NAME));
  const key = firstDifference(begun, completedLike(begun, config, classesFromData));
  if (key !== undefined)
    throw new UsageError(
      `${folder} holds a run with another ${key}; choose another --out, or give the same flags to go on`,
    );
  return { kind: 'resume', folder, data, overrides: {} };
}

function firstDifference(a: TrainingConfig, b: TrainingConfig): string | undefined {
  const [before, now] = [a, b].map((config) => new Map<string, unknown>(Object.entries(config)));
  return [...now!.keys()].find((key) => !isDeepStrictEqual(before!.get(key), now!.get(key)));
}

function measureOf(kind: TrainingConfig['kind'], isTested: boolean): string {
  if (kind === 'training') return 'best validation bits per character';
  return isTested ? 'test accuracy' : 'best validation accuracy';
}

/** @param tested kind of the run where the test part counts */
async function figureOf(folder: string, tested: TestedRun['kind'] | undefined): Promise<number> {
  if (tested !== undefined) {
    const accuracy = await testAccuracy({ folder, kind: tested });
    if (accuracy === undefined) throw new UsageError(`${folder}: has no evaluation of the test part`);
    return accuracy;
  }
  const { best } = await readRunFigures(folder);
  return best === null ? Number.NaN : qualityOf(best).value;
}

async function report(
  home: string,
  results: readonly SeedResult[],
  measure: string,
  json: boolean,
): Promise<void> {
  const spread = meanAndSpread(results.map(({ value }) => value));
  const path = join(home, 'seeds.json');
  const record = { kind: 'seeds', measure, runs: results.map((one) => ({ ...one })), ...spread };
  await replaceFile(nodeFileSystem, path, [new TextEncoder().encode(writeJson(record))]);
  if (json) console.log(JSON.stringify(record));
  else console.log(`${lines(results, measure, spread).join('\n')}\nwrote ${path}`);
}

function lines(results: readonly SeedResult[], measure: string, spread: MeanAndSpread): string[] {
  const show = (value: number) =>
    measure.endsWith('accuracy') ? formatPercent(value) : formatValue(value, 4);
  const { mean, standardDeviation, count } = spread;
  return [
    `${measure} of ${count} run${count === 1 ? '' : 's'}:`,
    ...results.map(({ seed, value }) => `  seed ${String(seed).padEnd(8)} ${show(value)}`),
    `  mean          ${show(mean)}${standardDeviation === null ? '' : ` ± ${show(standardDeviation)} (standard deviation)`}`,
  ];
}
