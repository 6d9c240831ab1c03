/** What of a run's settings concerns this process, where several train together. */
import { availableParallelism } from 'node:os';
import { type AttentionName, ConfigError, type TrainingConfig } from '@transformer-ls/formats';
import { Random } from '../data/random.js';
import type { Ranks } from './ranks.js';

/** The batch of a run is that of all processes together. @throws ConfigError where they cannot have equal parts of it */
export function refuseUnequalShares(config: TrainingConfig, ranks: Ranks): void {
  const { world } = ranks.rowShare;
  const { batchSize, kind } = config;
  if (ranks.perSequence > 1) refuseWhatCannotBeSpread(config, ranks.perSequence);
  if (batchSize % world !== 0)
    throw new ConfigError([
      `batchSize: ${batchSize} ${kind === 'training' ? 'lanes' : 'examples'} cannot be divided among ${world} processes; take a multiple of ${world}`,
    ]);
  if (kind !== 'image-training' || world === 1) return;
  const { mixup, cutmix } = config.augmentation;
  if ((mixup > 0 || cutmix > 0) && (batchSize / world) % 2 !== 0)
    throw new ConfigError([
      `batchSize: pictures are mixed in pairs, and ${batchSize} cannot be divided among ${world} processes in pairs; take a multiple of ${2 * world}`,
    ]);
}

/** @throws ConfigError where sequences of this run cannot lie in several processes */
function refuseWhatCannotBeSpread(config: TrainingConfig, processes: number): void {
  const refuse = (problem: string): never => {
    throw new ConfigError([`--sequence-parallel: ${problem}`]);
  };
  if (config.kind === 'image-training') refuse('pictures are not spread over processes; leave it out');
  if (config.kind === 'classifier-training') {
    const { attention, dropout, pooling } = config.model;
    if (!SPREAD.includes(attention.name))
      refuse(`attention ${attention.name} cannot be spread over processes; ${SPREAD.join(', ')} can`);
    // Every process has the first token, and would change it in its own way.
    if (dropout > 0 && (pooling === 'class-token' || pooling === 'first-token'))
      refuse(`pooling ${pooling} goes with dropout 0 there, received ${dropout}`);
  }
  if (config.kind !== 'training') return;
  const { segmentLength, model } = config;
  if (model.mode === 'reference')
    refuse('language models of mode reference cannot be spread over processes; take mode consistent');
  const unit = model.projectionRank > 0 ? model.chunkSize : 1;
  if (segmentLength % (unit * processes) !== 0)
    refuse(
      `segments of ${segmentLength} tokens cannot be divided among ${processes} processes in chunks of ${unit}; take a multiple of ${unit * processes}`,
    );
}

const SPREAD: readonly AttentionName[] = ['long-short', 'projection-only', 'window-only'];

/** `cuda` means the GPU of this process's number on its machine. */
export function ownDevice(device: TrainingConfig['device'], ranks: Ranks): TrainingConfig['device'] {
  return device === 'cuda' && ranks.share.world > 1 ? `cuda:${ranks.localRank}` : device;
}

/** CPU threads of this process: as many as asked for each, else its part of the machine's cores. */
export function ownThreads(asked: number | null, { localWorld }: Ranks): number {
  return asked ?? Math.max(1, Math.floor(availableParallelism() / localWorld));
}

/** What this process draws random numbers from at a step, so that no two draw the same. */
export function ownSeed(seed: number, { share: { rank, world } }: Ranks, step: number): number {
  return new Random(seed, rank, world, step).below(2 ** 32);
}
