// The manifest of an exported model: what its files are, and what a program needs to know to run it (docs/export.md).

import { classifierSchema } from './classifier-config.js';
import { cvtLsSchema } from './cvt-ls-config.js';
import { languageModelSchema } from './language-model-config.js';
import {
  byKind,
  field,
  type Infer,
  integer,
  list,
  nullable,
  number,
  object,
  oneOf,
  type ReportProblem,
  type Schema,
  schemaOf,
  text,
} from './schema.js';
import { size } from './sizes.js';
import { vilLsSchema } from './vil-ls-config.js';

/** The file that describes an exported model, in its folder. */
export const EXPORT_MANIFEST_NAME = 'manifest.json';
export const EXPORT_FORMAT = 'transformer-ls exported model';
export const EXPORT_VERSION = 1;

const MOST_FILES = 64;
/** No engine takes more. */
const MOST_BYTES = 2 ** 34;
const MOST_CLASSES = 1_000_000;

const fileName = schemaOf(
  'a plain lower-case file name',
  (value): value is string => typeof value === 'string' && /^[a-z0-9][a-z0-9._-]{0,99}$/.test(value),
);

const sha256 = schemaOf(
  'a SHA-256 as 64 hexadecimal digits',
  (value): value is string => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value),
);

const fileSchema = object({
  name: field('In the folder of the manifest.', fileName),
  bytes: field('Its size.', integer({ min: 0, max: MOST_BYTES })),
  sha256: field('Of its bytes.', sha256),
});

const className = object({
  id: field('What tells the class apart in every copy of the data.', text()),
  name: field('For people.', text()),
});

/** Where the weights come from. Nothing in it is needed to run the model. */
const provenanceSchema = object({
  source: field('Name of the run, checkpoint or file that was exported.', text()),
  step: field('Updates when the weights were saved; null: not known.', nullable(integer({ min: 0 })), null),
  weightsSha256: field('Of the weight file that was exported.', sha256),
  data: field('What it was trained on; null: not known.', nullable(text()), null),
  exported: field('Date and program.', text()),
});

/** How the exported graphs differ from libtorch, on fresh inputs. */
const checkSchema = object({
  largestError: field(
    'Largest difference over the largest number, of all that was compared.',
    number({ min: 0 }),
  ),
  compared: field('What was compared, one line each.', list(text(), { min: 1, max: 100 })),
});

const common = {
  format: field('What this file is.', oneOf(EXPORT_FORMAT)),
  version: field('Of this format.', integer({ min: EXPORT_VERSION, max: EXPORT_VERSION })),
  name: field('Of the model.', text()),
  weights: field(
    'How the weights are stored; computed with are float32.',
    oneOf('float32', 'float16', 'int8'),
  ),
  files: field('All files but this one.', list(fileSchema, { min: 1, max: MOST_FILES })),
  provenance: field('Where the weights come from.', provenanceSchema),
  check: field('How the exported graphs differ from libtorch.', checkSchema),
};

/** Each file once, and every graph among them. */
function checkFiles(
  { files }: { readonly files: readonly { readonly name: string }[] },
  graphs: Readonly<Record<string, string | null>>,
  report: ReportProblem,
): void {
  const names = new Set(files.map(({ name }) => name));
  if (names.size < files.length) report('files', 'expected each file once, received one of them again');
  for (const [key, name] of Object.entries(graphs))
    if (name !== null && !names.has(name)) report(key, `expected one of the files, received ${name}`);
}

const symbol = schemaOf(
  'a symbol without white space',
  (value): value is string => typeof value === 'string' && /^\S{1,100}$/.test(value),
);

/** Token ids: a byte each, or the ids of a fairseq dictionary. */
const vocabularySchema: Schema<ExportedVocabulary> = byKind({
  bytes: object({ kind: field('An id is a byte.', oneOf('bytes')) }),
  fairseq: object({
    kind: field('The dictionary of a published model.', oneOf('fairseq')),
    style: field('How it spells bytes.', oneOf('decimal', 'characters')),
    symbols: field('In the order of their ids, from 4 on.', list(symbol, { min: 1, max: 65_536 })),
  }),
});

export type ExportedVocabulary =
  | { readonly kind: 'bytes' }
  | {
      readonly kind: 'fairseq';
      readonly style: 'decimal' | 'characters';
      readonly symbols: readonly string[];
    };

const exportedLanguageModel = object(
  {
    ...common,
    kind: field('What it does.', oneOf('language-model')),
    model: field('Its configuration.', languageModelSchema),
    vocabulary: field('Bytes to ids and back.', vocabularySchema),
    step: field('Graph of one token; null in reference mode.', nullable(fileName)),
    block: field('Graph of several tokens at once.', fileName),
    blockTokens: field('How many those are.', size()),
  },
  (model, report) => checkFiles(model, { step: model.step, block: model.block }, report),
);

/**
 * What `heat` says of each part of the input: what the class token takes of it, what all tokens take of it on average, or its part in what
 * the dynamic projection keeps.
 */
const heat = oneOf('class token', 'all tokens', 'projection', 'none');
export type ExportedHeat = Infer<typeof heat>;

const exportedTextClassifier = object(
  {
    ...common,
    kind: field('What it does.', oneOf('text-classifier')),
    model: field('Its configuration.', classifierSchema),
    graph: field('Ids and mask to logits, features and heat.', fileName),
    heat: field('What the heat says.', heat),
    tokens: field('What a token is.', oneOf('bytes', 'listops', 'listops-brackets')),
    longest: field('Tokens that are read of a document.', size()),
    paddedTo: field('Length that every document is padded to; null: its own.', nullable(size())),
    classes: field('In the order of the logits.', list(className, { min: 1, max: MOST_CLASSES })),
  },
  (model, report) => checkFiles(model, { graph: model.graph }, report),
);

const colours = list(number(), { min: 3, max: 3 });

const exportedImageClassifier = object(
  {
    ...common,
    kind: field('What it does.', oneOf('image-classifier')),
    model: field('Its configuration.', byKind({ 'vil-ls': vilLsSchema, 'cvt-ls': cvtLsSchema })),
    graph: field('Images to logits, features and heat.', fileName),
    heat: field('What the heat says.', heat),
    cropRatio: field('Share of the short side that is seen.', number({ above: 0, max: 1 })),
    filter: field('How pictures are resized.', oneOf('box', 'bilinear', 'bicubic', 'lanczos')),
    mean: field('Of each colour.', colours),
    std: field('Of each colour.', colours),
    classes: field('In the order of the logits.', list(className, { min: 1, max: MOST_CLASSES })),
  },
  (model, report) => checkFiles(model, { graph: model.graph }, report),
);

export const exportedModelSchema = byKind({
  'language-model': exportedLanguageModel,
  'text-classifier': exportedTextClassifier,
  'image-classifier': exportedImageClassifier,
});

export type ExportedModel = Infer<typeof exportedModelSchema>;
export type ExportedLanguageModel = Infer<typeof exportedLanguageModel>;
export type ExportedTextClassifier = Infer<typeof exportedTextClassifier>;
export type ExportedImageClassifier = Infer<typeof exportedImageClassifier>;
