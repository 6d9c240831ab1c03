/** Named sizes of language models: the published ones (spec 5.2) and ones for small machines. */
import {
  ConfigError,
  closestName,
  type LanguageModelConfig,
  languageModelSchema,
  parseConfig,
} from '@transformer-ls/formats';

export interface PresetOptions {
  /** Default consistent: token ids are bytes. In reference mode they are those of the corpus's dictionary. */
  readonly mode?: 'consistent' | 'reference';
  /** Tokens of memory; the published phases take their segment length. Default: that of the preset. */
  readonly memoryLength?: number;
  /** Default: 256 in consistent mode, in reference mode the size of the dictionary the preset is made for. */
  readonly vocabularySize?: number;
}

/** What a preset settles; the rest are defaults of the schema. */
interface Size {
  readonly layers: number;
  readonly modelDim: number;
  readonly heads: number;
  readonly innerDim: number;
  readonly windowSize: number;
  readonly chunkSize: number;
  readonly projectionRank: number;
  readonly memoryLength: number;
  readonly dropout: number;
  /** Ids of the fairseq dictionary of the corpus that the size was published for (spec 3.7). */
  readonly dictionarySize: number;
}

const published = (layers: number, dropout: number, dictionarySize: number): Size => ({
  layers,
  modelDim: 512,
  heads: 8,
  innerDim: 2048,
  windowSize: 512,
  chunkSize: 16,
  projectionRank: 1,
  memoryLength: 2048,
  dropout,
  dictionarySize,
});

const sizes = {
  'enwik8-base': published(12, 0.2, 208),
  'enwik8-large': published(30, 0.4, 208),
  'text8-base': published(12, 0.2, 32),
  /** For two CPU cores: some four thousand tokens of training a second. */
  small: {
    layers: 4,
    modelDim: 256,
    heads: 4,
    innerDim: 1024,
    windowSize: 64,
    chunkSize: 16,
    projectionRank: 1,
    memoryLength: 1024,
    dropout: 0,
    dictionarySize: 256,
  },
  /** Trains in seconds; learns little. */
  debug: {
    layers: 2,
    modelDim: 64,
    heads: 2,
    innerDim: 128,
    windowSize: 32,
    chunkSize: 8,
    projectionRank: 1,
    memoryLength: 128,
    dropout: 0,
    dictionarySize: 256,
  },
} satisfies Record<string, Size>;

export type PresetName = keyof typeof sizes;

export const presetNames = Object.keys(sizes) as readonly PresetName[];

/** The complete configuration of a preset. Throws ConfigError for a name that does not exist, with the nearest one. */
export function preset(name: string, options: PresetOptions = {}): LanguageModelConfig {
  const known = presetNames.find((one) => one === name);
  if (known === undefined) throw unknownName('model', name, presetNames);
  const { dictionarySize, dropout, ...size } = sizes[known];
  const { mode = 'consistent', memoryLength = size.memoryLength } = options;
  const { vocabularySize = mode === 'consistent' ? 256 : dictionarySize } = options;
  const config = { kind: 'language-model', mode, vocabularySize, ...size, memoryLength };
  return parseConfig(languageModelSchema, { ...config, dropout, embeddingDropout: dropout }, 'model');
}

/** One line for a mistyped name, the nearest first: the list may be longer than the terminal is wide. */
export function unknownName(what: string, name: string, known: readonly string[]): ConfigError {
  const near = closestName(name, known);
  const hint = near === undefined ? '' : ` did you mean ${near}?`;
  return new ConfigError([
    `there is no ${what} ${JSON.stringify(name)};${hint} expected one of ${known.join(', ')}`,
  ]);
}
