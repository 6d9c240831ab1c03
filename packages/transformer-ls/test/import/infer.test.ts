// The configuration that follows from names and shapes is the one the model was made from.
import {
  type ClassifierConfig,
  PickleDict,
  parseConfig,
  type VilLsConfig,
  vilLsGrids,
  vilLsSchema,
} from '@transformer-ls/formats';
import { type Module, scope } from '@transformer-ls/torch';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inferLanguageModel } from '../../src/import/fairseq.js';
import { inferConfig, modelOf } from '../../src/import/infer.js';
import { inferClassifier } from '../../src/import/long-range-arena.js';
import { mismatches } from '../../src/import/mismatches.js';
import type { StateDict, TensorShapes } from '../../src/import/state-dict.js';
import { inferVilLs } from '../../src/import/vil-ls.js';
import { createLanguageModel } from '../../src/models/language-model/create.js';
import { preset } from '../../src/models/language-model/presets.js';
import { SequenceClassifier } from '../../src/models/sequence-classifier/model.js';
import { classifierPreset } from '../../src/models/sequence-classifier/presets.js';
import { archString } from '../../src/models/vil-ls/arch-string.js';
import { VilLs } from '../../src/models/vil-ls/model.js';
import { vilLsPreset } from '../../src/models/vil-ls/presets.js';
import { tinyVilLs } from './saved-models.js';

function shapesOf(model: Module): TensorShapes {
  const shapes = new Map([...model.stateDict()].map(([name, { shape }]) => [name, shape]));
  model.dispose();
  return shapes;
}

const nothing = { settings: {} };

const stages = (attention: readonly ('long-short' | 'full')[], relative: boolean) =>
  fc.tuple(
    ...attention.map((kind) =>
      fc.record({
        layers: fc.integer({ min: 1, max: 3 }),
        heads: fc.integer({ min: 1, max: 3 }),
        headDim: fc.integer({ min: 1, max: 3 }),
        patchSize: fc.integer({ min: 1, max: 3 }),
        attention: fc.constant(kind),
        windowSize: fc.integer({ min: 1, max: 4 }),
        projectionRank: fc.integer({ min: 0, max: 3 }),
        globalTokens: fc.integer({ min: 0, max: 1 }),
        positions: relative
          ? fc.constant('relative' as const)
          : fc.constantFrom('relative' as const, 'absolute' as const),
      }),
    ),
  );

/** Models in reference mode of every kind that the schema takes. */
const published = (relative: boolean) =>
  fc
    .tuple(
      fc
        .constantFrom(
          ['long-short', 'long-short', 'full'] as const,
          ['long-short', 'full', 'full'] as const,
          ['full', 'full', 'full', 'full'] as const,
        )
        .chain((kinds) => stages(kinds, relative)),
      fc.integer({ min: 1, max: 4 }),
      fc.record({
        classes: fc.integer({ min: 1, max: 9 }),
        normalizeEmbedding: fc.boolean(),
        queryKeyValueBiases: fc.boolean(),
        innerRatio: fc.constantFrom(1, 2, 4),
        channels: fc.constantFrom(1, 3),
      }),
    )
    .map(([drawn, factor, rest]): VilLsConfig | undefined => {
      const made = drawn.map(({ headDim, heads, ...stage }) => ({
        ...stage,
        heads,
        modelDim: 2 * heads * headDim,
      }));
      const windows = made.map(({ attention, windowSize }) => (attention === 'full' ? 1 : windowSize));
      const side = made.reduce((product, { patchSize }, i) => product * patchSize * windows[i]!, factor);
      const config = {
        kind: 'vil-ls',
        mode: 'reference',
        imageHeight: side,
        imageWidth: side,
        stages: made,
        pooling: 'mean',
        ...rest,
      };
      const problems: string[] = [];
      const checked = vilLsSchema.check(config, 'model', problems);
      return problems.length === 0 && side <= 32 ? checked : undefined;
    })
    .filter((config) => config !== undefined);

describe('ViL-LS', () => {
  it.each(['vil-ls-tiny', 'vil-ls-medium'])('%s follows from its shapes', (name) => {
    const config = vilLsPreset(name, { mode: 'reference' });
    const { config: inferred } = inferVilLs(shapesOf(scope(() => new VilLs(config))), nothing);
    expect(inferred).toEqual({ ...config, dropPath: 0 });
  });

  it('with relative positions everything that shows follows from the shapes', () => {
    fc.assert(
      fc.property(published(true), (config) => {
        const shapes = shapesOf(scope(() => new VilLs(config)));
        // Pooling shows only where there is nothing to choose from.
        const hasGlobal = config.stages.at(-1)!.globalTokens > 0;
        const said = hasGlobal ? { settings: { pooling: 'mean' } } : nothing;
        const sized = config.stages.some(({ attention }) => attention === 'full');
        const { config: inferred } = inferVilLs(shapes, said);
        const again = shapesOf(scope(() => new VilLs(inferred)));
        expect(mismatches(again, shapes)).toBeUndefined();
        const { imageHeight: _, imageWidth: __, stages: own, ...rest } = config;
        expect(inferred).toMatchObject(rest);
        if (sized) expect(vilLsGrids(inferred)).toEqual(vilLsGrids(config));
        for (const [i, stage] of own.entries()) {
          // Window and rank of full attention mean nothing and leave no trace.
          const { windowSize: ___, projectionRank: ____, ...shown } = stage;
          expect(inferred.stages[i]).toMatchObject(stage.attention === 'full' ? shown : stage);
        }
      }),
      { numRuns: 30 },
    );
  });

  it('with absolute positions the arch string says the rest, and is compared', () => {
    fc.assert(
      fc.property(published(false), (config) => {
        const shapes = shapesOf(scope(() => new VilLs(config)));
        const hasGlobal = config.stages.at(-1)!.globalTokens > 0;
        const said = { arch: archString(config.stages), settings: hasGlobal ? { pooling: 'mean' } : {} };
        const { config: inferred } = inferVilLs(shapes, said);
        expect(inferred.stages).toEqual(config.stages);
        expect(vilLsGrids(inferred)).toEqual(vilLsGrids(config));
      }),
      { numRuns: 20 },
    );
  });

  it('asks for the size of images where no tensor depends on it, and takes it', () => {
    const stage = { modelDim: 4, heads: 2, layers: 1, patchSize: 2, windowSize: 2, projectionRank: 1 };
    const config = parseConfig(vilLsSchema, {
      kind: 'vil-ls',
      mode: 'reference',
      imageHeight: 32,
      imageWidth: 32,
      classes: 3,
      stages: [stage, stage, { ...stage, globalTokens: 0 }],
    });
    const shapes = shapesOf(scope(() => new VilLs(config)));
    expect(() => inferVilLs(shapes, nothing)).toThrow('give --image-size <pixels>');
    const imageSize = { height: 32, width: 32 };
    expect(inferVilLs(shapes, { ...nothing, imageSize }).config).toEqual(config);
    expect(() => inferVilLs(shapes, { ...nothing, imageSize: { height: 33, width: 30 } })).toThrow(
      'expected imageHeight 33 in reference mode',
    );
  });

  it('in consistent mode takes what images were said to be', () => {
    const stages = vilLsPreset('vil-ls-tiny').stages.map((stage) => ({
      ...stage,
      layers: 1,
      modelDim: 4 * stage.heads,
    }));
    const config = parseConfig(vilLsSchema, {
      kind: 'vil-ls',
      imageHeight: 100,
      imageWidth: 70,
      classes: 3,
      stages,
    });
    const shapes = shapesOf(scope(() => new VilLs(config)));
    const said = { settings: { mode: 'consistent' }, imageSize: { height: 100, width: 70 } };
    expect(inferVilLs(shapes, said).config).toEqual(config);
    expect(() => inferVilLs(shapes, { ...said, imageSize: { height: 70, width: 200 } })).toThrow(
      /--image-size: stage 3 has/,
    );
  });
});

describe('sequence classifiers', () => {
  it.each(['lra-listops', 'lra-text-best', 'lra-retrieval', 'lra-image'])('%s with its preset', (name) => {
    const config = classifierPreset(name, 'reference');
    const shapes = shapesOf(scope(() => new SequenceClassifier(config)));
    expect(inferClassifier(shapes, { preset: name, settings: {} }).config).toEqual(config);
    const { heads, attention } = config;
    const settings = { heads, 'attention.windowSize': attention.windowSize };
    const { dropout: _, attentionDropout: __, ...shown } = config;
    expect(inferClassifier(shapes, { settings }).config).toMatchObject(shown);
  });

  it.each<Partial<ClassifierConfig>>([
    { sharedLayers: true },
    { pooling: 'mean' },
    { pooling: 'first-token' },
    { pooling: 'class-token' },
    { attention: { ...classifierPreset('lra-text').attention, convolutionSize: 3 } },
    { attention: { ...classifierPreset('lra-text').attention, name: 'linformer' }, pooling: 'mean' },
    { attention: { ...classifierPreset('lra-text').attention, name: 'full' }, pooling: 'mean' },
    { mode: 'consistent', pooling: 'first-token' },
  ])('with %j', (changes) => {
    const config = {
      ...classifierPreset('lra-text', 'reference'),
      maxLength: 64,
      vocabularySize: 30,
      ...changes,
    };
    const shapes = shapesOf(scope(() => new SequenceClassifier(config)));
    const { mode, pooling, attention, layers } = config;
    const settings = {
      heads: 2,
      mode,
      pooling,
      'attention.windowSize': 8,
      ...(config.sharedLayers ? { layers } : {}),
      ...(attention.name === 'full' ? { 'attention.name': 'full', 'attention.projectionRank': 32 } : {}),
    };
    expect(inferClassifier(shapes, { settings }).config).toEqual(config);
  });
});

describe('language models', () => {
  const dict = (entries: Record<string, number | boolean | PickleDict>) => {
    const made = new PickleDict();
    for (const [key, value] of Object.entries(entries)) made.set(key, value);
    return made;
  };
  const config = { ...preset('debug', { mode: 'reference' }), windowPositionClamp: 5 };
  const shapes = shapesOf(scope(() => createLanguageModel(config)));
  const published = {
    window_len: 32,
    chunk_size: 8,
    chunk_rank: 1,
    mem_len: 128,
    pre_ln: true,
    use_gelu: true,
    clamp_len: 5,
    cpos_clamp_len: -1,
    d_model: 64,
  };

  it('settings come from cfg.model or args', () => {
    expect(
      inferLanguageModel(shapes, dict({ cfg: dict({ model: dict(published) }) }), nothing).config,
    ).toEqual(config);
    expect(inferLanguageModel(shapes, dict({ args: dict(published) }), nothing).config).toEqual(config);
    const relu = dict({ args: dict({ ...published, use_gelu: false }) });
    expect(inferLanguageModel(shapes, relu, nothing).config.activation).toBe('relu');
  });

  it('settings that contradict the tensors are told', () => {
    const wrong = dict({ args: dict({ ...published, d_model: 32, n_layer: 9 }) });
    expect(() => inferLanguageModel(shapes, wrong, nothing)).toThrow(
      'modelDim: the tensors say 64, the settings in the file 32; layers: the tensors say 2, the settings in the file 9',
    );
  });

  it('without settings a preset or the user says the rest', () => {
    const bare = dict({});
    expect(() => inferLanguageModel(shapes, bare, nothing)).toThrow(
      'the file does not say windowSize, chunkSize, memoryLength',
    );
    const settings = { windowPositionClamp: 5 };
    expect(inferLanguageModel(shapes, bare, { preset: 'debug', settings }).config).toEqual(config);
  });

  it('another memory than in training may be said', () => {
    const told = dict({ args: dict(published) });
    expect(inferLanguageModel(shapes, told, { settings: { memoryLength: 256 } }).config.memoryLength).toBe(
      256,
    );
  });
});

describe('names and shapes of any kind', () => {
  const models: [string, TensorShapes, StateDict['kind']][] = [
    ['vision', shapesOf(scope(() => new VilLs(tinyVilLs()))), 'vil-ls'],
    [
      'sequence classifier',
      shapesOf(
        scope(() => new SequenceClassifier({ ...classifierPreset('lra-text', 'reference'), maxLength: 16 })),
      ),
      'sequence-classifier',
    ],
    [
      'language model',
      shapesOf(scope(() => createLanguageModel(preset('debug', { mode: 'reference' })))),
      'language-model',
    ],
  ];

  it.each(models)('%s: whatever is changed, there is a model or one line', (_, shapes, kind) => {
    const size = fc.oneof(
      fc.integer({ min: 0, max: 9 }),
      fc.constantFrom(64, 1000, 2 ** 20, 2 ** 31 - 1, 2 ** 40),
    );
    const change = fc.record({
      name: fc.constantFrom(...shapes.keys()),
      shape: fc.option(fc.array(size, { minLength: 0, maxLength: 5 })),
    });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const changed = new Map<string, readonly number[]>(shapes);
        for (const { name, shape } of changes)
          if (shape === null) changed.delete(name);
          else changed.set(name, shape);
        const state = { kind, tensors: new Map([...changed].map(([name, shape]) => [name, { shape }])) };
        const settings = { heads: 2, windowSize: 32, chunkSize: 8, memoryLength: 128 };
        const said = {
          'vil-ls': {},
          'sequence-classifier': { heads: 2, 'attention.windowSize': 8 },
          'language-model': settings,
        }[kind];
        try {
          const { config } = inferConfig(state as unknown as StateDict, { object: null }, { settings: said });
          modelOf(config, changed, 'file').dispose();
        } catch (error) {
          const { name, message } = error as Error;
          expect(['ConfigError', 'WeightsError'], message).toContain(name);
          expect(message).not.toContain('\n');
        }
      }),
      { numRuns: 300 },
    );
  });
});
