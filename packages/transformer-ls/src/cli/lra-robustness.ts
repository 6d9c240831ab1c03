/** `transformer-ls lra robustness`: accuracy of several runs when tokens of the test documents are inserted or deleted. */
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { evaluateRobustness, passesOf } from '../evaluate/robustness.js';
import {
  type Robustness,
  type RobustnessOfRun,
  robustnessChart,
  robustnessPage,
  robustnessRecord,
  robustnessTables,
} from '../evaluate/robustness-report.js';
import { chosenPlaces, type ExamplePlace } from '../lra/example-batches.js';
import { type ExampleSet, type Split, splits } from '../lra/example-set.js';
import { type PerturbationKind, perturbationKinds, tokensInUse } from '../lra/perturb.js';
import { loadClassifier } from '../models/sequence-classifier/weights.js';
import { replaceFile } from '../run/durable.js';
import { nodeFileSystem } from '../run/file-system.js';
import { writeJson } from '../run/json.js';
import { formatDuration, formatInteger } from '../text/numbers.js';
import { paddingOf } from '../train/classification-task.js';
import { findModel } from '../weights/model-place.js';
import { exitCodes, UsageError } from './errors.js';
import { openSet } from './evaluate-classifier.js';
import { decimalNumber, listOf, oneOfNames, wholeNumber } from './flags.js';
import { interruptible } from './interrupt.js';
import { makeOutputFolder } from './output-folder.js';
import { StatusLine } from './status-line.js';
import { useThreads } from './threads.js';

interface RobustnessFlags {
  readonly strengths: readonly number[];
  readonly kinds: readonly PerturbationKind[];
  readonly split: Split;
  readonly examples?: number;
  readonly seed: number;
  readonly newest?: boolean;
  readonly dataFolder?: string;
  readonly threads?: number;
  readonly out?: string;
  readonly json?: boolean;
}

const BATCH = 32;
const COMMAND = 'transformer-ls lra robustness';

const EXAMPLES = `
A strength is the expected share of a document's tokens that are inserted or deleted. All runs must be of the same set, and all
read the same perturbed documents; both documents of a pair are perturbed.

Examples:
  transformer-ls lra robustness runs/listops-long-short runs/listops-linformer --out robustness
  transformer-ls lra robustness runs/text --kinds delete --strengths 0,0.01,0.1 --examples 1000`;

export function robustnessCommand(): Command {
  return new Command('robustness')
    .summary('accuracy against random insertion and deletion of tokens')
    .description('Measure accuracy against random insertion and deletion of tokens, and draw it.')
    .argument('<runs...>', 'runs of the same set, one curve each')
    .addOption(
      new Option('--strengths <list>', 'shares of tokens, 0 to 1')
        .argParser(listOf(decimalNumber({ min: 0, max: 1 })))
        .default([0, 0.02, 0.05, 0.1, 0.2], '0,0.02,0.05,0.1,0.2'),
    )
    .addOption(
      new Option('--kinds <list>', 'which perturbations')
        .argParser(listOf(oneOfNames(perturbationKinds)))
        .default([...perturbationKinds], perturbationKinds.join(',')),
    )
    .addOption(new Option('--split <name>', 'part of the set').choices(splits).default('test'))
    .option('--examples <n>', 'only so many examples, chosen by the seed', wholeNumber({ min: 1 }))
    .option('--seed <n>', 'seed of the perturbations and of the choice of examples', wholeNumber(), 0)
    .option('--newest', 'the newest checkpoint of each run instead of the best')
    .option('--data-folder <folder>', 'where prepared sets lie (default: TRANSFORMER_LS_DATA or ./data)')
    .option('--threads <n>', 'CPU threads (default: all cores)', wholeNumber({ min: 1 }))
    .option(
      '--out <folder>',
      'where to write robustness.json, .md and .svg (default: the folder of the first run)',
    )
    .option('--json', 'print the record as JSON')
    .addHelpText('after', EXAMPLES)
    .action(runRobustness);
}

async function runRobustness(paths: readonly string[], flags: RobustnessFlags): Promise<void> {
  const interrupt = interruptible();
  try {
    useThreads(flags.threads);
    const places = await placesOfRuns(paths);
    const out = flags.out ?? places[0]!.results;
    if (out === undefined)
      throw new UsageError(`expected --out <folder>, since ${places[0]!.path} stays as it is`);
    const folder = await makeOutputFolder(out);
    const set = await openSet(places[0]!, flags);
    try {
      const robustness = await measure(paths, set, flags, interrupt.signal);
      await report(robustness, folder, flags);
    } finally {
      set.close();
    }
  } catch (error) {
    if (!interrupt.signal.aborted) throw error;
    console.error(`${COMMAND}: interrupted; nothing was written`);
    process.exitCode = exitCodes.interrupted;
  } finally {
    interrupt.end();
  }
}

/** The runs, none of them loaded yet: what does not fit together is found before anything is computed. */
async function placesOfRuns(paths: readonly string[]) {
  const places = [];
  for (const path of paths) {
    const { results, training, config } = await findModel(path);
    if (config.kind !== 'sequence-classifier')
      throw new UsageError(`${path}: is a ${config.kind}, expected the run of a sequence-classifier`);
    if (training?.kind !== 'classifier-training')
      throw new UsageError(`${path}: expected a run, which says what set it is of`);
    places.push({ path, results, training });
  }
  const first = places[0]!;
  const other = places.find(({ training }) => training.data.name !== first.training.data.name);
  if (other !== undefined)
    throw new UsageError(
      `expected runs of the same set, received ${first.path} of ${first.training.data.name} and ${other.path} of ${other.training.data.name}`,
    );
  return places;
}

async function measure(
  paths: readonly string[],
  set: ExampleSet,
  flags: RobustnessFlags,
  signal: AbortSignal,
): Promise<Robustness> {
  const { kinds, strengths, seed, split } = flags;
  const examples = chosenPlaces(set, split, { count: flags.examples, seed });
  const alphabet = tokensInUse(set, split);
  const passes = passesOf(kinds, strengths);
  if (!flags.json)
    console.error(
      `reading ${formatInteger(examples.length)} examples of ${set.record.task} ${split} ${passes} times with each of ${paths.length} run(s)`,
    );
  const progress = progressOf(paths.length * passes * examples.length);
  const runs: RobustnessOfRun[] = [];
  try {
    for (const path of paths)
      runs.push(await measureRun(path, set, examples, { alphabet, flags, signal, progress }));
  } finally {
    progress.clear();
  }
  const { task, documents, caution, classes, reportAs } = set.record;
  return {
    data: {
      name: reportAs ?? task,
      split,
      examples: examples.length,
      classes: classes.length,
      sha256: documents.sha256,
      note: caution,
    },
    kinds,
    strengths,
    alphabet: alphabet.length,
    seed,
    runs,
  };
}

interface Measuring {
  readonly alphabet: Uint8Array;
  readonly flags: RobustnessFlags;
  readonly signal: AbortSignal;
  readonly progress: Progress;
}

async function measureRun(
  path: string,
  set: ExampleSet,
  examples: readonly ExamplePlace[],
  { alphabet, flags, signal, progress }: Measuring,
): Promise<RobustnessOfRun> {
  const { kinds, strengths, seed, newest } = flags;
  const { model, config, training, step, skipped } = await loadClassifier(path, {
    choose: newest ? 'newest' : 'best',
  });
  for (const line of skipped) console.error(`${COMMAND}: passed over ${line}`);
  try {
    const points = await evaluateRobustness(model, set, examples, {
      ...{ kinds, strengths, seed, alphabet, signal },
      padding: paddingOf(training!),
      batchSize: BATCH,
      onProgress: (done, accuracy, { kind, strength }) =>
        progress.show(
          done,
          `${config.attention.name}, ${kind} ${strength}   accuracy ${(100 * accuracy).toFixed(1)} %`,
        ),
    });
    progress.passed(passesOf(kinds, strengths) * examples.length);
    const attention = config.attention.name;
    const parameters = model.countParameters();
    return { model: { path, attention, mode: config.mode, parameters, step: step ?? null }, points };
  } finally {
    model.dispose();
  }
}

interface Progress {
  /** `done` examples of the run under way. */
  show(done: number, line: string): void;
  /** A run is over: so many examples. */
  passed(examples: number): void;
  clear(): void;
}

function progressOf(total: number): Progress {
  const status = new StatusLine(process.stderr);
  const started = performance.now();
  let before = 0;
  return {
    show(done, line) {
      const all = before + done;
      const rest = ((performance.now() - started) / 1000) * (total / all - 1);
      status.show(
        `${formatInteger(all)}/${formatInteger(total)} examples   ${line}   ETA ${formatDuration(rest)}`,
      );
    },
    passed(examples) {
      before += examples;
    },
    clear: () => status.clear(),
  };
}

async function report(robustness: Robustness, folder: string, flags: RobustnessFlags): Promise<void> {
  const json = writeJson(robustnessRecord(robustness, new Date()));
  process.stdout.write(flags.json ? json : `${robustnessTables(robustness)}\n\n`);
  const files = [
    ['robustness.json', json],
    ['robustness.md', robustnessPage(robustness)],
    ['robustness.svg', robustnessChart(robustness)],
  ] as const;
  for (const [name, text] of files)
    await replaceFile(nodeFileSystem, join(folder, name), [new TextEncoder().encode(text)]);
  if (!flags.json) console.log(`wrote ${files.map(([name]) => name).join(', ')} in ${folder}`);
}
