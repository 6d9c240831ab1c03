/** The accuracy of a trained classifier on part of its set: measured, and kept as a file beside the weights. */
import { join } from 'node:path';
import { type Infer, parseConfigText, schema } from '@transformer-ls/formats';
import { placesOf } from '../lra/example-batches.js';
import { type ExampleSet, type Split, splits } from '../lra/example-set.js';
import { setDefinition } from '../lra/sets.js';
import type { LoadedClassifier } from '../models/sequence-classifier/weights.js';
import { replaceFile } from '../run/durable.js';
import { nodeFileSystem } from '../run/file-system.js';
import { writeJson } from '../run/json.js';
import { textOrNothing } from '../weights/model-place.js';
import { type EvaluateClassifierOptions, evaluateClassifier } from './classifier.js';

const { field, integer, nullable, number, object, oneOf, schemaOf, text } = schema;
const anyText = schemaOf('a text', (value): value is string => typeof value === 'string');

/** Content of the file; read back by `lra report`. */
const evaluationSchema = object({
  kind: field('What this file describes.', oneOf('classifier-evaluation')),
  date: field('Date and time.', text()),
  model: field(
    'What was evaluated.',
    object({
      path: field('As it was named.', text()),
      step: field('Updates done; null where the weights do not say.', nullable(integer({ min: 0 }))),
      parameters: field('Number of weights.', integer({ min: 0 })),
      mode: field('consistent or reference.', text()),
      attention: field('Mechanism.', text()),
    }),
  ),
  data: field(
    'What it was evaluated on.',
    object({
      name: field('Set.', text()),
      reportAs: field('What the result is called.', text()),
      split: field('Part of the set.', oneOf(...splits)),
      sha256: field('SHA-256 of its documents.', text()),
      source: field('What the set was made from.', text()),
      note: field('What the result must not be reported as.', anyText),
    }),
  ),
  examples: field('Examples scored: all of the part.', integer({ min: 1 })),
  accuracy: field('Share of the examples that got their class.', number({ min: 0, max: 1 })),
  loss: field('Mean cross-entropy, nats; null where it is not finite.', nullable(number({ min: 0 }))),
  seconds: field('Time it took.', number({ min: 0 })),
});

export type ClassifierEvaluation = Infer<typeof evaluationSchema>;

const BATCH = 32;

/** Evaluates all of a part. The set must be the task's that the model is made for. */
export async function measureClassifier(
  path: string,
  { config, model, training, step }: LoadedClassifier,
  set: ExampleSet,
  split: Split,
  options: Pick<EvaluateClassifierOptions, 'signal' | 'onProgress'>,
): Promise<ClassifierEvaluation> {
  const started = performance.now();
  const { task, documents, source, caution, reportAs } = set.record;
  const usual = Math.min(setDefinition(task).documentLength, config.maxLength);
  const documentLength = training?.documentLength ?? usual;
  const paddedLength = config.mode === 'reference' ? config.maxLength : null;
  const padding = { documentLength, paddedLength };
  const scores = await evaluateClassifier(model, set, placesOf(set, [split]), {
    padding,
    batchSize: BATCH,
    ...options,
  });
  return {
    kind: 'classifier-evaluation',
    date: new Date().toISOString(),
    model: {
      path,
      step: step ?? null,
      parameters: model.countParameters(),
      mode: config.mode,
      attention: config.attention.name,
    },
    data: { name: task, reportAs: reportAs ?? task, split, sha256: documents.sha256, source, note: caution },
    ...scores,
    loss: Number.isFinite(scores.loss) ? scores.loss : null,
    seconds: (performance.now() - started) / 1000,
  };
}

/** The test part is what results are about; other parts have their names in the file's. */
function fileOf(split: Split): string {
  return split === 'test' ? 'evaluation.json' : `evaluation-${split}.json`;
}

/** Writes the record into a folder that exists, and returns the file's path. */
export async function writeClassifierEvaluation(
  folder: string,
  record: ClassifierEvaluation,
): Promise<string> {
  const path = join(folder, fileOf(record.data.split));
  await replaceFile(nodeFileSystem, path, [new TextEncoder().encode(writeJson(record))]);
  return path;
}

/** The record in a text. @throws ConfigError where it is none */
export function parseClassifierEvaluation(json: string, path: string): ClassifierEvaluation {
  return parseConfigText(evaluationSchema, json, path);
}

/** The record of a part in a folder, or undefined. @throws ConfigError where it is none */
export async function readClassifierEvaluation(
  folder: string,
  split: Split,
): Promise<ClassifierEvaluation | undefined> {
  const path = join(folder, fileOf(split));
  const json = await textOrNothing(path);
  return json === undefined ? undefined : parseClassifierEvaluation(json, path);
}
