/** Data, model and task of a configuration. */
import { availableParallelism } from 'node:os';
import { ConfigError, type TrainingConfig } from '@transformer-ls/formats';
import { isCudaAvailable, manualSeed, setNumThreads } from '@transformer-ls/torch';
import type { ByteCorpus } from '../data/byte-corpus.js';
import { corpusDescriptor } from '../data/corpora.js';
import { type PrepareProgress, prepareCorpus } from '../data/prepare.js';
import { openPrepared } from '../data/prepared-corpus.js';
import { byteVocabulary, FairseqDictionary, type Vocabulary } from '../data/vocabulary.js';
import { createLanguageModel } from '../models/language-model/create.js';
import { LanguageModelTask } from './language-model-task.js';
import { Precision } from './precision.js';

/** Folders that hold data. */
export interface DataPlaces {
  /** Of all prepared corpora. */
  readonly folder: string;
  /** More folders in which the file of a fixed corpus may lie. */
  readonly searchFolders: readonly string[];
}

/** What a run is made of before it has a folder. */
export interface Parts {
  readonly task: LanguageModelTask;
  readonly precision: Precision;
  /** The dictionary of reference mode, without which the weights are of no use. */
  readonly dictionary: FairseqDictionary | null;
  readonly train: ByteCorpus;
  readonly valid: ByteCorpus;
}

/**
 * Opens the corpus (prepared first where that has not been done), sets threads and seed, builds the model.
 *
 * Throws ConfigError or DataError in one line.
 */
export async function buildParts(
  config: TrainingConfig,
  data: DataPlaces,
  onProgress?: (progress: PrepareProgress) => void,
): Promise<Parts> {
  checkDevice(config);
  const { name, path } = config.data;
  const prepared = await prepareCorpus(name, {
    folder: data.folder,
    from: path ?? undefined,
    searchFolders: data.searchFolders,
    onProgress,
  });
  const [train, valid] = [openPrepared(prepared, 'train'), openPrepared(prepared, 'valid')];
  const vocabulary = vocabularyOf(config, train);
  setNumThreads(config.threads ?? availableParallelism());
  manualSeed(config.seed);
  const model = createLanguageModel(config.model);
  model.to({ device: config.device });
  const precision = new Precision(config.precision, config.device);
  const task = new LanguageModelTask({ model, config, vocabulary, train, valid, precision });
  const dictionary = vocabulary instanceof FairseqDictionary ? vocabulary : null;
  return { task, precision, dictionary, train, valid };
}

function checkDevice({ device, precision }: TrainingConfig): void {
  if (device === 'cpu' && precision === 'float16')
    throw new ConfigError(['precision: float16 needs a GPU, on the CPU take float32 or bfloat16']);
  if (device !== 'cpu' && !isCudaAvailable())
    throw new ConfigError([
      `device: ${device} was asked for, but this libtorch sees no GPU; take --device cpu`,
    ]);
}

function vocabularyOf({ model, data }: TrainingConfig, train: ByteCorpus): Vocabulary {
  const { dictionaryStyle } = corpusDescriptor(data.name);
  const isReference = model.mode === 'reference';
  const vocabulary = isReference ? FairseqDictionary.fromCorpus(train, dictionaryStyle) : byteVocabulary;
  const { vocabularySize } = vocabulary;
  if (vocabularySize === model.vocabularySize) return vocabulary;
  const kind = isReference ? `the dictionary of ${data.name} (reference mode)` : 'bytes (consistent mode)';
  throw new ConfigError([
    `model.vocabularySize: expected ${vocabularySize} for ${kind}, received ${model.vocabularySize}; ` +
      `add --set model.vocabularySize=${vocabularySize}`,
  ]);
}
