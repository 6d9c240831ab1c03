/** The layers of attention that benches/attention-layer.mjs compares: published shapes, in reference mode, with their projections. */
export const CASES = {
  'bidirectional-64': {
    kind: 'bidirectional',
    what: 'bidirectional, D 64, N 2, w 8, r 32, 16,384 tokens',
    modelDim: 64,
    heads: 2,
    windowSize: 8,
    projectionRank: 32,
    batch: 1,
    tokens: 16384,
  },
  'bidirectional-512': {
    kind: 'bidirectional',
    what: 'bidirectional, D 512, N 8, w 8, r 32, 16,384 tokens',
    modelDim: 512,
    heads: 8,
    windowSize: 8,
    projectionRank: 32,
    batch: 1,
    tokens: 16384,
  },
  'causal-4096': causal(4096),
  'causal-8192': causal(8192),
  'grid-stage-1': {
    kind: 'grid',
    what: 'grid, stage 1 of ViL-LS-medium: D 96, N 3, w 7, r 8, 56 x 56, batch 8',
    modelDim: 96,
    heads: 3,
    windowSize: 7,
    projectionRank: 8,
    side: 56,
    batch: 8,
    tokens: 3137,
  },
  'grid-stage-2': {
    kind: 'grid',
    what: 'grid, stage 2 of ViL-LS-medium: D 192, N 3, w 7, r 8, 28 x 28, batch 8',
    modelDim: 192,
    heads: 3,
    windowSize: 7,
    projectionRank: 8,
    side: 28,
    batch: 8,
    tokens: 785,
  },
};

function causal(tokens) {
  return {
    kind: 'causal',
    what: `causal, D 512, N 8, w 512, c 16, r 1, ${tokens} tokens after a memory of as many`,
    modelDim: 512,
    heads: 8,
    windowSize: 512,
    chunkSize: 16,
    projectionRank: 1,
    batch: 1,
    tokens,
  };
}
