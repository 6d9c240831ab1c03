import type { ClassifierConfig } from '@transformer-ls/formats';

/**
 * Multiply-accumulates of one example that the published code spends on rows of its last layer which nothing reads, and ours does not:
 * the map of attention's results and the feed-forward part of all tokens but the one that is classified.
 */
export function unreadRowsCost(config: ClassifierConfig): number {
  const { modelDim: D, innerDim: F, maxLength: L, pooling, inputs } = config;
  if (pooling === 'mean') return 0;
  return (inputs === 'two' ? 2 : 1) * L * (D * D + 2 * D * F);
}
