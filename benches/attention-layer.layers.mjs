/** The layers of attention that benches and checks measure, of a case as in attention-layer.cases.mjs. */
import { randn } from '../packages/torch/dist/index.js';
import { BidirectionalAttention } from '../packages/transformer-ls/dist/attention/bidirectional.js';
import { ReferenceCausalAttention } from '../packages/transformer-ls/dist/attention/causal-reference.js';
import { FullAttention } from '../packages/transformer-ls/dist/attention/full.js';
import { LongShortSpatialAttention } from '../packages/transformer-ls/dist/attention/spatial.js';

/** A layer, and how it is called with the tensors that it takes. */
const KINDS = {
  bidirectional: ({ modelDim, heads, windowSize, projectionRank }) => {
    const settings = { modelDim, heads, windowSize, projectionRank, convolutionSize: null };
    const layer = new BidirectionalAttention({ ...settings, attentionDropout: 0, mode: 'reference' });
    return { layer, run: ({ x }) => layer.forward(x, null, null) };
  },
  causal: ({ modelDim, heads, windowSize, chunkSize, projectionRank }) => {
    const settings = { modelDim, heads, windowSize, chunkSize, projectionRank, projectionBiases: false };
    const layer = new ReferenceCausalAttention(settings);
    const run = ({ x, cache, chunkPositions, windowPositions }) =>
      layer.forward(x, cache, chunkPositions, windowPositions, 'causal');
    return { layer, run };
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
    return { layer, run: ({ x }) => layer.forward(x, { rows: side, columns: side }) };
  },
  full: ({ modelDim, heads }) => {
    const layer = new FullAttention({ modelDim, heads, attentionDropout: 0 });
    return { layer, run: ({ x }) => layer.forward(x, null) };
  },
};

/** What the layer takes, and the direction of the gradient of its output. */
export function randomInputs({ kind, batch, tokens, modelDim, windowSize, chunkSize, projectionRank }) {
  const shape = [batch, tokens, modelDim];
  const inputs = { x: randn(shape), direction: randn(shape) };
  if (kind !== 'causal') return inputs;
  return {
    ...inputs,
    cache: randn(shape),
    chunkPositions: randn([1, ((2 * tokens) / chunkSize) * projectionRank, modelDim]),
    windowPositions: randn([1, windowSize, modelDim]),
  };
}

/** A layer of random weights, and how it is called with its inputs. */
export function makeLayer(layerCase) {
  return KINDS[layerCase.kind](layerCase);
}
