import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tensor } from '@transformer-ls/torch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  alexnetErrors,
  corruptionErrors,
  corruptionNames,
  meanCorruptionError,
} from '../../src/evaluate/corruptions.js';
import {
  type ImageEvaluationRequest,
  measureImages,
  readImageEvaluation,
  writeImageEvaluation,
} from '../../src/evaluate/image-evaluation.js';
import { AnyLabelScorer, SubsetScorer } from '../../src/evaluate/image-scorers.js';
import { ScoreSums } from '../../src/evaluate/image-scores.js';
import { type LoadedImageClassifier, loadImageClassifier } from '../../src/models/vision/weights.js';
import { writeClasses, writeConstantModel, writePictures } from './pictures.js';

const folder = mkdtempSync(join(tmpdir(), 'tls pictures '));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

// Twelve classes, the likeliest first: 7, 3, 0, 10, 2, 11, then the rest.
const order = [7, 3, 0, 10, 2, 11, 1, 4, 5, 6, 8, 9];
const logits = Float64Array.from({ length: 12 }, (_, label) => (12 - order.indexOf(label)) / 2);
const nats = (label: number) =>
  Math.log(logits.reduce((sum, one) => sum + Math.exp(one), 0)) - logits[label]!;
const wnid = (label: number) => `n${String(100 + label).padStart(8, '0')}`;
const classes = Array.from(logits, (_, label) => ({ id: wnid(label), name: `thing ${label}` }));

let loaded: LoadedImageClassifier;
let unnamed: LoadedImageClassifier;
beforeAll(async () => {
  loaded = await loadImageClassifier(await writeConstantModel(at('model'), [...logits], classes));
  unnamed = await loadImageClassifier(await writeConstantModel(at('unnamed'), [...logits], undefined));
});

const measure = (request: Partial<ImageEvaluationRequest>, model = loaded) =>
  measureImages(
    'model',
    model,
    { part: 'test', ...request },
    { batchSize: 4, loaderThreads: 0, device: 'cpu' },
  );

async function messageOf(request: Partial<ImageEvaluationRequest>, model = loaded): Promise<string> {
  const error = await measure(request, model).then(
    () => undefined,
    (reason: Error) => reason,
  );
  expect(error?.name).toBe('DataError');
  expect(error!.message).not.toContain('\n');
  return error!.message;
}

describe('labelled pictures', () => {
  it('are scored by the labels of the model, whatever the order and number of the folders', async () => {
    // Label 7 is always answered; 11 is not among the first five, 0 is.
    await writeClasses(at('few'), { [wnid(7)]: 3, [wnid(0)]: 2, [wnid(11)]: 4 });
    const record = await measure({ data: at('few') });
    expect(record).toMatchObject({
      images: 9,
      accuracy: 3 / 9,
      unreadable: 0,
      corruptions: null,
      cropRatio: 0.875,
    });
    expect(record.top5).toBeCloseTo(5 / 9, 9);
    expect(record.loss).toBeCloseTo((3 * nats(7) + 2 * nats(0) + 4 * nats(11)) / 9, 4);
    expect(record.data).toMatchObject({
      name: 'few',
      test: 'pictures',
      part: 'test',
      classes: 12,
      complete: true,
    });
  });

  it('may be called by the names of the classes', async () => {
    await writeClasses(at('names'), { 'thing 7': 1, 'thing 3': 1 });
    const { accuracy, data } = await measure({ data: at('names') });
    expect([accuracy, data.notes]).toEqual([0.5, ['classes were matched by their names']]);
  });

  it('of a model without names are taken in their order, if they are as many', async () => {
    await writeClasses(
      at('twelve'),
      Object.fromEntries('abcdefghijkl'.split('').map((name, i) => [name, i === 7 ? 3 : 1])),
    );
    const { accuracy, data } = await measure({ data: at('twelve') }, unnamed);
    expect(accuracy).toBeCloseTo(3 / 14, 9);
    expect(data.notes).toHaveLength(1);
    expect(await messageOf({ data: at('few') }, unnamed)).toContain(
      'has 3 classes, the model 12 and no classes.txt',
    );
  });

  it('come in parts: that which is asked for, or what stands in for it', async () => {
    await writeClasses(at('parts/train'), { [wnid(3)]: 2, [wnid(7)]: 1 });
    await writeClasses(at('parts/val'), { [wnid(3)]: 1, [wnid(7)]: 3 });
    expect((await measure({ data: at('parts') })).images).toBe(4);
    expect((await measure({ data: at('parts'), part: 'train' })).images).toBe(3);
    await writeClasses(at('only/train'), { [wnid(3)]: 2, [wnid(7)]: 2 });
    expect(await messageOf({ data: at('only') })).toContain(
      'has no test part, only train; --split train takes that one',
    );
  });

  it('that cannot be read are counted, named and left out', async () => {
    await writeClasses(at('damaged'), { [wnid(7)]: 5, [wnid(3)]: 5 });
    writeFileSync(join(at('damaged'), wnid(7), '2.png'), 'no picture');
    const record = await measure({ data: at('damaged') });
    expect(record).toMatchObject({ images: 9, unreadable: 1 });
    expect(record.accuracy).toBeCloseTo(4 / 9, 9);
    expect(record.unreadablePictures[0]).toMatch(/n00000107\/2\.png: expected JPEG/);
  });

  it('that are hardly readable at all are no result', async () => {
    await writeClasses(at('ruined'), { [wnid(7)]: 20, [wnid(3)]: 1 });
    for (let i = 0; i < 12; i++) writeFileSync(join(at('ruined'), wnid(7), `${i}.png`), 'x');
    expect(await messageOf({ data: at('ruined') })).toMatch(/of 21 pictures are unreadable so far/);
  });

  it('can be few of many, spread over all', async () => {
    await writeClasses(at('many'), { [wnid(3)]: 10, [wnid(7)]: 10 });
    const { images, accuracy, data } = await measure({ data: at('many'), most: 4 });
    expect([images, accuracy, data.complete]).toEqual([4, 0.5, false]);
  });

  it('of other classes, or none, are refused in one line', async () => {
    await writeClasses(at('strange'), { cats: 1, [wnid(7)]: 1 });
    expect(await messageOf({ data: at('strange') })).toContain(
      `strange: expected classes of the model, such as ${wnid(0)}, received 1 other(s), such as cats`,
    );
    mkdirSync(at('empty'));
    expect(await messageOf({ data: at('empty') })).toContain('holds no labelled pictures');
    expect(await messageOf({})).toContain('expected --data <folder>');
  });
});

describe('published tests', () => {
  it('imagenet: the validation part', async () => {
    await writeClasses(at('imagenet/train'), { [wnid(3)]: 2, [wnid(7)]: 2 });
    await writeClasses(at('imagenet/val'), { [wnid(3)]: 1, [wnid(7)]: 1, [wnid(0)]: 1 });
    expect(await measure({ data: at('imagenet'), test: 'imagenet' })).toMatchObject({
      images: 3,
      accuracy: 1 / 3,
    });
    expect(await messageOf({ data: at('imagenet'), test: 'imagenet' }, unnamed)).toContain(
      "expected a model of ImageNet's 1,000 classes or one with a classes.txt, received 12 classes without names",
    );
  });

  it('real: any of several labels is right, pictures without one do not count', async () => {
    const name = (label: number, number: number) =>
      `${wnid(label)}/ILSVRC2012_val_${String(number).padStart(8, '0')}.png`;
    await writePictures(at('real/val'), [name(3, 1), name(3, 2), name(5, 3), name(5, 4), name(5, 5)]);
    // 7 is the answer: right for pictures 1 and 4; 3 is among the first five of picture 2; 5 and 6 are nowhere.
    writeFileSync(at('real/val/real.json'), JSON.stringify([[3, 7], [3], [], [7, 5, 1], [6], [1]]));
    const record = await measure({ data: at('real/val'), test: 'real' });
    expect(record).toMatchObject({ images: 4, accuracy: 0.5, top5: 0.75, loss: null });
    expect(record.data.notes).toEqual(['1 pictures without a label do not count']);
    const labels = at('labels.json');
    writeFileSync(labels, JSON.stringify([[7], [7], [7], [7], [7]]));
    expect((await measure({ data: at('real/val'), test: 'real', labels })).accuracy).toBe(1);
  });

  it.each([
    ['[[1], [99]]', 'expected a list with a list of labels from 0 to 11 for each picture'],
    ['[[1]]', 'expected a name with a number from 1 to 1'],
    ['nonsense', 'expected JSON'],
    ['[[], [], [], [], []]', 'has no labels for any of the pictures'],
  ])('real: labels %s are refused', async (json, message) => {
    const labels = at('bad.json');
    writeFileSync(labels, json);
    expect(await messageOf({ data: at('real/val'), test: 'real', labels })).toContain(message);
  });

  it('real: says where the labels are expected', async () => {
    expect(await messageOf({ data: at('few'), test: 'real' })).toContain(
      'expected real.json in it or beside it, or --labels <file>',
    );
  });

  it('v2: folders are numbers, and 10 is not the second', async () => {
    await writeClasses(at('v2'), { '2': 2, '10': 1, '7': 4, '11': 1 });
    const record = await measure({ data: at('v2'), test: 'v2' }, unnamed);
    expect(record).toMatchObject({ images: 8, accuracy: 0.5 });
    expect(record.loss).toBeCloseTo((2 * nats(2) + nats(10) + 4 * nats(7) + nats(11)) / 8, 4);
    // Copies with identifiers are read as such.
    expect((await measure({ data: at('few'), test: 'v2' })).accuracy).toBeCloseTo(3 / 9, 9);
    expect(await messageOf({ data: at('parts'), test: 'v2' })).toContain(
      'expected folders 0 to 999, received parts',
    );
  });

  it.each(['a', 'r'] as const)('%s: the model chooses among the classes that are there', async (test) => {
    // Without 7 and 3 the likeliest is 0.
    await writeClasses(at('subset'), { [wnid(0)]: 2, [wnid(9)]: 1, [wnid(11)]: 1 });
    const record = await measure({ data: at('subset'), test });
    expect(record).toMatchObject({ images: 4, accuracy: 0.5, top5: 1, data: { classes: 3 } });
    const chosen = [0, 9, 11].map((label) => logits[label]!);
    const all = Math.log(chosen.reduce((sum, one) => sum + Math.exp(one), 0));
    expect(record.loss).toBeCloseTo(all - (2 * logits[0]! + logits[9]! + logits[11]!) / 4, 4);
    expect(record.data.notes).toEqual([`ImageNet-${test.toUpperCase()} has 200 classes, these pictures 3`]);
  });

  it('c: errors of each severity, over AlexNet’s, and their mean; the whole picture is seen', async () => {
    for (const [i, corruption] of corruptionNames.entries())
      for (const severity of [1, 2, 3, 4, 5]) {
        // Packed as published, some in groups; wrong ones grow with the severity.
        const place = i < 3 ? join('noise', corruption) : corruption;
        await writeClasses(join(at('c'), place, String(severity)), {
          [wnid(7)]: 6 - severity,
          [wnid(3)]: severity - (severity === 1 ? 1 : 0),
        });
      }
    const record = await measure({ data: at('c'), test: 'c' });
    const errors = [0, 2 / 6, 3 / 6, 4 / 6, 5 / 6];
    expect(record.cropRatio).toBe(1);
    expect(record.corruptions).toHaveLength(15);
    for (const one of record.corruptions!)
      for (const [severity, error] of one.errors.entries()) expect(error).toBeCloseTo(errors[severity]!, 9);
    const mean = errors.reduce((sum, one) => sum + one, 0) / 5;
    const expected = corruptionNames.reduce((sum, name) => sum + mean / alexnetErrors[name], 0) / 15;
    expect(record.meanCorruptionError).toBeCloseTo(expected, 9);
    expect(record.images).toBe(15 * (5 + 4 * 6));
  });

  it('c: without all corruptions there is no mCE, without all severities nothing', async () => {
    for (const severity of [1, 2, 3, 4, 5])
      await writeClasses(join(at('fog only/fog'), String(severity)), { [wnid(7)]: 1, [wnid(3)]: 1 });
    const record = await measure({ data: at('fog only'), test: 'c' });
    expect(record.meanCorruptionError).toBeNull();
    expect(record.corruptions).toMatchObject([
      { corruption: 'fog', meanError: 0.5, corruptionError: 0.5 / 0.819324 },
    ]);
    expect(record.data.notes.join()).toContain('there is no gaussian_noise, shot_noise');
    await writeClasses(at('half/snow/1'), { [wnid(7)]: 1 });
    expect(await messageOf({ data: at('half'), test: 'c' })).toContain(
      'expected folders 1 to 5 of the severities, found no 2, 3, 4, 5',
    );
    expect(await messageOf({ data: at('few'), test: 'c' })).toContain(
      'expected folders of corruptions such as gaussian_noise/1/n01440764',
    );
  });
});

describe('the record', () => {
  it('is read back as it was written, whole parts only', async () => {
    const place = at('records');
    mkdirSync(place);
    const record = await measure({ data: at('few') });
    expect(await writeImageEvaluation(place, record)).toBe(join(place, 'evaluation.json'));
    expect(await readImageEvaluation(place)).toEqual(record);
    const valid = await measure({ data: at('few'), part: 'valid' });
    expect(await writeImageEvaluation(place, valid)).toBe(join(place, 'evaluation-valid.json'));
    await writeImageEvaluation(place, await measure({ data: at('few'), most: 3 }));
    expect(await readImageEvaluation(place)).toBeUndefined();
    expect(await readImageEvaluation(at('few'))).toBeUndefined();
  });
});

describe('scorers', () => {
  const batch = tensor(Float32Array.of(5, 1, 2, 0, 9, 3), { shape: [2, 3] });
  const labels = tensor(Int32Array.of(2, 1)).to('int64');

  it('among some classes', () => {
    const scorer = new SubsetScorer(Int32Array.of(1, 2), 3);
    scorer.add(batch, labels);
    const plain = new ScoreSums();
    plain.add(batch.narrow(1, 1, 2), labels.sub(1));
    expect(scorer.scores()).toEqual(plain.scores());
    expect(scorer.scores().accuracy).toBe(1);
  });

  it('with several labels', () => {
    const lists = [[], [1], [0, 2], []];
    const scorer = new AnyLabelScorer((index) => lists[index]!);
    scorer.add(batch, labels, Int32Array.of(2, 1));
    expect(scorer.scores()).toMatchObject({ images: 2, accuracy: 1, top5: 1 });
  });

  it('mean corruption error', () => {
    const alexnet = corruptionNames.map((name) => corruptionErrors(name, Array(5).fill(alexnetErrors[name])));
    expect(meanCorruptionError(alexnet)).toBeCloseTo(1, 12);
    expect(meanCorruptionError(alexnet.slice(1))).toBeNull();
  });
});
