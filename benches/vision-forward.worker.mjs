/** Our side of benches/vision-forward.mjs: answers one JSON line to each JSON line on standard input. */
import { createInterface } from 'node:readline';
import * as torch from '../packages/torch/dist/index.js';
import { createImageClassifier } from '../packages/transformer-ls/dist/models/vision/image-classifier.js';
import { productGflops, readTensors, saveTensors, statusMib } from './worker.parts.mjs';

/** Weights and images of the first worker are everybody's. */
function prepare({ kind, config, weights, images, batches }) {
  torch.manualSeed(0);
  const model = createImageClassifier(config);
  model.eval();
  if (kind === 'make-weights') {
    saveTensors(model.stateDict(), weights);
    const { channels, imageHeight, imageWidth } = config;
    const made = torch.randn([Math.max(...batches), channels, imageHeight, imageWidth]);
    saveTensors(new Map([['images', made]]), images);
  } else model.loadStateDict(readTensors(weights));
  return { model, images: readTensors(images).get('images') };
}

function forward({ model, images }, batch) {
  return torch.noGrad(() =>
    torch.scope(() => {
      const some = images.narrow(0, 0, batch);
      const start = process.hrtime.bigint();
      const logits = model.forward(some);
      const ms = Number(process.hrtime.bigint() - start) / 1e6;
      return { ms, logits: [...logits.select(0, 0).toTypedArray()] };
    }),
  );
}

function multiplyAccumulates({ model, images }) {
  return torch.noGrad(() =>
    torch.scope(() =>
      torch.countMultiplyAccumulates(
        torch.recordOps(() => torch.scope(() => void model.forward(images.narrow(0, 0, 1)))).ops,
      ),
    ),
  );
}

const answers = {
  forward: (state, { batch }) => forward(state, batch),
  product: () => ({ gflops: productGflops() }),
  work: (state) => ({ multiplyAccumulates: multiplyAccumulates(state) }),
  memory: () => ({ peakMib: statusMib('VmHWM') }),
};

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const job = JSON.parse((await lines.next()).value);
torch.setNumThreads(job.threads);
const state = prepare(job);
console.log(JSON.stringify({ runtime: `Node ${process.version}, libtorch ${torch.buildInfo().version}` }));
for await (const line of lines) {
  const command = JSON.parse(line);
  console.log(JSON.stringify(answers[command.do](state, command)));
}
