/** Corpus, vocabulary, model and task of a language model's run. */
import { ConfigError, type LanguageModelTrainingConfig } from '@transformer-ls/formats';
import type { ByteCorpus } from '../data/byte-corpus.js';
import { corpusDescriptor } from '../data/corpora.js';
import { prepareCorpus } from '../data/prepare.js';
import { openPrepared } from '../data/prepared-corpus.js';
import { WHOLE } from '../data/share.js';
import {
  byteVocabulary,
  dictionaryOfCorpus,
  FairseqDictionary,
  type Vocabulary,
} from '../data/vocabulary.js';
import { createLanguageModel } from '../models/language-model/create.js';
import { LanguageModelTask } from './language-model-task.js';
import type { DataPlaces, Parts, PartsOptions } from './parts.js';
import type { Precision } from './precision.js';

/** Throws ConfigError or DataError in one line. */
export async function languageModelParts(
  config: LanguageModelTrainingConfig,
  places: DataPlaces,
  precision: Precision,
  { onProgress, ranks }: PartsOptions = {},
): Promise<Parts> {
  const { name, path } = config.data;
  const prepared = await prepareCorpus(name, {
    folder: places.folder,
    from: path ?? undefined,
    searchFolders: places.searchFolders,
    onProgress,
  });
  const [train, valid] = [openPrepared(prepared, 'train'), openPrepared(prepared, 'valid')];
  const vocabulary = vocabularyOf(config, train);
  const model = createLanguageModel(config.model);
  model.to({ device: config.device });
  const task = new LanguageModelTask({
    model,
    config,
    vocabulary,
    train,
    valid,
    precision,
    share: ranks?.share ?? WHOLE,
    rowShare: ranks?.rowShare ?? WHOLE,
    sequenceGroup: ranks?.sequenceGroup(config.device) ?? null,
  });
  const isDictionary = vocabulary instanceof FairseqDictionary;
  return {
    config,
    task,
    data: {
      name: train.name,
      sha256: train.fingerprint ?? null,
      caution: corpusDescriptor(train.name).notToBeReportedAs,
    },
    // The dictionary of reference mode: which id stands for which symbol.
    companions: new Map(isDictionary ? [['dict.txt', vocabulary.toText()]] : []),
    close: () => {
      train.close();
      valid.close();
    },
  };
}

function vocabularyOf({ model, data }: LanguageModelTrainingConfig, train: ByteCorpus): Vocabulary {
  const { dictionaryStyle } = corpusDescriptor(data.name);
  const isReference = model.mode === 'reference';
  const vocabulary = isReference ? dictionaryOfCorpus(train, dictionaryStyle) : byteVocabulary;
  const { vocabularySize } = vocabulary;
  if (vocabularySize === model.vocabularySize) return vocabulary;
  const kind = isReference ? `the dictionary of ${data.name} (reference mode)` : 'bytes (consistent mode)';
  throw new ConfigError([
    `model.vocabularySize: expected ${vocabularySize} for ${kind}, received ${model.vocabularySize}; ` +
      `add --set model.vocabularySize=${vocabularySize}`,
  ]);
}
