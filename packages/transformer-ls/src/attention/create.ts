/** The attention that a configuration names. */
import type { ClassifierConfig } from '@transformer-ls/formats';
import { BidirectionalAttention } from './bidirectional.js';
import { BigBirdAttention } from './bigbird.js';
import { FullAttention } from './full.js';
import { LinearAttention } from './linear.js';
import { LinformerAttention } from './linformer.js';
import { LocalAttention } from './local.js';
import { LongformerAttention } from './longformer.js';
import { NystromAttention } from './nystromformer.js';
import { PerformerAttention } from './performer.js';
import { ReformerAttention } from './reformer.js';
import type { SequenceAttention } from './sequence-attention.js';

/** @param earlier the same model's layer before, where there is one: Linformer's layers share their projection */
export function createSequenceAttention(
  config: ClassifierConfig,
  earlier: SequenceAttention | null = null,
): SequenceAttention {
  const { modelDim, heads, attentionDropout, mode, maxLength, attention } = config;
  const shared = { modelDim, heads, attentionDropout };
  const longShort = (windowSize: number, projectionRank: number) =>
    new BidirectionalAttention({
      ...shared,
      mode,
      windowSize,
      projectionRank,
      convolutionSize: attention.convolutionSize,
    });
  switch (attention.name) {
    case 'long-short':
      return longShort(attention.windowSize, attention.projectionRank);
    case 'projection-only':
      return longShort(0, attention.projectionRank);
    case 'window-only':
      return longShort(attention.windowSize, 0);
    case 'full':
      return new FullAttention(shared);
    case 'local':
      return new LocalAttention({ ...shared, windowSize: attention.windowSize });
    case 'linformer': {
      const sizes = { ...shared, projectionRank: attention.projectionRank, maxLength };
      return new LinformerAttention(sizes, earlier instanceof LinformerAttention ? earlier : null);
    }
    case 'linear':
      return new LinearAttention(shared);
    case 'performer':
      return new PerformerAttention({ ...shared, randomFeatures: attention.randomFeatures });
    case 'nystromformer':
      return new NystromAttention({ ...shared, landmarks: attention.landmarks, mode });
    case 'reformer':
      return new ReformerAttention({
        ...shared,
        hashes: attention.hashes,
        blockSize: attention.blockSize,
        maxLength,
      });
    case 'longformer':
      return new LongformerAttention({
        ...shared,
        windowSize: attention.windowSize,
        globalTokens: attention.globalTokens,
      });
    case 'bigbird':
      return new BigBirdAttention({
        ...shared,
        blockSize: attention.blockSize,
        randomBlocks: attention.randomBlocks,
        maxLength,
      });
  }
}
