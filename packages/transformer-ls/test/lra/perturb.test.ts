import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/data/random.js';
import {
  deleteTokens,
  insertTokens,
  PerturbedExamples,
  perturbationKinds,
  tokensInUse,
} from '../../src/lra/perturb.js';
import { scratchFolder } from '../data/scratch-folder.js';
import { writeSmallSet } from './small-runs.js';

const alphabet = Uint8Array.of(3, 7, 200);
const documents = fc.uint8Array({ maxLength: 300 });
const strengths = fc.double({ min: 0, max: 1, noNaN: true });
const seeds = fc.nat();

/** Five standard deviations of a binomial: one healthy generator in a million leaves them. */
const within = (count: number, trials: number, share: number) =>
  expect(Math.abs(count - trials * share)).toBeLessThanOrEqual(5 * Math.sqrt(trials * share * (1 - share)));

function isSubsequence(part: Uint8Array, whole: Uint8Array): boolean {
  let found = 0;
  for (const token of whole) if (token === part[found]) found += 1;
  return found === part.length;
}

describe('insertion', () => {
  it.each([0.02, 0.2, 0.5, 1])('adds a share of %f, of any of the tokens alike', (strength) => {
    const tokens = new Uint8Array(50_000).fill(1);
    const result = insertTokens(tokens, strength, alphabet, new Random(5));
    const added = result.length - tokens.length;
    within(added, tokens.length, strength);
    for (const token of alphabet) within(result.filter((one) => one === token).length, added, 1 / 3);
    expect(result.filter((one) => one === 1)).toHaveLength(tokens.length);
  });

  it('leaves all tokens in their order', () => {
    fc.assert(
      fc.property(documents, strengths, seeds, (tokens, strength, seed) => {
        const result = insertTokens(tokens, strength, alphabet, new Random(seed));
        expect(isSubsequence(tokens, result)).toBe(true);
      }),
    );
  });
});

describe('deletion', () => {
  it.each([0.02, 0.2, 0.5])('takes a share of %f', (strength) => {
    const tokens = new Uint8Array(50_000);
    within(50_000 - deleteTokens(tokens, strength, new Random(6)).length, 50_000, strength);
  });

  it('leaves the rest in its order, and never nothing of something', () => {
    fc.assert(
      fc.property(documents, strengths, seeds, (tokens, strength, seed) => {
        const result = deleteTokens(tokens, strength, new Random(seed));
        expect(isSubsequence(result, tokens)).toBe(true);
        expect(result.length === 0).toBe(tokens.length === 0);
      }),
    );
  });

  it('of everything leaves one token, any of them', () => {
    const tokens = Uint8Array.of(10, 20, 30);
    const left = Array.from({ length: 100 }, (_, seed) => [...deleteTokens(tokens, 1, new Random(seed))]);
    expect(left.every((one) => one.length === 1)).toBe(true);
    expect(new Set(left.flat())).toEqual(new Set(tokens));
  });
});

describe('perturbed examples', () => {
  const examples = async (name: 'listops' | 'imdb' | 'aan') => {
    const set = await writeSmallSet(scratchFolder(), name);
    const used = tokensInUse(set, 'test');
    const perturbed = (kind: 'insert' | 'delete', strength: number, seed = 1) =>
      new PerturbedExamples(set, { kind, strength, alphabet: used, seed });
    return { set, used, perturbed };
  };

  it.each(perturbationKinds)('%s with strength 0 is no change', async (kind) => {
    const { set, perturbed } = await examples('aan');
    for (let index = 0; index < set.count('test'); index++)
      expect(perturbed(kind, 0).example('test', index, 20)).toEqual(set.example('test', index, 20));
    set.close();
  });

  it.each(perturbationKinds)(
    '%s alike whenever they are read, and otherwise for another seed',
    async (kind) => {
      const { set, perturbed } = await examples('imdb');
      const read = (seed: number, order: readonly number[]) => {
        const source = perturbed(kind, 0.3, seed);
        return new Map(order.map((index) => [index, String(source.example('test', index).documents)]));
      };
      const forwards = read(1, [0, 1, 2, 3]);
      const backwards = read(1, [3, 2, 1, 0]);
      for (const [index, document] of forwards) expect(backwards.get(index)).toBe(document);
      expect(read(2, [0, 1, 2, 3])).not.toEqual(forwards);
      set.close();
    },
  );

  it('change both documents of a pair, each in its own way, and keep the label', async () => {
    const { set, perturbed } = await examples('aan');
    const source = perturbed('delete', 0.5);
    for (let index = 0; index < 20; index++) {
      const [before, after] = [set.example('test', index), source.example('test', index)];
      expect(after.label).toBe(before.label);
      for (const which of [0, 1])
        expect(after.documents[which]!.length).toBeLessThan(before.documents[which]!.length);
      expect(source.lengths('test', index)).toEqual(after.documents.map(({ length }) => length));
    }
    set.close();
  });

  it('change what a smaller strength changes, and more', async () => {
    const { set, perturbed } = await examples('imdb');
    for (let index = 0; index < 20; index++) {
      const at = (kind: 'insert' | 'delete', strength: number) =>
        perturbed(kind, strength).example('test', index).documents[0]!;
      expect(isSubsequence(at('delete', 0.4), at('delete', 0.1))).toBe(true);
      expect(isSubsequence(at('insert', 0.1), at('insert', 0.4))).toBe(true);
    }
    set.close();
  });

  it('are cut after they are changed: what deletion makes room for is read', async () => {
    const { set, perturbed } = await examples('imdb');
    for (let index = 0; index < 20; index++)
      for (const kind of perturbationKinds) {
        const whole = perturbed(kind, 0.4).example('test', index).documents[0]!;
        const cut = perturbed(kind, 0.4).example('test', index, 12).documents[0]!;
        expect(cut).toEqual(whole.subarray(0, 12));
      }
    set.close();
  });

  it('insert only what occurs: without brackets none are inserted', async () => {
    const { set, used, perturbed } = await examples('listops');
    const bracket = set.record.vocabulary.indexOf(']');
    expect(used.length).toBeGreaterThan(10);
    expect(used).not.toContain(bracket);
    const inserted = perturbed('insert', 1);
    for (let index = 0; index < 20; index++)
      expect(inserted.example('test', index).documents[0]).not.toContain(bracket);
    set.close();
  });
});
