/** Set, model and task of a classifier's run. */
import { type ClassifierTrainingConfig, ConfigError } from '@transformer-ls/formats';
import { WHOLE } from '../data/share.js';
import type { ExampleSet } from '../lra/example-set.js';
import { prepareSet } from '../lra/prepare.js';
import { SequenceClassifier } from '../models/sequence-classifier/model.js';
import { ClassificationTask } from './classification-task.js';
import type { DataPlaces, Parts, PartsOptions } from './parts.js';
import type { Precision } from './precision.js';

/** Throws ConfigError or DataError in one line. */
export async function classifierParts(
  config: ClassifierTrainingConfig,
  places: DataPlaces,
  precision: Precision,
  { onProgress, ranks }: PartsOptions = {},
): Promise<Parts> {
  const { name, path, examples } = config.data;
  const set = await prepareSet(name, {
    folder: places.folder,
    from: path ?? undefined,
    examples,
    onProgress,
  });
  checkModel(config, set);
  const model = new SequenceClassifier(config.model);
  model.to({ device: config.device });
  const { record } = set;
  return {
    config,
    task: new ClassificationTask({
      model,
      config,
      set,
      precision,
      share: ranks?.share ?? WHOLE,
      rowShare: ranks?.rowShare ?? WHOLE,
      sequenceGroup: ranks?.sequenceGroup(config.device) ?? null,
    }),
    data: { name: record.reportAs ?? record.task, sha256: record.documents.sha256, caution: record.caution },
    companions: new Map([['classes.txt', `${record.classes.join('\n')}\n`]]),
    close: () => set.close(),
  };
}

function checkModel({ model, data }: ClassifierTrainingConfig, { record }: ExampleSet): void {
  const wanted: [key: string, expected: number | string, received: number | string][] = [
    ['classes', record.classes.length, model.classes],
    ['inputs', record.inputs, model.inputs],
  ];
  for (const [key, expected, received] of wanted)
    if (expected !== received)
      throw new ConfigError([`model.${key}: expected ${expected} for ${data.name}, received ${received}`]);
}
