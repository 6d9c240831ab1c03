import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadInitialWeights } from '../../src/train/initial-weights.js';
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
