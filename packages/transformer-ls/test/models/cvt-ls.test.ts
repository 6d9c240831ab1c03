import {
  type CvtLsConfig,
  cvtLsGrids,
  cvtLsSchema,
  encodeSafetensors,
  modelSchema,
  parseConfig,
  parseSafetensors,
} from '@transformer-ls/formats';
import { manualSeed, noGrad, randn, scope } from '@transformer-ls/torch';
import { beforeEach, describe, expect, it } from 'vitest';
import { CvtLs } from '../../src/models/cvt-ls/model.js';
import { cvtLsPreset } from '../../src/models/cvt-ls/presets.js';
import { visionPreset, visionPresetNames } from '../../src/models/vision/presets.js';
import { entryOfTensor, tensorOfEntry } from '../../src/weights/tensor-entries.js';
import { modelCost, modelCosts } from './cvt-costs.js';

const stage = { layers: 1, modelDim: 8, heads: 2, embeddingKernel: 3, embeddingStride: 2 };

/** A ragged image and ragged grids: 9 x 7, 5 x 4, 3 x 2. */
function tiny(changes: Partial<CvtLsConfig> = {}): CvtLsConfig {
  const stages = [
    { ...stage, modelDim: 6, embeddingKernel: 7, embeddingStride: 4, windowSize: 2, projectionRank: 3 },
    { ...stage, attention: 'full', keyValueStride: 2 },
    { ...stage, layers: 2, modelDim: 12, windowSize: 2, projectionRank: 2, projectionKernel: 5 },
  ];
  const size = { imageHeight: 37, imageWidth: 27 };
  return parseConfig(cvtLsSchema, { kind: 'cvt-ls', ...size, classes: 5, stages, ...changes }, 'model');
}

const images = (batch: number) => randn([batch, 3, 37, 27]);

beforeEach(() => manualSeed(1));

describe('the presets', () => {
  it.each(['cvt-ls-13', 'cvt-13'])('%s has the parameters and multiply-accumulates of its README', (name) => {
    expect(modelCost(name)).toEqual(modelCosts[name]);
  });

  it('take another resolution, without other weights', () => {
    const [usual, larger] = [cvtLsPreset('cvt-ls-13'), cvtLsPreset('cvt-ls-13', { imageSize: 384 })];
    expect(cvtLsGrids(usual)).toEqual([56, 28, 14].map((side) => ({ rows: side, columns: side })));
    expect(cvtLsGrids(larger)).toEqual([96, 48, 24].map((side) => ({ rows: side, columns: side })));
    expect(larger.stages).toEqual(usual.stages);
  });

  it('are found by name beside those of ViL-LS, and the nearest is named where there is none', () => {
    for (const name of visionPresetNames) {
      const { kind, classes } = visionPreset(name, { classes: 7 });
      expect([kind === 'vil-ls', classes]).toEqual([name.startsWith('vil-ls-'), 7]);
    }
    expect(() => visionPreset('cvt-ls-22')).toThrow('did you mean cvt-ls-2');
    expect(() => visionPreset('vil-ls-tiny', { imageSize: 200, mode: 'reference' })).toThrow(
      "expected a divisor of the grid's side 50",
    );
    expect(() => visionPreset('cvt-ls-13', { mode: 'reference' })).toThrow(
      'model.mode: expected consistent, received "reference"',
    );
  });
});

describe('a model', () => {
  it('has the names of the published CvT', () => {
    const model = new CvtLs(tiny());
    const names = [...model.stateDict().keys()];
    for (const name of [
      'stage0.patch_embed.proj.weight',
      'stage0.patch_embed.norm.bias',
      'stage0.blocks.0.norm1.weight',
      'stage0.blocks.0.attn.conv_proj_k.conv.weight',
      'stage0.blocks.0.attn.conv_proj_k.bn.running_var',
      'stage0.blocks.0.attn.conv_proj_k.bn.num_batches_tracked',
      'stage0.blocks.0.attn.proj_k.bias',
      'stage0.blocks.0.attn.proj.weight',
      'stage0.blocks.0.attn.to_dynamic_projection.weight',
      'stage0.blocks.0.attn.dual_ln_full.weight',
      'stage2.blocks.1.mlp.fc2.bias',
      'stage2.cls_token',
      'norm.weight',
      'head.bias',
    ])
      expect(names).toContain(name);
    expect(names).not.toContain('stage1.blocks.0.attn.to_dynamic_projection.weight');
    model.dispose();
  });

  it.each([
    ['float32', true],
    ['float32', false],
    ['float64', true],
    ['float64', false],
  ] as const)(
    'takes any height and width and gives logits and features: %s, class token %s',
    (dtype, classToken) => {
      scope(() => {
        const model = new CvtLs(tiny({ classToken })).to({ dtype });
        const x = images(2).to(dtype);
        for (const training of [true, false]) {
          model.train(training);
          const logits = model.forward(x);
          expect([logits.shape, logits.dtype]).toEqual([[2, 5], dtype]);
          expect(logits.isfinite().all().item()).toBe(1);
          expect(model.features(x).shape).toEqual([2, 12]);
        }
        expect(model.attentions.map((one) => one.length)).toEqual([1, 1, 2]);
        model.dispose();
      });
    },
  );

  it('gives each image of a batch what it gives it alone in evaluation, and sees the batch in training', () => {
    scope(() => {
      const model = new CvtLs(tiny());
      const x = images(3);
      const difference = () =>
        noGrad(() => {
          const [together, alone] = [model.forward(x), model.forward(x.narrow(0, 2, 1))];
          return together.narrow(0, 2, 1).sub(alone).abs().max().item();
        });
      expect(difference()).toBeGreaterThan(1e-3);
      model.eval();
      expect(difference()).toBeLessThan(1e-5);
      model.dispose();
    });
  });

  it('gives every parameter a gradient', () => {
    for (const classToken of [true, false])
      scope(() => {
        const model = new CvtLs(tiny({ classToken }));
        model.forward(images(2)).square().sum().backward();
        const without = [...model.namedParameters()].filter(([, { grad }]) => grad === null);
        expect(without.map(([name]) => name)).toEqual([]);
        model.dispose();
      });
  });

  it('keeps weights and running statistics through a weight file', () => {
    scope(() => {
      const [model, other] = [new CvtLs(tiny()), new CvtLs(tiny())];
      const x = images(2);
      noGrad(() => void model.forward(x)); // moves the statistics
      const entries = new Map([...model.stateDict()].map(([name, value]) => [name, entryOfTensor(value)]));
      const { tensors } = parseSafetensors(encodeSafetensors(entries));
      other.loadStateDict(new Map([...tensors].map(([name, entry]) => [name, tensorOfEntry(entry)])));
      model.eval();
      other.eval();
      expect(noGrad(() => model.forward(x).equal(other.forward(x)))).toBe(true);
      model.dispose();
      other.dispose();
    });
  });

  it('skips blocks of the last stage at random while training, more of the later ones, and never in evaluation', () => {
    scope(() => {
      const model = new CvtLs(tiny({ dropPath: 0.9 }));
      const rates = [...model.namedModules()]
        .filter(([name]) => name.endsWith('drop_path'))
        .map(([, module]) => ('p' in module ? module.p : null));
      expect(rates).toEqual([0, 0, 0, 0.9]);
      const x = images(1);
      model.eval();
      expect(noGrad(() => model.forward(x).equal(model.forward(x)))).toBe(true);
      model.dispose();
    });
  });

  it('starts with weights of deviation 0.02, no biases and norms that change nothing', () => {
    const model = new CvtLs(cvtLsPreset('cvt-ls-13', { classes: 10 }));
    scope(() => {
      const state = model.stateDict();
      const of = (name: string) => state.get(`stage2.blocks.0.attn.${name}`)!;
      for (const name of ['proj_q.weight', 'proj.weight', 'to_dynamic_projection.weight'])
        expect(of(name).std().item()).toBeCloseTo(0.02, 3);
      expect(of('proj_q.bias').abs().max().item()).toBe(0);
      expect(of('conv_proj_q.bn.weight').sub(1).abs().max().item()).toBe(0);
      expect(of('conv_proj_q.conv.weight').abs().max().item()).toBeLessThanOrEqual(1 / 3);
      expect(state.get('stage2.cls_token')!.std().item()).toBeCloseTo(0.02, 2);
    });
    model.dispose();
  });

  it('refuses images of another size', () => {
    scope(() => {
      const model = new CvtLs(tiny());
      expect(() => model.forward(randn([1, 3, 27, 37]))).toThrow(
        'expected images of shape (batch, 3, 37, 27), received (1, 3, 27, 37)',
      );
      model.dispose();
    });
  });
});

describe('a configuration', () => {
  const changed = (changes: Record<string, unknown>, ofStages: Record<string, unknown> = {}) => {
    const { stages, ...rest } = cvtLsPreset('cvt-ls-13');
    const all = stages.map((one) => ({ ...one, ...ofStages }));
    return () => parseConfig(modelSchema, { ...rest, stages: all, ...changes }, 'model');
  };

  it('is one of the models that files can name', () => {
    expect(changed({})()).toEqual(cvtLsPreset('cvt-ls-13'));
  });

  it.each([
    [changed({}, { heads: 5 }), 'model.stages[0].heads: expected a divisor of modelDim 64, received 5'],
    [
      changed({}, { embeddingKernel: 1 }),
      'model.stages[0].embeddingKernel: expected at least embeddingStride 4, received 1',
    ],
    [
      changed({}, { projectionKernel: 2 }),
      'model.stages[0].projectionKernel: expected an odd number, received 2',
    ],
    [
      changed({}, { windowSize: 0, projectionRank: 0 }),
      'model.stages[0].windowSize: expected a window or a projection, received 0 for both',
    ],
    [
      changed({ imageHeight: 2 }),
      'model.stages[0].embeddingKernel: expected a kernel that fits on the map of 2 x 224 before it, received 7',
    ],
    [changed({ mode: 'reference' }), 'model.mode: expected consistent, received "reference"'],
    [changed({ stages: [] }), 'model.stages: expected a list of 1 to 8 items, received an array of 0'],
    [changed({}, { windwoSize: 7 }), 'unknown key "windwoSize", did you mean windowSize?'],
    [changed({ kind: 'cvt' }), 'model.kind: expected one of'],
  ])('says what is wrong with %#', (parse, message) => {
    expect(parse).toThrow(message);
  });

  it('says once where an image is too small for its stages', () => {
    const found = changed({ imageHeight: 1, imageWidth: 1 });
    expect(found).toThrow('stages[0].embeddingKernel');
    expect(found).not.toThrow('stages[1]');
  });

  it('may leave the last stage nothing but its class token', () => {
    const { stages, ...rest } = cvtLsPreset('cvt-ls-13');
    const all = stages.map((one, i) => (i < 2 ? one : { ...one, windowSize: 0, projectionRank: 0 }));
    expect(parseConfig(cvtLsSchema, { ...rest, stages: all }).classToken).toBe(true);
    expect(() => parseConfig(cvtLsSchema, { ...rest, stages: all, classToken: false })).toThrow(
      'stages[2].windowSize',
    );
  });
});
