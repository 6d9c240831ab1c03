export * from './byte-corpus.js';
export * from './corpora.js';
export { type DownloadOptions, type DownloadProgress, downloadFile } from './download.js';
export { type EmbeddedText, embeddedText } from './embedded-text.js';
export { DataError } from './errors.js';
export * from './evaluation-blocks.js';
export { openCorpus, type PrepareOptions, type PrepareProgress, prepareCorpus } from './prepare.js';
export { openPrepared, type PreparedCorpus, preparedFolder } from './prepared-corpus.js';
export type { Range, Share } from './share.js';
export * from './synthetic.js';
export { type TokenBatch, TokenStream, type TokenStreamState } from './token-stream.js';
export { type UnpackLimits, unpackedBytes } from './unpack.js';
export {
  byteVocabulary,
  type DictionaryEntry,
  dictionaryOfCorpus,
  FairseqDictionary,
  readDictionary,
  type SymbolStyle,
  type Vocabulary,
  writeDictionary,
} from './vocabulary.js';
