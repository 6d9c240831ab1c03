// Sets of a few short examples under the names of real ones, and runs on them that take a second.
import {
  type ClassifierTrainingConfig,
  classifierTrainingSchema,
  parseConfig,
  withoutBrackets,
} from '@transformer-ls/formats';
import { setNumThreads } from '@transformer-ls/torch';
import { Random } from '../../src/data/random.js';
import { type ExampleSet, ExampleSetWriter, splits } from '../../src/lra/example-set.js';
import { generateListOps } from '../../src/lra/listops.js';
import { setDefinition } from '../../src/lra/sets.js';
import { openTraining } from '../../src/train/training.js';

export type SmallSetName = 'listops' | 'listops-brackets' | 'imdb' | 'aan';

const EXAMPLES = { train: 64, valid: 24, test: 48 };
const TREES = { maxDepth: 4, maxArguments: 4, aboveLength: 5, belowLength: 40 };
const WORDS = {
  negative: ['bad', 'dull', 'awful', 'the', 'film'],
  positive: ['good', 'fine', 'lovely', 'the', 'film'],
};

/** Writes `<folder>/<name>` in the format of prepared sets and opens it. */
export async function writeSmallSet(
  folder: string,
  name: SmallSetName,
  examples = EXAMPLES,
): Promise<ExampleSet> {
  const writer = new ExampleSetWriter(`${folder}/${name}`, {
    task: name,
    ...setDefinition(name).description,
    caution: 'A set of a test.',
    source: 'a test',
    stamp: 'a test',
  });
  for (const split of splits)
    for (let index = 0; index < examples[split]; index++) {
      const { documents, label } = example(name, new Random(splits.indexOf(split), index));
      writer.addExample(
        split,
        documents.map((document) => writer.addDocument(document)),
        label,
      );
    }
  return writer.finish();
}

function example(name: SmallSetName, random: Random): { documents: Uint8Array[]; label: number } {
  if (name === 'listops' || name === 'listops-brackets') {
    const { tokens, label } = generateListOps(random, TREES);
    return { documents: [name === 'listops' ? withoutBrackets(tokens) : tokens], label };
  }
  const label = random.below(2);
  const other = name === 'aan' ? [review(random.below(2), random)] : [];
  return { documents: [review(label, random), ...other], label };
}

function review(label: number, random: Random): Uint8Array {
  const words = label === 1 ? WORDS.positive : WORDS.negative;
  const count = 3 + random.below(8);
  return new TextEncoder().encode(Array.from({ length: count }, () => random.pick(words)).join(' '));
}

/** A small configuration for a set; `attention` with pooling by the mean, which every mechanism has. */
export function smallRunConfig(
  name: SmallSetName,
  { attention = 'long-short', steps = 2, mode = 'consistent' }: Partial<SmallRunOptions> = {},
): ClassifierTrainingConfig {
  const { inputs, classes } = setDefinition(name).description;
  return parseConfig(classifierTrainingSchema, {
    kind: 'classifier-training',
    recipe: `test/${name}`,
    model: {
      kind: 'sequence-classifier',
      mode,
      inputs,
      classes: classes.length,
      vocabularySize: name.startsWith('listops') ? 32 : 257,
      maxLength: 64,
      layers: 1,
      modelDim: 16,
      heads: 2,
      innerDim: 32,
      attention: { name: attention, windowSize: 4, projectionRank: 4, landmarks: 4, blockSize: 4 },
      pooling: 'mean',
    },
    data: { name },
    documentLength: 60,
    batchSize: 8,
    optimizer: { name: 'adamw', learningRate: 1e-2 },
    schedule: { name: 'constant', warmupSteps: 0 },
    maxSteps: steps,
    evaluateEverySteps: steps,
    checkpointEverySteps: steps,
    threads: 1,
    seed: 1,
  });
}

export interface SmallRunOptions {
  readonly attention: ClassifierTrainingConfig['model']['attention']['name'];
  readonly steps: number;
  readonly mode: 'consistent' | 'reference';
}

/** Trains in `folder` on the set of that name in `data`. */
export async function trainSmallRun(
  folder: string,
  data: string,
  name: SmallSetName,
  options: Partial<SmallRunOptions> = {},
): Promise<void> {
  setNumThreads(1);
  const config = smallRunConfig(name, options);
  const observer = { message: () => undefined, record: () => undefined, saved: () => undefined };
  const request = { kind: 'new', config, folder, data: { folder: data, searchFolders: [] } } as const;
  const training = await openTraining(request, observer);
  try {
    await training.run(() => false);
  } finally {
    await training.close();
  }
}
