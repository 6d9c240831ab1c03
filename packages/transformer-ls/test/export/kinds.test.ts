// Every kind of model that can be exported: written, run in ONNX Runtime, and compared with libtorch by the export itself.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import {
  type ClassifierConfig,
  type CvtLsConfig,
  EXPORT_MANIFEST_NAME,
  type ExportedModel,
  exportedModelSchema,
  type LanguageModelConfig,
  parseConfigText,
  type VilLsConfig,
} from '@transformer-ls/formats';
import { memoryStats } from '@transformer-ls/torch';
import { describe, expect, it } from 'vitest';
import type { ExportReport } from '../../src/export/export.js';
import { exportableTextClassifier } from '../../src/export/text-classifier.js';
import { scratchFolder } from '../data/scratch-folder.js';
import {
  exportImages,
  exportLanguageModel,
  exportText,
  smallClassifier,
  smallCvtLs,
  smallLanguageModel,
  smallVilLs,
} from './small-exports.js';

/** What only rounding makes of equal computations, relative to the largest number of a result. */
const ROUNDING = 1e-5;

/** The manifest as it was written, when the folder holds what it says and the errors are those of rounding. */
function checked(folder: string, { manifest, comparisons, bytes }: ExportReport): ExportedModel {
  const text = readFileSync(join(folder, EXPORT_MANIFEST_NAME), 'utf8');
  const read = parseConfigText(exportedModelSchema, text, EXPORT_MANIFEST_NAME);
  expect(read).toEqual(JSON.parse(JSON.stringify(manifest)));
  const names = readdirSync(folder).filter((name) => name !== EXPORT_MANIFEST_NAME);
  expect(read.files.map(({ name }) => name).sort()).toEqual(names.sort());
  for (const file of read.files) {
    const content = readFileSync(join(folder, file.name));
    expect(file.bytes).toBe(content.length);
    expect(file.sha256).toBe(createHash('sha256').update(content).digest('hex'));
  }
  expect(bytes).toBe(
    readdirSync(folder).reduce((total, name) => total + statSync(join(folder, name)).size, 0),
  );
  for (const { error, text: line } of comparisons) expect(error, line).toBeLessThan(ROUNDING);
  expect(read.check.compared).toEqual(comparisons.map(({ text: line }) => line));
  expect(read.check.largestError).toBe(Math.max(...comparisons.map(({ error }) => error)));
  return read;
}

describe('a language model', () => {
  it.each<[string, Partial<LanguageModelConfig>]>([
    ['consistent', {}],
    ['of rank 0', { projectionRank: 0 }],
    ['of rank 1', { projectionRank: 1 }],
    ['without memory', { memoryLength: 0 }],
    ['that sees one token', { windowSize: 1 }],
    ['whose chunks are one token', { chunkSize: 1, memoryLength: 9 }],
    ['whose window is shorter than a chunk', { windowSize: 2, chunkSize: 6 }],
    ['with a window longer than a block', { windowSize: 200, memoryLength: 160 }],
    ['with clamped positions', { windowPositionClamp: 2, chunkPositionClamp: 1 }],
    ['with biases and relu', { projectionBiases: true, activation: 'relu' }],
    ['of one head and one layer', { heads: 1, layers: 1 }],
  ])('%s', async (_, changes) => {
    const folder = scratchFolder();
    const model = smallLanguageModel(changes);
    const manifest = checked(folder, await exportLanguageModel(model, folder));
    expect(manifest).toMatchObject({
      kind: 'language-model',
      step: 'step.onnx',
      block: 'block.onnx',
      vocabulary: { kind: 'bytes' },
    });
    // Where a stream begins, where little is remembered, and where all is full.
    expect(manifest.check.compared.length).toBeGreaterThanOrEqual(6);
    model.dispose();
  });

  it.each<[string, Partial<LanguageModelConfig>]>([
    ['reference', {}],
    ['reference, layer norm after each part', { normPlacement: 'post' }],
    ['reference, of rank 1 with biases', { projectionRank: 1, projectionBiases: true }],
    ['reference, whose window is no multiple of a chunk', { windowSize: 9, memoryLength: 12 }],
  ])('%s', async (_, changes) => {
    const folder = scratchFolder();
    const model = smallLanguageModel({ mode: 'reference', ...changes });
    const manifest = checked(folder, await exportLanguageModel(model, folder));
    expect(manifest).toMatchObject({ kind: 'language-model', step: null, block: 'block.onnx' });
    model.dispose();
  });
});

describe('a text classifier', () => {
  type Changes = Parameters<typeof smallClassifier>[0];
  const cases: [string, Changes][] = [
    ['with a class token in the last layer', {}],
    ['with a class token in every layer', { pooling: 'class-token' }],
    ['that takes the mean', { pooling: 'mean' }],
    ['that takes the first token', { pooling: 'first-token' }],
    ['of pairs', { inputs: 'two' }],
    ['of pairs that takes the mean', { inputs: 'two', pooling: 'mean' }],
    ['with shared layers', { sharedLayers: true }],
    ['with a convolution', { attention: { convolutionSize: 5 } }],
    ['with an odd window', { attention: { windowSize: 5 } }],
    ['with a window of one token', { attention: { windowSize: 1 } }],
    ['with a window alone', { attention: { name: 'window-only' } }],
    ['with a projection alone', { attention: { name: 'projection-only' } }],
    ['without window', { attention: { windowSize: 0 } }],
    ['without projection', { attention: { projectionRank: 0 } }],
    ['as published', { mode: 'reference' }],
    ['as published, with a class token in every layer', { mode: 'reference', pooling: 'class-token' }],
    ['as published, that takes the mean', { mode: 'reference', pooling: 'mean' }],
    ['as published, of pairs', { mode: 'reference', inputs: 'two' }],
    ['as published, with a convolution', { mode: 'reference', attention: { convolutionSize: 3 } }],
    ['as published, with a window alone', { mode: 'reference', attention: { name: 'window-only' } }],
    ['as published, with a projection alone', { mode: 'reference', attention: { name: 'projection-only' } }],
  ];
  it.each(cases)('%s', async (_, changes) => {
    const folder = scratchFolder();
    const loaded = smallClassifier(changes);
    const { mode, attention, inputs, maxLength } = loaded.config;
    const manifest = checked(folder, await exportText(loaded, folder));
    expect(manifest).toMatchObject({
      kind: 'text-classifier',
      graph: 'classify.onnx',
      tokens: 'bytes',
      longest: maxLength,
      paddedTo: mode === 'reference' ? maxLength : null,
      classes: [
        { id: 'no', name: 'no' },
        { id: 'maybe', name: 'maybe' },
        { id: 'yes', name: 'yes' },
      ],
    });
    if (mode === 'consistent') {
      const lengths = manifest.check.compared.map((line) => Number(/, L (\d+)/.exec(line)![1]));
      expect(lengths).toContain(1);
      expect(lengths).toContain(maxLength);
      for (const near of [-1, 0, 1])
        if (attention.windowSize + near > 0) expect(lengths).toContain(attention.windowSize + near);
      if (inputs === 'two') expect(manifest.check.compared[0]).toMatch(/, M \d+/);
    }
    loaded.model.dispose();
  });

  it.each<[ClassifierConfig['attention']['name']]>([['full'], ['linformer'], ['performer'], ['bigbird']])(
    'with %s attention is refused',
    (name) => {
      const loaded = smallClassifier({ pooling: 'mean', attention: { name } });
      expect(() => exportableTextClassifier(loaded)).toThrow(
        `attention ${name}: expected long-short attention or one of its halves`,
      );
      loaded.model.dispose();
    },
  );

  it('as published that takes the first token is refused: at full length it has one token too many', async () => {
    const loaded = smallClassifier({ mode: 'reference', pooling: 'first-token' });
    const message = 'expected at most 48 tokens a sequence, received 49';
    await expect(exportText(loaded, scratchFolder())).rejects.toThrow(message);
    loaded.model.dispose();
  });

  it.each([
    ['class-token', 'class token'],
    ['class-token-last-layer', 'class token'],
    ['mean', 'projection'],
  ] as const)('pooled by %s shows the heat of the %s', async (pooling, heat) => {
    const folder = scratchFolder();
    const loaded = smallClassifier({ pooling });
    expect(checked(folder, await exportText(loaded, folder))).toMatchObject({ heat });
    loaded.model.dispose();
  });

  it('has no heat where its attention has nothing to show', async () => {
    const folder = scratchFolder();
    const loaded = smallClassifier({ pooling: 'mean', attention: { name: 'window-only' } });
    expect(checked(folder, await exportText(loaded, folder))).toMatchObject({ heat: 'none' });
    loaded.model.dispose();
  });
});

describe('ViL-LS', () => {
  it.each<[string, Partial<VilLsConfig>, Partial<VilLsConfig['stages'][number]>]>([
    ['consistent', {}, {}],
    ['that is not square, with patches and windows that do not fit', { imageHeight: 19, imageWidth: 30 }, {}],
    ['with two global tokens, pooled by the first', { pooling: 'global-token' }, { globalTokens: 2 }],
    ['without global tokens', {}, { globalTokens: 0 }],
    ['with absolute positions', {}, { positions: 'absolute' }],
    ['without window', {}, { windowSize: 0 }],
    ['without projection', {}, { projectionRank: 0 }],
    ['with full attention', {}, { attention: 'full' }],
    ['with full attention and without global tokens', {}, { attention: 'full', globalTokens: 0 }],
    ['without biases, with a scale of its own', { queryKeyValueBiases: false, scoreScale: 0.3 }, {}],
    ['as published', { mode: 'reference' }, { windowSize: 3 }],
    [
      'as published, pooled by the global token',
      { mode: 'reference', pooling: 'global-token' },
      { windowSize: 3 },
    ],
  ])('%s', async (_, changes, stage) => {
    const folder = scratchFolder();
    const loaded = smallVilLs(changes, stage);
    const manifest = checked(folder, await exportImages(loaded, folder));
    expect(manifest).toMatchObject({
      kind: 'image-classifier',
      model: { kind: 'vil-ls', imageHeight: loaded.config.imageHeight, imageWidth: loaded.config.imageWidth },
      filter: 'bicubic',
      cropRatio: 0.875,
    });
    loaded.model.dispose();
  });
});

describe('CvT-LS', () => {
  it.each<[string, Partial<CvtLsConfig>, Partial<CvtLsConfig['stages'][number]>]>([
    ['with a class token', {}, {}],
    ['that takes the mean', { classToken: false }, {}],
    ['that is not square', { imageHeight: 21, imageWidth: 34 }, {}],
    ['without window', {}, { windowSize: 0 }],
    ['without projection', {}, { projectionRank: 0 }],
    ['with full attention', {}, { attention: 'full' }],
    ['with the published details', { activation: 'quick-gelu', scoreScale: 'model-dim' }, {}],
  ])('%s', async (_, changes, stage) => {
    const folder = scratchFolder();
    const loaded = smallCvtLs(changes, stage);
    expect(checked(folder, await exportImages(loaded, folder))).toMatchObject({
      kind: 'image-classifier',
      model: { kind: 'cvt-ls' },
    });
    loaded.model.dispose();
  });
});

describe('an export', () => {
  it('leaves no tensor behind, and the model as it was', async () => {
    const loaded = smallClassifier();
    const before = memoryStats().liveTensors;
    await exportText(loaded, scratchFolder());
    expect(memoryStats().liveTensors).toBe(before);
    const model = smallLanguageModel();
    const withModel = memoryStats().liveTensors;
    await exportLanguageModel(model, scratchFolder());
    expect(memoryStats().liveTensors).toBe(withModel);
    const vision = smallVilLs();
    const withVision = memoryStats().liveTensors;
    await exportImages(vision, scratchFolder());
    expect(memoryStats().liveTensors).toBe(withVision);
    for (const one of [loaded.model, model, vision.model]) one.dispose();
  });
});
