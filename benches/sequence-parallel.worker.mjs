// One of the processes of benches/sequence-parallel.mjs: a forward and a backward pass over its stretch of one sequence.
import { readFileSync, writeFileSync } from 'node:fs';
import * as torch from '../packages/torch/dist/index.js';
import { BidirectionalAttention } from '../packages/transformer-ls/dist/attention/bidirectional.js';
import { CausalAttention } from '../packages/transformer-ls/dist/attention/causal.js';
import { createLanguageModel } from '../packages/transformer-ls/dist/models/language-model/create.js';
import { preset } from '../packages/transformer-ls/dist/models/language-model/presets.js';
import { CheckpointedBlocks } from '../packages/transformer-ls/dist/train/checkpointed-blocks.js';
import { Precision } from '../packages/transformer-ls/dist/train/precision.js';

const { kind, length, threads, unit, ...sizes } = JSON.parse(process.argv[2]);
const { rank, world } = torch.membershipFrom();
torch.setNumThreads(threads);
const group = new torch.ProcessGroup({
  backend: 'gloo',
  rank,
  world,
  timeoutSeconds: 3600,
  ...torch.meet(torch.membershipFrom(), 600),
});
const lengths = torch.stretchesOf(length, world, unit);
const sequence = new torch.ShardedSequence(group, lengths);
const spread = world === 1 ? null : sequence;

/** The own part of numbers that do not depend on how many processes there are. */
function ownNumbers(width) {
  const rows = 65_536;
  const own = torch.empty([1, sequence.own, width]);
  torch.noGrad(() => {
    for (let start = 0; start < length; start += rows)
      torch.scope(() => {
        const [first, last] = [
          Math.max(start, sequence.start),
          Math.min(start + rows, length, sequence.start + sequence.own),
        ];
        torch.manualSeed(start);
        const block = torch.randn([1, rows, width]);
        if (first < last)
          own
            .narrow(1, first - sequence.start, last - first)
            .copy_(block.narrow(1, first - start, last - first));
      });
  });
  return own;
}

function bidirectional({ modelDim, heads, windowSize, projectionRank }) {
  const layer = new BidirectionalAttention({
    modelDim,
    heads,
    windowSize,
    projectionRank,
    convolutionSize: null,
    attentionDropout: 0,
    mode: 'consistent',
  });
  const x = ownNumbers(modelDim);
  x.requiresGrad = true;
  return { model: layer, forward: () => squares(layer.forward(x, null, null, false, spread)) };
}

function causal({ modelDim, heads, windowSize, chunkSize, projectionRank, memoryLength }) {
  const config = {
    modelDim,
    heads,
    windowSize,
    chunkSize,
    projectionRank,
    memoryLength,
    projectionBiases: true,
  };
  const layer = new CausalAttention(config);
  const x = ownNumbers(modelDim);
  x.requiresGrad = true;
  const positions = (rows) => torch.randn([rows, modelDim]);
  const slots = (memoryLength / chunkSize) * projectionRank;
  torch.manualSeed(2);
  const [window, chunks] = [positions(windowSize), positions(slots)];
  const memory = layer.emptyMemory(1);
  const forward = () => {
    const reach = layer.reach(sequence.own, memory, spread);
    const keys = layer.positionKeys(window, chunks.narrow(0, slots - reach, reach));
    return squares(layer.forward(x, memory, keys, spread).output);
  };
  return { model: layer, forward };
}

function languageModel({ name }) {
  const model = createLanguageModel(preset(name));
  const ids = torch.randint(0, 2, [1, length]); // drawn alike in every process
  const own = ids.narrow(1, sequence.start, sequence.own).contiguous();
  const blocks = new CheckpointedBlocks(new Precision('float32', 'cpu'));
  const forward = () => {
    const memory = model.emptyMemory(1);
    const { logits } = model.forwardThrough(blocks.run, own, memory, { sequence: spread ?? undefined });
    const rows = logits.reshape([sequence.own, logits.size(-1)]);
    return torch.crossEntropy(rows, own.reshape([sequence.own]), { reduction: 'sum' }).mul(1 / length);
  };
  return { model, forward, backward: (loss) => blocks.backward(loss) };
}

const squares = (output) =>
  output
    .mul(output)
    .sum()
    .mul(1 / length);

const status = (name) =>
  1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))[1]);

torch.manualSeed(1);
const {
  model,
  forward,
  backward = (loss) => loss.backward(),
} = { bidirectional, causal, 'language model': languageModel }[kind](sizes);
group.barrier().wait();
const before = status('VmRSS');
writeFileSync('/proc/self/clear_refs', '5'); // the highest is counted from here
const started = performance.now();
let [forwardDone, loss] = [0, 0];
torch.scope(() => {
  const result = forward();
  loss = result.item();
  forwardDone = performance.now();
  backward(result);
});
const finished = performance.now();
const peak = status('VmHWM') - before;
// Of all processes: the loss, and how large the gradients are.
const total = torch.tensor(Float64Array.of(loss));
group.allReduce(total).wait();
let norm = 0;
for (const { grad } of model.parameters()) {
  if (grad === null) continue;
  const sum = grad.clone().contiguous();
  group.allReduce(sum).wait();
  norm += sum.mul(sum).sum().item();
}
group.barrier().wait();
process.send(
  {
    forward: forwardDone - started,
    backward: finished - forwardDone,
    peak,
    loss: total.item(),
    norm: Math.sqrt(norm),
  },
  () => process.disconnect(),
);
