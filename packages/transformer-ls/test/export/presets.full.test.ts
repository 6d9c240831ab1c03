// Every preset of every family in both modes, at its full size, exported: the export compares it with libtorch at several lengths.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ImageClassifierConfig } from '@transformer-ls/formats';
import { type Module, manualSeed } from '@transformer-ls/torch';
import { describe, expect, it } from 'vitest';
import type { ExportReport } from '../../src/export/export.js';
import { cvtLsPreset, cvtLsPresetNames } from '../../src/models/cvt-ls/presets.js';
import { createLanguageModel } from '../../src/models/language-model/create.js';
import { preset, presetNames } from '../../src/models/language-model/presets.js';
import { SequenceClassifier } from '../../src/models/sequence-classifier/model.js';
import { classifierPreset, classifierPresetNames } from '../../src/models/sequence-classifier/presets.js';
import { vilLsPreset, vilLsPresetNames } from '../../src/models/vil-ls/presets.js';
import { createImageClassifier } from '../../src/models/vision/image-classifier.js';
import { scratchFolder } from '../data/scratch-folder.js';
import { exportImages, exportLanguageModel, exportText } from './small-exports.js';

const LARGEST_ERROR = 1e-4;
const MODES = ['consistent', 'reference'] as const;
const script = fileURLToPath(new URL('../../../../scripts/check-onnx.py', import.meta.url));
/** A Python with onnx and onnxruntime. */
const python = [process.env.ONNX_PYTHON, process.env.TORCH_PYTHON, 'python3'].find(
  (one) => one !== undefined && spawnSync(one, ['-c', 'import onnx, onnxruntime']).status === 0,
);

async function check(model: Module, write: (folder: string) => Promise<ExportReport>): Promise<void> {
  model.eval();
  const { comparisons } = await write(scratchFolder());
  model.dispose();
  for (const { text, error } of comparisons) expect(error, text).toBeLessThan(LARGEST_ERROR);
  expect(comparisons.length).toBeGreaterThan(1);
}

const both = <N extends string>(names: readonly N[]) =>
  names.flatMap((name) => MODES.map((mode) => [name, mode] as const));

describe('language models', () => {
  it.each(both(presetNames))('%s, %s mode', async (name, mode) => {
    manualSeed(1);
    const model = createLanguageModel(preset(name, { mode }));
    await check(model, (path) => exportLanguageModel(model, path));
  });
});

describe('classifiers of texts', () => {
  it.each(both(classifierPresetNames))('%s, %s mode', async (name, mode) => {
    manualSeed(1);
    const config = classifierPreset(name, mode);
    const model = new SequenceClassifier(config);
    const classes = Array.from({ length: config.classes }, (_, i) => String(i));
    await check(model, (path) => exportText({ model, config, classes, training: undefined } as never, path));
  });
});

function checkImages(config: ImageClassifierConfig): Promise<void> {
  manualSeed(1);
  const model = createImageClassifier(config);
  const classes = Array.from({ length: config.classes }, (_, i) => ({ id: `n${i}`, name: `class ${i}` }));
  return check(model, (path) => exportImages({ model, config, classes, training: undefined } as never, path));
}

describe('classifiers of pictures', () => {
  it.each(both(vilLsPresetNames))('%s, %s mode', (name, mode) => checkImages(vilLsPreset(name, { mode })));
  it.each(cvtLsPresetNames)('%s', (name) => checkImages(cvtLsPreset(name)));
});

describe.skipIf(python === undefined)(
  'in another implementation (skipped: no Python with onnx; name one in ONNX_PYTHON)',
  () => {
    it("every shipped model passes ONNX's checker and gives the same in its reference evaluator", () => {
      const models = fileURLToPath(new URL('../../../../models/', import.meta.url));
      const names = ['wikipedia', 'declarations', 'listops', 'film-reviews', 'small-pictures'];
      const folders = names.map((name) => `${models}${name}/onnx`);
      const { status, stdout, stderr } = spawnSync(python as string, [script, ...folders], {
        encoding: 'utf8',
      });
      expect(status, stderr).toBe(0);
      for (const path of folders) expect(stdout).toContain(`${path}/`);
    });
  },
);
