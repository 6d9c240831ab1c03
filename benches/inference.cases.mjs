/** What benches/inference.mjs runs. `published` is the configuration of the published module, or missing where it is left out. */
import { languageModelSchema, parseConfig } from '../packages/formats/dist/index.js';
import { classifierPreset } from '../packages/transformer-ls/dist/models/sequence-classifier/presets.js';
import { archString } from '../packages/transformer-ls/dist/models/vil-ls/arch-string.js';
import { vilLsPreset } from '../packages/transformer-ls/dist/models/vil-ls/presets.js';

const text = classifierPreset('lra-text', 'reference');

/** A small language model of its own mode and, for the published code, of the published one. */
function languageModel(mode, sizes) {
  return parseConfig(languageModelSchema, {
    kind: 'language-model',
    mode,
    vocabularySize: 256,
    layers: 6,
    modelDim: 256,
    heads: 4,
    innerDim: 1024,
    windowSize: 128,
    memoryLength: 1024,
    chunkSize: 16,
    projectionRank: 1,
    ...sizes,
  });
}

function vision(name) {
  const config = vilLsPreset(name, { mode: 'reference' });
  return {
    what: `${name}, one picture of ${config.imageHeight} x ${config.imageWidth}`,
    config,
    published: config,
    arch: archString(config.stages),
    perRun: 1,
    unit: 'pictures',
    times: 2,
    comparable: true,
  };
}

/** Tokens that one measurement streams. */
const TOKENS = 64;

function streaming(sizes) {
  const config = languageModel('consistent', sizes);
  return {
    what: `a language model of ${config.layers} layers, D ${config.modelDim}, window ${config.windowSize}, memory ${config.memoryLength}: one token after the other`,
    config,
    published: languageModel('reference', sizes),
    tokens: TOKENS,
    perRun: TOKENS,
    unit: 'tokens',
    times: 1,
    comparable: false,
  };
}

export const CASES = {
  text: {
    what: `the published text classifier of Long Range Arena, one document of ${text.maxLength} bytes`,
    config: text,
    published: text,
    length: text.maxLength,
    perRun: 1,
    unit: 'documents',
    times: 3,
    comparable: true,
  },
  'vil-ls-tiny': vision('vil-ls-tiny'),
  'vil-ls-medium': vision('vil-ls-medium'),
  streaming: streaming({}),
  // For smoke runs.
  tiny: streaming({ layers: 1, modelDim: 16, heads: 2, innerDim: 16, windowSize: 16, memoryLength: 32 }),
};
