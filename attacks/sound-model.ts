/** The configuration that attacks start from: a language model with nothing wrong, as small as one can be. */
export const languageModel = {
  kind: 'language-model',
  vocabularySize: 256,
  layers: 1,
  modelDim: 4,
  heads: 1,
  innerDim: 4,
  windowSize: 4,
  chunkSize: 4,
  projectionRank: 0,
  memoryLength: 4,
};
