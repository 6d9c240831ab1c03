/** Our side of benches/training-step.mjs: answers one JSON line to each JSON line on standard input. */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import * as torch from '../packages/torch/dist/index.js';
import { createLanguageModel } from '../packages/transformer-ls/dist/models/language-model/create.js';
import { carryMemory, disposeMemory } from '../packages/transformer-ls/dist/models/language-model/memory.js';
import { SequenceClassifier } from '../packages/transformer-ls/dist/models/sequence-classifier/model.js';
import { createImageClassifier } from '../packages/transformer-ls/dist/models/vision/image-classifier.js';
import { productGflops, readTensors, saveTensors, statusMib } from './worker.parts.mjs';

/** The bytes of a file, in a buffer of their own. */
function readBuffer(path) {
  const bytes = readFileSync(path);
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
}

/** (rows, columns) int64. */
function readData(path, rows) {
  const ids = new BigInt64Array(readBuffer(path));
  return torch.tensor(ids, { dtype: 'int64', shape: [rows, ids.length / rows] });
}

/** Segments of streams one after the other, with the memory between them. */
class LanguageModelTask {
  constructor(job) {
    this.job = job;
    this.model = createLanguageModel(job.config);
    this.ids = readData(job.data, job.batchSize);
    this.segments = (this.ids.size(1) - 1) / job.segmentLength;
    this.memory = carryMemory(this.model.emptyMemory(job.batchSize));
  }

  segment(step) {
    const { segmentLength: T } = this.job;
    const begin = (step % this.segments) * T;
    return { ids: this.ids.narrow(1, begin, T), targets: this.ids.narrow(1, begin + 1, T) };
  }

  forward(step) {
    const { ids, targets } = this.segment(step);
    const { logits, memory } = this.model.forward(ids, this.memory);
    const flat = logits.reshape([targets.numel, logits.size(-1)]);
    const loss = torch.crossEntropy(flat, targets.reshape([targets.numel]));
    return { loss, carry: () => this.carry(memory) };
  }

  carry(memory) {
    const carried = carryMemory(memory);
    disposeMemory(this.memory);
    this.memory = carried;
  }
}

/** Batches of padded rows; the last column is the label. */
class ClassifierTask {
  constructor(job) {
    const rows = job.steps * job.batchSize;
    this.job = job;
    this.model = new SequenceClassifier(job.config);
    this.data = readData(job.data, rows);
  }

  forward(step) {
    const { steps, batchSize: B, config } = this.job;
    const rows = this.data.narrow(0, (step % steps) * B, B);
    const ids = rows.narrow(1, 0, config.maxLength).contiguous();
    const logits = this.model.forward({ ids, mask: ids.ne(0) });
    return { loss: torch.crossEntropy(logits, rows.select(1, config.maxLength)), carry: () => undefined };
  }
}

/** Batches of images with their labels. */
class VisionTask {
  constructor(job) {
    const { channels, imageHeight, imageWidth } = job.config;
    const count = job.steps * job.batchSize;
    this.job = job;
    this.model = createImageClassifier(job.config);
    this.labels = readData(job.data, count).flatten();
    this.images = torch.tensor(new Float32Array(readBuffer(job.images)), {
      shape: [count, channels, imageHeight, imageWidth],
    });
  }

  forward(step) {
    const { steps, batchSize: B } = this.job;
    const begin = (step % steps) * B;
    const logits = this.model.forward(this.images.narrow(0, begin, B));
    return { loss: torch.crossEntropy(logits, this.labels.narrow(0, begin, B)), carry: () => undefined };
  }
}

const TASKS = {
  'language-model': LanguageModelTask,
  'sequence-classifier': ClassifierTask,
  'vil-ls': VisionTask,
};

class Trainer {
  constructor(job) {
    this.job = job;
    torch.manualSeed(0);
    this.task = new TASKS[job.config.kind](job);
    const { model } = this.task;
    if (job.kind === 'make-weights') saveTensors(model.stateDict(), job.weights);
    else torch.scope(() => model.loadStateDict(readTensors(job.weights)));
    this.parameters = model.parameters();
    this.optimizer = new torch.AdamW(model.namedParameters(), { learningRate: job.learningRate });
    this.done = 0;
  }

  step() {
    return torch.scope(() => {
      this.optimizer.zeroGrad();
      const { loss, carry } = this.task.forward(this.done);
      loss.backward();
      const norm = torch.clipGradNorm(this.parameters, this.job.clipNorm);
      this.optimizer.step();
      carry();
      this.done += 1;
      return { loss: loss.item(), norm };
    });
  }

  timedStep() {
    const [used, start] = [process.resourceUsage(), process.hrtime.bigint()];
    const result = this.step();
    const ms = Number(process.hrtime.bigint() - start) / 1e6;
    const now = process.resourceUsage();
    return {
      ...result,
      ms,
      cpuMs: (now.userCPUTime - used.userCPUTime + now.systemCPUTime - used.systemCPUTime) / 1e3,
      pageFaults: now.minorPageFault - used.minorPageFault,
    };
  }

  /** Of one forward pass. */
  multiplyAccumulates() {
    return torch.scope(() => torch.countMultiplyAccumulates(torch.recordOps(() => this.task.forward(0)).ops));
  }
}

const answers = {
  threads(_trainer, _startMib, { count }) {
    torch.setNumThreads(count);
    return {};
  },
  step: (trainer) => trainer.timedStep(),
  product: () => ({ gflops: productGflops() }),
  work: (trainer) => ({ multiplyAccumulates: trainer.multiplyAccumulates() }),
  memory: (_trainer, startMib) => ({ peakMib: statusMib('VmHWM'), startMib }),
};

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const job = JSON.parse((await lines.next()).value);
torch.setNumThreads(job.threads);
const startMib = statusMib('VmRSS');
const trainer = new Trainer(job);
console.log(JSON.stringify({ runtime: `Node ${process.version}, libtorch ${torch.buildInfo().version}` }));
for await (const line of lines) {
  const command = JSON.parse(line);
  console.log(JSON.stringify(answers[command.do](trainer, startMib, command)));
}
