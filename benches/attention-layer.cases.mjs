/**
 * The layers of attention that benches/attention-layer.mjs and its relatives compare: published shapes, in reference mode, with
 * their projections. `small` is the length that a layer is run at once before anything counts.
 */
export const CASES = {
  'bidirectional-64': bidirectional({ modelDim: 64, heads: 2, tokens: 16384 }),
  'bidirectional-512': bidirectional({ modelDim: 512, heads: 8, tokens: 16384 }),
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
    small: { side: 14, tokens: 197 },
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
    small: { side: 14, tokens: 197 },
    batch: 8,
    tokens: 785,
  },
};

/** Bidirectional long-short attention over one sequence. */
export function bidirectional({ modelDim, heads, tokens, windowSize = 8, projectionRank = 32 }) {
  return {
    kind: 'bidirectional',
    what: `bidirectional, D ${modelDim}, N ${heads}, w ${windowSize}, r ${projectionRank}, ${tokens.toLocaleString('en')} tokens`,
    modelDim,
    heads,
    windowSize,
    projectionRank,
    batch: 1,
    tokens,
    small: { tokens: 64 },
  };
}

/** Full attention over one sequence. */
export function full({ modelDim, heads, tokens }) {
  const what = `full attention, D ${modelDim}, N ${heads}, ${tokens.toLocaleString('en')} tokens`;
  return { kind: 'full', what, modelDim, heads, batch: 1, tokens, small: { tokens: 64 } };
}

function causal(tokens) {
  return {
    kind: 'causal',
    what: `causal, D 512, N 8, w 512, c 16, r 1, ${tokens.toLocaleString('en')} tokens after a memory of as many`,
    modelDim: 512,
    heads: 8,
    windowSize: 512,
    chunkSize: 16,
    projectionRank: 1,
    batch: 1,
    tokens,
    small: { tokens: 512 },
  };
}
