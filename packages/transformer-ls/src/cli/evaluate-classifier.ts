/** `transformer-ls evaluate` of a sequence classifier: accuracy on part of a set. */
import {
  type ClassifierEvaluation,
  measureClassifier,
  writeClassifierEvaluation,
} from '../evaluate/classifier-evaluation.js';
import type { ExampleSet, Split } from '../lra/example-set.js';
import { prepareSet } from '../lra/prepare.js';
import { type LoadedClassifier, loadClassifier } from '../models/sequence-classifier/weights.js';
import { writeJson } from '../run/json.js';
import { formatDuration, formatInteger, formatPercent, formatValue } from '../text/numbers.js';
import { dataFolder } from './data-folder.js';
import { UsageError } from './errors.js';
import { makeOutputFolder } from './output-folder.js';
import { StatusLine } from './status-line.js';

/** The flags of `evaluate` that a classifier has a use for. */
export interface ClassifierFlags {
  readonly split: Split;
  readonly data?: string | undefined;
  readonly from?: string | undefined;
  readonly dataFolder?: string | undefined;
  readonly newest?: boolean | undefined;
  readonly out?: string | undefined;
  /** `line`: the whole record in one line. */
  readonly json?: boolean | 'line' | undefined;
}

/** Prints and keeps what comes out. Returns false, with nothing written, where the signal stopped it. */
export async function runEvaluateClassifier(
  path: string,
  flags: ClassifierFlags,
  signal: AbortSignal,
): Promise<boolean> {
  const loaded = await loadClassifier(path, { choose: flags.newest ? 'newest' : 'best' });
  for (const line of loaded.skipped) console.error(`transformer-ls evaluate: passed over ${line}`);
  try {
    const record = await measured(path, loaded, flags, signal);
    if (record === null) return false;
    process.stdout.write(textOf(record, loaded.config.classes, flags.json ?? false));
    const folder = flags.out ?? loaded.results;
    if (folder === undefined) return true;
    const written = await writeClassifierEvaluation(await makeOutputFolder(folder), record);
    if (!flags.json) console.log(`wrote ${written}`);
    return true;
  } finally {
    loaded.model.dispose();
  }
}

async function measured(
  path: string,
  loaded: LoadedClassifier,
  flags: ClassifierFlags,
  signal: AbortSignal,
): Promise<ClassifierEvaluation | null> {
  const set = await openSet(loaded, flags);
  const status = new StatusLine(process.stderr);
  const started = performance.now();
  try {
    checkFit(loaded, set);
    const { split } = flags;
    if (!flags.json)
      console.error(
        `evaluating ${loaded.weightsPath} on ${set.record.task} ${split}: ${formatInteger(set.count(split))} examples`,
      );
    return await measureClassifier(path, loaded, set, split, {
      signal,
      onProgress: (done, total, accuracy) => {
        const rest = ((performance.now() - started) / 1000) * (total / done - 1);
        status.show(
          `${formatInteger(done)}/${formatInteger(total)} examples   accuracy ${formatPercent(accuracy)}   ETA ${formatDuration(rest)}`,
        );
      },
    });
  } catch (error) {
    if (!signal.aborted) throw error;
    return null;
  } finally {
    status.clear();
    set.close();
  }
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

function textOf(record: ClassifierEvaluation, classes: number, json: boolean | 'line'): string {
  if (json === 'line') return `${JSON.stringify(record)}\n`;
  return json ? writeJson(record) : table(record, classes);
}

function table({ model, data, examples, accuracy, loss }: ClassifierEvaluation, classes: number): string {
  const step = model.step === null ? '' : `, step ${formatInteger(model.step)}`;
  const rows: [string, string][] = [
    ['accuracy', `${formatPercent(accuracy)} of ${formatInteger(examples)} examples`],
    ['loss', `${formatValue(loss ?? Number.NaN, 4)} nats`],
    ['chance', formatPercent(1 / classes)],
    ['model', `${model.attention}, ${formatInteger(model.parameters)} parameters${step}`],
    ['data', `${data.reportAs} ${data.split}`],
  ];
  const lines = rows.map(([name, value]) => `  ${name.padEnd(10)} ${value}\n`).join('');
  return `${lines}${data.note === '' ? '' : `  ${data.note}\n`}`;
}
