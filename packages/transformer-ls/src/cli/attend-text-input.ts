/** The example that `attend` draws: from files, text or standard input as for `classify`, or from the run's own data. */
import { basename } from 'node:path';
import type { PicturedDocument } from '../charts/attention-picture.js';
import { byteLabels } from '../charts/token-labels.js';
import type { Split } from '../lra/example-set.js';
import { setDefinitions } from '../lra/sets.js';
import type { LoadedClassifier } from '../models/sequence-classifier/weights.js';
import { checkFiles, documentsOf, readPart, tokensOf } from './classifier-input.js';
import { UsageError } from './errors.js';
import { openSet } from './evaluate-classifier.js';

export interface ExampleFlags {
  readonly text?: string;
  readonly example?: number;
  readonly split: Split;
  readonly dataFolder?: string;
}

export interface NamedDocument {
  readonly name: string;
  /** Those that the model reads. */
  readonly tokens: Uint8Array;
  /** Tokens of the whole document. */
  readonly length: number;
}

/** @throws UsageError or DataError in one line */
export async function readExample(
  files: readonly string[],
  flags: ExampleFlags,
  loaded: LoadedClassifier,
): Promise<NamedDocument[]> {
  if (flags.example !== undefined) {
    if (files.length > 0 || flags.text !== undefined)
      throw new UsageError('expected --example, --text or a file, received several of them');
    return exampleOfSet(flags.example, flags, loaded);
  }
  const set = loaded.training?.data.name;
  checkFiles(files, flags, loaded);
  if (loaded.config.inputs === 'one' && files.length > 1)
    throw new UsageError(`expected one text for this model, received ${files.length}`);
  const documents = await documentsOf(files, flags);
  return documents.map((document) => {
    const tokens = tokensOf(document, set);
    const name = flags.text === undefined ? basename(document.name) : 'a text';
    return { name, tokens: readPart(tokens, loaded), length: tokens.length };
  });
}

async function exampleOfSet(
  index: number,
  flags: ExampleFlags,
  loaded: LoadedClassifier,
): Promise<NamedDocument[]> {
  const set = await openSet(loaded, flags);
  try {
    const { documents, label } = set.example(flags.split, index);
    const name = `${set.record.task} ${flags.split} ${index} (${set.record.classes[label]})`;
    return documents.map((tokens, i) => ({
      name: documents.length === 1 ? name : `document ${i + 1} of ${name}`,
      tokens: readPart(tokens, loaded),
      length: tokens.length,
    }));
  } finally {
    set.close();
  }
}

/** Sets whose tokens are the grey pixels of a square image, row by row. */
const IMAGE_SETS = /^(pathfinder|cifar)/;

/** How the tokens of a document are shown. */
export function looksOf(
  tokens: Uint8Array,
  set: string | undefined,
): Pick<PicturedDocument, 'labels' | 'look' | 'image'> {
  const side = Math.sqrt(tokens.length);
  if (IMAGE_SETS.test(set ?? '') && Number.isInteger(side)) {
    const labels = Array.from(tokens, (_, i) => `${Math.floor(i / side)},${i % side}`);
    return { labels, look: 'words', image: { side, pixels: tokens } };
  }
  const words = setDefinitions.find(({ name }) => name === set)?.description.vocabulary ?? [];
  if (words.length > 0)
    return {
      labels: Array.from(tokens, (token) => words[token] ?? String(token)),
      look: 'words',
      image: null,
    };
  return { labels: byteLabels(tokens), look: 'characters', image: null };
}
