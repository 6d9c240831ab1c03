/** `transformer-ls classify` of texts. */
import { noGrad, scope } from '@transformer-ls/torch';
import { type LoadedClassifier, loadClassifier } from '../models/sequence-classifier/weights.js';
import { formatInteger } from '../text/numbers.js';
import {
  batchesOf,
  checkFiles,
  documentsOf,
  type NamedBytes,
  readPart,
  tokensOf,
} from './classifier-input.js';

/** The flags of `classify` that a classifier of texts has a use for. */
export interface TextFlags {
  readonly text?: string;
  readonly newest?: boolean;
  readonly json?: boolean;
}

export async function runClassifyTexts(
  path: string,
  files: readonly string[],
  flags: TextFlags,
): Promise<void> {
  const loaded = await loadClassifier(path, { choose: flags.newest ? 'newest' : 'best' });
  for (const line of loaded.skipped) console.error(`transformer-ls classify: passed over ${line}`);
  if (loaded.training === undefined)
    console.error(
      'transformer-ls classify: these weights do not lie in a run that says what they were trained on; texts are read as bytes',
    );
  try {
    const isPair = loaded.config.inputs === 'two';
    checkFiles(files, flags, loaded);
    const groups = isPair ? [files] : files.length > 0 ? files.map((file) => [file]) : [[]];
    for (const group of groups) {
      const result = classify(loaded, await documentsOf(group, flags));
      const heading = groups.length > 1 ? `${group.join(', ')}: ` : '';
      process.stdout.write(
        flags.json ? `${JSON.stringify({ files: group, ...result })}\n` : `${heading}${described(result)}`,
      );
    }
  } finally {
    loaded.model.dispose();
  }
}

export interface Classification {
  readonly label: string;
  readonly probabilities: Readonly<Record<string, number>>;
  /** Tokens of each text, and how many of them were read. */
  readonly tokens: readonly number[];
  readonly read: readonly number[];
}

/** @throws DataError in one line where a text is no input of the model */
export function classify(loaded: LoadedClassifier, texts: readonly NamedBytes[]): Classification {
  const { model, classes, training } = loaded;
  const documents = texts.map((one) => tokensOf(one, training?.data.name));
  const read = documents.map((tokens) => readPart(tokens, loaded));
  const shares = scope(() =>
    noGrad(() => {
      const logits = model.forward(...batchesOf(read, loaded));
      return logits.softmax(-1).toTypedArray() as Float32Array;
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
