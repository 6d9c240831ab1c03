import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseMetrics } from '@transformer-ls/formats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { trainingRequest } from '../../src/cli/train-request.js';
import { pictureFolder } from '../train/picture-folder.js';
import { type Program, program } from './program.js';

const tiny = 'l1,h2,d8,n1,s1,g1,p2,f2,a0,r2_l2,h2,d16,n1,s1,g1,p2,f2,a0,r2_l3,h2,d16,n1,s0,g0,p2';

describe('flags', () => {
  const requestOf = (name: string, flags: object) => {
    const request = trainingRequest(name, { set: [], ...flags });
    if (request.kind !== 'new' || request.config.kind !== 'image-training')
      throw new Error('expected a new run on pictures');
    return { ...request, config: request.config };
  };

  it('say what is trained on what', () => {
    const { config, classesFromData } = requestOf('vision/cifar10-cpu', {
      data: 'some/photos',
      imageSize: 48,
      arch: tiny,
      epochs: 3,
      batch: 8,
    });
    expect(classesFromData).toBe(true);
    expect(config).toMatchObject({
      data: { name: 'photos', path: join(process.cwd(), 'some/photos') },
      model: { imageHeight: 48, imageWidth: 48, stages: [{ modelDim: 8 }, { modelDim: 16 }, { layers: 1 }] },
      maxEpochs: 3,
      maxSteps: null,
      batchSize: 8,
    });
  });

  it('--classes is checked, not replaced', () => {
    expect(requestOf('vision/cifar10-cpu', { classes: 5 })).toMatchObject({
      classesFromData: false,
      config: { model: { classes: 5 } },
    });
  });

  it('--model comes with its own size, in the mode of the recipe where it has it', () => {
    const model = (name: string, flags: object) => requestOf(name, flags).config.model;
    expect(model('vision/vil-ls-medium', { model: 'vil-ls-tiny', imageSize: 448 })).toMatchObject({
      kind: 'vil-ls',
      mode: 'reference',
      imageHeight: 448,
    });
    expect(model('vision/vil-ls-medium', { model: 'cvt-ls-13' })).toMatchObject({
      kind: 'cvt-ls',
      mode: 'consistent',
      imageHeight: 224,
    });
  });

  it('--attention full is in the name of the run', () => {
    const { config, folder } = requestOf('vision/cifar10-cpu', { attention: 'full' });
    expect(config.model.stages.every(({ attention }) => attention === 'full')).toBe(true);
    expect(folder).toBe('runs/vision-cifar10-cpu-full');
  });

  it('--device cpu brings float32 along', () => {
    const lines: string[] = [];
    const flags = { set: [], device: 'cpu' };
    const request = trainingRequest('vision/vil-ls-tiny', flags, (line) => lines.push(line));
    expect(request).toMatchObject({ config: { device: 'cpu', precision: 'float32' } });
    expect(lines).toEqual(['the CPU does not train in float16: precision is float32']);
  });

  it('--epochs, --steps and --max-time lift each other', () => {
    const limits = (flags: object) => {
      const { maxEpochs, maxSteps, maxSeconds } = requestOf('vision/cifar10-cpu', flags).config;
      return [maxEpochs, maxSteps, maxSeconds];
    };
    expect(limits({ epochs: 2 })).toEqual([2, null, null]);
    expect(limits({ steps: 9 })).toEqual([null, 9, null]);
    expect(limits({ maxTime: 60 })).toEqual([null, null, 60]);
    expect(limits({ maxTime: 60, epochs: 2 })).toEqual([2, null, 60]);
  });

  it.each([
    ['vision/cifar10-cpu', { from: 'x' }, '--from is not for recipes vision/…; give --data <folder>'],
    ['vision/cifar10-cpu', { segment: 4 }, '--segment is not for recipes vision/…; give --image-size <n>'],
    ['vision/cifar10-cpu', { maxTokens: 4 }, '--max-tokens is not for recipes vision/…; give --epochs <n>'],
    ['embedded/debug', { epochs: 4 }, '--epochs is for recipes vision/…, which train on pictures'],
    ['lra/listops', { imageSize: 4 }, '--image-size is for recipes vision/…, which train on pictures'],
    [
      'vision/cifar10-cpu',
      { epochs: 2, steps: 3 },
      'expected a limit in steps or one in epochs, received both',
    ],
    ['vision/cifar10-cpu', { arch: 'l1,x3' }, 'arch: stage 1, field "x3": expected one of l, h, d'],
    ['vision/cvt-ls-13', { arch: tiny }, '--arch is for ViL-LS; cvt-ls has other stages'],
    ['vision/vil-ls-tiny', { imageSize: 30 }, 'windowSize: expected a divisor of the grid'],
    ['vision/cifar10-cpu', { model: 'vil-ls-tny' }, 'did you mean vil-ls-tiny?'],
    ['vision/cifar10-cpu', { attention: 'linformer' }, 'expected one of long-short, full'],
    [
      'vision/cifar10-cpu',
      { attention: 'full', set: ['model.stages=[]'] },
      '--attention and --set model.stages=[] disagree about model.stages',
    ],
    ['vision/cifar10-cpu', { set: ['augmentation.mixp=1'] }, 'did you mean augmentation.mixup?'],
    [
      'vision/cifar10-cpu',
      { imageSize: 32, set: ['model.imageWidth=64'] },
      '--image-size and --set model.imageWidth=64 disagree about model.imageWidth',
    ],
  ])('%s %j', (name, flags, message) => {
    let error: unknown;
    try {
      trainingRequest(name, { set: [], ...flags });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ name: 'UsageError', message: expect.stringContaining(message) });
  });
});

describe('the command', () => {
  let place: Program;
  beforeAll(async () => {
    place = program();
    await pictureFolder(join(place.folder, 'photos'), 30);
  });
  afterAll(() => place.remove());

  const small = [
    'vision/cifar10-cpu',
    '--image-size',
    '12',
    '--arch',
    tiny,
    '--batch',
    '8',
    '--threads',
    '1',
  ];
  const train = (...args: string[]) => place.run(['train', ...args]);
  const configIn = (run: string) => JSON.parse(readFileSync(join(place.folder, run, 'config.json'), 'utf8'));

  it('trains on a folder of pictures, takes its classes and epochs from it, and goes on', async () => {
    const args = [...small, '--data', 'photos', '--epochs', '2', '--out', 'first'];
    const { code, out, error } = await train(...args, '--set', 'emaDecay=0.9');
    expect(code, error).toBe(0);
    expect(out).toMatch(/top-1 +[\d.]+ % of 9 pictures\n(.*\n)*.*these pictures chose the checkpoint too/);
    const tested = JSON.parse(readFileSync(join(place.folder, 'first/evaluation.json'), 'utf8'));
    expect(tested).toMatchObject({ kind: 'image-evaluation', images: 9, cropRatio: 1, model: { step: 20 } });
    expect(out).toContain(
      'photos: 81 pictures of 3 classes to train on, 9 to choose the checkpoint (held out of the training part); 2 epochs are 20 steps',
    );
    expect(out).toMatch(/images \d+.* img\/s/);
    expect(out).toMatch(/step 20 {2}valid: accuracy \d\.\d+ {2}top-5 1\.000 {2}loss/);
    expect(configIn('first')).toMatchObject({ model: { classes: 3 }, maxEpochs: 2, maxSteps: 20 });
    expect(readFileSync(join(place.folder, 'first/classes.txt'), 'utf8')).toMatch(
      /^blue.*\ngreen.*\nred.*\n$/,
    );
    expect(readFileSync(join(place.folder, 'first/results.md'), 'utf8')).toMatch(/\| images \| 160 /);
    expect(readFileSync(join(place.folder, 'first/curve-loss-tokens.svg'), 'utf8')).toContain(
      'images trained',
    );
    const metrics = readFileSync(join(place.folder, 'first/metrics.jsonl'), 'utf8');
    const last = parseMetrics(metrics).records.at(-1);
    expect(last).toMatchObject({ type: 'evaluation', split: 'valid', top5: 1, tokens: 9 });

    // The pictures have moved in the meantime.
    mkdirSync(join(place.folder, 'elsewhere'));
    renameSync(join(place.folder, 'photos'), join(place.folder, 'elsewhere/photos'));
    const lost = await train('--resume', 'first', '--epochs', '3');
    expect(lost).toMatchObject({ code: 2 });
    expect(lost.error).toMatch(/^transformer-ls train: .*photos.*\n$/);
    const more = await train('--resume', 'first', '--epochs', '3', '--data', 'elsewhere/photos', '--no-test');
    expect({ code: more.code, error: more.error }).toEqual({ code: 0, error: '' });
    expect(more.out).toContain('until 30 steps, from step 20');
    expect(configIn('first')).toMatchObject({ maxSteps: 30, data: { name: 'photos' } });
    renameSync(join(place.folder, 'elsewhere/photos'), join(place.folder, 'photos'));
  });

  it('several seeds: one figure each, and what is done is not done again', async () => {
    const seeds = [...small, '--data', 'photos', '--epochs', '1', '--seeds', '1,2', '--out', 'seeds'];
    const first = await train(...seeds);
    expect(first.code, first.error).toBe(0);
    expect(first.out).toMatch(/test accuracy of 2 runs:\n {2}seed 1 +[\d.]+ %\n {2}seed 2 +[\d.]+ %\n/);
    const again = await train(...seeds);
    expect(again.code, again.error).toBe(0);
    expect(again.out.match(/this run is complete/g)).toHaveLength(2);
  });

  it('passes over damaged pictures and says which', async () => {
    const folder = await pictureFolder(join(place.folder, 'damaged'), 30);
    writeFileSync(join(folder, 'green/004.png'), 'no picture');
    const { code, out } = await train(...small, '--data', folder, '--epochs', '1', '--no-test');
    expect(code).toBe(0);
    expect(out).toMatch(/left out: .*green\/004\.png: expected JPEG, PNG/);
  });

  it.each([
    [['--data', 'photos', '--classes', '5'], 'model.classes: expected 3, the classes of photos, received 5'],
    [[], 'data.path: where the pictures of cifar10 lie must be said: --data <folder or archive>'],
    [['--data', 'nowhere'], /nowhere/],
    [['--data', 'photos', '--batch', '500'], /81 pictures fill no batch of 500; lower batchSize/],
    [['--data', 'photos', '--device', 'cuda'], /take --device cpu/],
  ])('%j ends with one line and writes nothing', async (args, message) => {
    const batch = args.includes('--batch') ? small.filter((_, i) => i !== 5 && i !== 6) : small;
    const { code, error } = await train(...batch, ...args, '--epochs', '1', '--out', 'refused');
    if (args.includes('cuda') && code === 0) return; // where there is a GPU
    expect(error).toMatch(message);
    expect(error.trim().split('\n')).toHaveLength(1);
    expect(code).toBe(2);
    expect(existsSync(join(place.folder, 'refused'))).toBe(false);
  });
});
