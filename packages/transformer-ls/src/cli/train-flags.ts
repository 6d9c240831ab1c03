/** The flags of `train`, and what of a configuration each of them sets. */
import { basename, resolve } from 'node:path';
import type { TrainingConfig } from '@transformer-ls/formats';
import { parseOverride } from '../train/overrides.js';
import { UsageError } from './errors.js';

/** Flags as commander gives them; absent where they were not given. */
export interface TrainFlags {
  readonly data?: string;
  readonly from?: string;
  readonly model?: string;
  readonly arch?: string;
  readonly imageSize?: number;
  readonly classes?: number;
  readonly attention?: string;
  readonly out?: string;
  readonly steps?: number;
  readonly epochs?: number;
  readonly maxTime?: number;
  readonly maxTokens?: number;
  readonly batch?: number;
  readonly segment?: number;
  readonly learningRate?: number;
  readonly seed?: number;
  readonly seeds?: readonly number[];
  /** Whether a classifier is measured at the end; not false by itself. */
  readonly test?: boolean;
  readonly threads?: number;
  readonly device?: string;
  readonly precision?: string;
  readonly initialWeights?: string;
  readonly resume?: string;
  readonly set: readonly string[];
  readonly dataFolder?: string;
  readonly json?: boolean;
  readonly processes?: number;
  /** Seconds. */
  readonly rankTimeout?: number;
  readonly sequenceParallel?: number;
}

type Kind = TrainingConfig['kind'];
type Given = [flag: string, key: string, value: unknown];

/** Flags that mean something for pictures only, and those that mean nothing for them. */
const FOR_IMAGES = {
  epochs: '--epochs',
  arch: '--arch',
  imageSize: '--image-size',
  classes: '--classes',
} as const;
const NOT_FOR_IMAGES = { from: '--from', segment: '--segment', maxTokens: '--max-tokens' } as const;

/**
 * Dotted key of the configuration → value, for a run of this kind.
 *
 * @param isNew whether the run begins; one that goes on may read its data elsewhere, but they keep their name
 * @throws UsageError for flags that contradict each other or that a run of this kind has no use for
 */
export function overridesOf(flags: TrainFlags, kind: Kind, isNew: boolean): Record<string, unknown> {
  refuseStrangers(flags, kind);
  const given: Given[] = [
    ...dataOf(flags, kind, isNew),
    ['--batch', 'batchSize', flags.batch],
    ['--segment', 'segmentLength', flags.segment],
    ['--learning-rate', 'optimizer.learningRate', flags.learningRate],
    ['--seed', 'seed', flags.seed],
    ['--threads', 'threads', flags.threads],
    ['--device', 'device', flags.device],
    ['--precision', 'precision', flags.precision],
    ['--initial-weights', 'initialWeights', flags.initialWeights],
    ['--image-size', 'model.imageHeight', flags.imageSize],
    ['--image-size', 'model.imageWidth', flags.imageSize],
    ['--classes', 'model.classes', flags.classes],
    ...limits(flags),
  ];
  const overrides = new Map<string, { source: string; value: unknown }>();
  const add = (source: string, key: string, value: unknown) => {
    const before = overrides.get(key);
    if (before !== undefined && before.value !== value)
      throw new UsageError(`${before.source} and ${source} disagree about ${key}`);
    overrides.set(key, { source, value });
  };
  for (const [flag, key, value] of given) if (value !== undefined) add(flag, key, value);
  for (const text of flags.set) {
    const [key, value] = asUsage(() => parseOverride(text));
    add(`--set ${text}`, key, value);
  }
  return Object.fromEntries([...overrides].map(([key, { value }]) => [key, value]));
}

function refuseStrangers(flags: TrainFlags, kind: Kind): void {
  const isImages = kind === 'image-training';
  const strange = Object.entries(isImages ? NOT_FOR_IMAGES : FOR_IMAGES).find(
    ([name]) => flags[name as keyof TrainFlags] !== undefined,
  );
  if (strange === undefined) return;
  const [, flag] = strange;
  if (!isImages) throw new UsageError(`${flag} is for recipes vision/…, which train on pictures`);
  const instead =
    flag === '--from' ? '--data <folder>' : flag === '--max-tokens' ? '--epochs <n>' : '--image-size <n>';
  throw new UsageError(`${flag} is not for recipes vision/…; give ${instead}`);
}

/** A corpus has a name; pictures have a place, and are called after it. */
function dataOf({ data, from }: TrainFlags, kind: Kind, isNew: boolean): Given[] {
  if (kind !== 'image-training')
    return [
      ['--data', 'data.name', data],
      ['--from', 'data.path', from === undefined ? undefined : resolve(from)],
    ];
  if (data === undefined) return [];
  const path = resolve(data);
  return [
    ['--data', 'data.path', path],
    ...(isNew ? [['--data', 'data.name', basename(path)] as Given] : []),
  ];
}

/** A limit that is given takes the place of all the recipe has; those not given are lifted. */
function limits({ steps, epochs, maxTokens, maxTime }: TrainFlags): Given[] {
  if ([steps, epochs, maxTokens, maxTime].every((limit) => limit === undefined)) return [];
  return [
    ['--steps', 'maxSteps', steps ?? null],
    ['--max-tokens', 'maxTokens', maxTokens ?? null],
    ['--max-time', 'maxSeconds', maxTime ?? null],
    ['--epochs', 'maxEpochs', epochs],
  ];
}

/** What is wrong with a configuration is wrong with the command that asked for it. */
export function asUsage<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw error instanceof Error && error.name === 'ConfigError' ? new UsageError(error.message) : error;
  }
}
