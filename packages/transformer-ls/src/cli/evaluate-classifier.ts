/** `transformer-ls evaluate` of a sequence classifier: accuracy on part of a set. */
import { join } from 'node:path';
import { evaluateClassifier } from '../evaluate/classifier.js';
import { placesOf } from '../lra/example-batches.js';
import type { ExampleSet, Split } from '../lra/example-set.js';
import { prepareSet } from '../lra/prepare.js';
import { setDefinition } from '../lra/sets.js';
import { type LoadedClassifier, loadClassifier } from '../models/sequence-classifier/weights.js';
import { replaceFile } from '../run/durable.js';
import { nodeFileSystem } from '../run/file-system.js';
import { writeJson } from '../run/json.js';
import { dataFolder } from './data-folder.js';
import { UsageError } from './errors.js';
import { formatDuration, formatInteger } from './format.js';
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
}

const BATCH = 32;
const EVALUATION_NAME = 'evaluation.json';

export async function runEvaluateClassifier(
  path: string,
  flags: ClassifierFlags,
  signal: AbortSignal,
): Promise<void> {
  const loaded = await loadClassifier(path, { choose: flags.newest ? 'newest' : 'best' });
  for (const line of loaded.skipped) console.error(`transformer-ls evaluate: passed over ${line}`);
  const set = await openSet(loaded, flags);
  const status = new StatusLine(process.stderr);
  const started = performance.now();
  try {
    const { config, model, training } = loaded;
    const documentLength = training?.documentLength ?? setDefinition(set.record.task).documentLength;
    const scores = await evaluateClassifier(model, set, placesOf(set, [flags.split]), {
      padding: { documentLength, paddedLength: config.mode === 'reference' ? config.maxLength : null },
      batchSize: BATCH,
      signal,
      onProgress: (done, total, accuracy) => {
        const rest = ((performance.now() - started) / 1000) * (total / done - 1);
        status.show(
          `${formatInteger(done)}/${formatInteger(total)} examples   accuracy ${percent(accuracy)}   ETA ${formatDuration(rest)}`,
        );
      },
    });
    status.clear();
    const record = recordOf(path, loaded, set, flags.split, scores);
    const text = writeJson(record);
    process.stdout.write(flags.json ? text : table(loaded, set, flags.split, scores));
    await write(text, loaded, flags);
  } finally {
    status.clear();
    set.close();
    loaded.model.dispose();
  }
}

/** The set that flags name, else the run's own. */
export async function openSet(
  { training }: LoadedClassifier,
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

interface Scores {
  readonly examples: number;
  readonly accuracy: number;
  readonly loss: number;
}

function recordOf(
  path: string,
  { config, model, step }: LoadedClassifier,
  set: ExampleSet,
  split: Split,
  scores: Scores,
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
  scores: Scores,
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
  await nodeFileSystem.makeFolder(folder);
  const path = join(folder, EVALUATION_NAME);
  await replaceFile(nodeFileSystem, path, [new TextEncoder().encode(text)]);
  if (!flags.json) console.log(`wrote ${path}`);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}
