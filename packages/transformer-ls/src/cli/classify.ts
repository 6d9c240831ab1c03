/** `transformer-ls classify`: a text through a trained classifier. */
import { createReadStream } from 'node:fs';
import { text as readAll } from 'node:stream/consumers';
import { noGrad, scope } from '@transformer-ls/torch';
import { Command } from 'commander';
import { sequenceBatch } from '../evaluate/classifier.js';
import { padded } from '../lra/example-batches.js';
import { parseListOps, withoutBrackets } from '../lra/listops.js';
import { type LoadedClassifier, loadClassifier } from '../models/sequence-classifier/weights.js';
import { UsageError } from './errors.js';
import { wholeNumber } from './flags.js';
import { formatInteger } from './format.js';
import { useThreads } from './threads.js';

interface ClassifyFlags {
  readonly text?: string;
  readonly newest?: boolean;
  readonly threads?: number;
  readonly json?: boolean;
}

const EXAMPLES = `
A text is read as bytes, a ListOps tree as its words. What is longer than the model reads is cut, and said so. A classifier of
pairs takes two files.

Examples:
  transformer-ls classify runs/lra-text review.txt
  transformer-ls classify runs/lra-text --text "I liked every minute of it."
  echo "[MAX 4 [MIN 7 2 ] 1 ]" | transformer-ls classify runs/lra-listops --json
  transformer-ls classify runs/lra-retrieval one.txt other.txt`;

export function classifyCommand(): Command {
  return new Command('classify')
    .description('Label and probabilities of a text by a trained classifier.')
    .argument('<model>', 'run, checkpoint or model folder, or a weight file')
    .argument('[files...]', 'text to classify (default: standard input)')
    .option('--text <text>', 'the text itself')
    .option('--newest', 'the newest checkpoint of a run instead of the best')
    .option('--threads <n>', 'CPU threads (default: all cores)', wholeNumber({ min: 1 }))
    .option('--json', 'print JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (path: string, files: string[], flags: ClassifyFlags) => {
      useThreads(flags.threads);
      const loaded = await loadClassifier(path, { choose: flags.newest ? 'newest' : 'best' });
      const texts = await textsOf(files, flags, loaded.config.inputs === 'two' ? 2 : 1);
      const result = classify(loaded, texts);
      process.stdout.write(flags.json ? `${JSON.stringify(result)}\n` : described(result));
    });
}

async function textsOf(files: readonly string[], flags: ClassifyFlags, wanted: number): Promise<string[]> {
  if (flags.text !== undefined && files.length > 0)
    throw new UsageError('expected a file or --text, received both');
  const texts = flags.text === undefined ? await Promise.all(files.map(readText)) : [flags.text];
  if (texts.length === 0 && wanted === 1) texts.push(await standardInput());
  if (texts.length !== wanted)
    throw new UsageError(`expected ${wanted} text(s) for this model, received ${texts.length}`);
  return texts;
}

async function readText(path: string): Promise<string> {
  try {
    return await readAll(createReadStream(path));
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function standardInput(): Promise<string> {
  if (process.stdin.isTTY) throw new UsageError('expected a file, --text, or text on standard input');
  return readAll(process.stdin);
}

export interface Classification {
  readonly label: string;
  readonly probabilities: Readonly<Record<string, number>>;
  /** Tokens of each text, and how many of them were read. */
  readonly tokens: readonly number[];
  readonly read: readonly number[];
}

/** @throws UsageError where a text is no input of the model */
export function classify(
  { model, config, classes, training }: LoadedClassifier,
  texts: readonly string[],
): Classification {
  const documents = texts.map((one) => tokensOf(one, training?.data.name));
  const most = training?.documentLength ?? config.maxLength;
  const read = documents.map((tokens) => tokens.subarray(0, most));
  if (read.some(({ length }) => length === 0))
    throw new UsageError('expected a text of at least one token, received none');
  const shares = scope(() =>
    noGrad(() => {
      const paddedLength = config.mode === 'reference' ? config.maxLength : null;
      const batches = read.map((tokens) => sequenceBatch(padded([tokens], paddedLength), 1, model));
      return model
        .forward(...batches)
        .softmax(-1)
        .toTypedArray() as Float32Array;
    }),
  );
  const probabilities = Object.fromEntries(classes.map((name, label) => [name, shares[label]!]));
  const best = shares.reduce((most, share, label) => (share > shares[most]! ? label : most), 0);
  return {
    label: classes[best]!,
    probabilities,
    tokens: documents.map(({ length }) => length),
    read: read.map(({ length }) => length),
  };
}

function tokensOf(text: string, set: string | undefined): Uint8Array {
  if (set !== 'listops' && set !== 'listops-brackets') return new TextEncoder().encode(text);
  const { tokens } = parseListOps(text.replace(/\s+/g, ' ').trim());
  return set === 'listops' ? withoutBrackets(tokens) : tokens;
}

/** `positive`, then each class with its probability and a bar. */
function described({ label, probabilities, tokens, read }: Classification): string {
  const width = Math.max(...Object.keys(probabilities).map((name) => name.length));
  const rows = Object.entries(probabilities).map(
    ([name, share]) =>
      `  ${name.padEnd(width)}  ${(100 * share).toFixed(1).padStart(5)} %  ${'█'.repeat(Math.round(20 * share))}\n`,
  );
  const cut = tokens.flatMap((all, i) =>
    all > read[i]!
      ? `  (only the first ${formatInteger(read[i]!)} of ${formatInteger(all)} tokens were read)\n`
      : [],
  );
  return `${label}\n${rows.join('')}${cut.join('')}`;
}
