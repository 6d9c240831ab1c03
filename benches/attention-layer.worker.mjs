/** Our side of benches/attention-layer.mjs: answers one JSON line to each JSON line on standard input. */
import { createInterface } from 'node:readline';
import * as torch from '../packages/torch/dist/index.js';
import { setFusedAttention } from '../packages/transformer-ls/dist/attention/fused.js';
import { makeLayer } from './attention-layer.layers.mjs';
import { productGflops, readTensors, saveTensors, statusMib } from './worker.parts.mjs';

const { randn, scope } = torch;

/** Weights and inputs of the first worker are everybody's. */
function prepare(job) {
  setFusedAttention(job.fused);
  torch.setNumThreads(job.threads);
  torch.manualSeed(0);
  const { layer, others, run } = makeLayer(job.case);
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

const answers = {
  step({ layer, run, x, direction }) {
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
  } else console.log(JSON.stringify(answers[message.do](prepared)));
}
