/** `transformer-ls classify`: texts through a trained classifier. */
import { createReadStream } from 'node:fs';
import { noGrad, scope } from '@transformer-ls/torch';
import { Command } from 'commander';
import { DataError, fileError } from '../data/errors.js';
import { sequenceBatch } from '../evaluate/classifier.js';
import { padded } from '../lra/example-batches.js';
import { parseListOps, withoutBrackets } from '../lra/listops.js';
import { type LoadedClassifier, loadClassifier } from '../models/sequence-classifier/weights.js';
import { UsageError } from './errors.js';
import { wholeNumber } from './flags.js';
import { formatBytes, formatInteger } from './format.js';
import { useThreads } from './threads.js';

interface ClassifyFlags {
  readonly text?: string;
  readonly newest?: boolean;
  readonly threads?: number;
  readonly json?: boolean;
}

const EXAMPLES = `
A text is read as bytes, a ListOps tree as its words. What is longer than the model reads is cut, and said so. Several files are
classified one after the other; a classifier of pairs takes two.

Examples:
  transformer-ls classify runs/lra-text review.txt
  transformer-ls classify runs/lra-text --text "I liked every minute of it."
  transformer-ls classify runs/lra-text reviews/*.txt --json
  echo "[MAX 4 [MIN 7 2 ] 1 ]" | transformer-ls classify runs/lra-listops --json
  transformer-ls classify runs/lra-retrieval one.txt other.txt`;

export function classifyCommand(): Command {
  return new Command('classify')
    .description('Label and probabilities of texts by a trained classifier.')
    .argument('<model>', 'run, checkpoint or model folder, or a weight file')
    .argument('[files...]', 'texts to classify (default: standard input)')
    .option('--text <text>', 'the text itself')
    .option('--newest', 'the newest checkpoint of a run instead of the best')
    .option('--threads <n>', 'CPU threads (default: all cores)', wholeNumber({ min: 1 }))
    .option('--json', 'print one JSON record a line')
    .addHelpText('after', EXAMPLES)
    .action(runClassify);
}

async function runClassify(path: string, files: readonly string[], flags: ClassifyFlags): Promise<void> {
  useThreads(flags.threads);
  const loaded = await loadClassifier(path, { choose: flags.newest ? 'newest' : 'best' });
  for (const line of loaded.skipped) console.error(`transformer-ls classify: passed over ${line}`);
  if (loaded.training === undefined)
    console.error(
      'transformer-ls classify: these weights do not lie in a run that says what they were trained on; texts are read as bytes',
    );
  try {
    const isPair = loaded.config.inputs === 'two';
    checkFiles(files, flags, isPair);
    const groups = isPair ? [files] : files.length > 0 ? files.map((file) => [file]) : [[]];
    for (const group of groups) {
      const result = classify(loaded, await textsOf(group, flags));
      const heading = groups.length > 1 ? `${group.join(', ')}: ` : '';
      process.stdout.write(
        flags.json ? `${JSON.stringify({ files: group, ...result })}\n` : `${heading}${described(result)}`,
      );
    }
  } finally {
    loaded.model.dispose();
  }
}

function checkFiles(files: readonly string[], { text }: ClassifyFlags, isPair: boolean): void {
  if (isPair && (files.length !== 2 || text !== undefined))
    throw new UsageError(
      `this model compares two texts: expected two files, received ${text === undefined ? files.length : '--text'}`,
    );
  if (text !== undefined && files.length > 0)
    throw new UsageError('expected a file or --text, received both');
}

/** A text and what to call it in a message. */
interface NamedText {
  readonly name: string;
  readonly bytes: Uint8Array;
}

async function textsOf(files: readonly string[], { text }: ClassifyFlags): Promise<NamedText[]> {
  if (text !== undefined) return [{ name: '--text', bytes: new TextEncoder().encode(text) }];
  if (files.length > 0) return Promise.all(files.map(readFile));
  if (process.stdin.isTTY) throw new UsageError('expected a file, --text, or text on standard input');
  const name = 'standard input';
  return [{ name, bytes: await readAll(process.stdin, name) }];
}

async function readFile(name: string): Promise<NamedText> {
  try {
    return { name, bytes: await readAll(createReadStream(name), name) };
  } catch (error) {
    throw new UsageError(fileError('read', name, error).message);
  }
}

/** More is no text that a classifier reads. */
const LARGEST_TEXT = 64 * 2 ** 20;

async function readAll(stream: AsyncIterable<Uint8Array>, name: string): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of stream) {
    pieces.push(piece);
    size += piece.length;
    if (size > LARGEST_TEXT)
      throw new DataError(`${name}: expected at most ${formatBytes(LARGEST_TEXT)}, received more`);
  }
  return Buffer.concat(pieces);
}

export interface Classification {
  readonly label: string;
  readonly probabilities: Readonly<Record<string, number>>;
  /** Tokens of each text, and how many of them were read. */
  readonly tokens: readonly number[];
  readonly read: readonly number[];
}

/** @throws DataError in one line where a text is no input of the model */
export function classify(
  { model, config, classes, training }: LoadedClassifier,
  texts: readonly NamedText[],
): Classification {
  const documents = texts.map((one) => tokensOf(one, training?.data.name));
  const most = training?.documentLength ?? config.maxLength;
  const read = documents.map((tokens) => tokens.subarray(0, most));
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

function tokensOf({ name, bytes }: NamedText, set: string | undefined): Uint8Array {
  const isTree = set === 'listops' || set === 'listops-brackets';
  const tokens = isTree ? treeTokens(name, new TextDecoder().decode(bytes), set) : bytes;
  if (tokens.length === 0)
    throw new DataError(`${name}: expected a text of at least one token, received none`);
  return tokens;
}

function treeTokens(name: string, text: string, set: 'listops' | 'listops-brackets'): Uint8Array {
  const words = text.replace(/\s+/g, ' ').trim();
  if (words === '') return new Uint8Array();
  try {
    const { tokens } = parseListOps(words);
    return set === 'listops' ? withoutBrackets(tokens) : tokens;
  } catch (error) {
    throw error instanceof DataError ? new DataError(`${name}: ${error.message}`) : error;
  }
}

/** `positive`, then each class with its probability and a bar. */
function described({ label, probabilities, tokens, read }: Classification): string {
  const width = Math.max(...Object.keys(probabilities).map((name) => name.length));
  const rows = Object.entries(probabilities).map(([name, share]) =>
    `  ${name.padEnd(width)}  ${(100 * share).toFixed(1).padStart(5)} %  ${'█'.repeat(Math.round(20 * share))}`.trimEnd(),
  );
  const cut = tokens.flatMap((all, i) =>
    all > read[i]!
      ? `  (only the first ${formatInteger(read[i]!)} of ${formatInteger(all)} tokens were read)`
      : [],
  );
  return [label, ...rows, ...cut, ''].join('\n');
}
