import { ConfigError, parseConfig, type VilLsConfig, vilLsGrids, vilLsSchema } from '@transformer-ls/formats';
import {
  countMultiplyAccumulates,
  manualSeed,
  noGrad,
  randn,
  recordOps,
  scope,
  zeros,
} from '@transformer-ls/torch';
import { beforeEach, describe, expect, it } from 'vitest';
import { archString, parseArchString } from '../../src/models/vil-ls/arch-string.js';
import { VilLs } from '../../src/models/vil-ls/model.js';
import { vilLsPreset, vilLsPresetNames } from '../../src/models/vil-ls/presets.js';

const tinyArch =
  'l1,h2,d8,n1,s1,g1,p4,f2,a0,r2_l2,h2,d12,n2,s1,g2,p2,f3,a1,r3_l3,h2,d16,n1,s0,g0,p2,f2,a0,r0';

function tiny(changes: Partial<VilLsConfig> = {}): VilLsConfig {
  const stages = parseArchString(tinyArch, 'consistent');
  const config = { kind: 'vil-ls', imageHeight: 36, imageWidth: 27, classes: 5, stages, ...changes };
  return parseConfig(vilLsSchema, config, 'model');
}

beforeEach(() => manualSeed(1));

describe('the published sizes', () => {
  it.each([
    ['vil-ls-medium', 39_799_423, 8.69],
    ['vil-ls-base', 55_834_363, 13.34],
    ['vil-ls-medium-384', 39_947_653, 28.64],
  ])('%s has %i parameters and %f G multiply-accumulates', (name, parameters, giga) => {
    const config = vilLsPreset(name, { mode: 'reference' });
    const model = new VilLs(config);
    model.eval();
    expect(model.countParameters()).toBe(parameters);
    const image = [1, 3, config.imageHeight, config.imageWidth];
    const cost = noGrad(() =>
      scope(() =>
        countMultiplyAccumulates(recordOps(() => scope(() => void model.forward(zeros(image)))).ops),
      ),
    );
    expect(cost / 1e9).toBeCloseTo(giga, 1);
    model.dispose();
  });

  it('hold the places of biases once for all blocks of a stage, and save them under the name of each', () => {
    const model = new VilLs(vilLsPreset('vil-ls-tiny', { mode: 'reference' }));
    const index = [...model.stateDict()].filter(([name]) => /^layer3\..*relative_position_index$/.test(name));
    expect(index.length).toBe(9);
    expect(new Set(index.map(([, value]) => value)).size).toBe(1);
    model.dispose();
  });

  it('name the nearest preset where there is none', () => {
    expect(() => vilLsPreset('vil-ls-midium')).toThrow('did you mean vil-ls-medium?');
  });
});

describe('a model in consistent mode', () => {
  it('takes any height and width, drops global tokens between stages, and gives logits and features', () => {
    scope(() => {
      const model = new VilLs(tiny());
      model.eval();
      const images = randn([2, 3, 36, 27]);
      expect(model.forward(images).shape).toEqual([2, 5]);
      expect(model.features(images).shape).toEqual([2, 16]);
      model.dispose();
    });
  });

  it('fills up the last patches, where reference mode cuts', () => {
    const { stages } = tiny();
    const grids = (mode: VilLsConfig['mode']) =>
      vilLsGrids({ mode, imageHeight: 37, imageWidth: 27, stages }).map(({ rows, columns }) => [
        rows,
        columns,
      ]);
    expect(grids('consistent')).toEqual([
      [10, 7],
      [5, 4],
      [3, 2],
    ]);
    expect(grids('reference')).toEqual([
      [9, 6],
      [4, 3],
      [2, 1],
    ]);
  });

  it('gives each image of a batch what it gives it alone', () => {
    scope(() => {
      const model = new VilLs(tiny());
      model.eval();
      const images = randn([3, 3, 36, 27]);
      const [together, alone] = noGrad(() => [model.forward(images), model.forward(images.narrow(0, 2, 1))]);
      expect(together.narrow(0, 2, 1).sub(alone).abs().max().item()).toBeLessThan(1e-5);
      model.dispose();
    });
  });

  it('gives every parameter a gradient', () => {
    scope(() => {
      const model = new VilLs(tiny());
      model
        .forward(randn([2, 3, 36, 27]))
        .square()
        .sum()
        .backward();
      const without = [...model.namedParameters()]
        .filter(([, { grad }]) => grad === null)
        .map(([name]) => name);
      // The last block's results of global tokens are read by nobody here: the pooled stage has none.
      expect(without).toEqual([]);
      model.dispose();
    });
  });

  it('keeps its weights through a state dict', () => {
    scope(() => {
      const [model, other] = [new VilLs(tiny()), new VilLs(tiny())];
      other.loadStateDict(model.stateDict());
      model.eval();
      other.eval();
      const images = randn([1, 3, 36, 27]);
      expect(noGrad(() => model.forward(images).equal(other.forward(images)))).toBe(true);
      model.dispose();
      other.dispose();
    });
  });

  it('skips blocks at random while training, and never in evaluation', () => {
    scope(() => {
      const model = new VilLs(tiny({ dropPath: 0.9 }));
      const images = randn([1, 3, 36, 27]);
      const twice = () => noGrad(() => model.forward(images).equal(model.forward(images)));
      expect(twice()).toBe(false);
      model.eval();
      expect(twice()).toBe(true);
      model.dispose();
    });
  });

  it('refuses images of another size', () => {
    scope(() => {
      const model = new VilLs(tiny());
      expect(() => model.forward(randn([1, 3, 27, 36]))).toThrow(
        'expected images of shape (batch, 3, 36, 27), received (1, 3, 27, 36)',
      );
      model.dispose();
    });
  });
});

describe('the arch string', () => {
  it('is written as it was read', () => {
    expect(archString(parseArchString(tinyArch, 'consistent'))).toBe(tinyArch);
    for (const name of vilLsPresetNames) {
      const { stages } = vilLsPreset(name);
      expect(parseArchString(archString(stages), 'consistent')).toEqual(stages);
    }
  });

  it('has the published defaults', () => {
    const [first] = parseArchString('l1_l2_l3', 'consistent');
    expect(first).toEqual({
      layers: 1,
      modelDim: 192,
      heads: 3,
      patchSize: 2,
      attention: 'long-short',
      windowSize: 7,
      projectionRank: 0,
      globalTokens: 1,
      positions: 'absolute',
    });
  });

  it('keeps full attention for all later stages in reference mode only', () => {
    const text = 'l1,s1_l2,s0_l3,s1';
    const kinds = (mode: VilLsConfig['mode']) =>
      parseArchString(text, mode).map(({ attention }) => attention);
    expect(kinds('reference')).toEqual(['long-short', 'full', 'full']);
    expect(kinds('consistent')).toEqual(['long-short', 'full', 'long-short']);
  });

  it.each([
    ['', 'expected 3 or 4 stages joined by _, received 1'],
    ['l1_l2', 'received 2'],
    ['l1_l3_l3', 'stage 2, field "l3": expected l2, the place of the stage'],
    ['l1_h2_l3', 'stage 2: expected l2, the place of the stage'],
    ['l1,d96,d48_l2_l3', 'stage 1, field "d48": d is there twice'],
    ['l1,x3_l2_l3', 'stage 1, field "x3": expected one of l, h, d, n, s, g, p, f, a, r and a whole number'],
    ['l1,d-3_l2_l3', 'field "d-3"'],
    ['l1,d_l2_l3', 'field "d"'],
    ['l1,s2_l2_l3', 'field "s2": expected s0 or s1'],
    ['l1,h0_l2_l3', 'field "h0": expected at least 1 (heads)'],
  ])('refuses %j', (text, message) => {
    expect(() => parseArchString(text, 'reference')).toThrow(message);
    expect(() => parseArchString(text, 'reference')).toThrow(ConfigError);
  });

  it('names every problem at once', () => {
    const found = () => parseArchString('l1,h0_l2,q1_l3,s5', 'reference');
    expect(found).toThrow(/h0.*q1.*s5/);
  });
});

describe('a configuration', () => {
  const changed = (changes: Record<string, unknown>, stage: Record<string, unknown> = {}) => {
    const { stages, ...rest } = vilLsPreset('vil-ls-medium', { mode: 'reference' });
    return () =>
      parseConfig(
        vilLsSchema,
        { ...rest, stages: stages.map((one) => ({ ...one, ...stage })), ...changes },
        'model',
      );
  };

  it.each([
    [changed({}, { heads: 5 }), 'model.stages[0].heads: expected a divisor of modelDim 96, received 5'],
    [
      changed({ imageWidth: 448 }),
      'model.imageWidth: expected imageHeight 224 in reference mode, received 448',
    ],
    [
      changed({ imageHeight: 200, imageWidth: 200 }),
      "model.stages[0].windowSize: expected a divisor of the grid's side 50 in reference mode, received 7",
    ],
    [
      changed({}, { globalTokens: 2 }),
      'model.stages[0].globalTokens: expected 0 or 1 in reference mode, received 2',
    ],
    [
      changed({ pooling: 'global-token' }),
      'model.pooling: expected mean, since the last stage has no global token',
    ],
    [
      changed({ mode: 'consistent' }, { windowSize: 0, projectionRank: 0, globalTokens: 0 }),
      'expected a window, a projection or a global token',
    ],
    [changed({}, { widnowSize: 7 }), 'model.stages[0]: unknown key "widnowSize", did you mean windowSize?'],
    [changed({ stages: [] }), 'model.stages: expected a list of 1 to 8 items, received an array of 0'],
  ])('says what is wrong with %#', (parse, message) => {
    expect(parse).toThrow(message);
  });
});
