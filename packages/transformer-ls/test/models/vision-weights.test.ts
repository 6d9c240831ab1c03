import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cvtLsSchema, encodeSafetensors, parseConfig, parseSafetensors } from '@transformer-ls/formats';
import { manualSeed, noGrad, randn, scope, zeros } from '@transformer-ls/torch';
import { beforeEach, describe, expect, it } from 'vitest';
import { createImageClassifier } from '../../src/models/vision/image-classifier.js';
import { loadImageClassifier } from '../../src/models/vision/weights.js';
import { classNamesText, parseClassNames } from '../../src/weights/class-names.js';
import { writeModelFolder } from '../../src/weights/model-folder.js';
import { scratchFolder } from '../data/scratch-folder.js';
import { entriesOf, tinyVilLs, tinyVilLsEntries } from '../import/saved-models.js';

let folder = '';
beforeEach(() => {
  folder = scratchFolder();
});

const classes = ['cat', 'dog', 'eel', 'fox', 'gnu'].map((name, i) => ({ id: `n0000000${i}`, name }));

async function modelFolder(
  config = tinyVilLs(),
  texts = new Map([['classes.txt', classNamesText(classes)]]),
) {
  const path = join(folder, 'model');
  await writeModelFolder(path, { config, tensors: tinyVilLsEntries(config), texts }, true);
  return path;
}

async function messageOf(path: string, options = {}): Promise<string> {
  try {
    (await loadImageClassifier(path, options)).model.dispose();
  } catch (error) {
    const { name, message } = error as Error;
    expect(['WeightsError', 'RunFolderError', 'SafetensorsError', 'ConfigError']).toContain(name);
    expect(message).not.toContain('\n');
    return message;
  }
  throw new Error('no error came');
}

describe('loadImageClassifier', () => {
  it('loads values and class names, in evaluation mode', async () => {
    const path = await modelFolder();
    const { model, ...loaded } = await loadImageClassifier(path);
    expect(loaded).toMatchObject({ classes, hasClassNames: true, resized: [], training: undefined });
    expect(model.training).toBe(false);
    const stored = parseSafetensors(readFileSync(join(path, 'model.safetensors'))).tensors.get(
      'head.weight',
    )!;
    const weight = model.stateDict().get('head.weight')!;
    expect(Buffer.from(weight.toFloat32Array().buffer).equals(Buffer.from(stored.data))).toBe(true);
    model.dispose();
  });

  it('gives numbers where no names are kept, and refuses names that are not as many', async () => {
    const bare = await loadImageClassifier(await modelFolder(tinyVilLs(), new Map()));
    expect(bare).toMatchObject({ hasClassNames: false });
    expect(bare.classes[3]).toEqual({ id: '3', name: '3' });
    bare.model.dispose();
    const path = await modelFolder();
    writeFileSync(join(path, 'classes.txt'), 'cat\ndog\n');
    expect(await messageOf(path)).toContain('classes.txt: expected 5 lines, one for each class, received 2');
  });

  it('loads a model for images of another size', async () => {
    const path = await modelFolder();
    const { model, config, resized } = await loadImageClassifier(path, {
      imageSize: { height: 48, width: 48 },
    });
    expect(config).toMatchObject({ imageHeight: 48, imageWidth: 48 });
    expect(resized).toMatchObject([
      { stage: 3, from: [3, 3], to: [5, 5] },
      { stage: 4, from: [3, 3], to: [5, 5] },
    ]);
    const logits = scope(() => noGrad(() => model.forward(zeros([1, 3, 48, 48])).toFloat32Array()));
    expect([...logits].every(Number.isFinite)).toBe(true);
    model.dispose();
    expect(await messageOf(path, { imageSize: { height: 40, width: 40 } })).toMatch(
      /takes no images of 40 x 40: .*nearest that it takes: 32 and 48$/,
    );
  });

  it('CvT-LS, which has no positions, takes any size that its stages do', async () => {
    const stage = {
      modelDim: 8,
      heads: 2,
      layers: 1,
      embeddingKernel: 3,
      embeddingStride: 2,
      windowSize: 2,
      projectionRank: 2,
    };
    const config = parseConfig(cvtLsSchema, {
      kind: 'cvt-ls',
      imageHeight: 16,
      imageWidth: 16,
      classes: 3,
      stages: [stage, stage],
    });
    manualSeed(2);
    const made = scope(() => createImageClassifier(config));
    const path = join(folder, 'cvt');
    await writeModelFolder(path, { config, tensors: entriesOf(made), texts: new Map() }, false);
    made.dispose();
    const { model } = await loadImageClassifier(path, { imageSize: { height: 24, width: 20 } });
    const shape = scope(() => noGrad(() => model.forward(randn([1, 3, 24, 20])).shape));
    expect(shape).toEqual([1, 3]);
    model.dispose();
  });

  it.each([
    [
      'stages[0].layers 9',
      (config: ReturnType<typeof tinyVilLs>) => ({
        ...config,
        stages: config.stages.map((one, i) => (i === 0 ? { ...one, layers: 9 } : one)),
      }),
      'expected 9 blocks in stage 1, found 1',
    ],
    [
      'a million classes',
      (config: ReturnType<typeof tinyVilLs>) => ({ ...config, classes: 1_000_000 }),
      'head.weight: expected shape [1000000,16], found [5,16]',
    ],
    [
      'wide feed-forward',
      (config: ReturnType<typeof tinyVilLs>) => ({ ...config, innerRatio: 1e6 }),
      'layer1.2.mlp.fc1.weight: expected shape [8000000,8], found [32,8]',
    ],
    [
      'huge images',
      (config: ReturnType<typeof tinyVilLs>) => ({ ...config, imageHeight: 65_536, imageWidth: 65_536 }),
      'for the places of relative positions, expected at most a quarter',
    ],
  ])('a configuration that claims %s is found out before anything is built', async (_, change, message) => {
    const path = await modelFolder(tinyVilLs(), new Map());
    const file = join(path, 'model.safetensors');
    const { tensors } = parseSafetensors(readFileSync(file));
    writeFileSync(file, encodeSafetensors(tensors, { model: JSON.stringify(change(tinyVilLs())) }));
    expect(await messageOf(path)).toContain(message);
  });

  it('lists tensors that are missing, and says what is no vision model', async () => {
    const path = await modelFolder();
    const file = join(path, 'model.safetensors');
    const { tensors, metadata } = parseSafetensors(readFileSync(file));
    tensors.delete('layer2.1.norm.bias');
    writeFileSync(file, encodeSafetensors(tensors, metadata));
    expect(await messageOf(path)).toContain('missing: layer2.1.norm.bias');
  });
});

describe('classes.txt', () => {
  it('holds identifiers and names, or names alone', () => {
    const mixed = [...classes, { id: 'goose', name: 'goose' }];
    expect(classNamesText(mixed)).toContain('n00000000\tcat\n');
    expect(classNamesText(mixed)).toContain('\ngoose\n');
    expect(parseClassNames(classNamesText(mixed))).toEqual(mixed);
    expect(parseClassNames('a\r\nb b\tc\r\n')).toEqual([
      { id: 'a', name: 'a' },
      { id: 'b b', name: 'c' },
    ]);
  });

  it('cannot be broken by a name', () => {
    expect(
      parseClassNames(
        classNamesText([
          { id: 'a\nb', name: 'c\td' },
          { id: 'e', name: 'e' },
        ]),
      ),
    ).toEqual([
      { id: 'a b', name: 'c d' },
      { id: 'e', name: 'e' },
    ]);
  });
});
