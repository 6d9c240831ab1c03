// Sequences spread over processes: results, gradients and memories are those of one process.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ClassifierConfig,
  classifierSchema,
  type LanguageModelConfig,
  languageModelSchema,
  parseConfig,
} from '@transformer-ls/formats';
import {
  distributedBackends,
  extendTogether,
  ProcessGroup,
  rand,
  ShardedSequence,
  Store,
  scope,
  stretchesOf,
} from '@transformer-ls/torch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
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

describe.skipIf(!distributedBackends().gloo)('a sequence of one process', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sharded-'));
  const store = Store.inFile(join(folder, 'store'), 1, 60);
  const options = {
    backend: 'gloo',
    store,
    rank: 0,
    world: 1,
    timeoutSeconds: 60,
    address: '127.0.0.1',
  } as const;
  const group = new ProcessGroup(options);
  const sequence = new ShardedSequence(group, [8]);
  afterAll(() => {
    group.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const x = () => rand([2, 8, 3], { dtype: 'float64' });

  it('is what it is without others', () => {
    scope(() => {
      const own = x();
      expect(sequence.extend(own, 4, 4).toTypedArray()).toEqual(own.toTypedArray());
      expect(sequence.sum(own).toTypedArray()).toEqual(own.toTypedArray());
      expect(sequence.largest(own).requiresGrad).toBe(false);
      expect([sequence.start, sequence.own, sequence.total]).toEqual([0, 8, 8]);
      expect(sequence.per(4, 3).lengths).toEqual([6]);
    });
  });

  it.each([
    [() => new ShardedSequence(group, [4, 4]), 'expected the lengths of 1 processes, received 2 numbers'],
    [
      () => new ShardedSequence(group, [1.5]),
      'expected lengths that are whole numbers of at least 0, received 1.5',
    ],
    [() => sequence.per(3, 1), 'expected stretches of whole chunks of 3 tokens, received one of 8'],
    [
      () => sequence.extend(x().narrow(1, 0, 7), 1, 1),
      'expected 8 rows along axis 1, received shape [2, 7, 3]',
    ],
    [() => sequence.extend(x(), -1, 0), 'expected rows before and after of at least 0, received -1 and 0'],
    [
      () => extendTogether(Array.from({ length: 5 }, () => ({ sequence, x: x(), before: 1, after: 1 }))),
      'expected 1 to 4 tensors with rows before and after each, received 5',
    ],
    [() => extendTogether([]), 'expected 1 to 4 tensors, received none'],
    [() => stretchesOf(8, 0, 1), 'world: expected a whole number of at least 1, received 0'],
  ])('refuses in one line what it cannot do: %#', (action, message) => {
    expect(() => scope((): unknown => action())).toThrow(message);
  });
});
