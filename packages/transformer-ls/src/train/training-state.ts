/** A trainer's whole state as the content of a checkpoint, and back. */
import { join } from 'node:path';
import { openSafetensors, type TrainingConfig, type WritableTensor } from '@transformer-ls/formats';
import { dispose, getRngState, manualSeed, scope, setRngState, type Tensor } from '@transformer-ls/torch';
import type { Checkpoint, CheckpointContent, TensorFile } from '../run/checkpoint.js';
import { RunFolderError } from '../run/errors.js';
import { fileSource } from '../run/file-source.js';
import { isJsonObject, type JsonObject, type JsonValue } from '../run/json.js';
import { lazyEntryOfTensor, tensorOfEntry } from '../weights/tensor-entries.js';
import type { TrainingOptimizer } from './optimizer.js';
import type { Precision } from './precision.js';
import type { Ranks } from './ranks.js';
import { ownDevice, ownSeed } from './share-of-run.js';
import type { TrainingTask } from './task.js';
import type { BestEvaluation, TrainerCounters } from './trainer-counters.js';
import type { WeightAverage } from './weight-average.js';

/** What the model is used with: the averages, where the run keeps any. */
export const MODEL_FILE = 'model.safetensors';
/** What training goes on with, where that is something else. */
const TRAINED_FILE = 'trained-weights.safetensors';
const OPTIMIZER_FILE = 'optimizer.safetensors';
const MEMORY_FILE = 'memory.safetensors';
const RANDOM_FILE = 'random.safetensors';

/** What of a trainer decides how the run goes on. */
export interface ResumableTrainer {
  readonly options: {
    readonly config: TrainingConfig;
    readonly task: TrainingTask;
    readonly precision: Precision;
  };
  readonly counters: TrainerCounters;
  readonly optimizer: TrainingOptimizer;
  readonly average: WeightAverage | null;
  readonly ranks: Ranks;
}

export interface TrainerCheckpoint extends CheckpointContent {
  /** Frees what was brought together for it; to be called when it is written. */
  release(): void;
}

/**
 * The whole of it, as what a checkpoint holds; tensors are copied when they are written. All processes must call it together: the first
 * one gets what belongs to the others too, and is the one that may write it.
 */
export function checkpointOf(trainer: ResumableTrainer): TrainerCheckpoint {
  const { config, task, precision } = trainer.options;
  const { best, ...counters } = trainer.counters;
  const optimizer = trainer.optimizer.stateDict();
  const { ranks } = trainer;
  const memory = task.state();
  const wholeMemory = ranks.joinFirstAxis(memory.tensors);
  const trained = task.model.stateDict();
  const { average } = trainer;
  return {
    step: counters.step,
    files: new Map([
      [MODEL_FILE, { ...tensorFile(average?.stateDict() ?? trained), metadata: modelMetadata(config.model) }],
      ...(average === null ? [] : [[TRAINED_FILE, tensorFile(trained)] as const]),
      [OPTIMIZER_FILE, tensorFile(optimizer.tensors)],
      [MEMORY_FILE, tensorFile(wholeMemory)],
      [RANDOM_FILE, { tensors: randomStates(ownDevice(config.device, ranks), ranks) }],
    ]),
    state: {
      counters: { ...counters },
      best: best === null ? null : { ...best },
      lossScale: { ...precision.lossScale.state() },
      optimizer: JSON.parse(JSON.stringify(optimizer.state)) as JsonValue,
      task: memory.state,
      processes: ranks.share.world,
      processesPerSequence: ranks.perSequence,
    },
    release: () => {
      if (wholeMemory !== memory.tensors) dispose(wholeMemory);
    },
  };
}

/** Says in the weight file itself what model the weights are of. */
function modelMetadata(model: JsonObject): Record<string, string> {
  return { format: 'transformer-ls', model: JSON.stringify(model) };
}

/**
 * Goes to where a checkpoint was taken. Random numbers come last: building and loading draw some.
 *
 * Throws RunFolderError, DataError or ArgumentError in one line where the checkpoint belongs to something else.
 */
export async function restoreTrainer(trainer: ResumableTrainer, checkpoint: Checkpoint): Promise<void> {
  const { task, precision, config } = trainer.options;
  const { ranks } = trainer;
  const { counters, lossScale, optimizer, task: taskState, best } = checkpoint.state;
  if (![counters, lossScale, optimizer, taskState].every(isJsonObject))
    throw new RunFolderError(`${checkpoint.path}: its state is not that of a training run`);
  const read = (name: string) => readTensors(join(checkpoint.path, name));
  const { average } = trainer;
  await using(read(average === null ? MODEL_FILE : TRAINED_FILE), (tensors) =>
    task.model.loadStateDict(tensors),
  );
  if (average !== null) await using(read(MODEL_FILE), (tensors) => average.loadStateDict(tensors));
  await using(read(OPTIMIZER_FILE), (tensors) =>
    trainer.optimizer.loadStateDict({ tensors, state: optimizer }),
  );
  await using(read(MEMORY_FILE), (tensors) =>
    task.restore({ tensors: ranks.ownOfFirstAxis(tensors), state: taskState as JsonObject }),
  );
  precision.lossScale.restore(numbersOf(lossScale as JsonObject, ['scale', 'goodSteps']));
  Object.assign(trainer.counters, numbersOf(counters as JsonObject, COUNTERS));
  trainer.counters.best = isJsonObject(best ?? null) ? bestOf(best as JsonObject) : null;
  const { processes = 1, processesPerSequence = 1 } = checkpoint.state;
  const areTheSame = processes === ranks.share.world && processesPerSequence === ranks.perSequence;
  // Those who draw now are others than those whose states were saved: all begin anew.
  if (!areTheSame) manualSeed(ownSeed(config.seed, ranks, trainer.counters.step));
  else
    await using(read(RANDOM_FILE), (tensors) =>
      restoreRandom(tensors, ownDevice(config.device, ranks), ranks),
    );
}

const COUNTERS = ['step', 'tokens', 'seconds', 'skipped', 'skippedInARow'] as const;

function numbersOf<const Name extends string>(
  from: JsonObject,
  names: readonly Name[],
): Record<Name, number> {
  const pairs = names.map((name): [Name, number] => {
    const value = from[name];
    if (typeof value !== 'number')
      throw new RunFolderError(`state.json: expected a number as ${name}, received ${JSON.stringify(value)}`);
    return [name, value];
  });
  return Object.fromEntries(pairs) as Record<Name, number>;
}

function bestOf(best: JsonObject): BestEvaluation {
  const { bpc, accuracy } = best;
  const optional = (value: JsonValue | undefined) => (typeof value === 'number' ? value : null);
  return { ...numbersOf(best, ['step', 'loss']), bpc: optional(bpc), accuracy: optional(accuracy) };
}

/** Elements are copied when their turn to be written comes, so that one tensor at a time is held twice. */
function tensorFile(tensors: ReadonlyMap<string, Tensor>): TensorFile {
  return { tensors: new Map([...tensors].map(([name, value]) => [name, lazyEntryOfTensor(value)])) };
}

/** `cpu`, of the second process `cpu.1`; of GPUs the same under the kind of device. */
function randomStates(device: string, ranks: Ranks): Record<string, WritableTensor> {
  const entry = (data: Uint8Array): WritableTensor => ({ dtype: 'U8', shape: [data.length], data });
  const states = generatorsOf(device).flatMap((one) =>
    ranks
      .gatherBytes(getRngState(one))
      .map((data, rank): [string, WritableTensor] => [stateName(one, rank), entry(data)]),
  );
  return Object.fromEntries(states);
}

function generatorsOf(device: string): string[] {
  return device === 'cpu' ? ['cpu'] : ['cpu', device];
}

/** Of a process that trains alone the device as it is. */
function stateName(device: string, rank: number): string {
  return rank === 0 ? device : `${device.replace(/:\d+$/, '')}.${rank}`;
}

function restoreRandom(tensors: ReadonlyMap<string, Tensor>, device: string, { share }: Ranks): void {
  for (const one of generatorsOf(device)) {
    const state = tensors.get(stateName(one, share.rank));
    if (state === undefined) continue; // The run has moved to another device since.
    setRngState(state.toTypedArray() as Uint8Array, one);
  }
}

/** Every tensor of a safetensors file, on the CPU; the caller frees them. */
export async function readTensors(path: string): Promise<Map<string, Tensor>> {
  const source = await fileSource(path);
  try {
    const file = await openSafetensors(source);
    const tensors = new Map<string, Tensor>();
    for (const name of file.entries.keys()) tensors.set(name, tensorOfEntry(await file.read(name), name));
    return tensors;
  } finally {
    await source.close();
  }
}

async function using(
  reading: Promise<Map<string, Tensor>>,
  use: (tensors: Map<string, Tensor>) => unknown,
): Promise<void> {
  const tensors = await reading;
  try {
    scope(() => {
      use(tensors);
    });
  } finally {
    dispose(tensors);
  }
}
