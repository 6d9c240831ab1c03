// One of the processes of benches/process-scaling.mjs: trains some steps and says how long each took.
import { parseConfig, trainingSchema } from '../packages/formats/dist/index.js';
import * as torch from '../packages/torch/dist/index.js';
import { syntheticCorpus } from '../packages/transformer-ls/dist/data/synthetic.js';
import { byteVocabulary } from '../packages/transformer-ls/dist/data/vocabulary.js';
import { createLanguageModel } from '../packages/transformer-ls/dist/models/language-model/create.js';
import { preset as presetOf } from '../packages/transformer-ls/dist/models/language-model/presets.js';
import { followedRun } from '../packages/transformer-ls/dist/run/followed-run.js';
import { LanguageModelTask } from '../packages/transformer-ls/dist/train/language-model-task.js';
import { Precision } from '../packages/transformer-ls/dist/train/precision.js';
import { Ranks } from '../packages/transformer-ls/dist/train/ranks.js';
import { Trainer } from '../packages/transformer-ls/dist/train/trainer.js';

const WARM_UP = 3;

const { preset, batchSize, segmentLength, steps, threads, exchange } = JSON.parse(process.argv[2]);
const membership = torch.membershipFrom();
torch.setNumThreads(threads);
torch.manualSeed(1);

const joined =
  exchange === 'alone'
    ? Ranks.alone
    : Ranks.join(membership, { timeoutSeconds: 600, overlap: exchange === 'overlap' });
const share = { rank: membership.rank, world: membership.world };
const config = parseConfig(trainingSchema, {
  kind: 'training',
  recipe: 'bench',
  model: presetOf(preset),
  data: { name: 'text' },
  segmentLength,
  batchSize,
  optimizer: { name: 'adamw', learningRate: 1e-3 },
  schedule: { name: 'constant', warmupSteps: 0 },
  clipNorm: 1,
  maxSteps: WARM_UP + steps,
  evaluateEverySteps: 1_000_000,
  evaluateTokens: 65_536,
  checkpointEverySteps: 1_000_000,
  seed: 1,
});
const corpus = (split) => syntheticCorpus('pattern', split, { bytes: 2_000_000, seed: 0, distance: 20 });
const model = createLanguageModel(config.model);
const precision = new Precision('float32', 'cpu');
const parts = { model, config, vocabulary: byteVocabulary, precision, share };
const task = new LanguageModelTask({ ...parts, train: corpus('train'), valid: corpus('valid') });
const trainer = new Trainer({
  config,
  task,
  precision,
  folder: followedRun('', {}, undefined),
  onRecord: () => undefined,
  onSaved: () => undefined,
  shouldStop: () => false,
  ranks: exchange === 'none' ? Ranks.alone : joined,
});
const times = [];
let busy = process.cpuUsage();
for (let step = 0; step < WARM_UP + steps; step++) {
  if (step === WARM_UP) busy = process.cpuUsage();
  // Those who exchange nothing run side by side all the same.
  joined.sum([0]);
  const started = performance.now();
  trainer.update();
  if (step >= WARM_UP) times.push(performance.now() - started);
}
const { user, system } = process.cpuUsage(busy);
const gradientBytes = 4 * model.parameters().reduce((sum, { numel }) => sum + numel, 0);
joined.leave();
process.send({ times, cpu: (user + system) / 1000 / steps, gradientBytes }, () => process.disconnect());
