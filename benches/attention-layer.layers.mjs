/** The layers of attention that benches and checks measure, of a case as in attention-layer.cases.mjs. */
import { randn } from '../packages/torch/dist/index.js';
import { BidirectionalAttention } from '../packages/transformer-ls/dist/attention/bidirectional.js';
import { ReferenceCausalAttention } from '../packages/transformer-ls/dist/attention/causal-reference.js';
import { LongShortSpatialAttention } from '../packages/transformer-ls/dist/attention/spatial.js';

const KINDS = {
  bidirectional: ({ modelDim, heads, windowSize, projectionRank }) => {
    const settings = { modelDim, heads, windowSize, projectionRank, convolutionSize: null };
    const layer = new BidirectionalAttention({ ...settings, attentionDropout: 0, mode: 'reference' });
    return { layer, others: {}, run: (x) => layer.forward(x, null, null) };
  },
  causal: ({ modelDim, heads, windowSize, chunkSize, projectionRank, tokens, batch }) => {
    const settings = { modelDim, heads, windowSize, chunkSize, projectionRank, projectionBiases: false };
    const layer = new ReferenceCausalAttention(settings);
    const others = {
      cache: randn([batch, tokens, modelDim]),
      chunkPositions: randn([1, ((2 * tokens) / chunkSize) * projectionRank, modelDim]),
      windowPositions: randn([1, windowSize, modelDim]),
    };
    const run = (x, { cache, chunkPositions, windowPositions }) =>
      layer.forward(x, cache, chunkPositions, windowPositions, 'causal');
    return { layer, others, run };
  },
  grid: ({ modelDim, heads, windowSize, projectionRank, side }) => {
    const layer = new LongShortSpatialAttention({
      modelDim,
      heads,
      windowSize,
      projectionRank,
      globalTokens: 1,
      relativeBias: true,
      scoreScale: null,
      attentionDropout: 0,
      dropout: 0,
      queryKeyValueBiases: true,
      mode: 'reference',
    });
    return { layer, others: {}, run: (x) => layer.forward(x, { rows: side, columns: side }) };
  },
};

/** A layer, the tensors that it takes beside its input, and how it is called. */
export function makeLayer(layerCase) {
  return KINDS[layerCase.kind](layerCase);
}
