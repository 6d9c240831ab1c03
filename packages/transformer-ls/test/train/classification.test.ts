import {
  type ClassifierTrainingConfig,
  classifierTrainingSchema,
  parseConfig,
} from '@transformer-ls/formats';
import { manualSeed } from '@transformer-ls/torch';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Random } from '../../src/data/random.js';
import { type ExampleSet, ExampleSetWriter, type Split, splits } from '../../src/lra/example-set.js';
import { SequenceClassifier } from '../../src/models/sequence-classifier/model.js';
import { createRun, resumeRun } from '../../src/run/run-folder.js';
import { ClassificationTask } from '../../src/train/classification-task.js';
import { Precision } from '../../src/train/precision.js';
import { Trainer } from '../../src/train/trainer.js';
import { restoreTrainer } from '../../src/train/training-state.js';
import { scratchFolder } from '../data/scratch-folder.js';

/** Sequences of 0 and 1; the class is what there is more of. */
async function majoritySet(): Promise<ExampleSet> {
  const writer = new ExampleSetWriter(scratchFolder(), {
    task: 'majority',
    inputs: 'one',
    classes: ['zeros', 'ones'],
    vocabulary: ['0', '1'],
    validFrom: 'own',
    caution: '',
    source: 'a test',
    stamp: 's',
  });
  const count: Record<Split, number> = { train: 256, valid: 64, test: 64 };
  for (const split of splits)
    for (let index = 0; index < count[split]; index++) {
      const random = new Random(splits.indexOf(split), index);
      const label = random.below(2);
      const length = 5 + 2 * random.below(8);
      const tokens = Uint8Array.from({ length }, () => (random.unit() < 0.8 ? label : 1 - label));
      const ones = tokens.reduce((sum, token) => sum + token, 0);
      writer.addExample(split, [writer.addDocument(tokens)], ones * 2 > length ? 1 : 0);
    }
  const set = await writer.finish();
  onTestFinished(() => set.close());
  return set;
}

function configFor(changes: object = {}): ClassifierTrainingConfig {
  return parseConfig(classifierTrainingSchema, {
    kind: 'classifier-training',
    recipe: 'test',
    model: {
      kind: 'sequence-classifier',
      classes: 2,
      vocabularySize: 4,
      maxLength: 24,
      layers: 1,
      modelDim: 16,
      heads: 2,
      innerDim: 32,
      attention: { windowSize: 4, projectionRank: 2 },
    },
    data: { name: 'majority' },
    documentLength: 24,
    batchSize: 16,
    optimizer: { name: 'adamw', learningRate: 1e-2 },
    schedule: { name: 'constant', warmupSteps: 0 },
    maxSteps: 60,
    evaluateEverySteps: 20,
    checkpointEverySteps: 1000,
    seed: 1,
    ...changes,
  });
}

async function trainerFor(set: ExampleSet, config: ClassifierTrainingConfig, folder: string) {
  manualSeed(config.seed);
  const model = new SequenceClassifier(config.model);
  const precision = new Precision('float32', 'cpu');
  const task = new ClassificationTask({ model, config, set, precision });
  const options = { onProblem: (line: string) => expect.fail(line), keep: 2 };
  const json = JSON.parse(JSON.stringify(config));
  const run = await createRun(folder, json, options).catch(() => resumeRun(folder, options));
  onTestFinished(async () => {
    await run.close();
    model.dispose();
  });
  return new Trainer({
    config,
    task,
    precision,
    folder: run,
    onRecord: () => {},
    onSaved: () => {},
    shouldStop: () => false,
  });
}

describe('training a classifier', () => {
  it('learns, measures accuracy, and keeps the best by accuracy', async () => {
    const trainer = await trainerFor(await majoritySet(), configFor(), `${scratchFolder()}/run`);
    expect(await trainer.run()).toBe('complete');
    const { best } = trainer.counters;
    expect(best!.accuracy).toBeGreaterThan(0.9);
    expect(best!.bpc).toBeNull();
  });

  it('goes on after a stop exactly where it was, dropout included', async () => {
    const set = await majoritySet();
    const config = configFor({ maxSteps: 6, evaluateEverySteps: 1000 });
    const noisy = { ...config, model: { ...config.model, dropout: 0.1, attentionDropout: 0.1 } };
    const straight = await trainerFor(set, noisy, `${scratchFolder()}/straight`);
    await straight.run();

    const folder = `${scratchFolder()}/stopped`;
    const before = await trainerFor(set, { ...noisy, maxSteps: 3 }, folder);
    await before.run();
    await before.options.folder.close();
    const after = await trainerFor(set, noisy, folder);
    await restoreTrainer(after, after.options.folder.newest!);
    await after.run();
    const [expected, found] = [straight, after].map(({ options }) => options.task.model.stateDict());
    for (const [name, value] of expected!) expect(value.equal(found!.get(name)!), name).toBe(true);
  });

  it('evaluates every example once, alike for any batch size', async () => {
    const set = await majoritySet();
    const losses = [];
    for (const batchSize of [16, 7, 64]) {
      const trainer = await trainerFor(set, configFor({ batchSize }), `${scratchFolder()}/run`);
      const { loss, accuracy, tokens } = await trainer.options.task.evaluate();
      expect(tokens).toBe(64);
      losses.push([loss.toFixed(5), accuracy]);
    }
    expect(losses[1]).toEqual(losses[0]);
    expect(losses[2]).toEqual(losses[0]);
  });
});
