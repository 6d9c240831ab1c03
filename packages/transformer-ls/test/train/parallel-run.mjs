// A language model in float64, trained by this process and those beside it as parallel-training.test.ts says: prints losses and evaluations.
const [, , cli, settings] = process.argv;
const load = (path) => import(new URL(`../${path}`, `file://${cli}/`));
const { config, folder, from, perSequence } = JSON.parse(settings);
const torch = await import(
  new URL('../../../node_modules/@transformer-ls/torch/src/index.js', `file://${cli}/`)
);
const { Ranks } = await load('train/ranks.js');
const { Trainer } = await load('train/trainer.js');
const { Precision } = await load('train/precision.js');
const { LanguageModelTask } = await load('train/language-model-task.js');
const { restoreTrainer } = await load('train/training-state.js');
const { ownSeed } = await load('train/share-of-run.js');
const { createLanguageModel } = await load('models/language-model/create.js');
const { syntheticCorpus } = await load('data/synthetic.js');
const { byteVocabulary } = await load('data/vocabulary.js');
const { createRun } = await load('run/run-folder.js');
const { followedRun } = await load('run/followed-run.js');
const { verifyCheckpoint } = await load('run/checkpoint.js');

const membership = torch.membershipFrom();
const isAlone = membership === null || membership.world === 1;
const ranks = isAlone ? Ranks.alone : Ranks.join(membership, { timeoutSeconds: 120, perSequence });
torch.setNumThreads(1);

// Means over all processes, of tensors of any shape.
const { rank, world } = ranks.share;
const averaged = [torch.full([2], rank), torch.full([3, 1], 10 * rank)];
ranks.average(averaged);
const means = averaged.map((one) => one.mean().item());
if (means[0] !== (world - 1) / 2 || means[1] !== 5 * (world - 1))
  throw new Error(`expected means of 0 to ${world - 1}, received ${means}`);

// Others than the first begin with other weights: they must be given the first one's.
torch.manualSeed(config.seed + ranks.share.rank);
const model = createLanguageModel(config.model);
model.to({ dtype: 'float64' });
ranks.broadcast(model.stateDict().values());
torch.manualSeed(ranks.isFirst ? config.seed : ownSeed(config.seed, ranks, 0));
const corpus = (split) => syntheticCorpus('pattern', split, { bytes: 4000, seed: 0, distance: 20 });
const precision = new Precision(config.precision, config.device);
const task = new LanguageModelTask({
  model,
  config,
  vocabulary: byteVocabulary,
  train: corpus('train'),
  valid: corpus('valid'),
  precision,
  share: ranks.share,
  rowShare: ranks.rowShare,
  sequenceGroup: ranks.sequenceGroup('cpu'),
});
const run = ranks.isFirst
  ? await createRun(folder, config, { onProblem: console.error, keep: 9 })
  : followedRun(folder, config, undefined);
const trainer = new Trainer({
  config,
  task,
  precision,
  folder: run,
  ranks,
  onRecord: ({ type, step, loss, gradNorm, tokens }) =>
    console.log(JSON.stringify({ type, step, loss, gradNorm, tokens })),
  onSaved: () => undefined,
  shouldStop: () => false,
});
if (from !== undefined) await restoreTrainer(trainer, await verifyCheckpoint(from));
await trainer.run();
await run.close();
ranks.leave();
