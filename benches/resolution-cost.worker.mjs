/**
 * One measurement of benches/resolution-cost.mjs: builds what the job names and passes one image, or one grid of tokens, through it.
 * Says a JSON line when it is built and after each kind of pass.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import * as torch from '../packages/torch/dist/index.js';
import {
  FullSpatialAttention,
  LongShortSpatialAttention,
} from '../packages/transformer-ls/dist/attention/spatial.js';
import { createImageClassifier } from '../packages/transformer-ls/dist/models/vision/image-classifier.js';
import { visionPreset } from '../packages/transformer-ls/dist/models/vision/presets.js';

/** Timed passes of a kind: as many as fit into this many seconds, at least one and at most five. */
const SECONDS_A_KIND = 15;
const MOST_PASSES = 5;

const { scope, noGrad, randn, crossEntropy } = torch;

function say(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Bytes of physical memory that the process held at most since the last reset. */
function peakResident() {
  const [, kib] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'));
  return Number(kib) * 1024;
}

/** The highest value begins anew at what is held now. */
function resetPeak() {
  globalThis.gc?.();
  torch.releaseCachedMemory();
  torch.resetPeakMemory();
  writeFileSync('/proc/self/clear_refs', '5');
}

/** A whole model, with full attention in the first two stages where that is asked for. */
function modelOf({ preset, side, attention, biases }) {
  const config = visionPreset(preset, { imageSize: side });
  const positions = biases ? 'relative' : 'absolute';
  const stages = config.stages.map((stage, i) => (i < 2 ? { ...stage, attention, positions } : stage));
  const model = createImageClassifier({ ...config, stages, dropPath: 0 });
  const image = randn([1, config.channels, side, side]);
  const label = torch.tensor(BigInt64Array.of(3n), { shape: [1] });
  return {
    module: model,
    forward: () => model.forward(image),
    loss: (logits) => crossEntropy(logits, label),
  };
}

/** The attention of the first stage of the published sizes alone, on a square grid. */
function attentionOf({ side, attention, biases }) {
  const common = {
    modelDim: 96,
    heads: 3,
    globalTokens: 1,
    scoreScale: null,
    queryKeyValueBiases: true,
    attentionDropout: 0,
    dropout: 0,
    mode: 'consistent',
  };
  const grid = { rows: side, columns: side };
  const longShort = { windowSize: 7, projectionRank: 8, relativeBias: true };
  const module =
    attention === 'full'
      ? new FullSpatialAttention({ ...common, biasGrid: biases ? grid : null })
      : new LongShortSpatialAttention({ ...common, ...longShort });
  const x = randn([1, 1 + side * side, 96]);
  return { module, forward: () => module.forward(x, grid), loss: (y) => y.square().mean() };
}

const passes = {
  forward: ({ forward }) => noGrad(() => scope(() => forward().sum().item())),
  training: ({ module, forward, loss }) =>
    scope(() => {
      const value = loss(forward());
      value.backward();
      module.zeroGrad();
      return value.item();
    }),
};

function measure(kind, subject) {
  resetPeak();
  const pass = passes[kind];
  const { ops } = torch.recordOps(() => pass(subject)); // the first also fills caches and is not timed
  const seconds = [];
  const begun = performance.now();
  while (seconds.length < MOST_PASSES && performance.now() - begun < 1000 * SECONDS_A_KIND) {
    const from = performance.now();
    const value = pass(subject);
    seconds.push((performance.now() - from) / 1000);
    if (!Number.isFinite(value)) throw new Error(`resolution-cost: ${kind} gave ${value}`);
  }
  const macs = kind === 'forward' ? torch.countMultiplyAccumulates(ops) : undefined;
  const { peakAllocatedBytes } = torch.memoryStats();
  say({ done: kind, seconds, peakResident: peakResident(), peakAllocatedBytes, macs });
}

const job = JSON.parse(process.argv[2]);
torch.setNumThreads(job.threads);
torch.manualSeed(1);
const subject = job.preset === undefined ? attentionOf(job) : modelOf(job);
const parameters = subject.module.countParameters();
globalThis.gc?.();
say({ done: 'built', libtorch: torch.buildInfo().version, parameters, resident: process.memoryUsage.rss() });
for (const kind of job.kinds) {
  subject.module.train(kind === 'training');
  measure(kind, subject);
}
