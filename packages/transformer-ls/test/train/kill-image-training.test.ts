import { join } from 'node:path';
import { it } from 'vitest';
import { type KilledRun, killedBudget, killWhileTraining } from './kill-training.js';
import { pictureFolder } from './picture-folder.js';
import { smallImageConfig } from './small-image-run.js';

/** With all that a run of pictures carries over a stop: mixing, skipped blocks, an average, loader threads. */
const pictures: KilledRun = async (scratch) => {
  const path = await pictureFolder(join(scratch, 'photos'), 30);
  return smallImageConfig(
    {
      ...killedBudget,
      data: { name: 'photos', path },
      batchSize: 8,
      loaderThreads: 2,
      emaDecay: 0.9,
      evaluationCropRatio: 1,
    },
    { classes: 3, dropPath: 0.2, dropout: 0.1 },
  );
};

it('a run on pictures killed 3 times ends with the bytes of one that was not', async () => {
  await killWhileTraining(3, pictures);
});
