/**
 * Random insertion and deletion of tokens at test time, with which the paper asks how well a model holds when its input shifts
 * (Zhu et al. 2021, robustness on Long Range Arena; the strengths used there are not known, spec section 6).
 *
 * A document is changed first and cut to what the model reads afterwards: insertion pushes its end out, deletion brings more of
 * it in.
 */

import { Random } from '../data/random.js';
import { type Example, type ExampleReader, type ExampleSet, type Split, splits } from './example-set.js';

export const perturbationKinds = ['insert', 'delete'] as const;
export type PerturbationKind = (typeof perturbationKinds)[number];

export interface Perturbation {
  readonly kind: PerturbationKind;
  /** Expected number of tokens inserted or deleted, as a share of the document's; 0 to 1. */
  readonly strength: number;
}

/**
 * Before each token, with probability `strength`, any of the tokens of `alphabet` (not empty).
 *
 * As many random numbers are drawn for every strength: what a small one inserts, a larger one inserts too.
 */
export function insertTokens(
  tokens: Uint8Array,
  strength: number,
  alphabet: Uint8Array,
  random: Random,
): Uint8Array {
  const result = new Uint8Array(2 * tokens.length);
  let length = 0;
  for (const token of tokens) {
    const [chance, choice] = [random.unit(), random.below(alphabet.length)];
    if (chance < strength) result[length++] = alphabet[choice]!;
    result[length++] = token;
  }
  return result.slice(0, length);
}

/** Drops each token with probability `strength`; where all would go, one of them stays. A larger strength drops what a small one does. */
export function deleteTokens(tokens: Uint8Array, strength: number, random: Random): Uint8Array {
  const rest = tokens.filter(() => random.unit() >= strength);
  if (rest.length > 0 || tokens.length === 0) return rest;
  const survivor = random.below(tokens.length);
  return tokens.slice(survivor, survivor + 1);
}

/** The different tokens of a part of a set, ascending: what is inserted must be something the model was trained to read. */
export function tokensInUse(set: ExampleSet, split: Split): Uint8Array {
  const isUsed = new Uint8Array(256);
  for (let index = 0; index < set.count(split); index++)
    for (const document of set.example(split, index).documents)
      for (const token of document) isUsed[token] = 1;
  return Uint8Array.from(isUsed.keys()).filter((token) => isUsed[token] === 1);
}

export interface PerturbedExamplesOptions extends Perturbation {
  /** Tokens that may be inserted; see `tokensInUse`. */
  readonly alphabet: Uint8Array;
  readonly seed: number;
}

/** The examples of a set, all their documents perturbed: each the same way in whatever batch and order it is read. */
export class PerturbedExamples implements ExampleReader {
  constructor(
    private readonly set: ExampleReader,
    private readonly options: PerturbedExamplesOptions,
  ) {}

  lengths(split: Split, index: number): number[] {
    return this.example(split, index).documents.map(({ length }) => length);
  }

  example(split: Split, index: number, most = Number.POSITIVE_INFINITY): Example {
    const { documents, label } = this.set.example(split, index);
    const { kind, strength, alphabet, seed } = this.options;
    const perturbed = documents.map((tokens, which) => {
      const place = [splits.indexOf(split), index, which];
      const random = new Random(seed, perturbationKinds.indexOf(kind), ...place);
      return kind === 'insert'
        ? insertTokens(tokens, strength, alphabet, random)
        : deleteTokens(tokens, strength, random);
    });
    return { documents: perturbed.map((tokens) => tokens.subarray(0, most)), label };
  }
}
