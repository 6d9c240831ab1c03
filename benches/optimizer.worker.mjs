/** Our side of benches/optimizer.mjs: answers one JSON line to each JSON line on standard input. */
import { createInterface } from 'node:readline';
import * as torch from '../packages/torch/dist/index.js';

/** Weights and gradients that are the same everywhere, without a generator. */
function prepare({ tensors, size, threads, way }) {
  torch.setNumThreads(threads);
  const parameters = new Map();
  for (let i = 0; i < tensors; i++) {
    const angles = torch.scope(() => torch.arange(0, size).to('float32').mul(1e-3).add(i));
    const parameter = torch.scope(() => angles.sin());
    parameter.requiresGrad = true;
    parameter.grad = torch.scope(() => angles.cos().mul(1e-2));
    angles.dispose();
    parameters.set(`weight${i}`, parameter);
  }
  const optimizer = new torch.AdamW(parameters, { learningRate: 1e-3, fused: way === 'fused' });
  const half = () => torch.zeros([2 * tensors * size]);
  return { optimizer, first: parameters.get('weight0'), source: half(), target: half() };
}

function timed(run) {
  const start = performance.now();
  torch.scope(run);
  return performance.now() - start;
}

const answers = {
  step: ({ optimizer }) => ({ ms: timed(() => optimizer.step()) }),
  copy({ source, target }) {
    const ms = timed(() => void target.copy_(source));
    return { bytesPerSecond: (2 * source.byteLength * 1000) / ms };
  },
  weights: ({ first }) => ({ weights: torch.scope(() => [...first.narrow(0, 0, 1000).toTypedArray()]) }),
};

let state;
for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line);
  if (state === undefined) {
    state = prepare(message);
    console.log('{}');
  } else console.log(JSON.stringify(answers[message.do](state)));
}
