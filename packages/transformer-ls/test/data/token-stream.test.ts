import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  byteVocabulary,
  dictionaryOfCorpus,
  evaluationBlocks,
  FairseqDictionary,
  MemoryByteCorpus,
  TokenStream,
  type Vocabulary,
} from '../../src/data/index.js';

function corpusOf(bytes: Uint8Array) {
  return new MemoryByteCorpus({ bytes, name: 'sample', split: 'train' });
}

/** Bytes in which every position is told apart from its neighbours. */
const counting = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 255);

function streamOf(length: number, batchSize: number, segmentLength: number): TokenStream {
  return new TokenStream({
    corpus: corpusOf(counting(length)),
    vocabulary: byteVocabulary,
    batchSize,
    segmentLength,
  });
}

const shapes = fc
  .record({ batchSize: fc.integer({ min: 1, max: 7 }), segmentLength: fc.integer({ min: 1, max: 40 }) })
  .chain(({ batchSize, segmentLength }) =>
    fc.record({
      batchSize: fc.constant(batchSize),
      segmentLength: fc.constant(segmentLength),
      length: fc.integer({ min: batchSize * (segmentLength + 1), max: 2000 }),
    }),
  );

describe('TokenStream', () => {
  it('gives contiguous lanes in which nothing is lost but the stated remainder', () => {
    fc.assert(
      fc.property(shapes, ({ batchSize, segmentLength, length }) => {
        const stream = streamOf(length, batchSize, segmentLength);
        const bytes = counting(length);
        const lanes = Array.from({ length: batchSize }, () => ({
          inputs: [] as number[],
          targets: [] as number[],
        }));
        for (let k = 0; k < stream.segmentsPerEpoch; k++) {
          const batch = stream.next();
          expect(batch).toMatchObject({ batchSize, segmentLength, epoch: 0, startsNewEpoch: k === 0 });
          for (const [lane, row] of lanes.entries()) {
            row.inputs.push(...batch.inputs.subarray(lane * segmentLength, (lane + 1) * segmentLength));
            row.targets.push(...batch.targets.subarray(lane * segmentLength, (lane + 1) * segmentLength));
          }
        }
        const laneLength = Math.floor(length / batchSize);
        for (const [lane, row] of lanes.entries()) {
          const start = lane * laneLength;
          expect(row.inputs).toEqual([...bytes.slice(start, start + row.inputs.length)]);
          expect(row.targets).toEqual([...bytes.slice(start + 1, start + 1 + row.inputs.length)]);
          // What is left of a lane would not have filled a segment and its last target.
          expect(laneLength - row.inputs.length).toBeLessThanOrEqual(segmentLength);
          expect(laneLength - row.inputs.length).toBeGreaterThanOrEqual(1);
        }
      }),
    );
  });

  it('begins the next epoch with the same batches', () => {
    const stream = streamOf(103, 2, 10);
    expect(stream.segmentsPerEpoch).toBe(5);
    const first = Array.from({ length: 5 }, () => stream.next());
    const second = Array.from({ length: 5 }, () => stream.next());
    expect(second.map(({ inputs, targets }) => ({ inputs, targets }))).toEqual(
      first.map(({ inputs, targets }) => ({ inputs, targets })),
    );
    expect(second.map(({ epoch, startsNewEpoch }) => [epoch, startsNewEpoch])).toEqual([
      [1, true],
      ...Array(4).fill([1, false]),
    ]);
  });

  it('restored from JSON goes on as if nothing had happened', () => {
    fc.assert(
      fc.property(shapes, fc.nat(60), ({ batchSize, segmentLength, length }, steps) => {
        const uninterrupted = streamOf(length, batchSize, segmentLength);
        for (let step = 0; step < steps; step++) uninterrupted.next();
        const saved: unknown = JSON.parse(JSON.stringify(uninterrupted.state()));
        const resumed = streamOf(length, batchSize, segmentLength);
        resumed.restore(saved as ReturnType<TokenStream['state']>);
        for (let step = 0; step < 3; step++) expect(resumed.next()).toEqual(uninterrupted.next());
      }),
      { numRuns: 50 },
    );
  });

  it.each([
    { epoch: 0, segment: 5 },
    { epoch: 0, segment: -1 },
    { epoch: 0.5, segment: 0 },
    { epoch: -1, segment: 0 },
    { epoch: 0, segment: Number.NaN },
  ])('refuses the state %j', (state) => {
    expect(() => streamOf(103, 2, 10).restore(state)).toThrow(
      `cannot restore data position epoch ${state.epoch}, segment ${state.segment}: an epoch has 5 segments`,
    );
  });

  it('says by how much a split is too short', () => {
    expect(() => streamOf(21, 2, 10)).toThrow(
      'sample train is too short: 21 tokens in 2 lanes give 10 each, and segmentLength 10 needs 11; lower batchSize or segmentLength',
    );
    expect(streamOf(22, 2, 10).segmentsPerEpoch).toBe(1);
    expect(() => streamOf(0, 1, 1)).toThrow('too short');
    expect(() => streamOf(100, 0, 10)).toThrow('batchSize must be a positive whole number, found 0');
    expect(() => streamOf(100, 1, 2.5)).toThrow('segmentLength must be a positive whole number, found 2.5');
  });

  it('keeps earlier batches untouched by later ones', () => {
    const stream = streamOf(200, 2, 10);
    const batch = stream.next();
    const copy = structuredClone(batch);
    stream.next();
    expect(batch).toEqual(copy);
  });

  it('adds </s> at the end of a split in reference mode, and leaves outer blanks of text8 out', () => {
    const corpus = corpusOf(Buffer.from('  ab a  '));
    const characters = FairseqDictionary.fromCounts(countsOf({ a: 3, b: 2, ' ': 1 }), 'characters');
    const stream = new TokenStream({ corpus, vocabulary: characters, batchSize: 1, segmentLength: 4 });
    // a b _ a </s>
    expect([...stream.next().inputs]).toEqual([4, 5, 6, 4]);
    expect([...stream.next().targets]).toEqual([5, 6, 4, 2]);
    const decimal = FairseqDictionary.fromCounts(countsOf({ a: 1, b: 2, ' ': 3 }), 'decimal');
    const whole = new TokenStream({ corpus, vocabulary: decimal, batchSize: 1, segmentLength: 8 });
    expect([...whole.next().targets]).toEqual([4, 6, 5, 4, 6, 4, 4, 2]);
  });
});

function countsOf(counts: Record<string, number>): Float64Array {
  const all = new Float64Array(256);
  for (const [character, count] of Object.entries(counts)) all[character.charCodeAt(0)] = count;
  return all;
}

describe('evaluationBlocks', () => {
  const blocksOf = (
    length: number,
    options: { blockLength?: number; maxTokens?: number } = {},
    vocabulary: Vocabulary = byteVocabulary,
  ) => [...evaluationBlocks(corpusOf(counting(length)), vocabulary, options)];

  it('predicts every token but the first exactly once', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 2000 }),
        fc.integer({ min: 1, max: 600 }),
        (length, blockLength) => {
          const blocks = blocksOf(length, { blockLength });
          const bytes = counting(length);
          expect(blocks.flatMap(({ inputs }) => [...inputs])).toEqual([...bytes.slice(0, -1)]);
          expect(blocks.flatMap(({ targets }) => [...targets])).toEqual([...bytes.slice(1)]);
          let start = 0;
          for (const block of blocks) {
            expect([block.start, block.inputs.length, block.targets.length]).toEqual([
              start,
              block.length,
              block.length,
            ]);
            start += block.length;
          }
        },
      ),
    );
  });

  it('marks the 255 of 256 tokens that the published protocol scores, whatever the block length', () => {
    for (const blockLength of [256, 1000, 7]) {
      const scored = blocksOf(256 * 3 + 10, { blockLength }).flatMap(({ publishedScored }) => [
        ...publishedScored,
      ]);
      // Tokens 256, 512 and 768 are the first of their blocks; position i predicts token i + 1.
      expect(scored.flatMap((flag, i) => (flag === 0 ? [i + 1] : []))).toEqual([256, 512, 768]);
      expect(scored.reduce((sum, flag) => sum + flag, 0)).toBe(255 * 3 + 9);
    }
  });

  it('stops after maxTokens predictions', () => {
    const blocks = blocksOf(2000, { blockLength: 100, maxTokens: 250 });
    expect(blocks.map(({ length }) => length)).toEqual([100, 100, 50]);
    expect(blocksOf(100, { maxTokens: 5000 }).map(({ length }) => length)).toEqual([99]);
  });

  it('uses blocks of 256 unless told otherwise, and counts the </s> of reference mode', () => {
    expect(blocksOf(600).map(({ length }) => length)).toEqual([256, 256, 87]);
    const dictionary = dictionaryOfCorpus(corpusOf(counting(600)), 'decimal');
    const last = blocksOf(600, {}, dictionary).at(-1)!;
    expect([last.length, last.targets.at(-1)]).toEqual([88, 2]);
  });

  it('refuses what cannot be evaluated', () => {
    expect(() => blocksOf(1)).toThrow('sample train has 1 tokens, evaluation needs at least 2');
    expect(() => blocksOf(10, { blockLength: 0 })).toThrow(
      'blockLength must be a positive whole number, found 0',
    );
    expect(() => blocksOf(10, { maxTokens: -1 })).toThrow(
      'maxTokens must be a positive whole number, found -1',
    );
  });
});
