// Small models of every kind with random weights, and what is exported of them.
import {
  type ClassifierConfig,
  type CvtLsConfig,
  classifierSchema,
  cvtLsSchema,
  type ImageClassifierConfig,
  type LanguageModelConfig,
  languageModelSchema,
  parseConfig,
  type VilLsConfig,
  vilLsSchema,
} from '@transformer-ls/formats';
import { type Module, manualSeed, noGrad } from '@transformer-ls/torch';
import { byteVocabulary, type Vocabulary } from '../../src/data/vocabulary.js';
import { type ExportOptions, type ExportReport, exportModel } from '../../src/export/export.js';
import type { Exportable } from '../../src/export/exportable.js';
import { exportableImageClassifier } from '../../src/export/image-classifier.js';
import { exportableLanguageModel } from '../../src/export/language-model.js';
import { exportableTextClassifier } from '../../src/export/text-classifier.js';
import { type CausalLanguageModel, createLanguageModel } from '../../src/models/language-model/create.js';
import { SequenceClassifier } from '../../src/models/sequence-classifier/model.js';
import type { LoadedClassifier } from '../../src/models/sequence-classifier/weights.js';
import { createImageClassifier } from '../../src/models/vision/image-classifier.js';
import type { LoadedImageClassifier } from '../../src/models/vision/weights.js';

/** Larger than at the start, so that what is wrong shows. */
function withLargeWeights<M extends Module>(model: M): M {
  noGrad(() => {
    for (const parameter of model.parameters()) parameter.normal_(0, 0.5);
  });
  model.eval();
  return model;
}

export function smallLanguageModel(
  changes: Partial<LanguageModelConfig> = {},
  seed = 1,
): CausalLanguageModel {
  const config = parseConfig(languageModelSchema, {
    kind: 'language-model',
    vocabularySize: 256,
    layers: 2,
    modelDim: 8,
    heads: 2,
    innerDim: 12,
    windowSize: 6,
    chunkSize: 4,
    projectionRank: 2,
    memoryLength: 12,
    ...changes,
  });
  manualSeed(seed);
  return withLargeWeights(createLanguageModel(config));
}

type ClassifierChanges = Partial<Omit<ClassifierConfig, 'attention'>> & {
  readonly attention?: Partial<ClassifierConfig['attention']>;
};

export function smallClassifier({ attention, ...changes }: ClassifierChanges = {}): LoadedClassifier {
  const config = parseConfig(classifierSchema, {
    kind: 'sequence-classifier',
    classes: 3,
    vocabularySize: 257,
    maxLength: 48,
    layers: 2,
    modelDim: 8,
    heads: 2,
    innerDim: 12,
    ...changes,
    attention: { name: 'long-short', windowSize: 4, projectionRank: 3, ...attention },
  });
  manualSeed(2);
  const model = withLargeWeights(new SequenceClassifier(config));
  return { model, config, classes: ['no', 'maybe', 'yes'], training: undefined } as never;
}

function smallVision(config: ImageClassifierConfig): LoadedImageClassifier {
  manualSeed(3);
  const model = withLargeWeights(createImageClassifier(config));
  const classes = Array.from({ length: config.classes }, (_, i) => ({ id: `n${i}`, name: `class ${i}` }));
  return { model, config, classes, training: undefined } as never;
}

export function smallVilLs(
  changes: Partial<VilLsConfig> = {},
  stage: Partial<VilLsConfig['stages'][number]> = {},
) {
  const stages = [
    { layers: 1, modelDim: 8, heads: 2, patchSize: 4, windowSize: 3, projectionRank: 2 },
    { layers: 2, modelDim: 12, heads: 2, patchSize: 2, windowSize: 2, projectionRank: 3 },
  ].map((one) => ({ ...one, ...stage }));
  const sizes = { kind: 'vil-ls', imageHeight: 24, imageWidth: 24, classes: 5 };
  return smallVision(parseConfig(vilLsSchema, { ...sizes, stages, ...changes }));
}

export function smallCvtLs(
  changes: Partial<CvtLsConfig> = {},
  stage: Partial<CvtLsConfig['stages'][number]> = {},
) {
  const stages = [
    {
      layers: 1,
      modelDim: 8,
      heads: 2,
      embeddingKernel: 7,
      embeddingStride: 4,
      windowSize: 3,
      projectionRank: 2,
    },
    {
      layers: 2,
      modelDim: 12,
      heads: 2,
      embeddingKernel: 3,
      embeddingStride: 2,
      windowSize: 2,
      projectionRank: 3,
    },
  ].map((one) => ({ ...one, ...stage }));
  const sizes = { kind: 'cvt-ls', imageHeight: 24, imageWidth: 24, classes: 5 };
  return smallVision(parseConfig(cvtLsSchema, { ...sizes, stages, ...changes }));
}

export function exportLanguageModel(
  model: CausalLanguageModel,
  folder: string,
  options: Partial<ExportOptions> & { readonly vocabulary?: Vocabulary } = {},
): Promise<ExportReport> {
  const { vocabulary = byteVocabulary, ...rest } = options;
  return written(exportableLanguageModel(model, vocabulary), folder, rest);
}

export function exportText(loaded: LoadedClassifier, folder: string, options: Partial<ExportOptions> = {}) {
  return written(exportableTextClassifier(loaded), folder, options);
}

export function exportImages(
  loaded: LoadedImageClassifier,
  folder: string,
  options: Partial<ExportOptions> = {},
) {
  return written(exportableImageClassifier(loaded), folder, options);
}

function written(
  exportable: Exportable,
  folder: string,
  options: Partial<ExportOptions>,
): Promise<ExportReport> {
  return exportModel(exportable, folder, {
    name: 'small',
    weights: 'float32',
    version: '0.0.0',
    provenance: {
      source: 'a test',
      step: null,
      weightsSha256: '0'.repeat(64),
      data: null,
      exported: 'in a test',
    },
    ...options,
  });
}
