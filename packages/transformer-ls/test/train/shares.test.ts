// Parts of a batch are the batch: what several processes train on together, here one after the other in this one, in float64.
import { classifierTrainingSchema, parseConfig } from '@transformer-ls/formats';
import { Module, manualSeed, scope, type Tensor } from '@transformer-ls/torch';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { rangeOf, rowsOf, type Share } from '../../src/data/share.js';
import { syntheticCorpus } from '../../src/data/synthetic.js';
import { byteVocabulary } from '../../src/data/vocabulary.js';
import { ImageLoader } from '../../src/images/loader/image-loader.js';
import { ExampleSetWriter, splits } from '../../src/lra/example-set.js';
import { createLanguageModel } from '../../src/models/language-model/create.js';
import { SequenceClassifier } from '../../src/models/sequence-classifier/model.js';
import { createImageClassifier, type ImageClassifier } from '../../src/models/vision/image-classifier.js';
import { ClassificationTask } from '../../src/train/classification-task.js';
import { ImageTask } from '../../src/train/image-task.js';
import { LanguageModelTask } from '../../src/train/language-model-task.js';
import { Precision } from '../../src/train/precision.js';
import { Ranks } from '../../src/train/ranks.js';
import { refuseUnequalShares } from '../../src/train/share-of-run.js';
import type { Evaluation, TrainingTask } from '../../src/train/task.js';
import { scratchFolder } from '../data/scratch-folder.js';
import { memorySet } from '../images/memory-set.js';
import { smallImageConfig } from './small-image-run.js';
import { smallConfig } from './small-run.js';

describe('what is whose', () => {
  it('ranges and rows cover all once, whatever the numbers', () => {
    const sizes = fc.record({ each: fc.integer({ min: 1, max: 9 }), world: fc.integer({ min: 1, max: 7 }) });
    fc.assert(
      fc.property(sizes, fc.nat(40), ({ each, world }, total) => {
        const all = Array.from({ length: world }, (_, rank) => ({ rank, world }));
        const ranges = all.flatMap((share) => {
          const { first, count } = rangeOf(total, share);
          return Array.from({ length: count }, (_, i) => first + i);
        });
        expect(ranges).toEqual(Array.from({ length: total }, (_, i) => i));
        const rows = all.map((share) => rowsOf(each * world, share));
        expect(rows.flatMap((own) => [...own]).sort((a, b) => a - b)).toEqual(
          Array.from({ length: each * world }, (_, i) => i),
        );
        // Whoever has a row has the one that it is mixed with, at the same place from the end.
        if (each % 2 === 0)
          for (const own of rows)
            for (const [i, row] of own.entries()) expect(own[each - 1 - i]).toBe(each * world - 1 - row);
      }),
    );
  });

  it('a batch that cannot be divided is refused in one line', () => {
    const of = (world: number, perSequence = 1) => ({ rowShare: { rank: 0, world }, perSequence }) as Ranks;
    const config = smallConfig({ batchSize: 8 });
    refuseUnequalShares(config, of(4));
    expect(() => refuseUnequalShares(config, of(3))).toThrow(
      'batchSize: 8 lanes cannot be divided among 3 processes; take a multiple of 3',
    );
    const pictures = smallImageConfig({ batchSize: 6, augmentation: { mixup: 0.8 } });
    expect(() => refuseUnequalShares(pictures, of(2))).toThrow(
      'batchSize: pictures are mixed in pairs, and 6 cannot be divided among 2 processes in pairs; take a multiple of 4',
    );
    refuseUnequalShares(pictures, Ranks.alone);
    expect(() => refuseUnequalShares(pictures, of(1, 2))).toThrow(
      '--sequence-parallel: pictures are not spread over processes; leave it out',
    );
  });
});

interface Kind {
  /** A task of its own on its share, its model in float64. */
  readonly task: (share: Share) => Promise<TrainingTask>;
}

const f64 = <M extends Module>(model: M): M => {
  model.to({ dtype: 'float64' });
  return model;
};

/** A vision model that is fed the float32 of the loader. */
class Widened extends Module {
  readonly config: ImageClassifier['config'];
  constructor(private readonly inner: ImageClassifier) {
    super();
    this.config = inner.config;
    this.child('inner', inner);
  }
  forward(images: Tensor): Tensor {
    return this.inner.forward(images.to('float64'));
  }
}

const kinds: Record<string, Kind> = {
  'a language model': {
    task: async (share) => {
      const config = smallConfig({ batchSize: 4, evaluateTokens: 10_000 });
      manualSeed(1);
      const model = f64(createLanguageModel(config.model));
      const corpus = (split: 'train' | 'valid') =>
        syntheticCorpus('pattern', split, { bytes: 4000, seed: 0, distance: 20 });
      const [train, valid, precision] = [corpus('train'), corpus('valid'), new Precision('float32', 'cpu')];
      return new LanguageModelTask({
        model,
        config,
        vocabulary: byteVocabulary,
        train,
        valid,
        precision,
        share,
      });
    },
  },
  'a classifier': {
    task: async (share) => {
      const config = parseConfig(classifierTrainingSchema, {
        kind: 'classifier-training',
        recipe: 'test',
        model: {
          kind: 'sequence-classifier',
          classes: 3,
          vocabularySize: 12,
          maxLength: 24,
          layers: 1,
          modelDim: 16,
          heads: 2,
          innerDim: 32,
          attention: { windowSize: 4, projectionRank: 2 },
        },
        data: { name: 'numbers' },
        documentLength: 24,
        batchSize: 4,
        optimizer: { name: 'adamw', learningRate: 1e-2 },
        schedule: { name: 'constant', warmupSteps: 0 },
        maxSteps: 10,
        evaluateEverySteps: 1000,
        checkpointEverySteps: 1000,
        seed: 1,
      });
      const writer = new ExampleSetWriter(scratchFolder(), {
        task: 'numbers',
        inputs: 'one',
        classes: ['a', 'b', 'c'],
        vocabulary: Array.from({ length: 10 }, (_, i) => String(i)),
        validFrom: 'own',
        caution: '',
        source: 'a test',
        stamp: 's',
      });
      for (const split of splits)
        for (let i = 0; i < 22; i++) {
          const tokens = Uint8Array.from({ length: 3 + ((7 * i) % 20) }, (_, place) => (place * i) % 10);
          writer.addExample(split, [writer.addDocument(tokens)], i % 3);
        }
      const set = await writer.finish();
      onTestFinished(() => set.close());
      manualSeed(1);
      const model = f64(new SequenceClassifier(config.model));
      return new ClassificationTask({
        model,
        config,
        set,
        precision: new Precision('float32', 'cpu'),
        share,
      });
    },
  },
};

async function tasksOf(kind: Kind): Promise<{ whole: TrainingTask; parts: TrainingTask[] }> {
  const parts = [await kind.task({ rank: 0, world: 2 }), await kind.task({ rank: 1, world: 2 })];
  return { whole: await kind.task({ rank: 0, world: 1 }), parts };
}

/** Loss and gradients of the next micro-batch, and the tokens. */
function step(task: TrainingTask) {
  return scope(() => {
    const { loss, tokens, accuracy, backward } = task.nextMicroBatch();
    backward(loss);
    const gradients = [...task.model.namedParameters().values()].map((parameter) =>
      Array.from(parameter.grad!.toTypedArray() as Float64Array),
    );
    for (const parameter of task.model.parameters()) parameter.grad = null;
    return { loss: loss.item(), tokens, accuracy, gradients: gradients.flat() };
  });
}

describe.each(Object.entries(kinds))('the mean over the parts is the whole: %s', (_, kind) => {
  it('loss, tokens, accuracy and gradients, step after step', async () => {
    const { whole, parts } = await tasksOf(kind);
    for (let count = 0; count < 4; count++) {
      const all = step(whole);
      const [one, two] = parts.map(step) as [typeof all, typeof all];
      expect((one.loss + two.loss) / 2).toBeCloseTo(all.loss, 12);
      expect(one.tokens + two.tokens).toBe(all.tokens);
      if (all.accuracy !== null) expect((one.accuracy! + two.accuracy!) / 2).toBeCloseTo(all.accuracy, 12);
      for (const [i, value] of all.gradients.entries())
        expect((one.gradients[i]! + two.gradients[i]!) / 2).toBeCloseTo(value, 12);
    }
  });

  it('evaluations', async () => {
    const { whole, parts } = await tasksOf(kind);
    const all = await whole.evaluate();
    const [one, two] = (await Promise.all(parts.map((part) => part.evaluate()))) as [Evaluation, Evaluation];
    expect(one.tokens + two.tokens).toBe(all.tokens);
    const mean = (of: (evaluation: Evaluation) => number) =>
      (of(one) * one.tokens + of(two) * two.tokens) / all.tokens;
    // Losses are measured in float32.
    expect(mean(({ loss }) => loss)).toBeCloseTo(all.loss, 6);
    if (all.accuracy !== null) expect(mean(({ accuracy }) => accuracy!)).toBeCloseTo(all.accuracy, 12);
  });
});

it('pictures: parts of a batch hold the very pixels of the whole, augmented and mixed alike', async () => {
  const set = memorySet(40, { classes: 4 });
  const view = {
    kind: 'training',
    augmentation: smallImageConfig({ augmentation: { mixup: 0.8, cutmix: 1 } }).augmentation,
  } as const;
  const loader = (share: Share) => {
    const made = new ImageLoader({ set, size: 8, batchSize: 8, seed: 3, view, share, threads: 0 });
    onTestFinished(() => made.close());
    return made;
  };
  const whole = loader({ rank: 0, world: 1 });
  const parts = [loader({ rank: 0, world: 2 }), loader({ rank: 1, world: 2 })];
  const values = 3 * 8 * 8;
  for (let batch = 0; batch < 7; batch++) {
    const all = await whole.nextAsync();
    for (const [rank, part] of parts.entries()) {
      const own = await part.nextAsync();
      expect(own.labels).toHaveLength(4);
      for (const [i, row] of rowsOf(8, { rank, world: 2 }).entries()) {
        expect(own.indices[i]).toBe(all.indices[row]);
        expect(own.pixels.subarray(i * values, (i + 1) * values)).toEqual(
          all.pixels.subarray(row * values, (row + 1) * values),
        );
        expect(own.targets!.subarray(4 * i, 4 * i + 4)).toEqual(all.targets!.subarray(4 * row, 4 * row + 4));
      }
    }
  }
});

it('a vision model: the mean over the parts of the batches is the whole', async () => {
  const config = smallImageConfig({ batchSize: 8, augmentation: { mixup: 0.8 } });
  const set = memorySet(40, { classes: 4 });
  const task = async (share: Share) => {
    const loader = new ImageLoader({
      set,
      size: 8,
      batchSize: 8,
      seed: 3,
      view: { kind: 'training', augmentation: config.augmentation },
      share,
      threads: 0,
    });
    onTestFinished(() => loader.close());
    const ready = await loader.nextAsync();
    manualSeed(1);
    const model = f64(new Widened(createImageClassifier(config.model))) as never;
    const batches = { batchesPerEpoch: 5, next: () => ready, state: () => loader.state(), restore: () => {} };
    const validate = () => Promise.reject(new Error('not asked for'));
    const precision = new Precision('float32', 'cpu');
    return new ImageTask({ model, config, batches, fingerprint: '', validate, precision });
  };
  const all = step(await task({ rank: 0, world: 1 }));
  const parts = [step(await task({ rank: 0, world: 2 })), step(await task({ rank: 1, world: 2 }))];
  expect((parts[0]!.loss + parts[1]!.loss) / 2).toBeCloseTo(all.loss, 12);
  for (const [i, value] of all.gradients.entries())
    expect((parts[0]!.gradients[i]! + parts[1]!.gradients[i]!) / 2).toBeCloseTo(value, 12);
});
