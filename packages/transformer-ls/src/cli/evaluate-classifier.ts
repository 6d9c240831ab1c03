/** `transformer-ls evaluate` of a sequence classifier: accuracy on part of a set. */
import { join } from 'node:path';
import { type ClassifierScores, evaluateClassifier } from '../evaluate/classifier.js';
import { type ExamplePlace, placesOf } from '../lra/example-batches.js';
import type { ExampleSet, Split } from '../lra/example-set.js';
import { prepareSet } from '../lra/prepare.js';
import { setDefinition } from '../lra/sets.js';
import { type LoadedClassifier, loadClassifier } from '../models/sequence-classifier/weights.js';
import { replaceFile } from '../run/durable.js';
import { nodeFileSystem } from '../run/file-system.js';
import { writeJson } from '../run/json.js';
import { dataFolder } from './data-folder.js';
import { exitCodes, UsageError } from './errors.js';
import { formatDuration, formatInteger } from './format.js';
import { makeOutputFolder } from './output-folder.js';
import { StatusLine } from './status-line.js';

/** The flags of `evaluate` that a classifier has a use for. */
export interface ClassifierFlags {
  readonly split: Split;
  readonly data?: string;
  readonly from?: string;
  readonly dataFolder?: string;
  readonly newest?: boolean;
  readonly out?: string;
  readonly json?: boolean;
  /** Flags that only a language model has a use for. */
  readonly block?: number;
  readonly maxTokens?: number;
  readonly contextChart?: boolean;
}

const BATCH = 32;
const EVALUATION_NAME = 'evaluation.json';

export async function runEvaluateClassifier(
  path: string,
  flags: ClassifierFlags,
  signal: AbortSignal,
): Promise<void> {
  refuseLanguageModelFlags(path, flags);
  const loaded = await loadClassifier(path, { choose: flags.newest ? 'newest' : 'best' });
  for (const line of loaded.skipped) console.error(`transformer-ls evaluate: passed over ${line}`);
  try {
    const set = await openSet(loaded, flags);
    try {
      checkFit(loaded, set);
      await evaluate(path, loaded, set, flags, signal);
    } finally {
      set.close();
    }
  } finally {
    loaded.model.dispose();
  }
}

async function evaluate(
  path: string,
  loaded: LoadedClassifier,
  set: ExampleSet,
  flags: ClassifierFlags,
  signal: AbortSignal,
): Promise<void> {
  const places = placesOf(set, [flags.split]);
  if (!flags.json)
    console.error(
      `evaluating ${loaded.weightsPath} on ${set.record.task} ${flags.split}: ${formatInteger(places.length)} examples`,
    );
  const scores = await measure(loaded, set, places, signal).catch((error) => {
    if (!signal.aborted) throw error;
    return null;
  });
  if (scores === null) {
    console.error('transformer-ls evaluate: interrupted; nothing was written');
    process.exitCode = exitCodes.interrupted;
    return;
  }
  const text = writeJson(recordOf(path, loaded, set, flags.split, scores));
  process.stdout.write(flags.json ? text : table(loaded, set, flags.split, scores));
  await write(text, loaded, flags);
}

async function measure(
  { config, model, training }: LoadedClassifier,
  set: ExampleSet,
  places: readonly ExamplePlace[],
  signal: AbortSignal,
): Promise<ClassifierScores> {
  const status = new StatusLine(process.stderr);
  const started = performance.now();
  const usual = Math.min(setDefinition(set.record.task).documentLength, config.maxLength);
  try {
    return await evaluateClassifier(model, set, places, {
      padding: {
        documentLength: training?.documentLength ?? usual,
        paddedLength: config.mode === 'reference' ? config.maxLength : null,
      },
      batchSize: BATCH,
      signal,
      onProgress: (done, total, accuracy) => {
        const rest = ((performance.now() - started) / 1000) * (total / done - 1);
        status.show(
          `${formatInteger(done)}/${formatInteger(total)} examples   accuracy ${percent(accuracy)}   ETA ${formatDuration(rest)}`,
        );
      },
    });
  } finally {
    status.clear();
  }
}

function refuseLanguageModelFlags(path: string, { block, maxTokens, contextChart }: ClassifierFlags): void {
  const given = { '--block': block, '--max-tokens': maxTokens, '--context-chart': contextChart };
  const flag = Object.entries(given).find(([, value]) => value !== undefined)?.[0];
  if (flag !== undefined)
    throw new UsageError(`${flag} is for language models; ${path} is a sequence-classifier`);
}

/** Another set than that of the training may ask for other classes or tokens. @throws UsageError in one line */
function checkFit({ config }: LoadedClassifier, { record }: ExampleSet): void {
  const { task, classes, inputs, vocabulary } = record;
  const ids = 1 + (vocabulary.length || 256); // 0 is padding
  if (classes.length !== config.classes)
    throw new UsageError(`${task} has ${classes.length} classes, this model ${config.classes}`);
  if (inputs !== config.inputs)
    throw new UsageError(
      `an example of ${task} has ${inputs} document(s), an input of this model ${config.inputs}`,
    );
  if (ids > config.vocabularySize)
    throw new UsageError(`${task} has ${ids} token ids, this model ${config.vocabularySize}`);
}

/** The set that flags name, else the one the model was trained on. @throws UsageError where there is neither */
export async function openSet(
  { training }: Pick<LoadedClassifier, 'training'>,
  flags: Pick<ClassifierFlags, 'data' | 'from' | 'dataFolder'>,
): Promise<ExampleSet> {
  const own = training?.data;
  const name = flags.data ?? own?.name;
  if (name === undefined)
    throw new UsageError('expected --data <set>, since these weights do not lie in a run that names one');
  const isOwn = name === own?.name;
  const from = flags.from ?? (isOwn ? (own.path ?? undefined) : undefined);
  const examples = isOwn ? own.examples : null;
  return prepareSet(name, { folder: dataFolder(flags.dataFolder), from, examples });
}

function recordOf(
  path: string,
  { config, model, step }: LoadedClassifier,
  set: ExampleSet,
  split: Split,
  scores: ClassifierScores,
) {
  const { task, documents, source, caution } = set.record;
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
    data: { name: task, split, sha256: documents.sha256, source, note: caution },
    ...scores,
  };
}

function table(
  { config, model, step }: LoadedClassifier,
  set: ExampleSet,
  split: Split,
  scores: ClassifierScores,
): string {
  const rows: [string, string][] = [
    ['accuracy', `${percent(scores.accuracy)} of ${formatInteger(scores.examples)} examples`],
    ['loss', `${scores.loss.toFixed(4)} nats`],
    ['chance', percent(1 / config.classes)],
    [
      'model',
      `${config.attention.name}, ${formatInteger(model.countParameters())} parameters${step === undefined ? '' : `, step ${formatInteger(step)}`}`,
    ],
    ['data', `${set.record.task} ${split}`],
  ];
  const lines = rows.map(([name, value]) => `  ${name.padEnd(10)} ${value}\n`).join('');
  return `${lines}${set.record.caution === '' ? '' : `  ${set.record.caution}\n`}`;
}

async function write(text: string, loaded: LoadedClassifier, flags: ClassifierFlags): Promise<void> {
  const folder = flags.out ?? loaded.run?.path ?? loaded.modelFolder;
  if (folder === undefined) return;
  const path = join(await makeOutputFolder(folder), EVALUATION_NAME);
  await replaceFile(nodeFileSystem, path, [new TextEncoder().encode(text)]);
  if (!flags.json) console.log(`wrote ${path}`);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}
