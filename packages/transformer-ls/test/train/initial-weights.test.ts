import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeSafetensors } from '@transformer-ls/formats';
import { describe, expect, it } from 'vitest';
import { createImageClassifier, type ImageClassifier } from '../../src/models/vision/image-classifier.js';
import { loadInitialWeights } from '../../src/train/initial-weights.js';
import { entryOfTensor } from '../../src/weights/tensor-entries.js';
import { scratchFolder } from '../data/scratch-folder.js';
import { smallImageConfig } from './small-image-run.js';
import { smallConfig, smallTask, smallTrainer } from './small-run.js';

const weightsOf = (task: ReturnType<typeof smallTask>) =>
  task.model.parameters().map((parameter) => [...parameter.toFloat32Array()]);

it('takes a run, a folder of checkpoints, a checkpoint or a file', async () => {
  const { trainer, folder } = await smallTrainer(smallConfig({ maxSteps: 3 }));
  await trainer.run();
  const trained = trainer.options.task.model.parameters().map((parameter) => [...parameter.toFloat32Array()]);
  const checkpoint = join(folder.path, 'checkpoints/step-00000003');
  for (const path of [
    folder.path,
    join(folder.path, 'best'),
    checkpoint,
    join(checkpoint, 'model.safetensors'),
  ]) {
    const fresh = smallTask(smallConfig({ seed: 5 }));
    expect(weightsOf(fresh)).not.toEqual(trained);
    await loadInitialWeights(fresh.model, path);
    expect(weightsOf(fresh)).toEqual(trained);
  }
});

it('refuses weights of another shape, and places without weights', async () => {
  const { trainer, folder } = await smallTrainer(smallConfig({ maxSteps: 1 }));
  await trainer.run();
  const wider = smallTask(smallConfig({}, { innerDim: 64 }));
  await expect(loadInitialWeights(wider.model, folder.path)).rejects.toThrow(
    'expected [64,16], received [32,16]',
  );
  await expect(loadInitialWeights(wider.model, join(folder.path, 'nothing'))).rejects.toThrow(
    'no such file or folder',
  );
  await expect(loadInitialWeights(wider.model, join(folder.path, '..'))).rejects.toThrow(
    'it holds no checkpoint',
  );
  await expect(loadInitialWeights(wider.model, join(folder.path, 'config.json'))).rejects.toThrow();
});

describe('of a vision model', () => {
  const modelFor = (classes: number, width = 16) => {
    const { stages } = smallImageConfig().model;
    const changed = stages.map((stage, i) => (i === 1 ? { ...stage, modelDim: width } : stage));
    return createImageClassifier(smallImageConfig({}, { classes, stages: changed }).model);
  };
  const saved = (model: ImageClassifier) => {
    const folder = scratchFolder();
    const entries = [...model.stateDict()].map(([name, value]) => [name, entryOfTensor(value)] as const);
    writeFileSync(join(folder, 'model.safetensors'), encodeSafetensors(Object.fromEntries(entries)));
    return folder;
  };

  it('the head starts anew where the classes are others; all else is taken', async () => {
    const folder = saved(modelFor(7));
    const model = modelFor(4);
    const head = model.stateDict().get('head.weight')!.toFloat32Array();
    const lines: string[] = [];
    await loadInitialWeights(model, folder, (line) => lines.push(line));
    expect(lines).toEqual([`the head starts anew, for 4 classes in place of the 7 of ${folder}`]);
    expect(model.stateDict().get('head.weight')!.toFloat32Array()).toEqual(head);
    const again = modelFor(7);
    await loadInitialWeights(again, folder);
    const [own, taken] = [model, again].map((one) => one.stateDict().get('norm.weight')!);
    expect(own!.equal(taken!)).toBe(true);
    await expect(loadInitialWeights(modelFor(4), folder)).rejects.toThrow('head.weight');
  });

  it('another width is refused, with a new head too', async () => {
    const folder = saved(modelFor(7));
    await expect(loadInitialWeights(modelFor(4, 32), folder, () => undefined)).rejects.toThrow('layer2');
  });
});
