import { readFileSync } from 'node:fs';
import { ConfigError, parseConfig, type VilLsConfig, vilLsSchema } from '@transformer-ls/formats';
import { dispose, manualSeed, noGrad, randn, scope, type Tensor, tensor } from '@transformer-ls/torch';
import { describe, expect, it } from 'vitest';
import { gridBiasIndex } from '../../src/attention/relative-bias.js';
import { VilLs } from '../../src/models/vil-ls/model.js';
import { vilLsPreset } from '../../src/models/vil-ls/presets.js';
import { resizedText, resizeVilLsTables, vilLsAt } from '../../src/models/vil-ls/resolution.js';

interface Cases {
  biases: { from: [number, number]; to: [number, number]; heads: number; values: number[] }[];
  positions: { from: number; to: number; width: number; values: number[] }[];
}

const cases: Cases = JSON.parse(readFileSync(new URL('./fixtures/resized.json', import.meta.url), 'utf8'));

/** As in make_resized.py. */
const entries = (count: number) => Float32Array.from({ length: count }, (_, i) => ((i * 37) % 101) / 50 - 1);

const stage = { modelDim: 12, heads: 3, layers: 1, patchSize: 2, windowSize: 2, projectionRank: 2 };

function model(stages: readonly object[], size: readonly [number, number], mode = 'consistent'): VilLsConfig {
  const [imageHeight, imageWidth] = size;
  return parseConfig(vilLsSchema, { kind: 'vil-ls', mode, imageHeight, imageWidth, classes: 3, stages });
}

describe('tables for another grid', () => {
  it.each(cases.biases)(
    'biases of $from become those of $to as PyTorch makes them',
    ({ from, to, heads, values }) => {
      const full = { ...stage, attention: 'full', heads, modelDim: 4 * heads, patchSize: 1 };
      const config = model([full], from);
      const name = 'layer1.1.attn.local_relative_position_bias_table';
      const rows = (2 * from[0] - 1) * (2 * from[1] - 1);
      const tensors = new Map([[name, tensor(entries(rows * heads), { shape: [rows, heads] })]]);
      const resized = resizeVilLsTables(tensors, config, vilLsAt(config, ...to));
      const table = tensors.get(name)!;
      expect(table.shape).toEqual([(2 * to[0] - 1) * (2 * to[1] - 1), heads]);
      for (const [i, value] of table.toFloat32Array().entries()) expect(value).toBeCloseTo(values[i]!, 5);
      expect(resized).toMatchObject([{ stage: 1, what: 'biases', method: 'bicubic', tables: 1 }]);
      dispose(tensors);
    },
  );

  it.each(cases.positions)(
    '$from positions become $to as PyTorch makes them',
    ({ from, to, width, values }) => {
      const absolute = { ...stage, modelDim: 2 * width, heads: 1, patchSize: 1, positions: 'absolute' };
      const config = model([absolute], [from, 5]);
      const table = tensor(entries(from * width), { shape: [1, from, width] });
      const columns = tensor(entries(5 * width), { shape: [1, 5, width] });
      const tensors = new Map([
        ['layer1.0.x_pos_embed', table],
        ['layer1.0.y_pos_embed', columns],
      ]);
      const resized = resizeVilLsTables(tensors, config, vilLsAt(config, to, 5));
      expect(resized.map(resizedText)).toEqual([`stage 1: positions of rows ${from} → ${to}, linear`]);
      for (const [i, value] of tensors.get('layer1.0.x_pos_embed')!.toFloat32Array().entries())
        expect(value).toBeCloseTo(values[i]!, 5);
      expect(tensors.get('layer1.0.y_pos_embed')).toBe(columns);
      dispose(tensors);
    },
  );

  it('one value everywhere stays it, and no displacement stays in the middle', () => {
    const full = { ...stage, attention: 'full', patchSize: 1 };
    const config = model([full], [3, 3]);
    const name = 'layer1.1.attn.local_relative_position_bias_table';
    const peak = new Float32Array(25 * 3);
    peak.fill(1, 12 * 3, 13 * 3);
    const flat = new Float32Array(25 * 3).fill(0.75);
    const at = (values: Float32Array): number[] => {
      const tensors = new Map([[name, tensor(values, { shape: [25, 3] })]]);
      resizeVilLsTables(tensors, config, vilLsAt(config, 6, 6));
      const result = [...tensors.get(name)!.toFloat32Array()];
      dispose(tensors);
      return result;
    };
    for (const value of at(flat)) expect(value).toBeCloseTo(0.75, 5);
    const places = at(peak).filter((_, i) => i % 3 === 0);
    expect(places.indexOf(Math.max(...places))).toBe(60); // of 11 x 11
  });
});

/** A model's state, resized and in a model of the other size. */
function resizedModel(config: VilLsConfig, height: number, width: number) {
  manualSeed(5);
  const before = scope(() => new VilLs(config));
  const tensors = new Map<string, Tensor>(
    [...before.stateDict()].map(([name, value]) => [name, noGrad(() => value.detach().clone())]),
  );
  const wanted = vilLsAt(config, height, width);
  const resized = resizeVilLsTables(tensors, config, wanted);
  const after = scope(() => new VilLs(wanted));
  after.loadStateDict(tensors);
  dispose(tensors);
  after.eval();
  return { before, after, resized };
}

describe('a model at another resolution', () => {
  const reference = vilLsPreset('vil-ls-tiny', { mode: 'reference', classes: 4 });
  const small = { ...reference, imageHeight: 112, imageWidth: 112 };

  it('keeps its windows, interpolates full attention, and says so; the published index is the new grid’s', () => {
    const { before, after, resized } = resizedModel(small, 168, 168);
    expect(resized.map(resizedText)).toEqual([
      'stage 3: 9 table(s) of biases 13 x 13 → 19 x 19, bicubic',
      'stage 4: 1 table(s) of biases 5 x 5 → 9 x 9, bicubic',
    ]);
    const state = after.stateDict();
    for (const [name, value] of before.stateDict())
      if (!/layer[34]\.\d+\.attn\.(?:local_)?relative_position/.test(name))
        expect([...state.get(name)!.flatten().toTypedArray()]).toEqual([...value.flatten().toTypedArray()]);
    const { index } = gridBiasIndex({ rows: 10, columns: 10 });
    expect(state.get('layer3.1.attn.relative_position_index')!.eq(index).all().item()).toBeTruthy();
    index.dispose();
    const logits = scope(() => noGrad(() => after.forward(randn([1, 3, 168, 168])).toFloat32Array()));
    expect([...logits].every(Number.isFinite)).toBe(true);
    for (const one of [before, after]) one.dispose();
  });

  it('gives the same at its own size', () => {
    const { before, after, resized } = resizedModel(small, 112, 112);
    expect(resized).toEqual([]);
    before.eval();
    scope(() =>
      noGrad(() => {
        const images = randn([1, 3, 112, 112]);
        expect([...after.forward(images).toFloat32Array()]).toEqual([
          ...before.forward(images).toFloat32Array(),
        ]);
      }),
    );
    for (const one of [before, after]) one.dispose();
  });

  it('takes any height and width in consistent mode', () => {
    const absolute = { ...stage, positions: 'absolute' };
    const config = model([absolute, { ...stage, attention: 'full' }, stage], [24, 16]);
    const { before, after, resized } = resizedModel(config, 29, 41);
    expect(resized.map(resizedText)).toEqual([
      'stage 1: positions of rows 12 → 15, linear',
      'stage 1: positions of columns 8 → 21, linear',
      'stage 2: 1 table(s) of biases 11 x 7 → 15 x 21, bicubic',
    ]);
    const logits = scope(() => noGrad(() => after.forward(randn([2, 3, 29, 41])).toFloat32Array()));
    expect([...logits].every(Number.isFinite)).toBe(true);
    for (const one of [before, after]) one.dispose();
  });

  it.each([
    [
      384,
      384,
      /^this model takes no images of 384 x 384: stages\[0\]\.windowSize: expected a divisor of the grid's side 96 in reference mode, received 7; the nearest that it takes: 336 and 392$/,
    ],
    [
      256,
      320,
      /^this model takes no images of 256 x 320: imageWidth: expected imageHeight 256 in reference mode, received 320$/,
    ],
    [8, 8, /^this model takes no images of 8 x 8: .*; the nearest that it takes: 56$/],
  ])('refuses %i x %i in one line with the sizes that it takes', (height, width, message) => {
    const at = () => vilLsAt(vilLsPreset('vil-ls-medium', { mode: 'reference' }), height, width);
    expect(at).toThrow(ConfigError);
    expect(at).toThrow(message);
  });
});
