/** Our side of benches/vision-forward.mjs: answers one JSON line to each JSON line on standard input. */
import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { encodeSafetensors, parseSafetensors } from '../packages/formats/dist/index.js';
import * as torch from '../packages/torch/dist/index.js';
import { createImageClassifier } from '../packages/transformer-ls/dist/models/vision/image-classifier.js';
import { entryOfTensor, tensorOfEntry } from '../packages/transformer-ls/dist/weights/tensor-entries.js';

function save(tensors, path) {
  const entries = [...tensors].map(([name, value]) => [name, entryOfTensor(value)]);
  writeFileSync(path, encodeSafetensors(new Map(entries)));
}

function read(path) {
  const { tensors } = parseSafetensors(readFileSync(path));
  return new Map([...tensors].map(([name, entry]) => [name, tensorOfEntry(entry, name)]));
}

/** Weights and images of the first worker are everybody's. */
function prepare({ kind, config, weights, images, batches }) {
  torch.manualSeed(0);
  const model = createImageClassifier(config);
  model.eval();
  if (kind === 'make-weights') {
    save(model.stateDict(), weights);
    const { channels, imageHeight, imageWidth } = config;
    const made = torch.randn([Math.max(...batches), channels, imageHeight, imageWidth]);
    save(new Map([['images', made]]), images);
  } else model.loadStateDict(read(weights));
  return { model, images: read(images).get('images') };
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

function productGflops(n = 1024) {
  return torch.scope(() => {
    const [a, b] = [torch.rand([n, n]), torch.rand([n, n])];
    const start = process.hrtime.bigint();
    a.matmul(b);
    return (2 * n ** 3) / Number(process.hrtime.bigint() - start);
  });
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

const peakMib = () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024;

const answers = {
  forward: (state, { batch }) => forward(state, batch),
  product: () => ({ gflops: productGflops() }),
  work: (state) => ({ multiplyAccumulates: multiplyAccumulates(state) }),
  memory: () => ({ peakMib: peakMib() }),
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
