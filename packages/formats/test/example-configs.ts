// Valid configurations with nothing but the required fields.

export const languageModel = {
  kind: 'language-model',
  vocabularySize: 256,
  layers: 2,
  modelDim: 64,
  heads: 4,
  innerDim: 128,
  windowSize: 32,
  chunkSize: 8,
  projectionRank: 1,
  memoryLength: 64,
};

export const training = {
  kind: 'training',
  recipe: 'debug',
  model: languageModel,
  data: { name: 'embedded' },
  segmentLength: 64,
  batchSize: 4,
  optimizer: { name: 'adamw', learningRate: 1e-3 },
  schedule: { name: 'cosine', warmupSteps: 10 },
  maxSteps: 100,
  evaluateEverySteps: 50,
  evaluateTokens: 4096,
  checkpointEverySteps: 50,
  seed: 1,
};
