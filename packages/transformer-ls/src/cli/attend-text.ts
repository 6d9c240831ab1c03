/** `transformer-ls attend` of a sequence classifier: a picture of what one layer attends to in one example. */
import { mechanismText } from '../attention/mechanism-text.js';
import { attentionPicture, type PicturedDocument, shownTokens } from '../charts/attention-picture.js';
import type { TokenRange } from '../charts/attention-shares.js';
import {
  type ObservedExample,
  observableNames,
  observeExample,
} from '../models/sequence-classifier/attention-weights.js';
import { type LoadedClassifier, loadClassifier } from '../models/sequence-classifier/weights.js';
import { formatBytes, formatInteger } from '../text/numbers.js';
import { WeightsError } from '../weights/model-place.js';
import { type ExampleFlags, looksOf, type NamedDocument, readExample } from './attend-text-input.js';
import { attentionRecord } from './attend-text-record.js';
import { batchesOf } from './classifier-input.js';
import { UsageError } from './errors.js';
import { type PictureFormat, pictureFormat, writePicture } from './picture-file.js';

export interface AttendTextFlags extends ExampleFlags {
  readonly layer?: number;
  readonly head?: number;
  readonly tokens?: TokenRange;
  readonly out?: string;
  readonly newest?: boolean;
  readonly json?: boolean;
}

const DEFAULT_OUT = 'attention.svg';

/** @throws UsageError, WeightsError or DataError in one line */
export async function attendText(
  path: string,
  files: readonly string[],
  flags: AttendTextFlags,
): Promise<void> {
  const out = flags.out ?? (flags.json ? undefined : DEFAULT_OUT);
  const format = out === undefined ? undefined : await pictureFormat(out);
  const loaded = await loadClassifier(path, { choose: flags.newest ? 'newest' : 'best' });
  for (const line of loaded.skipped) console.error(`transformer-ls attend: passed over ${line}`);
  try {
    const attended = await attend(path, files, flags, loaded);
    const record = flags.json ? `${JSON.stringify(recordOf(attended))}\n` : undefined;
    const written = out === undefined || format === undefined ? [] : [await draw(attended, out, format)];
    process.stdout.write(record ?? `${[...described(attended), ...written].join('\n')}\n`);
  } finally {
    loaded.model.dispose();
  }
}

/** Writes the picture; returns what to say of it. */
async function draw(attended: Attended, out: string, format: PictureFormat): Promise<string> {
  const bytes = await format(pictureOf(attended));
  await writePicture(out, bytes);
  return `wrote ${out} (${formatBytes(bytes.length)})`;
}

/** An example with the weights of one layer. */
interface Attended {
  readonly loaded: LoadedClassifier;
  readonly example: readonly NamedDocument[];
  readonly observed: ObservedExample;
  readonly documents: readonly PicturedDocument[];
  /** From 1. */
  readonly layer: number;
  /** From 0. */
  readonly heads: readonly number[];
  readonly tokens: TokenRange | null;
}

async function attend(
  path: string,
  files: readonly string[],
  flags: AttendTextFlags,
  loaded: LoadedClassifier,
): Promise<Attended> {
  const { config, model, training } = loaded;
  const layer = chosen('layer', flags.layer, config.layers) ?? config.layers;
  const head = chosen('head', flags.head, config.heads);
  checkMechanism(path, loaded);
  const example = await readExample(files, flags, loaded);
  checkRange(flags.tokens, example);
  const read = example.map(({ tokens }) => tokens);
  const lengths = read.map(({ length }) => length);
  const observed = observeExample(model, batchesOf(read, loaded), lengths, layer - 1);
  const documents = observed.documents.map((weights, i): PicturedDocument => {
    const looks = looksOf(read[i]!, training?.data.name);
    const labels = weights.startsWithClassToken ? ['[first]', ...looks.labels] : looks.labels;
    return { name: example[i]!.name, ...looks, labels, weights };
  });
  const heads = head === undefined ? Array.from({ length: config.heads }, (_, i) => i) : [head - 1];
  return { loaded, example, observed, documents, layer, heads, tokens: flags.tokens ?? null };
}

function chosen(what: string, asked: number | undefined, count: number): number | undefined {
  if (asked !== undefined && asked > count)
    throw new UsageError(`--${what}: expected a number from 1 to ${count}, received ${asked}`);
  return asked;
}

function checkMechanism(path: string, { config }: LoadedClassifier): void {
  const { name } = config.attention;
  if (!observableNames.some((known) => known === name))
    throw new WeightsError(
      `${path}: ${name} attention has no weights that can be drawn, expected one of ${observableNames.join(', ')}`,
    );
}

function checkRange(asked: TokenRange | undefined, example: readonly NamedDocument[]): void {
  const shortest = Math.min(...example.map(({ tokens }) => tokens.length));
  if (asked !== undefined && asked.from >= shortest)
    throw new UsageError(
      `--tokens: expected a range that begins before token ${shortest}, the end, received ${asked.from}:${asked.to}`,
    );
}

function recordOf({ loaded, observed, documents, layer, heads, tokens }: Attended) {
  const { config, classes, step } = loaded;
  return {
    kind: 'attention-weights',
    model: { path: loaded.weightsPath, step: step ?? null, attention: config.attention.name },
    layer,
    label: classes[mostProbable(observed)],
    probabilities: Object.fromEntries(classes.map((name, i) => [name, observed.probabilities[i]])),
    documents: documents.map((document) => attentionRecord(document, heads, tokens)),
  };
}

function pictureOf({ loaded, example, observed, documents, layer, heads, tokens }: Attended): string {
  return attentionPicture({
    title: `Layer ${layer} of ${loaded.config.layers} reads ${example.map(({ name }) => name).join(' and ')}`,
    subtitle: `${verdict(loaded, observed)}; ${mechanismText(loaded.config.attention)}`,
    documents,
    heads,
    tokens,
  });
}

/** The answer, the mechanism, and which tokens the picture shows. */
function described({ loaded, example, observed, documents, tokens }: Attended): string[] {
  const shown = documents.map((document, i) => {
    const { text, slots, rows } = shownTokens(document, tokens);
    const { length } = document.labels;
    const whole = example[i]!.length;
    const read =
      whole > example[i]!.tokens.length ? `, of which the first ${formatInteger(length)} were read` : '';
    const parts = [
      ...(text.to - text.from < length ? [`text of tokens ${rangeText(text)}`] : []),
      ...(slots.to - slots.from < length ? [`slots over ${rangeText(slots)}`] : []),
      ...(rows !== null && rows.to - rows.from < length ? [`rows for ${rangeText(rows)}`] : []),
    ];
    const partly =
      parts.length === 0
        ? ''
        : `; shown: ${parts.join(', ')}${tokens === null ? ' (--tokens shows others)' : ''}`;
    return `${example[i]!.name}: ${formatInteger(whole)} tokens${read}${partly}`;
  });
  return [verdict(loaded, observed), mechanismText(loaded.config.attention), ...shown];
}

function rangeText({ from, to }: TokenRange): string {
  return `${formatInteger(from)} to ${formatInteger(to - 1)}`;
}

function verdict({ classes }: LoadedClassifier, observed: ObservedExample): string {
  const best = mostProbable(observed);
  return `says ${classes[best]} (${(100 * observed.probabilities[best]!).toFixed(1)} %)`;
}

function mostProbable({ probabilities }: ObservedExample): number {
  return probabilities.reduce((most, share, label) => (share > probabilities[most]! ? label : most), 0);
}
