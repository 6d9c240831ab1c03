/**
 * Our side of benches/attention-layer.mjs and its relatives: one layer of attention. Answers one JSON line to each JSON line on
 * standard input.
 */
import { createInterface } from 'node:readline';
import * as torch from '../packages/torch/dist/index.js';
import { makeLayer, randomInputs } from './attention-layer.layers.mjs';
import { productGflops, readTensors, restartPeak, saveTensors, statusMib } from './worker.parts.mjs';

const { scope } = torch;
const MIB = 2 ** 20;

/** Loads the code and makes the buffers of the products, which are no memory of the layer's. */
function warmUp(job) {
  scope(() => {
    const small = { ...job.case, batch: 1, ...job.case.small };
    const { layer, run } = makeLayer(small);
    const inputs = randomInputs(small);
    inputs.x.requiresGrad = true;
    run(inputs).backward(inputs.direction);
    layer.zeroGrad();
    productGflops();
  });
  torch.releaseCachedMemory();
}

/** Weights and inputs of the first worker are everybody's, unless each has its own random ones. */
function prepare(job) {
  torch.setFusedOperators(job.fused);
  torch.setNumThreads(job.threads);
  torch.manualSeed(0);
  warmUp(job);
  const startMib = statusMib('VmRSS');
  const { layer, run } = makeLayer(job.case);
  if (job.keeps !== undefined) layer.keeps = job.keeps;
  if (job.kind === 'make-weights') {
    saveTensors(layer.stateDict(), job.weights);
    saveTensors(new Map(Object.entries(randomInputs(job.case))), job.inputs);
  } else if (job.kind === 'load-weights') layer.loadStateDict(readTensors(job.weights));
  const inputs = job.kind === 'random' ? randomInputs(job.case) : Object.fromEntries(readTensors(job.inputs));
  inputs.x.requiresGrad = true;
  // As in a model, nothing but the result outlives the layer, unless the backward pass needs it.
  return { layer, run: () => scope(() => run(inputs)), x: inputs.x, direction: inputs.direction, startMib };
}

function forget({ layer, x }) {
  layer.zeroGrad();
  x.grad = null;
}

const answers = {
  threads(_subject, { count }) {
    torch.setNumThreads(count);
    return {};
  },
  /** Without anything kept for a backward pass. */
  forward({ run }) {
    return torch.noGrad(() =>
      scope(() => {
        const start = performance.now();
        run();
        return { forward: performance.now() - start };
      }),
    );
  },
  step(subject) {
    const { run, x, direction } = subject;
    return scope(() => {
      forget(subject);
      const start = performance.now();
      const output = run();
      const middle = performance.now();
      output.backward(direction);
      const end = performance.now();
      const sample = (tensor) => [...tensor.flatten().narrow(0, 0, 8).toTypedArray()];
      return { forward: middle - start, both: end - start, output: sample(output), gradient: sample(x.grad) };
    });
  },
  /** Memory of one pass forward and backward beyond inputs, output and all gradients. */
  beyond(subject) {
    const { layer, run, x, direction } = subject;
    forget(subject);
    restartPeak();
    const before = statusMib('VmRSS');
    return scope(() => {
      const output = run();
      output.backward(direction);
      const gradients = layer.parameters().map((parameter) => parameter.grad);
      const results = [output, x.grad, ...gradients.filter((gradient) => gradient !== null)];
      const held = results.reduce((sum, { numel }) => sum + 4 * numel, 0) / MIB;
      return { beyondMib: statusMib('VmHWM') - before - held, resultsMib: held };
    });
  },
  product: () => ({ gflops: productGflops() }),
  'restart-peak'(subject) {
    forget(subject);
    restartPeak();
    return {};
  },
  memory: ({ startMib }) => ({ peakMib: statusMib('VmHWM'), startMib }),
  work({ run }) {
    const { ops } = torch.noGrad(() => torch.recordOps(() => scope(() => void run())));
    return { multiplyAccumulates: torch.countMultiplyAccumulates(ops) };
  },
};

let subject;

function answer(message) {
  if (subject !== undefined) return answers[message.do](subject, message);
  subject = prepare(message);
  return { runtime: `Node ${process.version}, libtorch ${torch.buildInfo().version}` };
}

for await (const line of createInterface({ input: process.stdin })) {
  try {
    console.log(JSON.stringify(answer(JSON.parse(line))));
  } catch (error) {
    console.log(JSON.stringify({ error: error.message }));
  }
}
