// The fused operator of causal attention against the same composed of plain operators, and against itself.
import {
  autocast,
  call,
  getNumThreads,
  gradients,
  manualSeed,
  noGrad,
  operator,
  randn,
  recordOps,
  scope,
  setFusedOperators,
  setNumThreads,
  type Tensor,
} from '@transformer-ls/torch';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { gradcheck } from '../../../torch/test/gradcheck.js';
import { CausalAttention } from '../../src/attention/causal.js';
import { causalChunkMask, ReferenceCausalAttention } from '../../src/attention/causal-reference.js';
import { descendingDistances, sinusoidFrequencies, sinusoids } from '../../src/attention/positions.js';

const instructions = operator<(name: string) => string>('tls::instructions');
const widest = instructions('');

afterEach(() => {
  setFusedOperators(true);
  instructions(widest);
});

type Type = 'float32' | 'float64';

interface Case {
  readonly heads: number;
  readonly headDim: number;
  readonly windowSize: number;
  readonly chunkSize: number;
  readonly projectionRank: number;
  readonly memoryChunks: number;
  readonly batch: number;
  /** Tokens before the segment, and of the segment; in reference mode in chunks. */
  readonly before: number;
  readonly T: number;
}

const smallCases: fc.Arbitrary<Case> = fc.record({
  heads: fc.constantFrom(1, 2, 3),
  headDim: fc.constantFrom(4, 10, 16, 20),
  windowSize: fc.integer({ min: 1, max: 40 }),
  chunkSize: fc.integer({ min: 1, max: 20 }),
  projectionRank: fc.integer({ min: 0, max: 3 }),
  memoryChunks: fc.integer({ min: 0, max: 8 }),
  batch: fc.constantFrom(1, 2, 5),
  before: fc.constantFrom(0, 1, 7, 16, 40),
  T: fc.oneof(fc.integer({ min: 1, max: 10 }), fc.integer({ min: 1, max: 150 })),
});

const caseOf = (
  [heads, headDim]: [number, number],
  windowSize: number,
  [chunkSize, projectionRank, memoryChunks]: [number, number, number],
  [batch, before, T]: [number, number, number],
): Case => ({
  heads,
  headDim,
  windowSize,
  chunkSize,
  projectionRank,
  memoryChunks,
  batch,
  before,
  T,
});

/** What random ones do not reach: several blocks of keys and parts, groups cut within chunks, many slots, rows of a few queries. */
const largeCases: readonly Case[] = [
  caseOf([2, 64], 128, [16, 1, 64], [1, 100, 1100]),
  caseOf([1, 34], 700, [24, 3, 20], [2, 30, 1537]),
  caseOf([1, 8], 3, [600, 2, 4], [1, 1700, 1300]),
  caseOf([2, 16], 600, [1, 1, 900], [1, 300, 700]),
  caseOf([1, 16], 64, [2, 3, 1500], [1, 2100, 130]),
];

function textOf(test: Case): string {
  return Object.entries(test)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
}

function configOf(test: Case) {
  const { heads, headDim, windowSize, chunkSize, projectionRank, memoryChunks } = test;
  const memoryLength = memoryChunks * chunkSize;
  const modelDim = heads * headDim;
  return { modelDim, heads, windowSize, chunkSize, projectionRank, projectionBiases: true, memoryLength };
}

/** Weights large enough for a wrong mask to show, and small enough for a query to look at many keys. */
function fill(attention: CausalAttention | ReferenceCausalAttention): void {
  noGrad(() => {
    for (const parameter of attention.parameters()) parameter.normal_(0, 1 / Math.sqrt(parameter.size(-1)));
  });
}

function embeddings(count: number, test: Case, dtype: Type): Tensor {
  const { modelDim } = configOf(test);
  return sinusoids(descendingDistances(count, null), sinusoidFrequencies(modelDim)).to(dtype);
}

/** Gives a segment, of inputs of one type, the output; `run` may be given others. */
interface Subject {
  readonly attention: CausalAttention | ReferenceCausalAttention;
  readonly inputs: readonly Tensor[];
  run(inputs: readonly Tensor[]): Tensor;
}

function consistent(test: Case): Subject {
  const attention = new CausalAttention(configOf(test));
  fill(attention);
  const { batch, before, T, memoryChunks, projectionRank } = test;
  return {
    attention,
    inputs: [randn([batch, before + T, configOf(test).modelDim])],
    run([x]) {
      const dtype = x!.dtype as Type;
      const positions = attention.positionKeys(
        embeddings(test.windowSize, test, dtype),
        embeddings(Math.max(1, memoryChunks * projectionRank), test, dtype),
      );
      const start = attention.emptyMemory(batch);
      const memory = before > 0 ? attention.forward(x!.narrow(1, 0, before), start, positions).memory : start;
      return attention.forward(x!.narrow(1, before, T), memory, positions).output;
    },
  };
}

function reference(test: Case): Subject {
  const attention = new ReferenceCausalAttention(configOf(test));
  fill(attention);
  const { batch, before, T, chunkSize, windowSize, projectionRank } = test;
  const cached = before + Math.ceil(windowSize / chunkSize);
  const lengths = [T * chunkSize, cached * chunkSize];
  return {
    attention,
    inputs: lengths.map((length) => randn([batch, length, configOf(test).modelDim])),
    run([h, cache]) {
      const dtype = h!.dtype as Type;
      const chunks = embeddings((T + cached) * projectionRank, test, dtype).unsqueeze(0);
      const window = embeddings(windowSize, test, dtype).unsqueeze(0);
      return attention.forward(h!, cache!, chunks, window, 'causal');
    },
  };
}

/** The output, and the gradients of the inputs and of every parameter that has one. */
function resultsOf(subject: Subject, dtype: Type, fused: boolean, cotangent: Tensor): Tensor[] {
  setFusedOperators(fused);
  subject.attention.to({ dtype });
  const inputs = subject.inputs.map((input) => {
    const leaf = input.to(dtype).clone();
    leaf.requiresGrad = true;
    return leaf;
  });
  const output = subject.run(inputs);
  const wanted = [...inputs, ...subject.attention.parameters()];
  const found = gradients([output], wanted, { gradOutputs: [cotangent.to(dtype)], allowUnused: true });
  return [output, ...found.map((gradient, i) => gradient ?? wanted[i]!.detach().mul(0))];
}

/** Root of the mean square. */
function sizeOf(x: Tensor): number {
  return x.numel === 0 ? 0 : Math.sqrt(x.square().mean().item());
}

function distance(a: Tensor, b: Tensor, scale = sizeOf(b)): number {
  return sizeOf(a.to('float64').sub(b)) / scale;
}

/**
 * In float64 the same numbers; in float32 at most twice the error of the composed form and `slack`, which of a few numbers may be
 * as large as chance makes it.
 */
function expectAgreement(subject: Subject, slack = 1e-6): void {
  const cotangent = randn(noGrad(() => subject.run(subject.inputs)).shape);
  const results = (dtype: Type, fused: boolean) => resultsOf(subject, dtype, fused, cotangent);
  const [single, plain] = [results('float32', true), results('float32', false)];
  const [double, exact] = [results('float64', true), results('float64', false)];
  // Some gradients are 0 but for rounding, so that their own size says nothing.
  const least = 0.1 * Math.max(...exact.map(sizeOf));
  for (const [i, one] of exact.entries()) {
    const scale = Math.max(least, sizeOf(one));
    expect(distance(double[i]!, one, scale), `float64, result ${i}`).toBeLessThan(1e-12);
    const limit = 2 * distance(plain[i]!, one, scale) + slack;
    expect(distance(single[i]!, one, scale), `float32, result ${i}`).toBeLessThan(limit);
  }
  subject.attention.dispose();
}

/** Segments of whole chunks, and a cache of at least the window. */
function forReference(test: Case): Case {
  const { projectionRank, T, before } = test;
  return { ...test, projectionRank: Math.max(1, projectionRank), T: 1 + (T % 6), before: before % 5 };
}

describe('the fused operator of causal attention', () => {
  it('agrees with the composed consistent form, outputs and all gradients', () => {
    fc.assert(
      fc.property(smallCases, fc.nat(), (test, seed) => {
        scope(() => {
          manualSeed(seed);
          expectAgreement(consistent(test), 1e-4);
        });
      }),
      { numRuns: 60 },
    );
  });

  it('agrees with the composed reference form, outputs and all gradients', () => {
    fc.assert(
      fc.property(smallCases, fc.nat(), (test, seed) => {
        scope(() => {
          manualSeed(seed);
          expectAgreement(reference(forReference(test)), 1e-4);
        });
      }),
      { numRuns: 40 },
    );
  });

  it.each(largeCases.map((test) => [textOf(test), test] as const))('agrees with %s', (_, test) => {
    scope(() => {
      manualSeed(1);
      expectAgreement(consistent(test));
    });
  });

  it('is not used for another mask than the causal one', () => {
    scope(() => {
      manualSeed(1);
      const test = caseOf([2, 4], 8, [4, 1, 0], [2, 3, 3]);
      const { attention, inputs } = reference(test);
      const [h, cache] = inputs as [Tensor, Tensor];
      const columns = (cache.size(1) + h.size(1)) / 4;
      const positions = embeddings(columns, test, 'float32').unsqueeze(0);
      const window = embeddings(8, test, 'float32').unsqueeze(0);
      const run = (mask: Parameters<ReferenceCausalAttention['forward']>[4]) =>
        (attention as ReferenceCausalAttention).forward(h, cache, positions, window, mask);
      const { ops, result: open } = recordOps(() => run(null));
      expect(ops.some(({ name }) => name === 'tls::causal_attention')).toBe(false);
      const fused = run('causal');
      expect(distance(fused, open.to('float64'))).toBeGreaterThan(1e-3);
      setFusedOperators(false);
      expect(distance(fused, run('causal').to('float64'))).toBeLessThan(1e-5);
      expect(causalChunkMask(3, 2, 1).filter(Boolean).length).toBe(6);
      attention.dispose();
    });
  });

  it('is not used for numbers of autocast', () => {
    scope(() => {
      manualSeed(1);
      const subject = consistent(caseOf([2, 16], 20, [4, 1, 6], [1, 30, 50]));
      const run = () => autocast('cpu', 'bfloat16', () => noGrad(() => subject.run(subject.inputs)));
      const used = recordOps(run);
      setFusedOperators(false);
      expect(used.result.equal(run())).toBe(true);
      expect(used.ops.some(({ name }) => name === 'tls::causal_attention')).toBe(false);
      subject.attention.dispose();
    });
  });

  it.each(['portable', 'avx2', 'avx512'])('agrees with the instructions of %s', (name) => {
    try {
      instructions(name);
    } catch (error) {
      expect(String(error)).toContain('expected one of');
      return; // not of this processor
    }
    scope(() => {
      manualSeed(1);
      for (const test of [
        caseOf([2, 20], 37, [5, 2, 6], [2, 40, 131]),
        caseOf([1, 64], 64, [16, 1, 8], [1, 0, 600]),
      ])
        expectAgreement(consistent(test));
    });
  });
});

type Operator = (...values: unknown[]) => Tensor;
const causalOperator = operator<Operator>('tls::causal_attention');

/** Tensors in the order of the schema: B 2, T 9, M 4, N 2, H 3, W 6, C 6 slots of rank 2, P 5. */
function operatorInputs(dtype: Type): Tensor[] {
  const shapes = [
    [2, 9, 2, 3],
    [2, 13, 2, 3],
    [2, 13, 2, 3],
    [2, 3],
    [2, 3],
    [6, 2, 3],
    [2, 8, 2, 3],
    [2, 8, 2, 3],
    [5, 2, 3],
  ];
  return shapes.map((shape) => randn(shape, { dtype, requiresGrad: true }));
}

/** Chunks of 4 tokens, rank 2, one token of the first one known before, one chunk before that; 5 slots are seen. */
const placement = [4, 2, 1, 1, 5];

function attend(inputs: readonly (Tensor | null)[], dropout = 0): Tensor {
  return causalOperator(...inputs, 6, placement, 0.6, dropout, 12345);
}

describe('tls::causal_attention', () => {
  it.each([0, 0.3])('has right gradients with a dropout of %s', (dropout) => {
    scope(() => {
      manualSeed(3);
      const inputs = operatorInputs('float64');
      gradcheck(() => attend(inputs, dropout), inputs);
    });
  });

  it('has right gradients without positions, biases and chunks', () => {
    scope(() => {
      manualSeed(3);
      const inputs = operatorInputs('float64');
      const [window, chunks] = [inputs.slice(0, 3), inputs.slice(6, 8)];
      gradcheck(() => attend([...window, null, null, null, null, null, null]), window);
      gradcheck(() => attend([...window, null, null, null, ...chunks, null]), [...window, ...chunks]);
    });
  });

  it('drops weights by the seed alone, and as many as it should', () => {
    scope(() => {
      const [T, W] = [400, 50];
      const query = randn([1, T, 1, 1]);
      const values = query.detach().mul(0).add(1);
      const absent = [null, null, null, null, null, null];
      const drop = (seed: number) =>
        causalOperator(query.mul(0), query, values, ...absent, W, [1, 0, 0, 0, 0], 1, 0.25, seed);
      expect(drop(1).equal(drop(1))).toBe(true);
      expect(drop(1).equal(drop(2))).toBe(false);
      const kept = drop(1)
        .narrow(1, W, T - W)
        .mean()
        .item();
      expect(kept).toBeGreaterThan(0.98);
      expect(kept).toBeLessThan(1.02);
    });
  });

  it('takes rows that do not lie next to one another', () => {
    scope(() => {
      manualSeed(3);
      const inputs = operatorInputs('float64');
      const outputs = [0, -1].map((dim) => {
        const exchanged = (x: Tensor) => x.transpose(dim, dim < 0 ? -2 : 1);
        return attend(inputs.map((input) => exchanged(exchanged(input).contiguous())));
      });
      for (const output of outputs) expect(output.equal(attend(inputs))).toBe(true);
    });
  });

  it.each(['float32', 'float64'] as const)(
    'gives the same bits each time and on any number of threads, %s',
    (dtype) => {
      const before = getNumThreads();
      scope(() => {
        manualSeed(4);
        const make = (shape: number[]) => randn(shape, { dtype, requiresGrad: true });
        const [B, T, N, H, W, c, m] = [3, 1100, 2, 16, 40, 8, 20];
        const keys = [make([B, T + W - 1, N, H]), make([B, T + W - 1, N, H])];
        const biases = [make([N, H]), make([N, H]), make([W, N, H])];
        const C = m + Math.ceil((T + 3) / c) - 1;
        const inputs = [
          make([B, T, N, H]),
          ...keys,
          ...biases,
          make([B, C, N, H]),
          make([B, C, N, H]),
          make([30, N, H]),
        ];
        const cotangent = randn([B, T, N, H], { dtype });
        const run = (threads: number) => {
          setNumThreads(threads);
          const output = causalOperator(...inputs, W, [c, 1, 3, m, 30], 0.25, 0.1, 7);
          return [output, ...gradients([output], inputs, { gradOutputs: [cotangent] })] as Tensor[];
        };
        const first = run(1);
        for (const threads of [1, 2, 3])
          for (const [i, result] of run(threads).entries())
            expect(result.equal(first[i]!), `result ${i} on ${threads} threads`).toBe(true);
      });
      setNumThreads(before);
    },
  );

  it('refuses what does not fit together', () => {
    scope(() => {
      const inputs = operatorInputs('float32');
      const replaced = (index: number, value: Tensor | null) =>
        inputs.map((input, i) => (i === index ? value : input));
      const refusal = (values: readonly (Tensor | null)[]) => () => attend(values);
      expect(refusal(replaced(0, randn([2, 9, 6])))).toThrow('expected a query (B, T, N, H)');
      expect(refusal(replaced(1, randn([2, 8, 2, 3])))).toThrow(
        'expected a key for each of the 9 queries, received 8',
      );
      expect(refusal(replaced(2, randn([2, 12, 2, 3])))).toThrow('expected window_value');
      expect(refusal(replaced(3, randn([3, 2])))).toThrow('expected window_bias');
      expect(refusal(replaced(5, randn([7, 2, 3])))).toThrow('expected window_positions');
      expect(refusal(replaced(6, null))).toThrow('expected chunk keys and chunk values together');
      expect(refusal(replaced(8, randn([4, 2, 3])))).toThrow(
        'expected at least 5 chunk positions, received 4',
      );
      const few = inputs.map((input, i) => (i === 6 || i === 7 ? randn([2, 5, 2, 3]) : input));
      expect(refusal(few)).toThrow('expected at least 6 chunk keys, received 5');
      expect(refusal(replaced(0, randn([2, 9, 2, 3], { dtype: 'float64' })))).toThrow('expected window_key');
      const placed = (chunks: number[]) => () => causalOperator(...inputs, 6, chunks, 1, 0, 0);
      for (const chunks of [
        [4, 2, 4, 1, 5],
        [0, 2, 0, 1, 5],
        [4, 2, 1, 1],
        [4, 2, 1, -1, 5],
      ])
        expect(placed(chunks)).toThrow(
          'expected chunks [size, rank, offset below the size, remembered, reach]',
        );
      expect(() => call('tls::causal_attention', ...inputs, 0, placement, 1, 0, 0)).toThrow(
        'expected a window from 1',
      );
      expect(() => attend(inputs, 1)).toThrow('expected a dropout probability from 0 to 1');
    });
  });
});
