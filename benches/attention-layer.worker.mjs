/** Our side of benches/attention-layer.mjs: answers one JSON line to each JSON line on standard input. */
import { createInterface } from 'node:readline';
import * as torch from '../packages/torch/dist/index.js';
import { BidirectionalAttention } from '../packages/transformer-ls/dist/attention/bidirectional.js';
import { ReferenceCausalAttention } from '../packages/transformer-ls/dist/attention/causal-reference.js';
import { LongShortSpatialAttention } from '../packages/transformer-ls/dist/attention/spatial.js';
import { productGflops, readTensors, saveTensors, statusMib } from './worker.parts.mjs';

const { randn, scope } = torch;

/** A layer, the tensors that it takes beside its input, and how it is called. */
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

/** Weights and inputs of the first worker are everybody's. */
function prepare(job) {
  torch.setFusedOperators(job.fused);
  torch.setNumThreads(job.threads);
  torch.manualSeed(0);
  const { layer, others, run } = KINDS[job.case.kind](job.case);
  const { batch, tokens, modelDim } = job.case;
  if (job.kind === 'make-weights') {
    saveTensors(layer.stateDict(), job.weights);
    const made = {
      x: randn([batch, tokens, modelDim]),
      direction: randn([batch, tokens, modelDim]),
      ...others,
    };
    saveTensors(new Map(Object.entries(made)), job.inputs);
  } else layer.loadStateDict(readTensors(job.weights));
  const { x, direction, ...rest } = Object.fromEntries(readTensors(job.inputs));
  x.requiresGrad = true;
  return { layer, run: () => run(x, rest), x, direction };
}

function step({ layer, run, x, direction }) {
  return scope(() => {
    layer.zeroGrad();
    x.grad = null;
    const start = performance.now();
    const output = run();
    const middle = performance.now();
    output.backward(direction);
    const end = performance.now();
    const sample = (tensor) => [...tensor.flatten().narrow(0, 0, 8).toTypedArray()];
    return { forward: middle - start, both: end - start, output: sample(output), gradient: sample(x.grad) };
  });
}

const answers = {
  turn(prepared, { steps }) {
    step(prepared);
    return { steps: Array.from({ length: steps }, () => step(prepared)) };
  },
  product: () => ({ gflops: productGflops() }),
  memory: () => ({ peakMib: statusMib('VmHWM') }),
  work({ run }) {
    const { ops } = torch.noGrad(() => torch.recordOps(() => scope(() => void run())));
    return { multiplyAccumulates: torch.countMultiplyAccumulates(ops) };
  },
};

let prepared;
for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line);
  if (prepared === undefined) {
    prepared = prepare(message);
    console.log(
      JSON.stringify({ runtime: `Node ${process.version}, libtorch ${torch.buildInfo().version}` }),
    );
  } else console.log(JSON.stringify(answers[message.do](prepared, message)));
}
