// Sequences spread over processes: results, gradients and memories are those of one process.
import {
  type ClassifierConfig,
  classifierSchema,
  type LanguageModelConfig,
  languageModelSchema,
  parseConfig,
} from '@transformer-ls/formats';
import { distributedBackends, stretchesOf } from '@transformer-ls/torch';
import { beforeAll, describe, expect, it } from 'vitest';
import { startRanks } from '../../../torch/test/programs/ranks.js';
import { scratchFolder } from '../data/scratch-folder.js';
import { programFolder } from '../train/parallel-program.js';
import { smallModel } from '../train/small-run.js';

let cli: string;
beforeAll(() => {
  cli = programFolder();
});

interface Found {
  readonly results: number;
  readonly gradients: number;
  readonly memory?: number;
}

interface Case {
  readonly name: string;
  readonly lengths: readonly number[];
  readonly [option: string]: unknown;
}

/** Runs all cases in `world` processes, fused and composed, and expects rounding alone. */
async function expectSame(world: number, cases: readonly Case[]): Promise<void> {
  const runs = cases.flatMap((one) => [true, false].map((fused) => ({ ...one, fused })));
  const args = [cli, JSON.stringify(runs)];
  const path = new URL('./sharded-run.mjs', import.meta.url).pathname;
  const ends = await startRanks(path, args, { world, folder: scratchFolder() }).ended;
  for (const end of ends) expect([end.code, end.signal], end.error).toEqual([0, null]);
  for (const [rank, { said }] of ends.entries()) {
    expect(said).toHaveLength(runs.length);
    for (const [i, found] of (said as Found[]).entries()) {
      const { name, fused } = runs[i]!;
      const what = `rank ${rank}: ${name}, ${fused ? 'fused' : 'composed'}`;
      for (const [part, apart] of Object.entries(found))
        expect(apart, `${what}: ${part}`).toBeLessThan(1e-11);
    }
  }
}

const language = (changes: Partial<LanguageModelConfig> = {}) =>
  parseConfig(languageModelSchema, { ...smallModel, vocabularySize: 11, ...changes });

const causal = (
  name: string,
  lengths: readonly number[],
  changes: Partial<LanguageModelConfig> = {},
): Case => ({
  name,
  kind: 'language-model',
  config: language(changes),
  lengths,
  segments: 3,
});

const classifier = (changes: object = {}, attention: object = {}): ClassifierConfig =>
  parseConfig(classifierSchema, {
    kind: 'sequence-classifier',
    classes: 3,
    vocabularySize: 13,
    maxLength: 64,
    layers: 2,
    modelDim: 12,
    heads: 2,
    innerDim: 16,
    attention: { windowSize: 4, projectionRank: 3, ...attention },
    ...changes,
  });

const whole = (
  name: string,
  lengths: readonly number[],
  config: ClassifierConfig,
  more: object = {},
): Case => ({
  name,
  kind: 'classifier',
  config,
  lengths,
  ...more,
});

describe.skipIf(!distributedBackends().gloo)('sequences spread over processes', () => {
  it.each([2, 3])('causal language model in %s processes', async (world) => {
    const equal = (tokens: number) => Array.from({ length: world }, () => tokens);
    await expectSame(world, [
      causal('window within a neighbour', equal(16)),
      causal('window and memory over several processes', equal(4), { windowSize: 16, memoryLength: 64 }),
      causal('several slots', equal(8), { projectionRank: 3 }),
      causal('a memory shorter than a stretch', equal(24), { memoryLength: 8 }),
      causal('window alone', equal(8), { projectionRank: 0 }),
      causal('no memory', equal(8), { memoryLength: 0 }),
      causal('unequal stretches', [4, 20, 8].slice(0, world)),
      { ...causal('blocks computed again in the backward pass', equal(8)), checkpointed: true },
    ]);
  });

  it.each([2, 3])('classifier in %s processes', async (world) => {
    const stretches = (total: number, unit = 4) => stretchesOf(total, world, unit);
    const padding = [40, 9, 2];
    await expectSame(world, [
      ...(['mean', 'first-token', 'class-token', 'class-token-last-layer'] as const).flatMap((pooling) => [
        whole(pooling, stretches(40), classifier({ pooling })),
        whole(`${pooling}, padding`, stretches(40), classifier({ pooling }), { padding }),
      ]),
      whole('last stretch of no whole windows', stretches(39), classifier()),
      whole('projection alone', stretches(35, 1), classifier({}, { name: 'projection-only' })),
      whole('window alone', stretches(38), classifier({}, { name: 'window-only' }), { padding }),
      whole('windows of one token', stretches(21, 1), classifier({}, { windowSize: 1 })),
      whole('convolution', stretches(40), classifier({}, { convolutionSize: 11 }), { padding }),
      whole(
        'convolution without a window',
        stretches(41, 1),
        classifier({}, { windowSize: 0, convolutionSize: 5 }),
      ),
      whole('pairs', stretches(40), classifier({ inputs: 'two' }), { padding, inputs: 2 }),
      whole('as published', stretches(40), classifier({ mode: 'reference', pooling: 'mean' }), { padding }),
      whole('nothing but padding', stretches(40), classifier({ pooling: 'mean' }), { padding: [40, 0, 0] }),
    ]);
  });
});

describe('stretches', () => {
  it('are whole units, as equal as can be, and the last takes what is left over', () => {
    expect(stretchesOf(40, 2, 4)).toEqual([20, 20]);
    expect(stretchesOf(43, 3, 4)).toEqual([12, 12, 19]);
    expect(() => stretchesOf(7, 2, 4)).toThrow(
      'a sequence of 7 tokens cannot be spread over 2 processes: each needs at least 4 of them',
    );
  });
});
